//! Standing grants: an approval that serves for the same request again, for a while.

use std::{sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::{
    Question,
    pending::{Pending, unix},
};

/// Most grants that stand at once on one host; beyond it the oldest is dropped.
pub const GRANTS_MAX: usize = 4096;

/// The right to send one exact request again without asking.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    pub id: String,
    pub workload: Arc<str>,
    pub target: Arc<str>,
    pub statement: String,
    pub by: Vec<String>,
    pub until_unix: u64,
    #[serde(skip)]
    digest: [u8; 32],
    #[serde(skip)]
    groups: Vec<Vec<Arc<str>>>,
}

#[derive(Debug, Default)]
pub(super) struct Grants(Vec<Grant>);

impl Grants {
    /// The grant that answers this question: same workload, target, exact text and terms.
    pub(super) fn find(&mut self, question: &Question, now: SystemTime) -> Option<Grant> {
        self.expire(now);
        let answers = |grant: &&Grant| {
            grant.workload == question.principal.workload
                && grant.target == question.target
                && grant.digest == question.digest
                && grant.groups == question.terms.groups
        };
        self.0.iter().find(answers).cloned()
    }

    /// Keeps what was just approved, where its terms say for how long.
    pub(super) fn admit(&mut self, approved: &Pending, now: SystemTime) -> Option<Grant> {
        let question = &approved.question;
        if question.terms.valid.is_zero() {
            return None;
        }
        self.expire(now);
        if self.0.len() >= GRANTS_MAX {
            self.0.remove(0);
        }
        let grant = Grant {
            id: approved.view().id.to_string(),
            workload: question.principal.workload.clone(),
            target: question.target.clone(),
            statement: question.summary.clone(),
            by: approved.approvers(),
            until_unix: unix(now + question.terms.valid),
            digest: question.digest,
            groups: question.terms.groups.clone(),
        };
        self.0.push(grant.clone());
        Some(grant)
    }

    pub(super) fn list(&mut self, now: SystemTime) -> Vec<Grant> {
        self.expire(now);
        self.0.clone()
    }

    pub(super) fn revoke(&mut self, id: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|grant| grant.id != id);
        self.0.len() < before
    }

    fn expire(&mut self, now: SystemTime) {
        self.0.retain(|grant| grant.until_unix > unix(now));
    }
}
