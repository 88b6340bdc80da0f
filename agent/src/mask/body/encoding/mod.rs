//! Content encodings: RFC 9110, section 8.4. Undone before a body is masked, and done again afterwards.

mod decode;
mod encode;

use super::Unmaskable;

pub use self::{decode::Decoder, encode::Encoder};

/// Most encodings of one body that are undone.
pub const ENCODINGS_MAX: usize = 2;
/// How many times as large a body may become by undoing one encoding, behind the first [`UNJUDGED`] bytes.
pub const RATIO_MAX: u64 = 128;
/// How many bytes of a decoded body say nothing of its ratio yet.
pub const UNJUDGED: u64 = 4 << 20;
/// Most bytes of one body behind an encoding.
pub const DECODED_MAX: u64 = 16 << 30;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1951 in the wrapping of RFC 1950.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// Reads the values of all `Content-Encoding` fields, in the order in which they were applied.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, Unmaskable> {
        let mut encodings = Vec::new();
        for name in values.into_iter().flat_map(|value| value.split(',')) {
            match name.trim_matches([' ', '\t']).to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => encodings.push(Self::Gzip),
                "deflate" => encodings.push(Self::Deflate),
                "br" => encodings.push(Self::Brotli),
                "zstd" => encodings.push(Self::Zstd),
                "identity" => {}
                other => return Err(Unmaskable::Encoding(other.to_owned())),
            }
        }
        if encodings.len() > ENCODINGS_MAX {
            return Err(Unmaskable::Encodings { got: encodings.len() });
        }
        Ok(encodings)
    }

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

#[cfg(test)]
mod tests;
