//! A Bind that is too long to be held: it is read as it passes.

use super::{CodecError, frontend::Formats};

/// Bytes of one value that are kept to be shown.
const START_MAX: usize = 256;
/// Bytes that are kept of all values together, each counted with what it costs to list it.
const STARTS_MAX: usize = 64 << 10;
const LISTED: usize = 16;

/// The arguments of a long Bind: what they begin with, and a digest that stands for the rest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Digested {
    pub starts: Vec<Start>,
    /// How many arguments are not listed, because the list was long enough.
    pub unlisted: usize,
    /// BLAKE3 of the whole message but its type and length.
    pub digest: [u8; 32],
}

/// What is kept of one argument.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    pub is_binary: bool,
    /// `None` is NULL.
    pub length: Option<usize>,
    /// At most [`START_MAX`] bytes.
    pub bytes: Vec<u8>,
}

/// Reads the body of a Bind behind its two names, in whatever pieces it comes.
pub struct LongBind {
    hasher: blake3::Hasher,
    field: Field,
    /// As much of a number as has come, and of how many bytes.
    number: (u32, usize),
    parameters: Vec<bool>,
    results: Vec<bool>,
    starts: Vec<Start>,
    kept: usize,
    unlisted: usize,
}

/// What is read next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    ParameterFormats,
    ParameterFormat {
        left: usize,
    },
    Values,
    /// The length of a value, with which others may follow.
    Length {
        index: usize,
        left: usize,
    },
    Value {
        index: usize,
        left: usize,
        rest: usize,
    },
    ResultFormats,
    ResultFormat {
        left: usize,
    },
    End,
}

impl LongBind {
    /// Starts behind the names, which take part in the digest.
    pub fn behind(names: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(names);
        Self {
            hasher,
            field: Field::ParameterFormats,
            number: (0, 0),
            parameters: Vec::new(),
            results: Vec::new(),
            starts: Vec::new(),
            kept: 0,
            unlisted: 0,
        }
    }

    /// Reads the next piece.
    pub fn read(&mut self, piece: &[u8]) -> Result<(), CodecError> {
        self.hasher.update(piece);
        let mut piece = piece;
        while !piece.is_empty() {
            piece = match self.field {
                Field::Value { index, left, rest } => {
                    let (taken, behind) = piece.split_at(rest.min(piece.len()));
                    self.value(taken, index, left, rest);
                    behind
                }
                Field::Length { .. } => self.digits(piece, 4)?,
                Field::ParameterFormats
                | Field::ParameterFormat { .. }
                | Field::Values
                | Field::ResultFormats
                | Field::ResultFormat { .. } => self.digits(piece, 2)?,
                Field::End => return Err(CodecError::Long("Bind")),
            };
        }
        Ok(())
    }

    /// Reads on in a number of so many bytes, and returns what is behind it.
    fn digits<'a>(&mut self, piece: &'a [u8], width: usize) -> Result<&'a [u8], CodecError> {
        let (number, known) = self.number;
        let (taken, behind) = piece.split_at((width - known).min(piece.len()));
        let number = taken.iter().fold(number, |number, byte| (number << 8) | u32::from(*byte));
        if known + taken.len() < width {
            self.number = (number, known + taken.len());
        } else {
            self.number = (0, 0);
            self.field = self.number(number)?;
        }
        Ok(behind)
    }

    /// The message has ended: how the results come, and what was bound.
    pub fn end(self) -> Result<(Formats, Digested), CodecError> {
        if self.field != Field::End {
            return Err(CodecError::Short("Bind"));
        }
        let digest = *self.hasher.finalize().as_bytes();
        Ok((Formats::of(self.results), Digested { starts: self.starts, unlisted: self.unlisted, digest }))
    }

    /// What follows a number that has come whole.
    fn number(&mut self, number: u32) -> Result<Field, CodecError> {
        let count = number as usize;
        Ok(match self.field {
            Field::ParameterFormats if count == 0 => Field::Values,
            Field::ParameterFormats => Field::ParameterFormat { left: count },
            Field::ParameterFormat { left } => {
                self.parameters.push(is_binary(number)?);
                if left > 1 { Field::ParameterFormat { left: left - 1 } } else { Field::Values }
            }
            Field::Values => next_value(0, count),
            Field::Length { index, left } => match number.cast_signed() {
                -1 => {
                    self.list(index, None);
                    next_value(index + 1, left - 1)
                }
                length => {
                    let length = usize::try_from(length).map_err(|_| CodecError::Value("Bind"))?;
                    self.list(index, Some(length));
                    if length == 0 {
                        next_value(index + 1, left - 1)
                    } else {
                        Field::Value { index, left, rest: length }
                    }
                }
            },
            Field::ResultFormats if count == 0 => Field::End,
            Field::ResultFormats => Field::ResultFormat { left: count },
            Field::ResultFormat { left } => {
                self.results.push(is_binary(number)?);
                if left > 1 { Field::ResultFormat { left: left - 1 } } else { Field::End }
            }
            Field::Value { .. } | Field::End => return Err(CodecError::Value("Bind")),
        })
    }

    /// Lists an argument, while the list is short enough.
    fn list(&mut self, index: usize, length: Option<usize>) {
        self.kept += LISTED;
        if self.kept > STARTS_MAX {
            self.unlisted += 1;
            return;
        }
        let is_binary = match self.parameters.as_slice() {
            [all] => *all,
            each => each.get(index).copied().unwrap_or(false),
        };
        self.starts.push(Start { is_binary, length, bytes: Vec::new() });
    }

    fn value(&mut self, taken: &[u8], index: usize, left: usize, rest: usize) {
        if let Some(start) = self.starts.get_mut(index) {
            let room = (START_MAX - start.bytes.len()).min(STARTS_MAX.saturating_sub(self.kept));
            let shown = taken.get(..room).unwrap_or(taken);
            start.bytes.extend_from_slice(shown);
            self.kept += shown.len();
        }
        let rest = rest - taken.len();
        self.field = if rest == 0 { next_value(index + 1, left - 1) } else { Field::Value { index, left, rest } };
    }
}

/// The next of `left` values, or what comes behind the last.
const fn next_value(index: usize, left: usize) -> Field {
    if left == 0 { Field::ResultFormats } else { Field::Length { index, left } }
}

const fn is_binary(format: u32) -> Result<bool, CodecError> {
    match format {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Value("format code")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::postgres::codec::{HEAD, frontend, write};

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Formats, Digested), CodecError> {
        let mut bind = LongBind::behind(b"p\0s\0");
        pieces.into_iter().try_for_each(|piece| bind.read(piece))?;
        bind.end()
    }

    /// The body of a Bind behind its names.
    fn behind(message: &Bytes) -> Bytes {
        message.slice(HEAD + 4..)
    }

    #[test]
    fn a_long_value_is_known_by_its_start_its_length_and_the_digest_of_all() {
        let value = vec![b'x'; 3 * START_MAX];
        let (formats, bound) =
            read([&behind(&write::bind(b"p", b"s", &[Some(&value), None, Some(b"")], &[1, 0]))[..]]).unwrap();
        assert_eq!(formats, Formats::Each(vec![true, false]));
        let lengths: Vec<_> = bound.starts.iter().map(|start| (start.length, start.bytes.len())).collect();
        assert_eq!(lengths, [(Some(value.len()), START_MAX), (None, 0), (Some(0), 0)]);
        let mut other = value.clone();
        *other.last_mut().unwrap() = b'y';
        let changed = read([&behind(&write::bind(b"p", b"s", &[Some(&other), None, Some(b"")], &[1, 0]))[..]]);
        assert_ne!(changed.unwrap().1.digest, bound.digest);
    }

    #[test]
    fn however_many_values_there_are_a_bounded_part_is_kept() {
        let value = vec![b'x'; START_MAX];
        let values = vec![Some(&value[..]); 65_535];
        let (_, bound) = read([&behind(&write::bind(b"p", b"s", &values, &[]))[..]]).unwrap();
        let kept: usize = bound.starts.iter().map(|start| start.bytes.len() + LISTED).sum();
        assert!(kept <= STARTS_MAX && bound.starts.len() > 100, "{kept} bytes of {} values", bound.starts.len());
        assert_eq!(bound.starts.len() + bound.unlisted, values.len());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter_and_no_other_message_is_read_than_by_the_whole(
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                (prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..5), prop::collection::vec(0_i16..3, 0..4), 0_usize..3)
                    .prop_map(|(values, formats, cut)| {
                        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
                        let body = behind(&write::bind(b"p", b"s", &values, &formats));
                        body[..body.len().saturating_sub(cut)].to_vec()
                    }),
            ],
            size in 1_usize..20,
        ) {
            let whole = [b"p\0s\0", &body[..]].concat();
            let whole = frontend::bind(&whole);
            let pieces = read(body.chunks(size));
            prop_assert_eq!(pieces.is_ok(), whole.is_ok());
            if let (Ok((formats, _)), Ok(whole)) = (&pieces, whole) {
                prop_assert_eq!(formats, &whole.formats);
            }
            prop_assert_eq!(pieces, read([&body[..]]));
        }
    }
}
