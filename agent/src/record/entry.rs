//! What a record's entries say. Payloads are bytes as the workload saw and sent them, or JSON.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::SessionId;
use crate::{
    mask::Method,
    policy::Decision,
    principal::Principal,
    request::{Access, Request, Stage},
};

/// Most bytes of a request's text that a decision repeats; the whole of it is among the bytes from the workload.
pub const SUMMARY_MAX: usize = 4096;

/// What an entry is about. Codes are part of the file format and never change their meaning.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// [`BeginEntry`]: the first entry. Written by the recorder.
    Begin,
    /// [`EndEntry`]: the last entry. Written by the recorder.
    End,
    /// [`LifecycleEntry`].
    Lifecycle,
    /// Bytes that the workload sent.
    FromWorkload,
    /// Bytes that the workload was sent, after masking.
    ToWorkload,
    /// [`DecisionEntry`].
    Decision,
    /// [`ApprovalEntry`].
    Approval,
    /// [`MaskEntry`].
    Mask,
    /// [`DenialEntry`].
    Denial,
    /// [`ErrorEntry`].
    Error,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Begin,
        Self::End,
        Self::Lifecycle,
        Self::FromWorkload,
        Self::ToWorkload,
        Self::Decision,
        Self::Approval,
        Self::Mask,
        Self::Denial,
        Self::Error,
    ];

    pub const fn code(self) -> u8 {
        match self {
            Self::Begin => 1,
            Self::End => 2,
            Self::Lifecycle => 3,
            Self::FromWorkload => 4,
            Self::ToWorkload => 5,
            Self::Decision => 6,
            Self::Approval => 7,
            Self::Mask => 8,
            Self::Denial => 9,
            Self::Error => 10,
        }
    }

    /// The kind of this code; `None` for those of later versions.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
            Self::Lifecycle => "lifecycle",
            Self::FromWorkload => "from_workload",
            Self::ToWorkload => "to_workload",
            Self::Decision => "decision",
            Self::Approval => "approval",
            Self::Mask => "mask",
            Self::Denial => "denial",
            Self::Error => "error",
        }
    }
}

/// Who speaks with what, as far as it is known when the session begins.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SessionHeader {
    /// `None`: the kernel could not tell, and the connection was refused.
    pub principal: Option<Principal>,
    /// The target's name; `None` where no target is declared.
    pub target: Option<Arc<str>>,
    /// The protocol's name in the registry, by which a transcript is found.
    pub protocol: Option<Arc<str>>,
    /// Where the workload wanted to go.
    pub destination: String,
    /// Where the daemon dials.
    pub upstream: Option<String>,
    /// The generation of the policy in force.
    pub policy_generation: u64,
}

impl SessionHeader {
    /// What the record of the host itself has in the protocol's place: a record of no connection.
    pub const HOST: &str = "host";

    /// The header of the host's own record, which tells what befell the daemon and the capture.
    pub fn of_host(host: String, policy_generation: u64) -> Self {
        Self {
            principal: None,
            target: None,
            protocol: Some(Self::HOST.into()),
            destination: host,
            upstream: None,
            policy_generation,
        }
    }
}

/// The first entry of a session.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BeginEntry {
    pub id: SessionId,
    /// Counts the sessions of this store from 1 without gaps, so that a deleted file is missed.
    pub number: u64,
    /// Microseconds since 1970.
    pub started: u64,
    #[serde(flatten)]
    pub header: SessionHeader,
}

/// The last entry of a session. Its sequence is the number of entries before it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EndEntry {
    pub outcome: Outcome,
    #[serde(flatten)]
    pub tally: Tally,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// One of the two sides said goodbye.
    Closed,
    /// No session came about: the connection or the login was refused.
    Denied,
    /// The gate ended it: a policy change, a person, or the daemon draining.
    Terminated,
    /// A side broke the protocol or went away, or the gate met an error.
    Failed,
    /// The daemon ended before the session did.
    Interrupted,
}

impl Outcome {
    pub const ALL: [Self; 5] = [Self::Closed, Self::Denied, Self::Terminated, Self::Failed, Self::Interrupted];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Denied => "denied",
            Self::Terminated => "terminated",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a session's entries add up to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub decisions: u64,
    pub denials: u64,
    pub approvals: u64,
    /// Bytes that the workload sent.
    pub from_workload: u64,
    /// Bytes that the workload was sent.
    pub to_workload: u64,
}

impl Tally {
    /// Counts one entry, or one piece of a long one.
    pub fn count(&mut self, kind: Kind, length: usize, more: bool) {
        let whole = u64::from(!more);
        match kind {
            Kind::Decision => self.decisions += whole,
            Kind::Denial => self.denials += whole,
            Kind::Approval => self.approvals += whole,
            Kind::FromWorkload => self.from_workload += length as u64,
            Kind::ToWorkload => self.to_workload += length as u64,
            Kind::Begin | Kind::End | Kind::Lifecycle | Kind::Mask | Kind::Error => {}
        }
    }
}

/// Something that happened to the session itself: `established`, `tls`, `policy changed`, `killed` …
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LifecycleEntry {
    pub event: Cow<'static, str>,
    /// Facts about it: the login's user and database, the TLS version, who did it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<Cow<'static, str>, String>,
}

/// What policy said of one request.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DecisionEntry {
    /// `allow`, `approval` or `deny`.
    pub effect: Cow<'static, str>,
    /// `prepare` or `execute`.
    pub stage: Cow<'static, str>,
    /// The request's text, cut at [`SUMMARY_MAX`] bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The deciding rules, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accesses: Vec<AccessEntry>,
    /// Why parts of the request are unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
    /// Data classes that must be masked, and how.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masks: BTreeMap<Arc<str>, Method>,
    /// What the answer is held to: `rows`, `bytes`, `time`, each with its bound.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Cow<'static, str>, String>,
    pub policy_generation: u64,
    /// The sequence of an earlier decision in this session whose rules, message, accesses, caveats
    /// and masks hold here too and are left out: repeated statements stay small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<u64>,
}

impl DecisionEntry {
    /// Writes down a decision with everything that it rests on.
    pub fn new(request: &Request, decision: &Decision, policy_generation: u64) -> Self {
        Self {
            rules: decision.rules.iter().map(|rule| rule.0.clone()).collect(),
            message: decision.message.clone(),
            accesses: request.footprint.accesses.iter().map(AccessEntry::from).collect(),
            caveats: request.footprint.caveats.clone(),
            masks: decision.obligations.masks.iter().map(|(class, method)| (class.0.clone(), *method)).collect(),
            limits: decision.obligations.limits.described().map(|(limit, most)| (limit.name().into(), most)).collect(),
            ..Self::repeated(request, decision, policy_generation, None)
        }
    }

    /// Writes down a decision that says the same as the one of sequence `like`.
    pub fn repeated(request: &Request, decision: &Decision, policy_generation: u64, like: Option<u64>) -> Self {
        Self {
            effect: decision.effect.name().into(),
            stage: match request.stage {
                Stage::Prepare => "prepare".into(),
                Stage::Execute => "execute".into(),
            },
            summary: excerpt(&request.summary.0),
            policy_generation,
            like,
            ..Self::default()
        }
    }
}

/// One operation on one resource, in policy's words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AccessEntry {
    pub operation: Cow<'static, str>,
    pub resource: String,
}

impl From<&Access> for AccessEntry {
    fn from(access: &Access) -> Self {
        Self { operation: access.operation().to_string().into(), resource: access.resource().to_string() }
    }
}

/// What became of a request that a person had to approve.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ApprovalEntry {
    /// The approval request's id.
    pub id: String,
    pub event: ApprovalEvent,
    /// Who decided; for a request, nobody yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Microseconds since 1970.
    pub at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The steps of an approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalEvent {
    Requested,
    Approved,
    Denied,
    Expired,
    /// The workload went away.
    Withdrawn,
    /// An earlier grant covers the request.
    Reused,
}

impl ApprovalEvent {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Reused => "reused",
        }
    }
}

/// How many values of one data class were changed in an answer. Never the values.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MaskEntry {
    pub class: Arc<str>,
    pub method: Method,
    pub values: u64,
    /// The columns, where the class came from a column and not from the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// What the workload was told of a refusal.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DenialEntry {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Arc<str>>,
    /// The request's text, cut for display.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What it would have touched: `update shop/public.customers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accesses: Vec<String>,
}

/// What went wrong, and who erred.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// `workload`, `server` or `gate`.
    pub by: Cow<'static, str>,
    pub what: String,
}

/// The text of at most [`SUMMARY_MAX`] bytes of a request.
fn excerpt(text: &[u8]) -> String {
    let cut = text.get(..SUMMARY_MAX).unwrap_or(text);
    String::from_utf8_lossy(cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(Kind::from_code(0), None, "zeros on a disk are no entry");
        assert_eq!(Kind::from_code(200), None);
    }

    #[test]
    fn a_repeated_decision_is_small() {
        let entry =
            DecisionEntry { effect: "allow".into(), stage: "execute".into(), like: Some(7), ..Default::default() };
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"effect":"allow","stage":"execute","policy_generation":0,"like":7}"#
        );
        assert_eq!(serde_json::from_str::<DecisionEntry>(&serde_json::to_string(&entry).unwrap()).unwrap(), entry);
    }

    #[test]
    fn a_split_payload_counts_once() {
        let mut tally = Tally::default();
        tally.count(Kind::Decision, 10, true);
        tally.count(Kind::Decision, 10, false);
        tally.count(Kind::ToWorkload, 10, true);
        tally.count(Kind::ToWorkload, 10, false);
        assert_eq!(tally, Tally { decisions: 1, to_workload: 20, ..Tally::default() });
    }
}
