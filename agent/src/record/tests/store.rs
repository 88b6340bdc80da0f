//! What goes in comes out, whatever the writer and the disk do.

use std::{collections::HashSet, os::unix::fs::PermissionsExt};

use super::*;

#[test]
fn what_goes_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let id = session.id();
    let decision = DecisionEntry { effect: "deny".into(), rules: names(&["no-drop"]), ..Default::default() };
    assert_eq!(session.append(Kind::FromWorkload, b"DROP DATABASE shop").unwrap(), 1);
    assert_eq!(session.append_json(Kind::Decision, &decision).unwrap(), 2);
    session.append(Kind::Denial, b"{}").unwrap();
    session.append(Kind::ToWorkload, b"").unwrap();
    session.end(Outcome::Closed);
    drop(recorder);

    let entries = entries(&path_of(folder.path(), id));
    assert_eq!(kinds(&entries), ["begin", "from_workload", "decision", "denial", "to_workload", "end"]);
    assert_eq!(entries[1].payload, b"DROP DATABASE shop");
    assert_eq!(entries[2].json::<DecisionEntry>().unwrap(), decision);
    let begin: BeginEntry = entries[0].json().unwrap();
    assert_eq!((begin.id, begin.number, begin.header), (id, 1, header()));
    let tally = Tally { decisions: 1, denials: 1, from_workload: 18, ..Tally::default() };
    assert_eq!(entries[5].json::<EndEntry>().unwrap(), EndEntry { outcome: Outcome::Closed, tally });
    assert!(entries.is_sorted_by_key(|entry| (entry.sequence, entry.elapsed)));

    let [row] = search_all(folder.path()).try_into().unwrap();
    assert_eq!((row.id, row.number, row.progress.entries), (id, 1, 6));
    assert_eq!((row.progress.tally, row.progress.outcome), (tally, Some(Outcome::Closed)));
    assert_eq!((row.workload.as_deref(), row.owner.as_deref()), (Some("robot"), Some("alice")));
}

#[test]
fn long_entries_are_split_and_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let id = session.id();
    let long: Vec<u8> = (0..APPEND_MAX).map(|at| (at % 251) as u8).collect();
    session.append(Kind::Lifecycle, &long).unwrap();
    session.append(Kind::ToWorkload, &long).unwrap();
    session.end(Outcome::Closed);
    drop(recorder);

    let entries = entries(&path_of(folder.path(), id));
    assert_eq!(entries[1].payload, long);
    let streamed: Vec<u8> = entries[2..entries.len() - 1].iter().flat_map(|entry| entry.payload.clone()).collect();
    assert_eq!(streamed, long);
}

#[test]
fn a_payload_beyond_the_limit_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let refused = session.append(Kind::ToWorkload, &vec![0; APPEND_MAX + 1]);
    assert!(matches!(refused, Err(RecordError::TooLarge { .. })));
    assert_eq!(session.append(Kind::ToWorkload, b"next").unwrap(), 1);
}

#[test]
fn nobody_forges_a_beginning_or_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    assert!(matches!(session.append(Kind::End, b"{}"), Err(RecordError::Reserved { .. })));
    assert!(matches!(session.append(Kind::Begin, b"{}"), Err(RecordError::Reserved { .. })));
}

#[test]
fn nothing_is_recorded_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let other = session.clone();
    session.end(Outcome::Terminated);
    assert!(matches!(other.append(Kind::ToWorkload, b"late"), Err(RecordError::Ended)));
}

#[test]
fn a_session_that_nobody_ends_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    drop(recorder.begin(&header()).unwrap());
    drop(recorder);
    assert_eq!(search_all(folder.path())[0].progress.outcome, Some(Outcome::Failed));
}

#[tokio::test]
async fn a_full_journal_makes_sessions_wait_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let id = session.id();
    let chunk = vec![b'x'; ENTRY_MAX];
    let mut waited = 0;
    for _ in 0..2000 {
        while let Err(error) = session.append(Kind::ToWorkload, &chunk) {
            assert!(matches!(error, RecordError::Full { .. }), "{error}");
            waited += 1;
            session.ready().await.unwrap();
        }
    }
    session.end(Outcome::Closed);
    recorder.flush().await.unwrap();
    assert!(waited > 0, "2000 × 64 KiB went through a journal of 4 MiB without waiting");
    assert_eq!(search_all(folder.path())[0].progress.tally.to_workload, 2000 * ENTRY_MAX as u64);
    assert_eq!(Recording::open(&path_of(folder.path(), id)).unwrap().entries().count(), 2002);
}

#[tokio::test]
async fn flushed_entries_are_readable_while_the_session_lives() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let session = recorder.begin(&header()).unwrap();
    session.append(Kind::FromWorkload, b"SELECT 1").unwrap();
    recorder.flush().await.unwrap();
    assert_eq!(kinds(&entries(&path_of(folder.path(), session.id()))), ["begin", "from_workload"]);
    assert_eq!(search_all(folder.path())[0].progress.ended, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_thousand_sessions_at_once_keep_their_entries_apart() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let sessions: Vec<_> = (0..2000).map(|_| recorder.begin(&header()).unwrap()).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for session in sessions.clone() {
        tasks.spawn(async move {
            for round in 0..20_u8 {
                session
                    .write(Kind::ToWorkload, &[session.id().to_bytes().as_slice(), &[round]].concat())
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
            }
            session.end(Outcome::Closed);
        });
    }
    tasks.join_all().await;
    drop(recorder);

    let mut numbers = HashSet::new();
    for session in sessions {
        let entries = entries(&path_of(folder.path(), session.id()));
        numbers.insert(entries[0].json::<BeginEntry>().unwrap().number);
        assert_eq!(entries.len(), 22);
        for (round, entry) in entries[1..21].iter().enumerate() {
            assert_eq!(entry.payload, [session.id().to_bytes().as_slice(), &[round as u8]].concat());
        }
    }
    assert_eq!(numbers, (1..=2000).collect());
}

#[test]
fn only_the_owner_reads_records() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("state/records");
    let recorder = Recorder::open(&small(&root)).unwrap();
    let session = recorder.begin(&header()).unwrap();
    let file = path_of(&root, session.id());
    session.end(Outcome::Closed);
    drop(recorder);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    for file in [file, root.join("journal"), Index::path(&root)] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_second_daemon_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Recorder::open(&small(folder.path())).unwrap();
    assert!(matches!(Recorder::open(&small(folder.path())), Err(RecordError::InUse { .. })));
}

#[test]
fn a_journal_is_given_the_size_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    for journal_bytes in [JOURNAL_LEAST, 2 * JOURNAL_LEAST, JOURNAL_LEAST] {
        let config = RecorderConfig { journal_bytes, ..small(folder.path()) };
        let recorder = Recorder::open(&config).unwrap();
        assert_eq!(recorder.journal_level().1, journal_bytes);
        recorder.begin(&header()).unwrap().end(Outcome::Closed);
    }
    assert_eq!(search_all(folder.path()).iter().map(|row| row.number).collect::<Vec<_>>(), [3, 2, 1]);
    let tiny = RecorderConfig { journal_bytes: JOURNAL_LEAST - 1, ..small(folder.path()) };
    assert!(matches!(Recorder::open(&tiny), Err(RecordError::JournalTooSmall { .. })));
}

#[tokio::test]
async fn a_live_store_verifies_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&small(folder.path())).unwrap();
    let root = folder.path().to_owned();
    let verifier = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            let report = verify::verify_all(&root).unwrap();
            let unsound: Vec<_> = report.sessions.iter().filter(|session| !session.is_sound()).collect();
            assert!(report.is_sound(), "{unsound:?}, missing {:?}", report.missing_numbers);
        }
    });
    while !verifier.is_finished() {
        let session = recorder.begin(&header()).unwrap();
        for _ in 0..20 {
            session.write(Kind::ToWorkload, &[1; 40_000]).await.unwrap();
        }
        tokio::time::sleep(FLUSH_EVERY / 4).await;
        session.end(Outcome::Closed);
    }
    verifier.await.unwrap();
}
