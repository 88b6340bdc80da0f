//! Where a message's body ends (RFC 9112, section 6). This is the only place that says so.
//!
//! A length that could be read in two ways is refused, though the RFC would let the one win: whoever reads the bytes
//! next may let the other win.

use super::{Excerpt, Fields, Malformed, RequestHead, ResponseHead, Version, fields::is_token};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyLength {
    /// There is none, whatever fields say.
    None,
    Exact(u64),
    Chunked,
    /// It ends where the connection does. Only responses have such.
    UntilClose,
}

impl BodyLength {
    /// The length of a request's body.
    pub fn of_request(head: &RequestHead) -> Result<Self, Malformed> {
        let length = stated(head.version(), head.fields())?.unwrap_or(Self::None);
        // What follows belongs to a tunnel, or comes back to whoever asked: neither has content of its own (RFC 9110,
        // sections 9.3.6 and 9.3.8).
        let bodiless = matches!(head.method(), b"CONNECT" | b"TRACE");
        if bodiless && !matches!(length, Self::None | Self::Exact(0)) {
            return Err(Malformed::OutOfPlace { what: "content", message: "CONNECT and TRACE requests" });
        }
        Ok(length)
    }

    /// The length of the body of a response to a request with this method.
    pub fn of_response(method: &[u8], head: &ResponseHead) -> Result<Self, Malformed> {
        let stated = stated(head.version(), head.fields())?;
        match (method, head.status()) {
            (_, 100..=199 | 204) | (b"CONNECT", 200..=299) => match stated {
                None | Some(Self::None | Self::Exact(0)) => Ok(Self::None),
                Some(Self::Exact(_) | Self::Chunked | Self::UntilClose) => {
                    Err(Malformed::OutOfPlace { what: "length", message: "a response that has no content" })
                }
            },
            // The fields tell of the content that a GET would have had.
            (b"HEAD", _) | (_, 304) => Ok(Self::None),
            _ => Ok(stated.unwrap_or(Self::UntilClose)),
        }
    }
}

/// What the fields say of the length, if anything.
fn stated(version: Version, fields: &Fields) -> Result<Option<BodyLength>, Malformed> {
    let coding = fields.value("transfer-encoding")?;
    let length = fields.value("content-length")?;
    match (coding, length) {
        (Some(_), Some(_)) => Err(Malformed::TwoLengths),
        (Some(coding), None) => chunked(version, coding).map(Some),
        (None, Some(length)) => decimal(length).map(|length| Some(BodyLength::Exact(length))),
        (None, None) => Ok(None),
    }
}

/// Accepts the one transfer coding that there is. HTTP/1.0 has none (RFC 9112, section 6.1).
fn chunked(version: Version, coding: &[u8]) -> Result<BodyLength, Malformed> {
    if version == Version::Http10 {
        return Err(Malformed::OutOfPlace { what: "Transfer-Encoding", message: "a message of HTTP/1.0" });
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(BodyLength::Chunked);
    }
    // Codings that do exist are not understood; the rest is a disguise, or nonsense.
    let is_list = !coding.is_empty() && coding.iter().all(|byte| is_token(*byte) || b" ,;=".contains(byte));
    let found = Excerpt::from(coding);
    if is_list {
        Err(Malformed::Coding(found))
    } else {
        Err(Malformed::Text { part: "transfer coding", expected: "`chunked` alone", found })
    }
}

/// Reads a length: digits alone, at most 2^63 - 1.
fn decimal(text: &[u8]) -> Result<u64, Malformed> {
    let wrong = || {
        let expected = "a number of bytes below 2^63, in digits alone, without zeros in front";
        Malformed::Text { part: "Content-Length", expected, found: text.into() }
    };
    // A zero in front is octal to some.
    if text.is_empty() || (text.len() > 1 && text.starts_with(b"0")) {
        return Err(wrong());
    }
    text.iter()
        .try_fold(0_u64, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit).filter(|sum| *sum < 1 << 63)
        })
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
