//! What holds for every session of every protocol, looped over the registry.
//!
//! Each law is a function that says how it is broken, so that it can be shown to notice: sessions with a
//! seeded bug stand at the end.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::{
    Engine, Input, Opening, Output, PROTOCOLS, Protocol, ProtocolError, Session, Side, http,
    playbook::{Judge, Playbook, Script, Step},
    postgres,
};
use crate::{gate::Verdict, request::Request, target::Verify};

type Maker<'a> = &'a dyn Fn() -> Box<dyn Session>;

/// A protocol's scripts. A protocol without any does not build.
fn scripts(protocol: &Protocol) -> Vec<Script> {
    match protocol.name {
        "postgres" => postgres::playbook::scripts(),
        "http" => http::playbook::scripts(),
        other => panic!("protocol {other} has no scripts for the laws"),
    }
}

fn opening(protocol: &Protocol) -> Opening {
    match protocol.name {
        "http" => http::playbook::opening(Verify::Off),
        _ => postgres::playbook::opening(Verify::Off),
    }
}

/// Runs `check` over every script of every protocol.
fn for_all(check: impl Fn(Maker<'_>, &Script) -> Result<(), String>) {
    for protocol in PROTOCOLS {
        let Engine::Session(open) = protocol.engine;
        for script in scripts(protocol) {
            let outcome = check(&|| open(opening(protocol)), &script);
            assert_eq!(outcome, Ok(()), "{}: {}", protocol.name, script.name);
        }
    }
}

/// What was said on both sides, what was asked, and whether the session ended.
#[derive(Debug, PartialEq)]
struct Said {
    downstream: Vec<u8>,
    upstream: Vec<u8>,
    asked: Vec<String>,
    is_closed: bool,
}

/// Plays a script; `cut` says where the bytes of a step are cut.
fn play(open: Maker<'_>, script: &Script, judge: Judge, cut: &dyn Fn(usize) -> Vec<usize>) -> Said {
    let mut book = Playbook::new(open(), |_| permitted(), script.classifier.clone());
    speak(&mut book, &script.login, cut);
    assert!(!book.is_closed, "the login of a script succeeds");
    book.forget();
    book.judge = judge;
    speak(&mut book, &script.steps, cut);
    Said {
        downstream: book.downstream,
        upstream: book.upstream,
        asked: book.asked.iter().map(|request| request.summary.to_string()).collect(),
        is_closed: book.is_closed,
    }
}

fn speak(book: &mut Playbook, steps: &[Step], cut: &dyn Fn(usize) -> Vec<usize>) {
    for (side, bytes) in steps {
        let mut rest = bytes.clone();
        for size in cut(bytes.len()) {
            let piece = rest.split_to(size.min(rest.len()));
            book.input(Input::Bytes(*side, piece));
        }
        if !rest.is_empty() {
            book.input(Input::Bytes(*side, rest));
        }
    }
}

fn whole(_: usize) -> Vec<usize> {
    Vec::new()
}

fn single(length: usize) -> Vec<usize> {
    vec![1; length]
}

fn permitted() -> Verdict {
    postgres::playbook::permit_all()
}

fn permit(_: &Request) -> Verdict {
    permitted()
}

fn refuse(request: &Request) -> Verdict {
    postgres::playbook::refuse(request)
}

fn spoken(steps: &[Step], by: Side) -> Vec<u8> {
    steps.iter().filter(|(side, _)| *side == by).flat_map(|(_, bytes)| bytes.to_vec()).collect()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    memchr::memmem::find(bytes, word.as_bytes()).is_some()
}

fn chunking_does_not_matter(open: Maker<'_>, script: &Script, sizes: &[usize]) -> Result<(), String> {
    for judge in [permit as Judge, refuse, script.masking] {
        let heard = |cut: &dyn Fn(usize) -> Vec<usize>| {
            let said = play(open, script, judge, cut);
            Said { downstream: (script.heard)(said.downstream), ..said }
        };
        let expected = heard(&whole);
        for cut in [&single as &dyn Fn(usize) -> Vec<usize>, &|_| sizes.to_vec()] {
            let said = heard(cut);
            if said != expected {
                return Err(format!("in pieces: {said:?}\nat once: {expected:?}"));
            }
        }
    }
    Ok(())
}

fn permitted_bytes_pass_verbatim(open: Maker<'_>, script: &Script) -> Result<(), String> {
    if !script.is_verbatim {
        return Ok(());
    }
    let said = play(open, script, permit, &whole);
    for (said, by) in [(&said.upstream, Side::Downstream), (&said.downstream, Side::Upstream)] {
        if *said != spoken(&script.steps, by) {
            return Err(format!("what {by:?} said was changed"));
        }
    }
    Ok(())
}

fn blocked_bytes_never_leave(open: Maker<'_>, script: &Script) -> Result<(), String> {
    let said = play(open, script, refuse, &whole);
    match script.requests.iter().find(|word| holds(&said.upstream, word)) {
        Some(word) => Err(format!("refused, but sent: {word}")),
        None => Ok(()),
    }
}

fn masked_values_occur_nowhere(open: Maker<'_>, script: &Script) -> Result<(), String> {
    for cut in [&whole as &dyn Fn(usize) -> Vec<usize>, &single] {
        let said = play(open, script, script.masking, cut);
        if let Some(word) = script.secrets.iter().find(|word| holds(&said.downstream, word)) {
            return Err(format!("to be masked, but told: {word}"));
        }
    }
    Ok(())
}

/// Feeds bytes that mean nothing, from either side, at any point of a script.
fn anything_is_survived(open: Maker<'_>, script: &Script, after: usize, noise: &[(bool, Vec<u8>)]) {
    let mut book = Playbook::new(open(), permit, script.classifier.clone());
    let steps: Vec<Step> = script.login.iter().chain(&script.steps).take(after).cloned().collect();
    speak(&mut book, &steps, &whole);
    book.judge = script.masking;
    for (from_server, bytes) in noise {
        let side = if *from_server { Side::Upstream } else { Side::Downstream };
        book.input(Input::Bytes(side, Bytes::copy_from_slice(bytes)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn law_chunking(sizes in vec(0usize..40, 0..60)) {
        for_all(|open, script| chunking_does_not_matter(open, script, &sizes));
    }

    #[test]
    fn law_anything_is_survived(
        after in 0usize..12,
        noise in vec((any::<bool>(), prop_oneof![vec(any::<u8>(), 0..64), framed()]), 0..12),
    ) {
        for_all(|open, script| {
            anything_is_survived(open, script, after, &noise);
            Ok(())
        });
    }
}

/// A message with a plausible head: the interesting mistakes are inside.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(b"QPBDECSHdcfXFTZ123nstIANGRKv".to_vec()), vec(any::<u8>(), 0..48)).prop_map(|(tag, body)| {
        let mut message = vec![tag];
        message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        message.extend_from_slice(&body);
        message
    })
}

#[test]
fn law_permitted_bytes_pass_verbatim() {
    for_all(permitted_bytes_pass_verbatim);
}

#[test]
fn law_blocked_bytes_never_leave() {
    for_all(blocked_bytes_never_leave);
}

#[test]
fn law_masked_values_occur_nowhere() {
    for_all(masked_values_occur_nowhere);
}

#[test]
fn every_protocol_has_a_script_for_every_law() {
    for protocol in PROTOCOLS {
        let scripts = scripts(protocol);
        assert!(scripts.iter().any(|script| script.is_verbatim), "{}", protocol.name);
        assert!(scripts.iter().any(|script| !script.requests.is_empty()), "{}", protocol.name);
        assert!(scripts.iter().any(|script| !script.secrets.is_empty()), "{}", protocol.name);
    }
}

/// Sessions with a bug each, which the laws have to notice.
mod seeded {
    use super::*;

    /// A relay that asks nobody.
    #[derive(Default)]
    struct Heedless {
        outputs: std::collections::VecDeque<Output>,
        /// Puts a byte before each piece that it forwards.
        marks_pieces: bool,
    }

    impl Session for Heedless {
        fn handle(&mut self, input: Input) -> Result<(), ProtocolError> {
            if let Input::Bytes(side, bytes) = input {
                let to = if side == Side::Upstream { Side::Downstream } else { Side::Upstream };
                if self.marks_pieces {
                    self.outputs.push_back(Output::Send(to, Bytes::from_static(b"!")));
                }
                self.outputs.push_back(Output::Send(to, bytes));
            }
            Ok(())
        }

        fn poll(&mut self) -> Option<Output> {
            self.outputs.pop_front()
        }
    }

    fn first(wanted: fn(&Script) -> bool) -> Script {
        postgres::playbook::scripts().into_iter().find(wanted).expect("a script")
    }

    #[test]
    fn a_relay_that_asks_nobody_breaks_the_laws_of_blocking_and_masking() {
        let open = || -> Box<dyn Session> { Box::<Heedless>::default() };
        assert!(blocked_bytes_never_leave(&open, &first(|script| !script.requests.is_empty())).is_err());
        assert!(masked_values_occur_nowhere(&open, &first(|script| !script.secrets.is_empty())).is_err());
        assert!(permitted_bytes_pass_verbatim(&open, &first(|script| script.is_verbatim)).is_ok());
    }

    #[test]
    fn a_relay_that_marks_pieces_breaks_the_laws_of_chunking_and_verbatim_passing() {
        let open = || -> Box<dyn Session> { Box::new(Heedless { marks_pieces: true, ..Heedless::default() }) };
        let script = first(|script| script.is_verbatim);
        assert!(chunking_does_not_matter(&open, &script, &[1, 2, 3]).is_err());
        assert!(permitted_bytes_pass_verbatim(&open, &script).is_err());
    }
}
