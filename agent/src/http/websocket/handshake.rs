//! The handshake that makes a connection one of WebSocket (RFC 6455, section 4).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;

use crate::http::{Malformed, RequestHead, ResponseHead};

/// What a server has to know to have understood (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a server answers that has understood the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    accept: String,
    protocols: Vec<String>,
}

impl Expected {
    /// Reads a request whose [`Upgrade`](crate::http::Upgrade) is WebSocket's.
    pub fn of_request(head: &RequestHead) -> Result<Self, Malformed> {
        let fields = head.fields();
        let version = fields.value("sec-websocket-version")?.unwrap_or_default();
        if version != b"13" {
            let found = version.into();
            return Err(Malformed::Text { part: "Sec-WebSocket-Version", expected: "13", found });
        }
        let key = fields.value("sec-websocket-key")?.unwrap_or_default();
        if !STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
            let expected = "16 bytes in base64";
            return Err(Malformed::Text { part: "Sec-WebSocket-Key", expected, found: key.into() });
        }
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
        let protocols = fields.elements("sec-websocket-protocol");
        let protocols = protocols.map(|protocol| String::from_utf8_lossy(protocol).into_owned()).collect();
        Ok(Self { accept: STANDARD.encode(hash), protocols })
    }

    /// Whether this answer begins the conversation: it knows the key, speaks no extension, and a protocol, if any, that
    /// was offered.
    pub fn is_met_by(&self, head: &ResponseHead) -> Result<bool, Malformed> {
        let fields = head.fields();
        let accept = fields.value("sec-websocket-accept")?;
        let protocol = fields.value("sec-websocket-protocol")?;
        let is_upgrade = fields.value("upgrade")?.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
        let is_offered = |protocol: &[u8]| self.protocols.iter().any(|offered| offered.as_bytes() == protocol);
        Ok(head.status() == 101
            && is_upgrade
            && fields.elements("connection").any(|option| option.eq_ignore_ascii_case(b"upgrade"))
            && accept == Some(self.accept.as_bytes())
            && protocol.is_none_or(is_offered)
            && !fields.contains("sec-websocket-extensions"))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

    fn expected(request: String) -> Result<Expected, Malformed> {
        Expected::of_request(&RequestHead::read(&Bytes::from(request))?.expect("a whole head").0)
    }

    fn is_met(answer: String) -> bool {
        let (head, _) = ResponseHead::read(&Bytes::from(answer)).unwrap().expect("a whole head");
        expected(REQUEST.into()).unwrap().is_met_by(&head).unwrap_or(false)
    }

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn a_server_that_knows_the_key_is_understood() {
        assert!(is_met(ANSWER.into()));
        assert!(is_met(ANSWER.replace("Sec-WebSocket-Protocol: chat\r\n", "")));
    }

    #[test]
    fn an_answer_that_was_not_asked_for_begins_nothing() {
        for (from, to) in [
            ("101", "200"),
            ("s3pP", "S3pP"),
            ("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Other: x"),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Connection: Upgrade", "Connection: close"),
            ("Protocol: chat", "Protocol: other"),
            ("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate"),
            ("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ] {
            assert!(!is_met(ANSWER.replace(from, to)), "{to}");
        }
    }

    #[test]
    fn a_request_has_version_13_and_one_key() {
        for (from, to) in [
            ("Version: 13", "Version: 8"),
            ("Version: 13", "Other: 13"),
            ("Version: 13", "Version: 13, 8"),
            ("dGhl", "dGh"),
            ("Key: dGhlIHNhbXBsZSBub25jZQ==", "Other: x"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
        ] {
            assert!(expected(REQUEST.replace(from, to)).is_err(), "{to}");
        }
    }
}
