//! Why a body is not passed on.

use super::{encoding, events, form, json::Malformed, xml};

/// Why nothing of a body can be masked. Policy decides what becomes of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unmaskable {
    #[error("bodies of type `{0}` cannot be masked")]
    MediaType(String),
    #[error("expected UTF-8, got the charset `{0}`")]
    Charset(String),
    #[error("expected gzip, deflate, br or zstd, got the content encoding `{0}`")]
    Encoding(String),
    #[error("{got} content encodings, at most {} are undone", encoding::ENCODINGS_MAX)]
    Encodings { got: usize },
    #[error("values are masked by path, and bodies of type `{0}` have no paths")]
    NoPaths(String),
}

/// Why a body could not be masked to its end. What came out of it before is masked and may have been sent; no more of it
/// may be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    #[error("malformed JSON at byte {at}: {what}")]
    Json { at: u64, what: Malformed },
    #[error("malformed XML: {0}")]
    Xml(xml::Malformed),
    #[error("a zero byte at {at}, which stands in no text")]
    NoText { at: u64 },
    #[error("an event of more than {} bytes", events::EVENT_MAX)]
    Event,
    #[error("a form's field of more than {} bytes", form::FIELD_MAX)]
    Field,
    #[error("expected two hexadecimal digits behind `%` in a form")]
    Percent,
    #[error("the content encoding {encoding} is corrupt, or ends too early")]
    Corrupt { encoding: &'static str },
    #[error("bytes behind the end of the content encoding {encoding}")]
    Trailing { encoding: &'static str },
    #[error("more than {} times as much behind the content encoding {encoding}", encoding::RATIO_MAX)]
    Bomb { encoding: &'static str },
    #[error("more than {} bytes behind the content encoding {encoding}", encoding::DECODED_MAX)]
    Decoded { encoding: &'static str },
}
