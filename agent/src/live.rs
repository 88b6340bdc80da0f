//! The sessions that run now.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    gate::Denial,
    principal::Principal,
    protocol::driver::Signal,
    record::SessionId,
    target::{OriginalDestination, Target},
};

/// How often it is looked whether everybody has left.
const LEFT_POLL: Duration = Duration::from_millis(5);

/// Every running session of this daemon.
#[derive(Clone, Debug, Default)]
pub struct Live {
    sessions: Arc<Mutex<BTreeMap<String, LiveSession>>>,
    /// Shared by every accepted connection, with a session or not yet.
    visits: Arc<()>,
}

/// One accepted connection, until it is dropped.
#[derive(Debug)]
pub struct Visit(#[expect(dead_code, reason = "it only is counted")] Arc<()>);

/// One running session and the way to reach it.
#[derive(Clone, Debug)]
pub struct LiveSession {
    pub id: String,
    pub workload: Arc<str>,
    pub target: Arc<str>,
    pub destination: OriginalDestination,
    pub pid: u32,
    /// Below the cgroup v2 mount.
    pub cgroup: String,
    pub started: SystemTime,
    signals: mpsc::UnboundedSender<Signal>,
}

/// A session's place among the running ones; dropping it leaves.
#[derive(Debug)]
pub struct Place {
    live: Live,
    id: String,
}

impl LiveSession {
    pub fn new(
        id: SessionId,
        principal: &Principal,
        target: &Target,
        destination: OriginalDestination,
        signals: mpsc::UnboundedSender<Signal>,
    ) -> Self {
        Self {
            id: id.to_string(),
            workload: principal.workload.clone(),
            target: target.name.clone(),
            destination,
            pid: principal.process.pid,
            cgroup: principal.process.cgroup.clone(),
            started: SystemTime::now(),
            signals,
        }
    }
}

impl Live {
    pub fn enter(&self, session: LiveSession) -> Place {
        let id = session.id.clone();
        self.sessions.lock().insert(id.clone(), session);
        Place { live: self.clone(), id }
    }

    /// Counts a connection from its acceptance on.
    pub fn visit(&self) -> Visit {
        Visit(self.visits.clone())
    }

    /// Waits until no accepted connection is left, for at most `limit`; whether none is.
    pub async fn wait_until_left(&self, limit: Duration) -> bool {
        let left = async {
            while Arc::strong_count(&self.visits) > 1 {
                tokio::time::sleep(LEFT_POLL).await;
            }
        };
        tokio::time::timeout(limit, left).await.is_ok()
    }

    pub fn list(&self) -> Vec<LiveSession> {
        self.sessions.lock().values().cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.sessions.lock().len()
    }

    pub fn tell_all(&self, signal: impl Fn() -> Signal) {
        for session in self.sessions.lock().values() {
            // A session that has just ended needs no news.
            let _ = session.signals.send(signal());
        }
    }

    /// Ends the sessions whose id begins so; says how many.
    pub fn end(&self, prefix: &str, denial: &Denial) -> usize {
        self.end_where(denial, |session| session.id.starts_with(prefix))
    }

    /// Ends the sessions of which this is true; says how many.
    pub fn end_where(&self, denial: &Denial, wanted: impl Fn(&LiveSession) -> bool) -> usize {
        let sessions = self.sessions.lock();
        let wanted = sessions.values().filter(|session| wanted(session));
        wanted.filter(|session| session.signals.send(Signal::End(denial.clone())).is_ok()).count()
    }

    /// Ends every session and waits until they have left, for at most `limit`.
    pub async fn drain(&self, denial: &Denial, limit: Duration) {
        self.end("", denial);
        let left = async {
            while self.count() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(limit, left).await.is_err() {
            tracing::warn!(sessions = self.count(), "sessions did not end in time and are cut");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.sessions.lock().remove(&self.id);
    }
}
