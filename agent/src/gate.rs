//! The gate: the only maker of permits.
//!
//! Each session has one [`Gate`]. It decides by policy, records what it decided, asks a person where a
//! rule wants one, and only then lets a request go on. *No record, no permit.*

mod ruling;

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use ruling::Rulings;
pub use ruling::{Asker, Decided};

use crate::{
    approval::{ApprovalId, Desk, Outcome, Question as ApprovalQuestion, Ticket},
    policy::{self, Effect, Obligations, RuleId, Terms},
    record::{ApprovalEntry, ApprovalEvent, DenialEntry, Kind, RecordError, SessionRecorder},
    request::{Request, Stage},
};

/// What is enforced.
#[derive(Debug)]
pub enum Verdict {
    Forward(Permit),
    Block(Denial),
    /// To be asked again once everything that was sent before is answered: a rule reads what only answers tell.
    Settle,
}

/// The right to send one request upstream. Only [`Gate`] makes one.
#[derive(Debug)]
pub struct Permit {
    obligations: Arc<Obligations>,
}

impl Permit {
    pub fn obligations(&self) -> &Arc<Obligations> {
        &self.obligations
    }

    /// A permit as the gate would make it, for playbooks.
    #[cfg(test)]
    pub(crate) fn for_playbook(obligations: Obligations) -> Self {
        Self { obligations: Arc::new(obligations) }
    }
}

/// What the workload may read of a refusal. What is logged is more; this is all it learns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The rule's message, or what had no permit.
    pub message: String,
    /// The deciding rule, where there is one.
    pub rule: Option<RuleId>,
    /// How to ask for access.
    pub hint: String,
    /// The entry in the record: `<session>/<sequence>`.
    pub reference: String,
}

/// One session's way to permits.
pub struct Gate {
    asker: Asker,
    recorder: SessionRecorder,
    policy: Arc<policy::Store>,
    desk: Arc<Desk>,
    /// Set where nothing may pass, whatever policy says: the destination is no declared target.
    closed: Option<String>,
    rulings: Mutex<Rulings>,
    /// The approval request that a person has before them.
    held: Mutex<Option<ApprovalId>>,
}

impl Gate {
    pub fn new(asker: Asker, recorder: SessionRecorder, policy: Arc<policy::Store>, desk: Arc<Desk>) -> Self {
        Self { asker, recorder, policy, desk, closed: None, rulings: Mutex::default(), held: Mutex::default() }
    }

    /// Lets nothing pass, for the reason given.
    pub fn closed(self, reason: String) -> Self {
        Self { closed: Some(reason), ..self }
    }

    /// Decides, records, asks a person where policy wants one, and answers.
    ///
    /// Cancel safe: dropping the future withdraws a pending approval request.
    pub async fn check(&self, request: Request) -> Verdict {
        if let Some(reason) = &self.closed {
            return self.refuse(reason.clone(), None, &request).await;
        }
        let decided = self.decide(&request);
        if decided.needs.standing && !request.standing.is_settled {
            return Verdict::Settle;
        }
        match decided.decision.effect {
            Effect::Deny => self.refuse_by(&decided, &request).await,
            Effect::Allow => self.permit(&decided, &request).await,
            Effect::RequireApproval => match (request.stage, &decided.decision.obligations.approval) {
                (Stage::Prepare, _) => self.permit(&decided, &request).await,
                (Stage::Execute, Some(terms)) => self.hold(&decided, terms, &request).await,
                (Stage::Execute, None) => {
                    self.refuse("the deciding rule asks for approval without terms".to_owned(), None, &request).await
                }
            },
        }
    }

    /// Whether [`check`](Self::check) has to know what the server's planner expects of this request.
    pub fn wants_estimate(&self, request: &Request) -> bool {
        self.closed.is_none() && ruling::wants_estimate(&self.policy.current(), &self.asker, request)
    }

    /// Records that the request which waits for a person is withdrawn; whoever drops [`check`](Self::check) then
    /// takes it from the desk. `None`: no person was asked.
    pub async fn withdraw(&self, why: &str) -> Result<Option<Denial>, RecordError> {
        let Some(id) = self.held.lock().take() else { return Ok(None) };
        let entry = ApprovalEntry { reason: Some(why.to_owned()), ..answered(&id, &Outcome::Withdrawn) };
        let sequence = self.record(Kind::Approval, &entry).await?;
        Ok(Some(Denial {
            message: format!("{why} while it waited for approval"),
            rule: None,
            hint: "send it again to ask again".to_owned(),
            reference: format!("{}/{sequence}", self.recorder.id()),
        }))
    }

    /// Judges again what this session was allowed at its start; a denial ends it.
    pub fn rejudge(&self, opening: &Request) -> Option<Denial> {
        let decided = self.decide(opening);
        match decided.decision.effect {
            Effect::Allow | Effect::RequireApproval => None,
            Effect::Deny => Some(Denial {
                message: decided.decision.message.clone(),
                rule: decided.decision.rules.first().cloned(),
                hint: "the policy has changed since this session began".to_owned(),
                reference: self.recorder.id().to_string(),
            }),
        }
    }

    /// The session's entry in the record.
    pub fn recorder(&self) -> &SessionRecorder {
        &self.recorder
    }

    fn decide(&self, request: &Request) -> Arc<Decided> {
        self.rulings.lock().decide(&self.policy.current(), &self.asker, request)
    }

    async fn permit(&self, decided: &Decided, request: &Request) -> Verdict {
        match decided.record(request, &self.recorder).await {
            Ok(()) => Verdict::Forward(Permit { obligations: decided.obligations.clone() }),
            Err(error) => Verdict::Block(self.unrecorded(&error)),
        }
    }

    async fn refuse_by(&self, decided: &Decided, request: &Request) -> Verdict {
        self.refuse(decided.decision.message.clone(), decided.decision.rules.first().cloned(), request).await
    }

    async fn refuse(&self, message: String, rule: Option<RuleId>, request: &Request) -> Verdict {
        let entry = DenialEntry {
            message: message.clone(),
            rule: rule.as_ref().map(|rule| rule.0.clone()),
            summary: request.summary.bounded(),
            accesses: request.footprint.described(),
        };
        Verdict::Block(match self.record(Kind::Denial, &entry).await {
            Ok(sequence) => {
                let reference = format!("{}/{sequence}", self.recorder.id());
                let hint = format!("ask the operators of this gate for access, and quote {reference}");
                Denial { message, rule, hint, reference }
            }
            Err(error) => self.unrecorded(&error),
        })
    }

    /// Holds the request until a person answers, the wait is over, or policy changes its mind.
    async fn hold(&self, decided: &Decided, terms: &Terms, request: &Request) -> Verdict {
        let question = ApprovalQuestion {
            session: self.recorder.id().to_string(),
            principal: self.asker.principal.clone(),
            target: self.asker.target.name.clone(),
            summary: request.described(),
            digest: request.digest(),
            accesses: request.footprint.described(),
            message: decided.decision.message.clone(),
            rules: decided.decision.rules.iter().map(RuleId::to_string).collect(),
            terms: terms.clone(),
        };
        let mut changes = self.policy.subscribe();
        changes.mark_unchanged();
        let mut ticket = match self.desk.ask(question) {
            Ok(ticket) => ticket,
            Err(error) => return self.refuse(error.to_string(), None, request).await,
        };
        if let Err(error) = self.record(Kind::Approval, &requested(&ticket)).await {
            return Verdict::Block(self.unrecorded(&error));
        }
        *self.held.lock() = Some(ticket.id().clone());
        let outcome = loop {
            tokio::select! {
                outcome = ticket.answer() => break outcome,
                changed = changes.changed() => match (changed, self.decide(request).decision.effect) {
                    (Ok(()), Effect::RequireApproval) => {}
                    (Ok(()), Effect::Allow | Effect::Deny) => break Outcome::Overtaken,
                    (Err(_), _) => break Outcome::Withdrawn,
                },
            }
        };
        *self.held.lock() = None;
        if let Err(error) = self.record(Kind::Approval, &answered(ticket.id(), &outcome)).await {
            return Verdict::Block(self.unrecorded(&error));
        }
        self.settle(outcome, terms, request).await
    }

    /// Turns a person's answer into a verdict under the policy of this moment: a yes under other terms is none.
    async fn settle(&self, outcome: Outcome, asked: &Terms, request: &Request) -> Verdict {
        let decided = self.decide(request);
        let outcome = match decided.decision.obligations.approval.as_ref() == Some(asked) {
            true => outcome,
            false => Outcome::Overtaken,
        };
        match (&outcome, decided.decision.effect) {
            (_, Effect::Deny) => self.refuse_by(&decided, request).await,
            (_, Effect::Allow) | (Outcome::Granted { .. } | Outcome::Reused { .. }, Effect::RequireApproval) => {
                self.permit(&decided, request).await
            }
            (
                Outcome::Denied { .. } | Outcome::TimedOut { .. } | Outcome::Withdrawn | Outcome::Overtaken,
                Effect::RequireApproval,
            ) => {
                let message = format!("{}: {outcome}", decided.decision.message);
                self.refuse(message, decided.decision.rules.first().cloned(), request).await
            }
        }
    }

    async fn record(&self, kind: Kind, entry: &impl Serialize) -> Result<u64, RecordError> {
        let payload = serde_json::to_vec(entry).map_err(|error| RecordError::Header(error.into()))?;
        self.recorder.write(kind, &payload).await
    }

    fn unrecorded(&self, error: &RecordError) -> Denial {
        tracing::error!(session = %self.recorder.id(), %error, "denied, because it could not be recorded");
        Denial {
            message: "the gate cannot record this request, so it is refused".to_owned(),
            rule: None,
            hint: "tell the operator of this host; the daemon's log says why".to_owned(),
            reference: self.recorder.id().to_string(),
        }
    }
}

fn requested(ticket: &Ticket) -> ApprovalEntry {
    ApprovalEntry { id: ticket.id().to_string(), event: ApprovalEvent::Requested, by: None, at: now(), reason: None }
}

fn answered(id: &ApprovalId, outcome: &Outcome) -> ApprovalEntry {
    let (event, by, reason) = match outcome {
        Outcome::Granted { by, reason } => (ApprovalEvent::Approved, Some(by.join(", ")), reason.clone()),
        Outcome::Reused { by, grant } => (ApprovalEvent::Reused, Some(by.join(", ")), Some(format!("grant {grant}"))),
        Outcome::Denied { by, reason } => (ApprovalEvent::Denied, Some(by.clone()), reason.clone()),
        Outcome::TimedOut { .. } => (ApprovalEvent::Expired, None, Some(outcome.to_string())),
        Outcome::Withdrawn | Outcome::Overtaken => (ApprovalEvent::Withdrawn, None, Some(outcome.to_string())),
    };
    ApprovalEntry { id: id.to_string(), event, by, at: now(), reason }
}

/// Microseconds since 1970.
fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
