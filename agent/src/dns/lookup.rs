//! What is told of each question.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{Query, UNTOLD_MAX};

/// Most addresses of one answer that are told.
const ADDRESSES_TOLD_MAX: usize = 16;

/// One question, and what became of it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Lookup {
    pub workload: Arc<str>,
    /// As it was asked, with what is no letter escaped.
    pub name: String,
    /// The kind of record, such as `A`.
    pub kind: String,
    pub outcome: Outcome,
}

/// What became of a question.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// In words: addresses, or that there is none.
    Answered(String),
    /// Why the workload was not told, or not all.
    Refused(String),
}

/// What is told, as it comes. Questions that were refused are a way of their own: a flood of them hides no answer.
#[derive(Debug)]
pub struct Lookups {
    pub answered: mpsc::Receiver<Lookup>,
    pub refused: mpsc::Receiver<Lookup>,
}

/// The other end, at which nobody waits.
#[derive(Debug)]
pub(super) struct Teller {
    answered: mpsc::Sender<Lookup>,
    refused: mpsc::Sender<Lookup>,
    untold: AtomicU64,
}

impl Teller {
    pub(super) fn new() -> (Self, Lookups) {
        let (answered, answers) = mpsc::channel(UNTOLD_MAX);
        let (refused, refusals) = mpsc::channel(UNTOLD_MAX);
        let lookups = Lookups { answered: answers, refused: refusals };
        (Self { answered, refused, untold: AtomicU64::default() }, lookups)
    }

    pub(super) fn tell(&self, query: &Query, outcome: Outcome) {
        let way = match outcome {
            Outcome::Answered(_) => &self.answered,
            Outcome::Refused(_) => &self.refused,
        };
        let lookup = Lookup {
            workload: query.workload.clone(),
            name: query.question.name().to_string(),
            kind: query.question.query_type().to_string(),
            outcome,
        };
        if way.try_send(lookup).is_err() {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many questions nobody was told of, because too many came at once.
    pub(super) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }
}

/// Addresses in an order that does not change with the resolver's mood.
pub(super) fn list(addresses: impl Iterator<Item = IpAddr>) -> String {
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort_unstable();
    let more = addresses.len().saturating_sub(ADDRESSES_TOLD_MAX);
    let mut words: Vec<_> = addresses.iter().take(ADDRESSES_TOLD_MAX).map(ToString::to_string).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(" ")
}
