//! Names of fields, by what hangs on them.

/// Fields of which a request has one at most: of two, one reader takes the first and another the last.
///
/// A list (`Accept`, `Via`) may stand in several fields, because it means the same in one (RFC 9110, section 5.3).
const SINGLE: [&str; 24] = [
    "authorization",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "from",
    "host",
    "http2-settings",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "sec-websocket-key",
    "transfer-encoding",
    "user-agent",
];

/// Fields that decide who asks, for what, of whom, or how the content is read. They have no place in trailers (RFC
/// 9110, section 6.5.1), and no other spelling of their names may pass.
const DECISIVE: [&str; 31] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "if-match",
    "if-none-match",
    "if-range",
    "keep-alive",
    "location",
    "max-forwards",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "sec-websocket-key",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "www-authenticate",
];

/// Whether a request has at most one field of this name.
pub fn is_single(name: &[u8]) -> bool {
    within(&SINGLE, name)
}

/// Whether who asks, for what, or of whom may hang on a field of this name.
pub fn is_decisive(name: &[u8]) -> bool {
    within(&DECISIVE, name)
}

/// Whether servers that hand fields on as variables (CGI, WSGI) would take this name for a decisive one: `_` is `-` there.
pub fn is_disguised(name: &[u8]) -> bool {
    name.contains(&b'_') && DECISIVE.iter().any(|decisive| same_variable(name, decisive.as_bytes()))
}

/// Whether two names become one where `-` and `_` are the same (RFC 3875, section 4.1.18).
pub fn same_variable(one: &[u8], other: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(folded).eq(other.iter().map(folded))
}

fn within(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decisive_name_has_one_spelling() {
        for name in ["Content_Length", "transfer_ENCODING", "Proxy_Authorization"] {
            assert!(is_disguised(name.as_bytes()), "{name}");
        }
        for name in ["Content-Length", "X_Request_Id", "content", "_"] {
            assert!(!is_disguised(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_frames_is_single_and_decisive() {
        for name in [&b"content-length"[..], b"Transfer-Encoding", b"HOST"] {
            assert!(is_single(name) && is_decisive(name));
        }
    }
}
