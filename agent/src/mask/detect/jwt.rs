//! JSON Web Tokens (RFC 7519): dotted base64url whose first part decodes to a JSON object.
//!
//! Signature and further parts (RFC 7516) may be missing: a token cut off still shows its claims.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::runs::runs;

/// What `{"` is in base64: how every header begins.
const HEAD: &[u8] = b"eyJ";
/// Most places of one run of characters where a header is tried. A run with more is taken for a
/// token: text that looks like one nine times over is not worth being right about.
const ATTEMPTS_MAX: usize = 8;

pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    if memchr::memmem::find(text, HEAD).is_none() {
        return;
    }
    for run in runs(text, |byte| is_base64url(byte) || byte == b'.') {
        let token = text.get(run.clone()).and_then(start_of_token);
        if let Some(start) = token {
            found.push(run.start + start..run.end);
        }
    }
}

/// Where the first header begins that something follows.
fn start_of_token(run: &[u8]) -> Option<usize> {
    let mut attempts = 0;
    for start in memchr::memmem::find_iter(run, HEAD) {
        let rest = run.get(start..)?;
        let dot = memchr::memchr(b'.', rest)?;
        attempts += 1;
        if attempts > ATTEMPTS_MAX || rest.get(..dot).is_some_and(is_header) {
            return (rest.len() > dot + 1).then_some(start);
        }
    }
    None
}

/// Whether the byte at a position is the last of a header's beginning.
pub(super) fn head_ends_at(text: &[u8], end: usize) -> bool {
    text.get(..=end).is_some_and(|text| text.ends_with(HEAD))
}

fn is_header(part: &[u8]) -> bool {
    URL_SAFE_NO_PAD.decode(part).is_ok_and(|json| serde_json::from_slice::<serde::de::IgnoredAny>(&json).is_ok())
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
