//! From a workload's question to its answer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData,
        rdata::{A, AAAA, PTR},
    },
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::timeout};

use super::{
    ANSWER_TIMEOUT, Names, Query, RESOLVER_TIMEOUT, Resolvers, Transport, UNTOLD_MAX, Unread, WAITING_MAX,
    WAITING_OF_WORKLOAD_MAX, exchange,
    inquiry::Inquiry,
    names::{Local, Ruling},
    pace::Pace,
};

/// Answers the questions of all workloads.
#[derive(Debug)]
pub struct Relay {
    resolvers: Resolvers,
    names: Names,
    waiting: Arc<Mutex<Waiting>>,
    pace: Mutex<Pace>,
    refused: mpsc::Sender<Refused>,
    untold: AtomicU64,
}

/// A question that no resolver has heard of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    pub workload: Arc<str>,
    /// As it was asked, with what is no letter escaped.
    pub name: String,
    /// The kind of record, such as `A`.
    pub kind: String,
    pub why: &'static str,
}

/// What a workload reads, and the host's record.
const UNKNOWN: &str = "no target has this name, and `[dns] allow` does not name it";
const TOO_FAST: &str = "too many names of the workload's own choice in one minute";

/// How many questions wait for an answer.
#[derive(Debug, Default)]
struct Waiting {
    all: usize,
    of: HashMap<Arc<str>, usize>,
}

/// A question's place among those that wait; dropping it leaves.
#[derive(Debug)]
struct Place {
    waiting: Arc<Mutex<Waiting>>,
    workload: Arc<str>,
}

impl Relay {
    /// A relay that asks these resolvers for these names, and what it has refused, to be told.
    pub fn new(resolvers: Resolvers, names: Names) -> (Self, mpsc::Receiver<Refused>) {
        let (refused, told) = mpsc::channel(UNTOLD_MAX);
        let (waiting, pace, untold) = Default::default();
        (Self { resolvers, names, waiting, pace, refused, untold }, told)
    }

    /// How many refused questions nobody was told of, because too many were refused at once.
    pub fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    /// The answer to a workload's message; `None` where silence is the answer: it is no question, or too many wait.
    pub async fn answer(&self, message: &[u8], workload: &Arc<str>, transport: Transport) -> Option<Vec<u8>> {
        let query = match Query::read(message, workload.clone(), transport) {
            Ok(query) => query,
            Err(Unread::Ignored) => return None,
            Err(Unread::Answered(refusal)) => {
                tracing::debug!(%workload, "a message that is no plain DNS query was refused");
                return Some(refusal);
            }
        };
        tracing::debug!(%workload, question = %query.question, ?transport, "asked");
        match self.names.judge(&query.question) {
            Ruling::Ask(name) => self.ask(&query, name, false).await,
            Ruling::AskWild(name) => self.ask(&query, name, true).await,
            Ruling::Local(local) => Some(query.told(Some(record(local)))),
            Ruling::NoRecord => Some(query.told(None)),
            // So that a client goes on to the next name of its search list.
            Ruling::Unknown => Some(self.refuse(&query, ResponseCode::NXDomain, UNKNOWN)),
        }
    }

    async fn ask(&self, query: &Query, name: Name, wild: bool) -> Option<Vec<u8>> {
        if !self.pace.lock().admits(&query.workload, wild, Instant::now()) {
            return Some(self.refuse(query, ResponseCode::Refused, TOO_FAST));
        }
        let Some(_place) = Place::take(&self.waiting, &query.workload) else {
            tracing::debug!(workload = %query.workload, "too many DNS queries wait: one was dropped");
            return None;
        };
        Some(self.resolve(query, &query.inquiry(name)).await)
    }

    fn refuse(&self, query: &Query, code: ResponseCode, why: &'static str) -> Vec<u8> {
        let refused = Refused {
            workload: query.workload.clone(),
            name: query.question.name().to_string(),
            kind: query.question.query_type().to_string(),
            why,
        };
        if self.refused.try_send(refused).is_err() {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        query.blocked(code, why)
    }

    /// Asks one resolver after the other, a single one twice.
    async fn resolve(&self, query: &Query, inquiry: &Inquiry) -> Vec<u8> {
        let resolvers = self.resolvers.list();
        if resolvers.is_empty() {
            return query.refused(ResponseCode::Refused);
        }
        let turns = resolvers.len().max(2);
        let ask = async {
            for resolver in resolvers.iter().cycle().take(turns) {
                if let Some(answer) = ask(inquiry, query.transport, *resolver).await {
                    return Some(answer);
                }
            }
            None
        };
        match timeout(ANSWER_TIMEOUT, ask).await {
            Ok(Some(answer)) => query.answered(answer),
            Ok(None) | Err(_) => query.refused(ResponseCode::ServFail),
        }
    }
}

fn record(local: Local) -> RData {
    match local {
        Local::Address(std::net::IpAddr::V4(address)) => RData::A(A(address)),
        Local::Address(std::net::IpAddr::V6(address)) => RData::AAAA(AAAA(address)),
        Local::Name(name) => RData::PTR(PTR(name)),
    }
}

async fn ask(inquiry: &Inquiry, transport: Transport, resolver: SocketAddr) -> Option<Vec<u8>> {
    match timeout(RESOLVER_TIMEOUT, exchange::ask(inquiry, transport, resolver)).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(%resolver, %error, "a resolver cannot be asked");
            None
        }
        Err(_) => {
            tracing::debug!(%resolver, "a resolver does not answer");
            None
        }
    }
}

impl Place {
    fn take(waiting: &Arc<Mutex<Waiting>>, workload: &Arc<str>) -> Option<Self> {
        let mut now = waiting.lock();
        if now.all >= WAITING_MAX || now.of.get(workload).is_some_and(|count| *count >= WAITING_OF_WORKLOAD_MAX) {
            return None;
        }
        now.all += 1;
        *now.of.entry(workload.clone()).or_default() += 1;
        Some(Self { waiting: waiting.clone(), workload: workload.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut now = self.waiting.lock();
        now.all = now.all.saturating_sub(1);
        if let Some(count) = now.of.get_mut(&self.workload) {
            *count -= 1;
            if *count == 0 {
                now.of.remove(&self.workload);
            }
        }
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
