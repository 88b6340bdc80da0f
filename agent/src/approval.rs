//! Approvals: a request held until a person answers.
//!
//! The desk knows the pending requests and the standing grants of this host. It never sends anything
//! upstream; it only answers the gate.

mod grant;
mod pending;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::Instant};

pub use grant::Grant;
use grant::Grants;
use pending::Pending;
pub use pending::{ApprovalId, PendingView};

use crate::{policy::Terms, principal::Principal};

/// Most requests that may wait at once on one host; one more is denied.
pub const PENDING_MAX: usize = 1024;
/// Most requests that one workload may have waiting, so that it cannot bury the approvers.
pub const PENDING_PER_WORKLOAD_MAX: usize = 32;

/// What the approver is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub session: String,
    pub principal: Arc<Principal>,
    pub target: Arc<str>,
    pub summary: String,
    /// Hash of the exact request, to which a grant is bound.
    pub digest: [u8; 32],
    pub accesses: Vec<String>,
    pub message: String,
    pub rules: Vec<String>,
    pub terms: Terms,
}

/// A person at the desk, with the groups whose word they may give.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approver {
    pub uid: u32,
    pub name: String,
    /// `None`: every group (root, where no approvers are configured).
    pub groups: Option<Vec<Arc<str>>>,
}

/// How a held request ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Granted {
        by: Vec<String>,
        reason: Option<String>,
    },
    /// A standing grant covers it.
    Reused {
        by: Vec<String>,
        grant: String,
    },
    Denied {
        by: String,
        reason: Option<String>,
    },
    TimedOut {
        after_seconds: u64,
    },
    /// The workload went away, or the daemon did.
    Withdrawn,
    /// A policy change settled the question.
    Overtaken,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |reason: &Option<String>| reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match self {
            Self::Granted { by, reason } => write!(f, "approved by {}{}", by.join(", "), because(reason)),
            Self::Reused { by, grant } => write!(f, "approved by {} (grant {grant})", by.join(", ")),
            Self::Denied { by, reason } => write!(f, "denied by {by}{}", because(reason)),
            Self::TimedOut { after_seconds } => write!(f, "nobody answered within {after_seconds} s"),
            Self::Withdrawn => f.write_str("the request was withdrawn"),
            Self::Overtaken => f.write_str("the policy has changed"),
        }
    }
}

/// What a yes has brought about.
#[derive(Clone, Debug)]
pub struct Settled {
    /// False while people of other groups have yet to agree.
    pub complete: bool,
    pub grant: Option<Grant>,
}

/// Why the desk refuses.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("no approval request `{0}` is pending")]
    Unknown(String),
    #[error("`{0}` is not unique: {1} pending requests begin so")]
    Ambiguous(String, usize),
    #[error("`{name}` may not answer this request: it needs a member of {needed}")]
    NotAnApprover { name: String, needed: String },
    #[error("`{0}` runs this workload and cannot approve its requests")]
    OwnRequest(String),
    #[error("`{0}` has already approved; another person is needed")]
    AlreadyVoted(String),
    #[error("too many approval requests are waiting (limit {0})")]
    TooMany(usize),
}

/// The pending requests and grants of one host.
#[derive(Debug, Default)]
pub struct Desk {
    pending: Mutex<BTreeMap<ApprovalId, Pending>>,
    grants: Mutex<Grants>,
}

/// A request's place in the queue; dropping it withdraws the request.
#[derive(Debug)]
pub struct Ticket {
    id: ApprovalId,
    desk: Weak<Desk>,
    answer: oneshot::Receiver<Outcome>,
    deadline: Instant,
    wait: Duration,
    /// Set where a standing grant answered at once.
    granted: Option<Outcome>,
}

impl Desk {
    /// Puts a question to the approvers, or answers it from a standing grant.
    pub fn ask(self: &Arc<Self>, question: Question) -> Result<Ticket, DeskError> {
        let id = ApprovalId::new();
        let (answer, receiver) = oneshot::channel();
        let wait = question.terms.wait;
        let ticket = |granted| Ticket {
            id: id.clone(),
            desk: Arc::downgrade(self),
            answer: receiver,
            deadline: Instant::now() + wait,
            wait,
            granted,
        };
        if let Some(grant) = self.grants.lock().find(&question, SystemTime::now()) {
            return Ok(ticket(Some(Outcome::Reused { by: grant.by, grant: grant.id })));
        }
        let mut pending = self.pending.lock();
        if pending.len() >= PENDING_MAX {
            return Err(DeskError::TooMany(PENDING_MAX));
        }
        let same_workload = |waiting: &&Pending| waiting.question.principal.workload == question.principal.workload;
        if pending.values().filter(same_workload).count() >= PENDING_PER_WORKLOAD_MAX {
            return Err(DeskError::TooMany(PENDING_PER_WORKLOAD_MAX));
        }
        tracing::info!(approval = %id, workload = %question.principal.workload, target = %question.target, "waiting for approval");
        pending.insert(id.clone(), Pending::new(id.clone(), question, answer));
        drop(pending);
        Ok(ticket(None))
    }

    /// What waits, oldest first.
    pub fn list(&self) -> Vec<PendingView> {
        self.pending.lock().values().map(Pending::view).collect()
    }

    /// One person's yes. The request goes on when every group that its rules name has agreed.
    pub fn approve(&self, id: &str, approver: &Approver, reason: Option<String>) -> Result<Settled, DeskError> {
        let mut pending = self.pending.lock();
        let id = find(&pending, id)?;
        let Some(waiting) = pending.get_mut(&id) else { return Err(DeskError::Unknown(id.to_string())) };
        waiting.vote(approver, reason)?;
        if !waiting.is_complete() {
            return Ok(Settled { complete: false, grant: None });
        }
        let Some(waiting) = pending.remove(&id) else { return Err(DeskError::Unknown(id.to_string())) };
        let grant = self.grants.lock().admit(&waiting, SystemTime::now());
        waiting.grant();
        Ok(Settled { complete: true, grant })
    }

    /// One person's no, which is final.
    pub fn deny(&self, id: &str, approver: &Approver, reason: Option<String>) -> Result<(), DeskError> {
        let mut pending = self.pending.lock();
        let id = find(&pending, id)?;
        let Some(waiting) = pending.get(&id) else { return Err(DeskError::Unknown(id.to_string())) };
        waiting.may_answer(approver)?;
        if let Some(waiting) = pending.remove(&id) {
            waiting.answer(Outcome::Denied { by: approver.name.clone(), reason });
        }
        Ok(())
    }

    /// The grants that still stand.
    pub fn grants(&self) -> Vec<Grant> {
        self.grants.lock().list(SystemTime::now())
    }

    /// Ends a grant before its time. True where there was one.
    pub fn revoke(&self, id: &str) -> bool {
        self.grants.lock().revoke(id)
    }
}

fn find(pending: &BTreeMap<ApprovalId, Pending>, prefix: &str) -> Result<ApprovalId, DeskError> {
    let mut found = pending.keys().filter(|id| id.as_str().starts_with(prefix));
    match (found.next(), found.count()) {
        (Some(id), 0) => Ok(id.clone()),
        (Some(_), more) => Err(DeskError::Ambiguous(prefix.to_owned(), more + 1)),
        (None, _) => Err(DeskError::Unknown(prefix.to_owned())),
    }
}

impl Ticket {
    pub fn id(&self) -> &ApprovalId {
        &self.id
    }

    /// Waits for the answer; the wait's end is one. Cancel safe.
    pub async fn answer(&mut self) -> Outcome {
        if let Some(outcome) = self.granted.take() {
            return outcome;
        }
        tokio::select! {
            biased;
            answer = &mut self.answer => answer.unwrap_or(Outcome::Withdrawn),
            () = tokio::time::sleep_until(self.deadline) => Outcome::TimedOut { after_seconds: self.wait.as_secs() },
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.upgrade() {
            desk.pending.lock().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests;
