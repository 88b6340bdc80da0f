use super::{super::running::Running, *};
use crate::sql::{Catalogue, Classifier};

fn prepared(classifier: &Arc<Classifier>, text: &str) -> Prepared {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let classified = classifier.classify(&text, &Default::default());
    Prepared {
        text,
        types: Arc::default(),
        classified,
        classifier: classifier.clone(),
        shield: None,
        description: Arc::default(),
        load: Load::default(),
    }
}

fn classifier() -> Arc<Classifier> {
    Arc::new(Classifier::new(Catalogue::default()))
}

fn text_of(ledger: &Ledger, name: &str) -> Option<String> {
    ledger.statement(name.as_bytes()).map(|statement| String::from_utf8_lossy(&statement.text).into_owned())
}

fn bind(ledger: &mut Ledger, portal: &[u8], statement: &[u8]) {
    let statement = ledger.statement(statement).unwrap().clone();
    ledger.bind(portal, statement, Formats::Text, bound(0)).unwrap();
}

fn bound(length: usize) -> Arguments {
    Arguments::Message { bytes: vec![0; length].into(), read: |_| Vec::new() }
}

#[test]
fn what_is_held_is_bounded_and_given_back() {
    let mut ledger = Ledger::default();
    ledger.prepare(b"s", prepared(&classifier(), "SELECT 1")).unwrap();
    let statement = ledger.statement(b"s").unwrap().clone();
    let mut bind = |portal: &[u8]| {
        let bound = ledger.bind(portal, statement.clone(), Formats::Text, bound(HELD_MAX / 4));
        (bound.is_ok(), ledger.is_laden())
    };
    // Each waits for its answer, so that what it replaced may come back.
    assert_eq!([bind(b""), bind(b""), bind(b"")], [(true, false); 3]);
    assert_eq!([bind(b""), bind(b"")], [(true, true), (false, true)]);
    while ledger.pop().is_some() {}
    assert!(!ledger.is_laden() && ledger.held.load(Ordering::Relaxed) < HELD_MAX / 3);
}

/// Sends `count` batches before any of them is answered, then answers or fails them; entries visited.
fn visited(count: usize, is_failing: bool) -> usize {
    let mut ledger = Ledger::default();
    let statement = prepared(&classifier(), "SELECT 1");
    for _ in 0..count {
        ledger.prepare(b"s", prepared_like(&statement)).unwrap();
        bind(&mut ledger, b"", b"s");
        let slot = ledger.portal(b"").unwrap().description.clone();
        assert!(!ledger.describes(&slot));
        ledger.expect(Expected::Describe { slot: Some(slot.clone()), is_own: false }).unwrap();
        assert!(ledger.describes(&slot) && ledger.settled_statement(b"s").is_none());
        ledger.end_early();
        ledger.close_statement(b"s").unwrap();
        ledger.forget_portals();
        if !is_failing {
            ledger.expect(Expected::Sync).unwrap();
        }
    }
    match is_failing {
        true => assert!(!ledger.fail_batch()),
        false => {
            while let Some(front) = ledger.front() {
                match front {
                    Expected::Sync => ledger.finish_batch(true),
                    _ => drop(ledger.pop()),
                }
            }
        }
    }
    assert!(ledger.is_settled() && text_of(&ledger, "s").is_none());
    assert!(ledger.describing.is_empty() && ledger.statement_changes.pending.is_empty() && !ledger.is_running());
    ledger.visited
}

fn prepared_like(known: &Prepared) -> Prepared {
    Prepared {
        text: known.text.clone(),
        types: known.types.clone(),
        classified: known.classified.clone(),
        classifier: known.classifier.clone(),
        shield: None,
        description: Arc::default(),
        load: Load::default(),
    }
}

#[test]
fn a_message_costs_the_same_however_many_wait() {
    for is_failing in [false, true] {
        let (few, many) = (visited(500, is_failing), visited(20_000, is_failing));
        assert!(many <= 50 * few.max(500), "{few} for 500, {many} for 20,000");
    }
}

#[test]
fn a_batch_that_fails_gives_every_name_back() {
    let (mut ledger, classifier) = (Ledger::default(), classifier());
    ledger.prepare(b"s", prepared(&classifier, "SELECT 1")).unwrap();
    ledger.pop();
    ledger.prepare(b"s", prepared(&classifier, "SELECT 2")).unwrap();
    ledger.close_statement(b"s").unwrap();
    ledger.prepare(b"s", prepared(&classifier, "SELECT 3")).unwrap();
    assert_eq!(text_of(&ledger, "s").as_deref(), Some("SELECT 3"));
    assert!(!ledger.fail_batch());
    assert_eq!(text_of(&ledger, "s").as_deref(), Some("SELECT 1"));
    assert!(ledger.settled_statement(b"s").is_some());
}

#[test]
fn what_a_later_batch_changes_is_given_back_to_that_batch() {
    let (mut ledger, classifier) = (Ledger::default(), classifier());
    ledger.prepare(b"s", prepared(&classifier, "SELECT 1")).unwrap();
    ledger.expect(Expected::Sync).unwrap();
    ledger.prepare(b"s", prepared(&classifier, "SELECT 2")).unwrap();
    assert!(ledger.fail_batch(), "its Sync is sent");
    ledger.finish_batch(true);
    assert_eq!(text_of(&ledger, "s").as_deref(), Some("SELECT 2"));
    ledger.fail_batch();
    assert_eq!(text_of(&ledger, "s"), None, "the first never came to exist");
}

#[test]
fn forgotten_names_do_not_come_back() {
    let (mut ledger, classifier) = (Ledger::default(), classifier());
    ledger.prepare(b"s", prepared(&classifier, "SELECT 1")).unwrap();
    bind(&mut ledger, b"p", b"s");
    ledger.pop();
    ledger.pop();
    ledger.close_statement(b"s").unwrap();
    ledger.close_portal(b"p").unwrap();
    ledger.forget_all();
    ledger.fail_batch();
    assert!(ledger.statement(b"s").is_none() && ledger.portal(b"p").is_none());
}

#[test]
fn outside_a_transaction_portals_end_with_their_batch() {
    let (mut ledger, classifier) = (Ledger::default(), classifier());
    ledger.prepare(b"s", prepared(&classifier, "SELECT 1")).unwrap();
    bind(&mut ledger, b"first", b"s");
    ledger.expect(Expected::Sync).unwrap();
    bind(&mut ledger, b"second", b"s");
    while !matches!(ledger.front(), Some(Expected::Sync)) {
        ledger.pop();
    }
    ledger.finish_batch(true);
    assert!(ledger.portal(b"first").is_none() && ledger.portal(b"second").is_some());
}

#[test]
fn an_early_end_of_data_belongs_to_the_last_request() {
    let (mut ledger, classifier) = (Ledger::default(), classifier());
    let classified = classifier.classify(&Bytes::from_static(b"SELECT 1"), &Default::default());
    ledger.expect(Expected::Execute(Running::new(classified, None, None))).unwrap();
    ledger.expect(Expected::Sync).unwrap();
    ledger.expect(Expected::Sync).unwrap();
    ledger.end_early();
    let Some(Expected::Execute(running)) = ledger.front() else { panic!("an Execute") };
    assert_eq!((running.early_ends, running.early_syncs), (1, 2));
    assert!(ledger.forget_early_syncs(Some(1)));
    assert_eq!((ledger.expected.len(), ledger.trailing_syncs), (2, 1));
    ledger.prepare(b"s", prepared(&classifier, "SELECT 1")).unwrap();
    ledger.pop();
    assert!(ledger.fail_batch());
    ledger.finish_batch(true);
    assert!(matches!(ledger.front(), Some(Expected::Parse { .. })));
    ledger.fail_batch();
    assert_eq!(text_of(&ledger, "s"), None, "numbers hold after Syncs were overlooked");
}
