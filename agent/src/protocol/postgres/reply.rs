//! What the session itself says to the workload: denials, and errors that end the session.

use std::borrow::Cow;

use bytes::Bytes;

use super::codec::{CodecError, write};
use crate::{gate::Denial, protocol::Side, sql::Mistake};

/// `insufficient_privilege`, for whatever the gate denies.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub const DENIED: &str = "42501";
/// `program_limit_exceeded`, for requests that are too long to be judged.
pub const TOO_LONG: &str = "54000";
/// `admin_shutdown`, for sessions that the gate ends.
pub const ENDED: &str = "57P01";

/// A statement that fails in every version before anything is looked up, so that the server aborts the
/// transaction and skips what follows as it would after any error. Its text says why in the server's log.
pub const POISON: &[u8] = b"DENIED BY PORTCULLIS";
/// The name under which it is parsed; no statement ever comes to exist under it.
pub const POISON_NAME: &[u8] = b"portcullis_denied";

/// How bad an error is for the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    Error,
    Fatal,
}

impl Severity {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Error => b"ERROR",
            Self::Fatal => b"FATAL",
        }
    }
}

/// An error that ends the session, as the workload reads it.
#[derive(Debug)]
pub struct Fatal {
    pub sqlstate: Cow<'static, str>,
    pub message: String,
    /// Who broke the protocol, if anyone did.
    pub by: Option<Side>,
}

impl Fatal {
    /// Nobody broke the protocol, but the way upstream does not go on.
    pub fn upstream(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate: sqlstate.into(), message: message.into(), by: None }
    }

    /// `by` broke the protocol.
    pub fn broken(by: Side, what: impl Into<String>) -> Self {
        Self { sqlstate: "08P01".into(), message: what.into(), by: Some(by) }
    }

    /// The message for the workload. What the server did wrong is told by its kind only.
    pub fn spoken(&self) -> Bytes {
        write::notice(
            b'E',
            [
                (b'S', Severity::Fatal.word()),
                (b'V', Severity::Fatal.word()),
                (b'C', self.sqlstate.as_bytes()),
                (b'M', self.message.as_bytes()),
            ],
        )
    }
}

/// Messages of the server are read by default; who reads the workload's says so by [`by_workload`].
impl From<CodecError> for Fatal {
    fn from(error: CodecError) -> Self {
        Self::broken(Side::Upstream, error.to_string())
    }
}

/// Turns a codec's error into the workload's fault.
pub fn by_workload(error: CodecError) -> Fatal {
    Fatal::broken(Side::Downstream, error.to_string())
}

/// A denial as an ErrorResponse: the rule's message, its name, how to ask, and where it stands in the record.
pub fn denied(denial: &Denial, severity: Severity, sqlstate: &str) -> Bytes {
    let message = format!("denied: {}", denial.message);
    let detail = match (&denial.rule, denial.reference.is_empty()) {
        (Some(rule), false) => format!("Rule: {rule}. Reference: {}.", denial.reference),
        (Some(rule), true) => format!("Rule: {rule}."),
        (None, false) => format!("Reference: {}.", denial.reference),
        (None, true) => String::new(),
    };
    write::notice(
        b'E',
        [
            (b'S', severity.word()),
            (b'V', severity.word()),
            (b'C', sqlstate.as_bytes()),
            (b'M', message.as_bytes()),
            (b'D', detail.as_bytes()),
            (b'H', denial.hint.as_bytes()),
            (b'R', b"portcullis"),
        ],
    )
}

/// What the server would say of a text that it cannot parse, to which it is not sent.
pub fn mistaken(mistake: &Mistake, reference: &str) -> Bytes {
    let detail = match reference {
        "" => "The gate has not sent it on.".to_owned(),
        reference => format!("The gate has not sent it on. Reference: {reference}."),
    };
    error_in_detail(mistake.sqlstate, &mistake.message, &detail, "")
}

/// An error that is the session's own and no denial of a rule.
pub fn error(sqlstate: &str, message: &str, hint: &str) -> Bytes {
    error_in_detail(sqlstate, message, "", hint)
}

/// The same, with more to say of it.
pub fn error_in_detail(sqlstate: &str, message: &str, detail: &str, hint: &str) -> Bytes {
    write::notice(
        b'E',
        [
            (b'S', Severity::Error.word()),
            (b'V', Severity::Error.word()),
            (b'C', sqlstate.as_bytes()),
            (b'M', message.as_bytes()),
            (b'D', detail.as_bytes()),
            (b'H', hint.as_bytes()),
            (b'R', b"portcullis"),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::RuleId,
        protocol::postgres::codec::{HEAD, backend},
    };

    #[test]
    fn a_denial_names_its_rule_and_how_to_ask() {
        let denial = Denial {
            message: "DROP DATABASE is not for agents".to_owned(),
            rule: Some(RuleId("no-drop".into())),
            hint: "quote s1/7 when you ask".to_owned(),
            reference: "s1/7".to_owned(),
        };
        let spoken = denied(&denial, Severity::Error, DENIED);
        let parts = backend::notice(&spoken[HEAD..]).unwrap();
        assert!(parts.contains(&(b'C', b"42501")));
        assert!(parts.contains(&(b'D', b"Rule: no-drop. Reference: s1/7.")));
        assert!(parts.contains(&(b'H', b"quote s1/7 when you ask")));
    }
}
