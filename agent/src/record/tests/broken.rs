//! A store that fails: nothing is permitted, nothing is lost, and it goes on by itself.

use std::{fs, time::Duration};

use super::*;

/// Waits for the writer's thread to find out.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it never came that {what}");
}

/// A file system of its own, small enough to fill.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), folder.path(), Some("tmpfs"), flags, Some(options.as_str()))
            .expect("this test mounts a tmpfs and runs as root");
        Self(folder)
    }

    /// Fills the disk to the last page; removing the file makes room again.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("ballast");
        for length in [64 * 1024, 4096, 1] {
            while fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)
                .and_then(|file| std::io::Write::write_all(&mut &file, &vec![0; length]))
                .is_ok()
            {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_denies_and_resumes_without_loss() {
    let disk = SmallDisk::mount(16 * 1024 * 1024);
    let root = disk.0.path().join("records");
    let recorder = Recorder::open(&small(&root)).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let ballast = disk.fill();
    let mut appended = 0;
    eventually("the record is broken", || {
        let taken = session.append(Kind::ToWorkload, &[7; 5000]);
        appended += u64::from(taken.is_ok());
        recorder.broken().is_some()
    });
    assert!(matches!(session.append(Kind::ToWorkload, b"x"), Err(RecordError::Broken { .. })));
    assert!(matches!(recorder.begin(&header()), Err(RecordError::Broken { .. })));

    fs::remove_file(ballast).unwrap();
    eventually("the record is well", || recorder.broken().is_none());
    session.append(Kind::FromWorkload, b"after").unwrap();
    let id = session.id();
    session.end(Outcome::Closed);
    drop(recorder);
    let report = verify::verify_session(&root, id).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.entries, appended + 3);
}

#[test]
fn a_disk_too_small_for_the_journal_is_met_at_the_start() {
    let disk = SmallDisk::mount(1024 * 1024);
    let refused = Recorder::open(&small(&disk.0.path().join("records")));
    assert!(refused.is_err_and(|error| error.to_string().contains("allocate space")));
}

#[tokio::test]
async fn who_waits_for_room_is_told_that_the_store_is_broken() {
    let disk = SmallDisk::mount(16 * 1024 * 1024);
    let recorder = Recorder::open(&small(&disk.0.path().join("records"))).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let _ballast = disk.fill();
    let broken = loop {
        if let Err(error) = session.write(Kind::ToWorkload, &vec![0; APPEND_MAX]).await {
            break error;
        }
    };
    assert!(matches!(broken, RecordError::Broken { .. }), "{broken}");
}

#[test]
fn an_end_is_never_lost_to_a_full_journal() {
    let disk = SmallDisk::mount(16 * 1024 * 1024);
    let root = disk.0.path().join("records");
    let recorder = Recorder::open(&small(&root)).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let id = session.id();
    let ballast = disk.fill();
    while session.append(Kind::ToWorkload, &[0; 4096]).is_ok() {}
    session.end(Outcome::Terminated);
    fs::remove_file(ballast).unwrap();
    eventually("the record is well", || recorder.broken().is_none());
    drop(recorder);
    let report = verify::verify_session(&root, id).unwrap();
    assert_eq!((report.findings, report.outcome), (Vec::new(), Some(Outcome::Terminated)));
}

#[test]
fn a_locked_index_delays_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let other = rusqlite::Connection::open(Index::path(folder.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let session = recorder.begin(&header()).unwrap();
    let id = session.id();
    session.end(Outcome::Closed);
    eventually("the file is written", || path_of(folder.path(), id).exists());
    assert!(recorder.broken().is_none());
    other.execute_batch("ROLLBACK").unwrap();
    eventually("the row is written", || !search_all(folder.path()).is_empty());
}

#[test]
fn what_a_locked_index_missed_is_there_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let open = recorder.begin(&header()).unwrap();
    eventually("the first row is written", || !search_all(folder.path()).is_empty());
    let other = rusqlite::Connection::open(Index::path(folder.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    recorder.begin(&header()).unwrap().end(Outcome::Denied);
    open.end(Outcome::Closed);
    drop(recorder);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(search_all(folder.path()).len(), 1);
    drop(Recorder::open(&small(folder.path())).unwrap());
    let outcomes: Vec<_> = search_all(folder.path()).iter().map(|row| row.progress.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Denied), Some(Outcome::Closed)]);
}

#[test]
fn a_file_that_is_taken_away_breaks_nothing_and_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let path = path_of(folder.path(), session.id());
    eventually("the file is there", || path.exists());
    fs::remove_file(&path).unwrap();
    session.append(Kind::FromWorkload, b"later").unwrap();
    session.end(Outcome::Closed);
    drop(recorder);
    assert!(!verify::verify_all(folder.path()).unwrap().is_sound());
}
