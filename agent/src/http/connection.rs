//! What a message says of the connection that it came by (RFC 9110, section 7.6.1, and RFC 9112, section 9).

use super::{Fields, Malformed, RequestHead, ResponseHead, Version};

/// Options that a request's `Connection` may hold. Others name fields that the next hop would drop: ones that policy
/// has judged, or that hold the credential.
const OPTIONS: [&str; 5] = ["close", "keep-alive", "upgrade", "te", "http2-settings"];

/// What a message wants of its connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// Whether another message may follow.
    pub persists: bool,
    pub upgrade: Upgrade,
    /// Whether the sender waits for 100 (Continue) before its body. Of a response never.
    pub expects_continue: bool,
    /// Whether trailers are understood. Of a response never.
    pub takes_trailers: bool,
}

/// The protocol that a request offers to go on with, or that a response goes on with (RFC 9110, section 7.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upgrade {
    None,
    /// RFC 6455.
    WebSocket,
    /// HTTP/2 without TLS, obsolete (RFC 9113, section 3.1). An offer may be ignored.
    H2c,
    /// Another, or several.
    Other,
}

impl Connection {
    /// Reads a request's.
    pub fn of_request(head: &RequestHead) -> Result<Self, Malformed> {
        let fields = head.fields();
        let stranger = fields.elements("connection").find(|option| !is_option(option));
        if let Some(stranger) = stranger {
            let expected = "close, keep-alive, upgrade, te or http2-settings";
            return Err(Malformed::Text { part: "Connection", expected, found: stranger.into() });
        }
        let upgrade = Upgrade::of(fields);
        let is_agreed = head.version() == Version::Http11 && names(fields, "upgrade");
        if upgrade != Upgrade::None && !is_agreed {
            return Err(Malformed::Missing("`Connection: upgrade` in HTTP/1.1 beside Upgrade"));
        }
        if upgrade == Upgrade::WebSocket && head.method() != b"GET" {
            return Err(Malformed::OutOfPlace { what: "`Upgrade: websocket`", message: "a request other than GET" });
        }
        Ok(Self {
            persists: persists(head.version(), fields),
            upgrade,
            expects_continue: expects_continue(head)?,
            takes_trailers: fields.elements("te").any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
        })
    }

    /// Reads a response's. A protocol is switched to by status 101 alone.
    pub fn of_response(head: &ResponseHead) -> Self {
        let fields = head.fields();
        let upgrade = if head.status() == 101 { Upgrade::of(fields) } else { Upgrade::None };
        let persists = persists(head.version(), fields);
        Self { persists, upgrade, expects_continue: false, takes_trailers: false }
    }
}

impl Upgrade {
    fn of(fields: &Fields) -> Self {
        let mut offers = fields.elements("upgrade");
        match (offers.next(), offers.next()) {
            (None, _) => Self::None,
            (Some(offer), None) if offer.eq_ignore_ascii_case(b"websocket") => Self::WebSocket,
            (Some(offer), None) if offer.eq_ignore_ascii_case(b"h2c") => Self::H2c,
            (Some(_), _) => Self::Other,
        }
    }
}

/// Whether another message may follow: `close` wins, and HTTP/1.0 has to ask for more (RFC 9112, section 9.3).
fn persists(version: Version, fields: &Fields) -> bool {
    !names(fields, "close") && (version == Version::Http11 || names(fields, "keep-alive"))
}

/// Whether the sender waits for 100; HTTP/1.0 cannot, and other expectations cannot be met (RFC 9110, section 10.1.1).
fn expects_continue(head: &RequestHead) -> Result<bool, Malformed> {
    match head.fields().value("expect")? {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(head.version() == Version::Http11),
        Some(value) => Err(Malformed::Expectation(value.into())),
    }
}

fn names(fields: &Fields, option: &str) -> bool {
    fields.elements("connection").any(|named| named.eq_ignore_ascii_case(option.as_bytes()))
}

fn is_option(option: &[u8]) -> bool {
    OPTIONS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(line: &str, fields: &str) -> Result<Connection, Malformed> {
        let head = Bytes::from(format!("{line}\r\n{fields}\r\n"));
        Connection::of_request(&RequestHead::read(&head)?.expect("a whole head").0)
    }

    fn response(line: &str, fields: &str) -> Connection {
        let head = Bytes::from(format!("{line}\r\n{fields}\r\n"));
        Connection::of_response(&ResponseHead::read(&head).unwrap().expect("a whole head").0)
    }

    #[test]
    fn a_connection_persists_as_its_version_has_it() {
        let rows = [
            ("GET / HTTP/1.1", "", true),
            ("GET / HTTP/1.1", "Connection: Close\r\n", false),
            ("GET / HTTP/1.1", "Connection: keep-alive, close\r\n", false),
            ("GET / HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
            ("GET / HTTP/1.0", "", false),
            ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", true),
            ("GET / HTTP/1.0", "Connection: keep-alive, close\r\n", false),
        ];
        for (line, fields, persists) in rows {
            assert_eq!(request(line, fields).unwrap().persists, persists, "{line} {fields}");
        }
        assert!(!response("HTTP/1.1 200 OK", "Connection: close, foo\r\n").persists);
        assert!(response("HTTP/1.1 200 OK", "Connection: Transfer-Encoding\r\n").persists);
    }

    #[test]
    fn an_option_that_would_make_the_next_hop_drop_a_field_is_refused() {
        for option in
            ["Host", "content-length", "Transfer-Encoding", "Authorization", "Cookie", "X-Api-Key", "x", "\"close\""]
        {
            for fields in
                [format!("Connection: {option}\r\n"), format!("Connection: close\r\nConnection: te,{option}\r\n")]
            {
                assert_eq!(request("GET / HTTP/1.1", &fields).unwrap_err().status(), 400, "{fields}");
            }
        }
    }

    #[test]
    fn an_upgrade_is_offered_by_both_fields() {
        let asked = "Connection: keep-alive, Upgrade\r\n";
        let rows = [
            ("Upgrade: WebSocket\r\n", Upgrade::WebSocket),
            ("Upgrade: h2c\r\n", Upgrade::H2c),
            ("Upgrade: h2c, websocket\r\n", Upgrade::Other),
            ("Upgrade: h2c\r\nUpgrade: websocket\r\n", Upgrade::Other),
            ("Upgrade: TLS/1.0\r\n", Upgrade::Other),
            ("", Upgrade::None),
        ];
        for (fields, upgrade) in rows {
            assert_eq!(request("GET / HTTP/1.1", &format!("{asked}{fields}")).unwrap().upgrade, upgrade, "{fields}");
        }
        for (line, fields) in [
            ("GET / HTTP/1.1", "Upgrade: h2c\r\n"),
            ("GET / HTTP/1.1", "Upgrade: h2c\r\nConnection: HTTP2-Settings\r\n"),
            ("GET / HTTP/1.0", "Upgrade: h2c\r\nConnection: upgrade\r\n"),
            ("POST / HTTP/1.1", "Upgrade: websocket\r\nConnection: upgrade\r\n"),
        ] {
            assert!(request(line, fields).is_err(), "{line} {fields}");
        }
        assert_eq!(response("HTTP/1.1 101 ", "Upgrade: websocket\r\n").upgrade, Upgrade::WebSocket);
        assert_eq!(response("HTTP/1.1 426 ", "Upgrade: h2c\r\n").upgrade, Upgrade::None);
    }

    #[test]
    fn the_one_expectation_is_100_continue() {
        assert!(request("PUT / HTTP/1.1", "Expect: 100-Continue\r\n").unwrap().expects_continue);
        assert!(!request("PUT / HTTP/1.0", "Expect: 100-continue\r\n").unwrap().expects_continue);
        for value in ["200-ok", "100-continue, x", "100-continue;x", ""] {
            let malformed = request("PUT / HTTP/1.1", &format!("Expect: {value}\r\n")).unwrap_err();
            assert_eq!(malformed.status(), 417, "{value}");
        }
    }

    #[test]
    fn trailers_are_taken_by_whoever_says_so() {
        assert!(request("GET / HTTP/1.1", "TE: gzip, trailers\r\nConnection: TE\r\n").unwrap().takes_trailers);
        assert!(!request("GET / HTTP/1.1", "TE: gzip\r\n").unwrap().takes_trailers);
    }
}
