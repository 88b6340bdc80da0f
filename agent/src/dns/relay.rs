//! From a workload's question to its answer.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use hickory_proto::op::ResponseCode;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    ANSWER_TIMEOUT, Query, RESOLVER_TIMEOUT, Resolvers, Transport, Unread, WAITING_MAX, WAITING_OF_WORKLOAD_MAX,
    exchange,
};

/// Answers the questions of all workloads.
#[derive(Debug)]
pub struct Relay {
    resolvers: Resolvers,
    waiting: Arc<Mutex<Waiting>>,
}

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
    pub fn new(resolvers: Resolvers) -> Self {
        Self { resolvers, waiting: Arc::default() }
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
        let Some(_place) = Place::take(&self.waiting, workload) else {
            tracing::debug!(%workload, "too many DNS queries wait: one was dropped");
            return None;
        };
        tracing::debug!(%workload, question = %query.question, ?transport, "asked");
        Some(self.resolve(&query).await)
    }

    /// Asks one resolver after the other, a single one twice.
    async fn resolve(&self, query: &Query) -> Vec<u8> {
        let resolvers = self.resolvers.list();
        if resolvers.is_empty() {
            return query.refused(ResponseCode::Refused);
        }
        let turns = resolvers.len().max(2);
        let ask = async {
            for resolver in resolvers.iter().cycle().take(turns) {
                if let Some(answer) = ask(query, *resolver).await {
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

async fn ask(query: &Query, resolver: SocketAddr) -> Option<Vec<u8>> {
    match timeout(RESOLVER_TIMEOUT, exchange::ask(query, resolver)).await {
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
