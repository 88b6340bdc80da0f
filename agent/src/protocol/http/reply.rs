//! What the session itself says to the workload: denials and errors, as problem documents (RFC 9457).

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use crate::{gate::Denial, protocol::Side};

/// The media type of a problem document.
const PROBLEM: &str = "application/problem+json";

/// Statuses that the session answers with by itself, and with which words (RFC 9110, section 15).
const REASONS: [(u16, &str); 12] = [
    (BAD_REQUEST, "Bad Request"),
    (FORBIDDEN, "Forbidden"),
    (REQUEST_TIMEOUT, "Request Timeout"),
    (414, "URI Too Long"),
    (EXPECTATION_FAILED, "Expectation Failed"),
    (MISDIRECTED_REQUEST, "Misdirected Request"),
    (431, "Request Header Fields Too Large"),
    (NOT_IMPLEMENTED, "Not Implemented"),
    (BAD_GATEWAY, "Bad Gateway"),
    (UNAVAILABLE, "Service Unavailable"),
    (GATEWAY_TIMEOUT, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
];

pub const BAD_REQUEST: u16 = 400;
pub const FORBIDDEN: u16 = 403;
pub const REQUEST_TIMEOUT: u16 = 408;
pub const EXPECTATION_FAILED: u16 = 417;
pub const MISDIRECTED_REQUEST: u16 = 421;
pub const NOT_IMPLEMENTED: u16 = 501;
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
        let title = REASONS.iter().find(|(known, _)| *known == status).map_or("Error", |(_, reason)| reason);
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

    /// The whole answer. `has_body`: not to a HEAD request, whose answer ends with its head.
    pub fn spoken(&self, has_body: bool, closes: bool) -> Bytes {
        // A problem holds strings and numbers only, which always can be written.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut answer = BytesMut::with_capacity(body.len() + 256);
        let connection = if closes { "connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {PROBLEM}\r\ncontent-length: {}\r\ncache-control: no-store\r\n{connection}\r\n",
            self.status,
            self.title,
            body.len()
        );
        answer.put_slice(head.as_bytes());
        if has_body {
            answer.put_slice(&body);
        }
        answer.freeze()
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
        let spoken = Problem::denied(&denial).spoken(true, false);
        let text = std::str::from_utf8(&spoken).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())) && !head.contains("connection"), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((problem["rule"].as_str(), problem["retry"].as_bool()), (Some("no-uploads"), Some(false)));
        assert_eq!(problem["detail"].as_str(), Some("uploads are not allowed\r\nx: y"));
    }

    #[test]
    fn an_answer_to_head_ends_with_its_head() {
        let spoken = Problem::new(BAD_GATEWAY, "gone").spoken(false, true);
        assert!(spoken.ends_with(b"connection: close\r\n\r\n"), "{spoken:?}");
    }
}
