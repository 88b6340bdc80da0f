//! Does masking hold? Queries composed at random over planted secrets, through the gate on a live server.
//!
//! `soundness [--queries N] [--seed S] [--from NUMBER] [--save FILE] [--show]` exits 0 iff nothing leaked and no answer was
//! changed otherwise than by masking, 1 if something did, and 2 if it could not be run. It needs root, the
//! distribution's PostgreSQL and a `portcullis` binary. `--from` begins at that question, so that one can be asked again
//! alone; `--save` keeps the figures as JSON;
//! `--show` prints each question and what came of it.
//!
//! Every question is asked three times: through the gate as a workload, past the gate, and past it in a twin of the
//! database, which differs in its secrets alone. Policy allows everything that can be understood, so that masking stands
//! alone. Two things count as leaks:
//!
//! 1. bytes that the workload received (rows, errors, notices, settings, notifications) hold a piece of a secret, in any
//!    of many spellings (`needle`);
//! 2. a value differs between database and twin, so that it follows the secrets, and the workload saw it as it is.
//!
//! The same is asked of the server's own answers, which must leak often: a run that would notice nothing fails.
//!
//! A column whose values do not differ between the two and which was masked all the same is over-masked.
//!
//! Half of the questions are asked where policy allows predicates on masked columns: what a predicate on a secret selects
//! is no content then, and is not compared. The other half is asked where policy refuses them: there whatever follows the
//! secrets, even a number of rows, is a leak.

mod arena;
mod generator;
mod message;
mod needle;
mod peer;
mod secret;
mod tally;
mod verdict;
mod world;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;

use crate::{
    arena::{Arena, Terms, Trio},
    generator::Generator,
    needle::Needles,
    tally::Tally,
    verdict::{Outcome, Verdict},
};

/// Questions of one session, before another takes its place.
const SESSION_QUESTIONS: u64 = 400;
/// Leaks after which a run ends: more would not tell more.
const LEAKS_MAX: usize = 40;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.as_slice() {
        [word] if word == "relay" => peer::relay().map(|()| true),
        _ => Options::parse(&words).and_then(|options| run(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soundness: {error:#}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    queries: u64,
    seed: u64,
    from: u64,
    save: Option<PathBuf>,
    show: bool,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self { queries: 1000, seed: 1, from: 0, save: None, show: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64> {
                let value = words.next().with_context(|| format!("`{word}` wants a number"))?;
                value.parse().with_context(|| format!("`{word}` wants a number, not `{value}`"))
            };
            match word.as_str() {
                "--queries" => options.queries = number()?,
                "--seed" => options.seed = number()?,
                "--from" => options.from = number()?,
                "--save" => options.save = Some(words.next().context("`--save` wants a path")?.into()),
                "--show" => options.show = true,
                other => bail!("`{other}` is no option\nhint: --queries N --seed S --from NUMBER --save FILE --show"),
            }
        }
        Ok(options)
    }
}

/// Asks; false when something leaked or was changed.
fn run(options: &Options) -> Result<bool> {
    let arena = Arena::open(&mut Rng::with_seed(options.seed))?;
    let needles = Needles::of(&arena.edition)?;
    let mut generator = Generator::new(options.seed);
    let mut tally = Tally::default();
    let (mut leaks, mut changed) = (0, 0);
    let mut sessions: BTreeMap<Terms, Trio> = BTreeMap::new();
    for number in options.from..options.from + options.queries {
        let question = generator.question(number);
        let terms = if number % 2 == 0 { Terms::Allow } else { Terms::Refuse };
        if number % SESSION_QUESTIONS == 0 {
            sessions.clear();
        }
        let mut session = match sessions.remove(&terms) {
            Some(session) => session,
            None => arena.trio(terms)?,
        };
        let replies = session.ask(&question.script).with_context(|| format!("question {number}: {}", question.text))?;
        let verdict = Verdict::of(&question, terms, replies.answers(), &needles);
        let unguarded = Verdict::of(&question, terms, replies.without_gate(), &needles);
        tally.note(&verdict, &unguarded);
        if options.show {
            println!("-- {number} {:?} {:?}\n{};", verdict.outcome, verdict.columns, question.text);
        }
        for leak in &verdict.leaks {
            println!("LEAK in question {number} ({terms:?}) of seed {}: {leak}\n{};\n", options.seed, question.text);
        }
        leaks += usize::from(!verdict.leaks.is_empty());
        if let Outcome::Changed(what) = &verdict.outcome {
            println!("CHANGED in question {number} of seed {}: {what}\n{};\n", options.seed, question.text);
            changed += 1;
        }
        if leaks >= LEAKS_MAX {
            break;
        }
        // A session that either side has ended is replaced.
        if replies.is_alive() {
            sessions.insert(terms, session);
        }
    }
    print!("{}", tally.text(leaks));
    if let Some(path) = &options.save {
        let figures = serde_json::to_string_pretty(&tally.json(options.seed, leaks, changed))?;
        std::fs::write(path, figures).with_context(|| format!("saving {}", path.display()))?;
    }
    ensure!(tally.would_notice(), "too few answers held secrets before masking: a leak would not have been noticed");
    Ok(leaks == 0 && changed == 0)
}
