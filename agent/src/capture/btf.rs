//! Where the running kernel keeps its fields: read from the types that it publishes about itself.
//!
//! Source: <https://docs.kernel.org/bpf/btf.html>. aya reads the same file, and keeps structures to itself.

use std::{fs, io};

use thiserror::Error;

/// The kernel's own types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;

/// Deepest nesting of structures without a name.
const NESTING_MAX: u32 = 8;

const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// Why a field's place is not known.
#[derive(Debug, Error)]
pub enum BtfError {
    #[error("failed to read {VMLINUX}")]
    Read(#[source] io::Error),
    #[error("{VMLINUX} is not what its format says, at byte {0}")]
    Malformed(usize),
    #[error("this kernel has no field `{structure}.{field}`")]
    NoField { structure: &'static str, field: &'static str },
}

/// All types of the kernel.
pub(super) struct Types {
    bytes: Vec<u8>,
    /// Where each type begins, by its number less one.
    types: Vec<usize>,
    /// Where each structure does, of which there are few.
    structures: Vec<usize>,
    strings: usize,
}

/// The fixed part of a type's description.
#[derive(Clone, Copy)]
struct Head {
    name: u32,
    kind: u32,
    members: u32,
    /// Whether a member's place is 24 bits of place and 8 of width.
    has_widths: bool,
    /// Where the members begin.
    rest: usize,
}

impl Types {
    pub(super) fn of_this_kernel() -> Result<Self, BtfError> {
        Self::parse(fs::read(VMLINUX).map_err(BtfError::Read)?)
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        if bytes.get(..2) != Some(&MAGIC.to_le_bytes()) {
            return Err(BtfError::Malformed(0));
        }
        let mut types = Self { bytes, types: Vec::new(), structures: Vec::new(), strings: 0 };
        let place = |index: usize| Ok::<_, BtfError>(types.word(4 + 4 * index)? as usize);
        // Length of the header, then place and length of types and of strings, counted from the header's end.
        let (header, first, length, strings) = (place(0)?, place(1)?, place(2)?, place(3)?);
        let strings_length = place(4)?;
        let malformed = || BtfError::Malformed(4);
        let mut at = header.checked_add(first).ok_or_else(malformed)?;
        let end = at.checked_add(length).ok_or_else(malformed)?;
        types.strings = header.checked_add(strings).ok_or_else(malformed)?;
        let last = types.strings.checked_add(strings_length).ok_or_else(malformed)?;
        if last.max(end) > types.bytes.len() {
            return Err(malformed());
        }
        while at < end {
            types.types.push(at);
            if types.head(at)?.kind == STRUCT {
                types.structures.push(at);
            }
            at = types.end_of(at)?;
        }
        Ok(types)
    }

    /// How many bytes into a structure a field is, fields of nameless structures in it included.
    pub(super) fn offset(&self, structure: &'static str, field: &'static str) -> Result<u32, BtfError> {
        for at in &self.structures {
            let head = self.head(*at)?;
            if self.is_called(head.name, structure)
                && let Some(bits) = self.find(head, field, NESTING_MAX)?
            {
                return Ok(bits / 8);
            }
        }
        Err(BtfError::NoField { structure, field })
    }

    /// In bits.
    fn find(&self, head: Head, field: &str, depth: u32) -> Result<Option<u32>, BtfError> {
        for member in 0..head.members as usize {
            let at = head.rest + 12 * member;
            let (name, number, place) = (self.word(at)?, self.word(at + 4)?, self.word(at + 8)?);
            let bits = if head.has_widths { place & 0xff_ffff } else { place };
            if self.is_called(name, field) {
                return Ok(Some(bits));
            }
            if name == 0
                && depth > 0
                && let Some(inner) = self.nameless(number)?
                && let Some(further) = self.find(inner, field, depth - 1)?
            {
                return Ok(bits.checked_add(further));
            }
        }
        Ok(None)
    }

    /// A type that is a structure or a union.
    fn nameless(&self, number: u32) -> Result<Option<Head>, BtfError> {
        let Some(at) = (number as usize).checked_sub(1).and_then(|index| self.types.get(index)) else {
            return Ok(None);
        };
        let head = self.head(*at)?;
        Ok(matches!(head.kind, STRUCT | UNION).then_some(head))
    }

    fn head(&self, at: usize) -> Result<Head, BtfError> {
        let info = self.word(at + 4)?;
        Ok(Head {
            name: self.word(at)?,
            kind: (info >> 24) & 0x1f,
            members: info & 0xffff,
            has_widths: info >> 31 == 1,
            rest: at + 12,
        })
    }

    /// Where the next type begins.
    fn end_of(&self, at: usize) -> Result<usize, BtfError> {
        let head = self.head(at)?;
        let members = head.members as usize;
        let rest = match head.kind {
            // Integers, variables, tags on declarations.
            1 | 14 | 17 => 4,
            // Pointers, forward declarations, typedefs, qualifiers, functions, floats, tags on types.
            2 | 7..=12 | 16 | 18 => 0,
            // Arrays.
            3 => 12,
            // Structures, unions, sections, enumerations of 64 bits.
            4 | 5 | 15 | 19 => 12 * members,
            // Enumerations, prototypes.
            6 | 13 => 8 * members,
            _ => return Err(BtfError::Malformed(at)),
        };
        Ok(head.rest + rest)
    }

    fn is_called(&self, name: u32, wanted: &str) -> bool {
        let at = self.strings.saturating_add(name as usize);
        let end = at.saturating_add(wanted.len());
        name != 0 && self.bytes.get(at..end) == Some(wanted.as_bytes()) && self.bytes.get(end) == Some(&0)
    }

    fn word(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().map(u32::from_le_bytes).ok_or(BtfError::Malformed(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// `struct outer { int a; union { int b; struct { int c; int d; }; }; }`.
    fn small() -> Vec<u8> {
        let strings = b"\0outer\0a\0b\0c\0d\0";
        let structure = |members: u32| (4 << 24) | members;
        let types = words(&[
            0,
            1 << 24,
            4,
            32, // 1: int
            0,
            structure(2),
            8,
            11,
            1,
            0,
            13,
            1,
            32, // 2: c, d
            0,
            (5 << 24) | 2,
            8,
            9,
            1,
            0,
            0,
            2,
            0, // 3: b, the nameless structure
            1,
            structure(2),
            12,
            7,
            1,
            0,
            0,
            3,
            32, // 4: outer
        ]);
        let mut bytes = [MAGIC.to_le_bytes().to_vec(), vec![1, 0]].concat();
        bytes.extend(words(&[24, 0, types.len() as u32, types.len() as u32, strings.len() as u32]));
        [bytes, types, strings.to_vec()].concat()
    }

    #[test]
    fn fields_are_found_in_nameless_parts() {
        let types = Types::parse(small()).unwrap();
        let offset = |field| types.offset("outer", field).unwrap();
        assert_eq!([offset("a"), offset("b"), offset("c"), offset("d")], [0, 4, 4, 8]);
        assert!(matches!(types.offset("outer", "e"), Err(BtfError::NoField { .. })));
        assert!(matches!(types.offset("oute", "a"), Err(BtfError::NoField { .. })));
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let whole = small();
        for length in 0..whole.len() - 15 {
            let read = Types::parse(whole[..length].to_vec());
            assert!(read.is_err(), "{length}");
        }
    }
}
