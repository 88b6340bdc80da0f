//! One request that waits for people.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Approver, DeskError, Outcome, Question};

/// Eight characters that a person can type.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalId(Arc<str>);

impl ApprovalId {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 5];
        // Ids need to be unlikely to meet, not secret; the kernel's generator does not fail once it is seeded.
        let _ = getrandom::fill(&mut bytes);
        let alphabet = *b"abcdefghjkmnpqrstuvwxyz023456789";
        let bits = bytes.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let letters =
            (0..8).filter_map(|n| alphabet.get((bits >> (n * 5) & 31) as usize)).map(|letter| *letter as char);
        Self(letters.collect::<String>().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A held request, as `approvals list` and `show` tell it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingView {
    pub id: ApprovalId,
    pub session: String,
    pub workload: String,
    pub owner: Option<String>,
    pub pid: u32,
    pub executable: Option<String>,
    pub command_line: Vec<String>,
    pub target: String,
    pub statement: String,
    pub accesses: Vec<String>,
    pub message: String,
    pub rules: Vec<String>,
    /// Each entry is needed, each from a member of any of its groups.
    pub needs: Vec<Vec<String>>,
    pub approved_by: Vec<String>,
    pub asked_unix: u64,
    pub expires_unix: u64,
}

#[derive(Debug)]
pub(super) struct Pending {
    id: ApprovalId,
    pub(super) question: Question,
    asked: SystemTime,
    /// One place for each entry of the terms.
    votes: Vec<Option<Vote>>,
    answer: oneshot::Sender<Outcome>,
}

#[derive(Clone, Debug)]
struct Vote {
    uid: u32,
    name: String,
    reason: Option<String>,
}

impl Pending {
    pub(super) fn new(id: ApprovalId, question: Question, answer: oneshot::Sender<Outcome>) -> Self {
        let votes = vec![None; question.terms.groups.len()];
        Self { id, question, asked: SystemTime::now(), votes, answer }
    }

    /// Counts one person's yes towards the first group that still waits for one of theirs.
    pub(super) fn vote(&mut self, approver: &Approver, reason: Option<String>) -> Result<(), DeskError> {
        self.may_answer(approver)?;
        if self.votes.iter().flatten().any(|vote| vote.uid == approver.uid) {
            return Err(DeskError::AlreadyVoted(approver.name.clone()));
        }
        let vote = Vote { uid: approver.uid, name: approver.name.clone(), reason };
        let places = self.votes.iter_mut().zip(&self.question.terms.groups);
        match places
            .filter(|(place, groups)| place.is_none() && speaks_for(approver, groups))
            .map(|(place, _)| place)
            .next()
        {
            Some(place) => *place = Some(vote),
            None => return Err(DeskError::AlreadyVoted(approver.name.clone())),
        }
        Ok(())
    }

    /// Whether this person may answer at all.
    pub(super) fn may_answer(&self, approver: &Approver) -> Result<(), DeskError> {
        if approver.uid == self.question.principal.process.uid {
            return Err(DeskError::OwnRequest(approver.name.clone()));
        }
        let groups = &self.question.terms.groups;
        if groups.iter().any(|groups| speaks_for(approver, groups)) {
            return Ok(());
        }
        let needed: Vec<_> = groups.iter().map(|any| any.join(" or ")).collect();
        Err(DeskError::NotAnApprover { name: approver.name.clone(), needed: needed.join(" and of ") })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.votes.iter().all(Option::is_some)
    }

    pub(super) fn approvers(&self) -> Vec<String> {
        self.votes.iter().flatten().map(|vote| vote.name.clone()).collect()
    }

    pub(super) fn grant(self) {
        let reason = self.votes.iter().flatten().find_map(|vote| vote.reason.clone());
        let by = self.approvers();
        self.answer(Outcome::Granted { by, reason });
    }

    pub(super) fn answer(self, outcome: Outcome) {
        tracing::info!(approval = %self.id, %outcome, "answered");
        // Nobody listens any more when the workload has just gone away.
        let _ = self.answer.send(outcome);
    }

    pub(super) fn view(&self) -> PendingView {
        let question = &self.question;
        let process = &question.principal.process;
        PendingView {
            id: self.id.clone(),
            session: question.session.clone(),
            workload: question.principal.workload.to_string(),
            owner: question.principal.owner.clone(),
            pid: process.pid,
            executable: process.executable.as_ref().map(|path| path.display().to_string()),
            command_line: process.command_line.clone(),
            target: question.target.to_string(),
            statement: question.summary.clone(),
            accesses: question.accesses.clone(),
            message: question.message.clone(),
            rules: question.rules.clone(),
            needs: question
                .terms
                .groups
                .iter()
                .map(|any| any.iter().map(|group| group.to_string()).collect())
                .collect(),
            approved_by: self.approvers(),
            asked_unix: unix(self.asked),
            expires_unix: unix(self.asked + question.terms.wait),
        }
    }
}

fn speaks_for(approver: &Approver, groups: &[Arc<str>]) -> bool {
    approver.groups.as_ref().is_none_or(|own| groups.iter().any(|group| own.contains(group)))
}

/// Seconds since the epoch.
pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
