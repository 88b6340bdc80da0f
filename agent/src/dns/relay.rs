//! From a workload's question to its answer.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Instant};

use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData,
        rdata::{A, AAAA, PTR},
    },
};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    ANSWER_TIMEOUT, Homes, Names, Pins, Query, RESOLVER_TIMEOUT, Resolvers, Transport, Unread, WAITING_MAX,
    WAITING_OF_WORKLOAD_MAX,
    answer::Answer,
    exchange,
    inquiry::Inquiry,
    lookup::{self, Lookups, Outcome, Teller},
    names::{Local, Ruling},
    own::Own,
    pace::{Pace, Spelled},
};

/// Answers the questions of all workloads.
#[derive(Debug)]
pub struct Relay {
    resolvers: Resolvers,
    names: Names,
    homes: Homes,
    own: Own,
    pins: Pins,
    waiting: Arc<Mutex<Waiting>>,
    pace: Mutex<Pace>,
    teller: Teller,
}

/// What a workload reads, and the host's record.
const UNKNOWN: &str = "no target has this name, and `[dns] allow` does not name it";
/// What a workload reads where the host's record has the address as well.
const STRAY: &str = "the answer leads where this name may not: the host's record says why";

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
    /// A relay that asks these resolvers for these names, and what becomes of each question, to be told.
    pub fn new(resolvers: Resolvers, names: Names, homes: Homes) -> (Self, Lookups) {
        let (teller, lookups) = Teller::new();
        let (own, pins, waiting, pace) = Default::default();
        (Self { resolvers, names, homes, own, pins, waiting, pace, teller }, lookups)
    }

    /// How many questions nobody was told of, because too many came at once.
    pub fn untold(&self) -> u64 {
        self.teller.untold()
    }

    /// What each workload was told.
    pub fn pins(&self) -> &Pins {
        &self.pins
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
        let ruling = self.names.judge(&query.question);
        let spelled = match &ruling {
            Ruling::AskWild(name, characters) => Some(Spelled(name, *characters)),
            Ruling::Ask(_) | Ruling::Local(_) | Ruling::NoRecord => None,
            // So that a client goes on to the next name of its search list.
            Ruling::Unknown => return Some(self.refuse(&query, ResponseCode::NXDomain, UNKNOWN)),
        };
        let admitted = self.pace.lock().admits(workload, spelled, Instant::now());
        if let Err(too_much) = admitted {
            return Some(self.refuse(&query, ResponseCode::Refused, &too_much.to_string()));
        }
        match ruling {
            Ruling::Ask(name) => self.ask(&query, &name, false).await,
            Ruling::AskWild(name, _) => self.ask(&query, &name, true).await,
            Ruling::Local(local) => Some(self.tell(&query, Some(record(local)))),
            Ruling::NoRecord | Ruling::Unknown => Some(self.tell(&query, None)),
        }
    }

    async fn ask(&self, query: &Query, name: &Name, wild: bool) -> Option<Vec<u8>> {
        let Some(_place) = Place::take(&self.waiting, &query.workload) else {
            tracing::debug!(workload = %query.workload, "too many DNS queries wait: one was dropped");
            return None;
        };
        Some(match self.resolve(query, &query.inquiry(name.clone())).await {
            Ok(answer) => self.pass(query, name, wild, answer),
            Err(code) => {
                self.teller.tell(query, Outcome::Answered("no resolver answers".into()));
                query.refused(code)
            }
        })
    }

    /// What is known here.
    fn tell(&self, query: &Query, record: Option<RData>) -> Vec<u8> {
        let told = record.as_ref().map_or("no such record".into(), ToString::to_string);
        self.teller.tell(query, Outcome::Answered(told));
        query.told(record)
    }

    fn refuse(&self, query: &Query, code: ResponseCode, why: &str) -> Vec<u8> {
        self.teller.tell(query, Outcome::Refused(why.into()));
        query.blocked(code, why)
    }

    /// Passes on what of an answer this name may stand for, and remembers it.
    fn pass(&self, query: &Query, name: &Name, wild: bool, mut answer: Answer) -> Vec<u8> {
        if answer.truncated {
            // It comes again, over TCP.
            return query.answered(&answer);
        }
        let own = self.own.addresses();
        let mut stray = None;
        let dropped = answer.retain(|address| {
            let judged = self.homes.judge(name, wild, address, &own);
            judged.inspect_err(|why| stray = stray.or(Some(*why))).is_ok()
        });
        if let Some(why) = stray {
            let strays = lookup::list(dropped.into_iter());
            self.teller.tell(query, Outcome::Refused(format!("the answer was {strays}: {why}")));
            if answer.addresses().next().is_none() {
                return query.blocked(ResponseCode::NoError, STRAY);
            }
        }
        let now = Instant::now();
        for (address, lifetime) in answer.addresses() {
            self.pins.pin(&query.workload, name, address, lifetime, now);
        }
        self.teller.tell(query, Outcome::Answered(in_words(&answer)));
        query.answered(&answer)
    }

    /// Asks one resolver after the other, a single one twice.
    async fn resolve(&self, query: &Query, inquiry: &Inquiry) -> Result<Answer, ResponseCode> {
        let resolvers = self.resolvers.list();
        if resolvers.is_empty() {
            return Err(ResponseCode::Refused);
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
        timeout(ANSWER_TIMEOUT, ask).await.ok().flatten().ok_or(ResponseCode::ServFail)
    }
}

/// An answer as it is told.
fn in_words(answer: &Answer) -> String {
    let addresses = lookup::list(answer.addresses().map(|(address, _)| address));
    let names = || answer.records.iter().filter(|record| !record.data.record_type().is_cname());
    match answer.code {
        ResponseCode::NoError if !addresses.is_empty() => addresses,
        ResponseCode::NoError if names().next().is_some() => {
            names().map(|record| record.data.to_string()).collect::<Vec<_>>().join(" ")
        }
        ResponseCode::NoError => "no such record".into(),
        code => code.to_string(),
    }
}

fn record(local: Local) -> RData {
    match local {
        Local::Address(std::net::IpAddr::V4(address)) => RData::A(A(address)),
        Local::Address(std::net::IpAddr::V6(address)) => RData::AAAA(AAAA(address)),
        Local::Name(name) => RData::PTR(PTR(name)),
    }
}

async fn ask(inquiry: &Inquiry, transport: Transport, resolver: SocketAddr) -> Option<Answer> {
    match timeout(RESOLVER_TIMEOUT, exchange::ask(inquiry, transport, resolver)).await {
        Ok(Ok(message)) => {
            let answer = Answer::read(&message, inquiry.question());
            if answer.is_none() {
                tracing::debug!(%resolver, "a resolver's answer cannot be read");
            }
            answer
        }
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
