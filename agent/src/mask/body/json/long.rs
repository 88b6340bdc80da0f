//! Texts too long to be held.

use super::{
    Chunk, Malformed,
    string::{Unit, Units},
};
use crate::mask::{Detectors, Masker, REDACTED, Sieve, Sifted};

/// Most bytes of a text that are decoded at once.
const PIECE: usize = 1 << 14;

/// A text that is checked, and searched or withheld, as it streams.
#[derive(Debug)]
pub(super) struct Long {
    /// As written: what is not decoded yet, and before it what is decoded and held by the sieve.
    raw: Vec<u8>,
    /// How many bytes of `raw` are decoded.
    decoded: usize,
    sink: Sink,
    has_begun: bool,
}

#[derive(Debug)]
enum Sink {
    /// Something stands for it, whatever it holds.
    Withheld {
        instead: Vec<u8>,
    },
    Searched(Sieve),
}

/// So many bytes of the text, and what stands in their place, if anything.
#[derive(Debug)]
struct Stretch {
    length: usize,
    masked: Option<Vec<u8>>,
}

impl From<Sifted<'_>> for Stretch {
    fn from(sifted: Sifted<'_>) -> Self {
        match sifted {
            Sifted::Kept(text) => Self { length: text.len(), masked: None },
            Sifted::Masked { length, text } => Self { length, masked: Some(text) },
        }
    }
}

impl Long {
    /// A text at a masked path, whose beginning was held. A word stands for it, or `null`.
    pub(super) fn hidden(beginning: &[u8], has_word: bool) -> Self {
        let instead = if has_word { format!("\"{REDACTED}\"").into_bytes() } else { b"null".to_vec() };
        Self { raw: beginning.to_vec(), decoded: 0, sink: Sink::Withheld { instead }, has_begun: false }
    }

    /// A text of no known class, whose beginning was held.
    pub(super) fn searched(beginning: &[u8]) -> Self {
        Self { raw: beginning.to_vec(), decoded: 0, sink: Sink::Searched(Sieve::default()), has_begun: false }
    }

    /// Takes more of what stands between the quotation marks.
    pub(super) fn feed(
        &mut self,
        detectors: &Detectors,
        masker: &Masker,
        raw: &[u8],
        chunk: &mut Chunk<'_>,
    ) -> Result<(), Malformed> {
        if !self.has_begun {
            self.has_begun = true;
            match &self.sink {
                Sink::Withheld { instead } => chunk.put(instead),
                Sink::Searched(_) => chunk.put(b"\""),
            }
            self.decode(detectors, masker, chunk)?;
        }
        for piece in raw.chunks(PIECE) {
            self.raw.extend_from_slice(piece);
            self.decode(detectors, masker, chunk)?;
        }
        Ok(())
    }

    pub(super) fn finish(
        mut self,
        detectors: &Detectors,
        masker: &Masker,
        chunk: &mut Chunk<'_>,
    ) -> Result<(), Malformed> {
        if self.decoded < self.raw.len() {
            return Err(Malformed::Escape);
        }
        if let Sink::Searched(sieve) = &mut self.sink {
            let mut sifted = Vec::new();
            sieve.finish(detectors, masker, &mut |next| sifted.push(Stretch::from(next)));
            self.write(&sifted, chunk)?;
            chunk.put(b"\"");
        }
        Ok(())
    }

    /// Decodes what is whole, and writes what the sieve lets go.
    fn decode(&mut self, detectors: &Detectors, masker: &Masker, chunk: &mut Chunk<'_>) -> Result<(), Malformed> {
        let mut text = String::new();
        let mut units = Units { rest: self.raw.get(self.decoded..).unwrap_or_default() };
        while let Some(unit) = units.next()? {
            unit.append_to(&mut text);
        }
        self.decoded = self.raw.len() - units.rest.len();
        let mut sifted = Vec::new();
        match &mut self.sink {
            Sink::Withheld { .. } => {
                self.raw.drain(..self.decoded);
                self.decoded = 0;
            }
            Sink::Searched(sieve) => {
                sieve.feed(detectors, masker, text.as_bytes(), &mut |next| sifted.push(Stretch::from(next)));
            }
        }
        self.write(&sifted, chunk)
    }

    fn write(&mut self, sifted: &[Stretch], chunk: &mut Chunk<'_>) -> Result<(), Malformed> {
        let mut done = 0;
        for stretch in sifted {
            let rest = self.raw.get(done..self.decoded).unwrap_or_default();
            let written = written(rest, stretch.length)?;
            match &stretch.masked {
                None => chunk.put(rest.get(..written).unwrap_or_default()),
                Some(text) => chunk.put(super::inside(&super::quoted(text))),
            }
            done += written;
        }
        self.raw.drain(..done);
        self.decoded -= done;
        Ok(())
    }
}

/// In how many bytes of a string so many bytes of its text are written.
fn written(raw: &[u8], length: usize) -> Result<usize, Malformed> {
    let mut left = length;
    let mut units = Units { rest: raw };
    while left > 0 {
        match units.next()?.ok_or(Malformed::Escape)? {
            Unit::Plain(text) if text.len() >= left => {
                let after = text.len() - left;
                return Ok(raw.len() - units.rest.len() - after);
            }
            Unit::Plain(text) => left -= text.len(),
            // A sieve never parts a character.
            Unit::Escaped(meant) => left = left.checked_sub(meant.len_utf8()).ok_or(Malformed::Escape)?,
        }
    }
    Ok(raw.len() - units.rest.len())
}
