//! The fields of one head or trailer section (RFC 9112, section 5).

use std::{fmt, ops::Range};

use bytes::Bytes;

use super::{Excerpt, FIELDS_MAX, Found, Limit, Malformed, names};

/// Fields as they came: places in the bytes that hold them.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Bytes,
    places: Vec<Place>,
}

/// Where one field stands, from the start of its line.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    name_end: u32,
    value_start: u32,
    value_end: u32,
}

impl Fields {
    /// Reads the lines `first..` of `bytes`, of which each ends with CRLF; `lines` is how many there are.
    ///
    /// There is no obs-fold, no space before a colon, and no byte in a value but visible ones, space, tab and obs-text.
    /// A name that has `_` where a decisive one has `-` is refused: servers that make variables of fields see one name.
    pub(super) fn read(bytes: &Bytes, first: usize, lines: usize) -> Result<Self, Malformed> {
        if lines > FIELDS_MAX {
            return Err(Malformed::TooLong(Limit::Fields));
        }
        let mut places = Vec::with_capacity(lines);
        let mut start = first;
        for _ in 0..lines {
            let rest = bytes.get(start..).unwrap_or_default();
            let length = memchr::memchr(b'\n', rest).ok_or(Malformed::Missing("an end of the field's line"))?;
            let line = rest.get(..length.saturating_sub(1)).unwrap_or_default();
            places.push(Place::read(start, line)?);
            start += length + 1;
        }
        Ok(Self { bytes: bytes.clone(), places })
    }

    /// Names and values in the order in which they came, without the space around values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|place| (self.at(place.name()), self.at(place.value())))
    }

    /// The values of every field of this name.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let of_that_length = self.places.iter().filter(move |place| place.name().len() == name.len());
        let named = of_that_length.filter(move |place| self.at(place.name()).eq_ignore_ascii_case(name.as_bytes()));
        named.map(|place| self.at(place.value()))
    }

    /// The value of the one field of this name; several are an error.
    pub fn value(&self, name: &str) -> Result<Option<&[u8]>, Malformed> {
        let mut values = self.values(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Malformed::Repeated(name.as_bytes().into())),
        }
    }

    /// The elements of a list, whether it stands in one field or in several (RFC 9110, section 5.6.1).
    pub fn elements(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let elements = self.values(name).flat_map(|value| value.split(|byte| *byte == b','));
        elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The lines as they came, each with its CRLF, beside their names.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let ends = self.places.iter().skip(1).map(|next| next.start as usize).chain([self.end()]);
        self.places.iter().zip(ends).map(|(place, end)| (self.at(place.name()), self.at(place.start as usize..end)))
    }

    /// Refuses a second field of a name that may stand there once.
    pub(super) fn refuse_repeated(&self) -> Result<(), Malformed> {
        for (index, place) in self.places.iter().enumerate() {
            let name = self.at(place.name());
            let mut earlier = self.places.iter().take(index).filter(|other| other.name().len() == name.len());
            if earlier.any(|other| self.at(other.name()).eq_ignore_ascii_case(name)) && names::is_single(name) {
                return Err(Malformed::Repeated(name.into()));
            }
        }
        Ok(())
    }

    /// Where the last line ends, with its CRLF.
    fn end(&self) -> usize {
        let last = self.places.last().map_or(0, |place| place.value_end as usize);
        let rest = self.bytes.get(last..).unwrap_or_default();
        memchr::memchr(b'\n', rest).map_or(self.bytes.len(), |found| last + found + 1)
    }

    fn at(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

impl Place {
    /// Reads one line without its CRLF, which begins at `start`.
    fn read(start: usize, line: &[u8]) -> Result<Self, Malformed> {
        let name_length = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
        let (name, rest) = line.split_at_checked(name_length).unwrap_or_default();
        let Some((b':', value)) = rest.split_first().filter(|_| !name.is_empty()) else {
            let expected = "a name of token characters and a colon right behind it";
            return Err(Malformed::Byte { part: "field name", expected, found: Found(rest.first().copied()) });
        };
        if names::is_disguised(name) {
            return Err(Malformed::Text { part: "field name", expected: "`-` for `_`", found: Excerpt::from(name) });
        }
        require_value(value)?;
        let from_start = value.trim_ascii_start();
        let value_start = start + name_length + 1 + (value.len() - from_start.len());
        let value_end = value_start + from_start.trim_ascii_end().len();
        let offset = |at: usize| u32::try_from(at).map_err(|_| Malformed::TooLong(Limit::Head));
        Ok(Self {
            start: offset(start)?,
            name_end: offset(start + name_length)?,
            value_start: offset(value_start)?,
            value_end: offset(value_end)?,
        })
    }

    fn name(self) -> Range<usize> {
        self.start as usize..self.name_end as usize
    }

    fn value(self) -> Range<usize> {
        self.value_start as usize..self.value_end as usize
    }
}

/// Shows names alone: values may be secrets.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| Excerpt::from(name).to_string())).finish()
    }
}

/// Refuses fields that decide something: policy has judged the head by then (RFC 9110, section 6.5.1).
pub(super) fn refuse_in_trailers(trailers: &Fields) -> Result<(), Malformed> {
    match trailers.iter().find(|(name, _)| names::is_decisive(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let expected = "a field on which nothing hangs";
            Err(Malformed::Text { part: "trailer", expected, found: Excerpt::from(name) })
        }
    }
}

/// Refuses a value with a byte that a field cannot hold (RFC 9110, section 5.5).
pub(super) fn require_value(value: &[u8]) -> Result<(), Malformed> {
    // Over all bytes without a way out, which is quicker than to stop at the first.
    if value.iter().fold(true, |fine, byte| fine & is_value(*byte)) {
        return Ok(());
    }
    let found = Found(value.iter().copied().find(|byte| !is_value(*byte)));
    Err(Malformed::Byte { part: "field value", expected: "visible characters, spaces and tabs", found })
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    // One load for each byte of a name is what reading a head costs most.
    TOKEN.get(usize::from(byte)).is_some_and(|fits| *fits)
}

#[expect(clippy::indexing_slicing, reason = "a byte is within 256, and this runs while it is compiled")]
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [byte, after @ ..] = rest {
        table[*byte as usize] = true;
        rest = after;
    }
    table
};

/// Whether a byte may stand in a field's value or in a reason: field-vchar, space or tab.
pub(super) const fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
