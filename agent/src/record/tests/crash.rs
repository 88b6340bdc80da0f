//! What was appended survives the daemon.

use std::process::Command;

use super::*;

/// Set for the child of the tests below, which is this test binary run again.
const CHILD: &str = "PORTCULLIS_TEST_RECORD_CRASH";

/// Not a test of its own: appends to the store that the environment names, and kills itself.
#[test]
fn child_appends_and_is_killed() {
    let Ok(root) = std::env::var(CHILD) else { return };
    let recorder = Recorder::open(&small(Path::new(&root))).unwrap();
    let ended = recorder.begin(&header()).unwrap();
    ended.append(Kind::FromWorkload, b"done").unwrap();
    ended.end(Outcome::Closed);
    let open = recorder.begin(&header()).unwrap();
    for statement in 0..500_u32 {
        open.append(Kind::FromWorkload, &statement.to_le_bytes()).unwrap();
        if statement % 100 == 0 {
            std::thread::sleep(FLUSH_EVERY);
        }
    }
    std::fs::write(Path::new(&root).join("acknowledged"), open.id().to_string()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap();
}

fn run_child(root: &Path) -> SessionId {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "record::tests::crash::child_appends_and_is_killed"])
        .env(CHILD, root)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    std::fs::read_to_string(root.join("acknowledged")).unwrap().parse().unwrap()
}

#[test]
fn what_was_appended_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let open = run_child(root);
    drop(Recorder::open(&small(root)).unwrap());

    let entries = entries(&path_of(root, open));
    assert_eq!(entries.len(), 502);
    for (statement, entry) in entries[1..501].iter().enumerate() {
        assert_eq!(entry.payload, (statement as u32).to_le_bytes());
    }
    assert_eq!(entries[501].json::<EndEntry>().unwrap().outcome, Outcome::Interrupted);
    let rows = search_all(root);
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.progress.ended.is_some()));
}

#[test]
fn recovery_may_be_interrupted_and_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let open = run_child(root);
    // What a daemon leaves that was killed between writing and giving room back.
    let journal = std::fs::read(root.join("journal")).unwrap();
    drop(Recorder::open(&small(root)).unwrap());
    let recovered = std::fs::read(path_of(root, open)).unwrap();
    std::fs::write(root.join("journal"), journal).unwrap();
    drop(Recorder::open(&small(root)).unwrap());
    assert_eq!(std::fs::read(path_of(root, open)).unwrap(), recovered);
}

#[test]
fn a_file_that_was_written_before_its_row_gets_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let recorder = Recorder::open(&small(root)).unwrap();
    let session = recorder.begin(&header()).unwrap();
    session.append(Kind::FromWorkload, b"SELECT 1").unwrap();
    let id = session.id();
    session.end(Outcome::Closed);
    drop(recorder);
    // What a daemon leaves that was killed between writing the file and writing the index.
    rusqlite::Connection::open(Index::path(root)).unwrap().execute("DELETE FROM sessions", []).unwrap();
    rewind_journal(root);
    drop(Recorder::open(&small(root)).unwrap());
    assert_eq!(search_all(root).iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn numbers_go_on_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    run_child(root);
    let recorder = Recorder::open(&small(root)).unwrap();
    drop(recorder.begin(&header()).unwrap());
    drop(recorder);
    assert_eq!(search_all(root).iter().map(|row| row.number).collect::<Vec<_>>(), [3, 2, 1]);
}

#[test]
fn a_block_that_was_half_written_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let recorder = Recorder::open(&small(root)).unwrap();
    let session = recorder.begin(&header()).unwrap();
    session.append(Kind::FromWorkload, b"SELECT 1").unwrap();
    let id = session.id();
    session.end(Outcome::Closed);
    drop(recorder);
    // Cut into the only block, and pretend that nothing of it had been taken out of the journal.
    let file = std::fs::OpenOptions::new().write(true).open(path_of(root, id)).unwrap();
    file.set_len(file.metadata().unwrap().len() - 5).unwrap();
    rewind_journal(root);
    drop(Recorder::open(&small(root)).unwrap());
    assert_eq!(kinds(&entries(&path_of(root, id))), ["begin", "from_workload", "end"]);
}

#[test]
fn damage_in_the_journal_after_a_loss_of_power_costs_only_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let recorder = Recorder::open(&small(root)).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let id = session.id();
    for text in ["first", "second", "third"] {
        session.append(Kind::FromWorkload, text.as_bytes()).unwrap();
    }
    session.end(Outcome::Closed);
    drop(recorder);
    std::fs::remove_file(path_of(root, id)).unwrap();
    std::fs::remove_file(Index::path(root)).unwrap();
    rewind_journal(root);
    let mut journal = std::fs::read(root.join("journal")).unwrap();
    let second = memchr::memmem::find(&journal, b"second").unwrap();
    journal[second] ^= 1;
    journal[20] ^= 1; // Another start of the machine.
    std::fs::write(root.join("journal"), journal).unwrap();
    drop(Recorder::open(&small(root)).unwrap());
    let entries = entries(&path_of(root, id));
    assert_eq!(kinds(&entries), ["begin", "from_workload", "end"]);
    assert_eq!(entries[1].payload, b"first");
}

/// Sets the journal's tail back to its beginning.
fn rewind_journal(root: &Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(root.join("journal")).unwrap();
    file.write_all_at(&0_u64.to_le_bytes(), 256).unwrap();
}
