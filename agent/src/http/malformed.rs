//! Why bytes are no message that can be read in one way only.

use std::fmt;

use super::{
    CHUNK_LINE_MAX, FIELDS_MAX, HEAD_MAX, METHOD_MAX, REQUEST_TARGET_MAX, TRAILERS_MAX, query::QUERY_FIELDS_MAX,
};

/// What is wrong with a message. None of it holds a field's value, but those that say lengths.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    #[error("{part}: expected {expected}, found {found}")]
    Byte { part: &'static str, expected: &'static str, found: Found },
    #[error("{part}: expected {expected}, found `{found}`")]
    Text { part: &'static str, expected: &'static str, found: Excerpt },
    #[error("{0}")]
    TooLong(Limit),
    #[error("expected HTTP/1.0 or HTTP/1.1, found `{0}`")]
    Version(Excerpt),
    #[error("transfer coding: expected `chunked` alone, found `{0}`")]
    Coding(Excerpt),
    #[error("expectation: expected `100-continue`, found `{0}`")]
    Expectation(Excerpt),
    #[error("expected one field `{0}`, found several")]
    Repeated(Excerpt),
    #[error("expected {0}, found none")]
    Missing(&'static str),
    #[error("expected one length, found both Content-Length and Transfer-Encoding")]
    TwoLengths,
    #[error("expected no {what} in {message}")]
    OutOfPlace { what: &'static str, message: &'static str },
}

impl Malformed {
    /// The status that a server answers such a request with (RFC 9110, section 15).
    ///
    /// A response that is malformed has no answer of its own: the gate's is 502.
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLong(Limit::RequestTarget | Limit::Query) => 414,
            Self::TooLong(Limit::Head | Limit::Fields | Limit::Trailers) => 431,
            Self::Coding(_) | Self::TooLong(Limit::Method) => 501,
            Self::Expectation(_) => 417,
            Self::Version(_) => 505,
            Self::TooLong(Limit::ChunkLine)
            | Self::Byte { .. }
            | Self::Text { .. }
            | Self::Repeated(_)
            | Self::Missing(_)
            | Self::TwoLengths
            | Self::OutOfPlace { .. } => 400,
        }
    }
}

/// What a message may have too much of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    Head,
    Fields,
    Method,
    RequestTarget,
    Query,
    ChunkLine,
    Trailers,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, max) = match self {
            Self::Fields => return write!(f, "expected at most {FIELDS_MAX} fields, found more"),
            Self::Query => return write!(f, "expected at most {QUERY_FIELDS_MAX} fields in a query, found more"),
            Self::Head => ("head", HEAD_MAX),
            Self::Method => ("method", METHOD_MAX),
            Self::RequestTarget => ("request target", REQUEST_TARGET_MAX),
            Self::ChunkLine => ("chunk's first line", CHUNK_LINE_MAX),
            Self::Trailers => ("trailer section", TRAILERS_MAX),
        };
        write!(f, "{what}: expected at most {max} bytes, found more")
    }
}

/// A byte that has no place where it stands, or the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found(pub Option<u8>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(byte) if byte.is_ascii_graphic() => write!(f, "`{}`", char::from(byte)),
            Some(byte) => write!(f, "byte {byte:#04x}"),
            None => f.write_str("the end"),
        }
    }
}

/// The beginning of what came, escaped, for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Most bytes that are shown.
    const MAX: usize = 40;
}

impl From<&[u8]> for Excerpt {
    fn from(bytes: &[u8]) -> Self {
        let (shown, rest) = bytes.split_at_checked(Self::MAX).unwrap_or((bytes, &[]));
        Self(format!("{}{}", shown.escape_ascii(), if rest.is_empty() { "" } else { "…" }))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
