//! What the session itself says to the workload: denials and errors, as problem documents (RFC 9457).

use bytes::Bytes;
use serde::Serialize;

use super::codec::write::{self, Answer};
use crate::{gate::Denial, protocol::Side};

/// The media type of a problem document.
const PROBLEM: &str = "application/problem+json";

// Statuses that the session answers with by itself (RFC 9110, section 15), beside those of the codec.
pub const FORBIDDEN: u16 = 403;
pub const REQUEST_TIMEOUT: u16 = 408;
pub const MISDIRECTED_REQUEST: u16 = 421;
pub const BAD_GATEWAY: u16 = 502;
pub const UNAVAILABLE: u16 = 503;
pub const GATEWAY_TIMEOUT: u16 = 504;

/// What went wrong, for the workload and whoever reads its log. An agent that reads `retry` knows to stop.
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// Whether the same request may succeed later without anybody's doing.
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
}

impl<'a> Problem<'a> {
    pub fn new(status: u16, detail: &'a str) -> Self {
        let title = write::reason(status);
        let retry = matches!(status, BAD_GATEWAY | UNAVAILABLE | GATEWAY_TIMEOUT | REQUEST_TIMEOUT);
        Self { title, status, detail, retry, rule: None, hint: None, reference: None }
    }

    pub fn denied(denial: &'a Denial) -> Self {
        Self {
            rule: denial.rule.as_ref().map(|rule| &*rule.0),
            hint: Some(&denial.hint),
            reference: Some(&denial.reference),
            ..Self::new(FORBIDDEN, &denial.message)
        }
    }

    /// The whole answer to a request with this method.
    pub fn spoken(&self, method: &[u8], closes: bool) -> Bytes {
        // A problem holds strings and numbers only, and its fields are these: both can always be written.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let fields = [("Content-Type", PROBLEM), ("Cache-Control", "no-store")];
        Answer { status: self.status, fields: &fields, body: &body, method, closes }.bytes().unwrap_or_default()
    }
}

/// An error that ends the session.
#[derive(Debug)]
pub struct Fatal {
    /// What the workload is told, while an answer of its is still to be begun.
    pub status: u16,
    pub message: String,
    /// Who broke the protocol, if anyone did.
    pub by: Option<Side>,
}

impl Fatal {
    /// The workload broke the protocol.
    pub fn request(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), by: Some(Side::Downstream) }
    }

    /// The server broke the protocol.
    pub fn answer(message: impl Into<String>) -> Self {
        Self { status: BAD_GATEWAY, message: message.into(), by: Some(Side::Upstream) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RuleId;

    #[test]
    fn a_denial_names_the_rule_and_how_to_ask() {
        let denial = Denial {
            message: "uploads are not allowed\r\nx: y".into(),
            rule: Some(RuleId("no-uploads".into())),
            hint: "ask".into(),
            reference: "s/1".into(),
        };
        let spoken = Problem::denied(&denial).spoken(b"GET", false);
        let text = std::str::from_utf8(&spoken).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())) && !head.contains("Connection"), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((problem["rule"].as_str(), problem["retry"].as_bool()), (Some("no-uploads"), Some(false)));
        assert_eq!(problem["detail"].as_str(), Some("uploads are not allowed\r\nx: y"));
    }

    #[test]
    fn an_answer_to_head_ends_with_its_head() {
        let spoken = Problem::new(BAD_GATEWAY, "gone").spoken(b"HEAD", true);
        assert!(spoken.ends_with(b"Connection: close\r\n\r\n"), "{spoken:?}");
    }
}
