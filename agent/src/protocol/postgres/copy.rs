//! COPY data on its way to the workload.
//!
//! A row is masked by the columns of the statement, where the format is one whose rows can be taken apart
//! without knowing the statement's options: text as it is without any, and binary.
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "File Formats"

use super::{
    codec::{CodecError, Fields},
    rows::Shield,
};
use crate::{
    mask::{Masked, Method, REDACTED},
    target::Class,
};

/// What a binary COPY starts with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// How text format without options writes NULL.
const NULL: &[u8] = b"\\N";

/// What each column of the data is masked as.
type Masks = [Option<(Class, Method)>];

/// Whether the rows that this statement copies out can be taken apart: it has no options, or only that for
/// the binary format. Comments could hide options, so that there must be none.
pub fn is_divisible(statement: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(statement) else { return false };
    if text.contains("--") || text.contains("/*") {
        return false;
    }
    let words: Vec<String> = text
        .trim_end_matches([';', ' ', '\n', '\t', '\r'])
        .split_ascii_whitespace()
        .map(str::to_ascii_lowercase)
        .collect();
    let Some(stdout) = words.iter().rposition(|word| word == "stdout") else { return false };
    let follows_to = stdout.checked_sub(1).and_then(|before| words.get(before)).is_some_and(|word| word == "to");
    let options = words.get(stdout + 1..).unwrap_or_default().concat();
    follows_to && matches!(options.as_str(), "" | "(formatbinary)" | "with(formatbinary)" | "binary" | "withbinary")
}

/// A row in text format, masked column by column. `None`: nothing to change.
pub fn mask_text(shield: &Shield, masks: &Masks, message: &[u8]) -> Result<Option<Vec<u8>>, CodecError> {
    let row = message.strip_suffix(b"\n").unwrap_or(message);
    let cells: Vec<&[u8]> = row.split(|&byte| byte == b'\t').collect();
    if cells.len() != masks.len() {
        return Err(CodecError::Value("CopyData"));
    }
    let mut out = Vec::with_capacity(message.len());
    for (index, (cell, mask)) in cells.into_iter().zip(masks).enumerate() {
        if index > 0 {
            out.push(b'\t');
        }
        match mask {
            _ if cell == NULL => out.extend_from_slice(NULL),
            Some((class, method)) => match shield.apply(*method, class, &unescaped(cell)) {
                Masked::Value(value) => escape(&value, &mut out),
                Masked::Null => out.extend_from_slice(NULL),
            },
            None => match shield.words(&unescaped(cell)) {
                Some(value) => escape(&value, &mut out),
                None => out.extend_from_slice(cell),
            },
        }
    }
    out.push(b'\n');
    Ok(Some(out))
}

/// One message in text format or CSV without what the detectors find in it. `None`: they find nothing.
pub fn scan_text(shield: &Shield, message: &[u8]) -> Option<Vec<u8>> {
    shield.words(message)
}

/// One message in binary format: masked columns, and values in which the detectors find something, become
/// NULL, which every type has. `None`: nothing to change.
pub fn mask_binary(shield: &Shield, masks: Option<&Masks>, message: &[u8]) -> Result<Option<Vec<u8>>, CodecError> {
    if masks.is_none() && shield.is_clear(message) {
        return Ok(None);
    }
    let mut fields = Fields::new("CopyData", message);
    let mut out = Vec::with_capacity(message.len());
    if message.starts_with(SIGNATURE) {
        out.extend_from_slice(fields.take(SIGNATURE.len())?);
        out.extend_from_slice(fields.take(4)?);
        put(&mut out, Some(fields.value()?.unwrap_or_default()));
    }
    while !fields.is_empty() {
        let count = fields.i16()?;
        out.extend_from_slice(&count.to_be_bytes());
        // A count of -1 ends the data.
        for index in 0..usize::try_from(count).unwrap_or_default() {
            let value = fields.value()?;
            let is_masked = masks.is_some_and(|masks| masks.get(index).is_none_or(Option::is_some));
            put(&mut out, value.filter(|value| !is_masked && shield.words(value).is_none()));
        }
    }
    Ok(Some(out))
}

fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// A cell as the value that it stands for. The server writes no other escapes than these.
fn unescaped(cell: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(cell.len());
    let mut bytes = cell.iter();
    while let Some(&byte) = bytes.next() {
        value.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 0x08,
                Some(b'f') => 0x0c,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 0x0b,
                Some(&other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
    value
}

fn escape(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x0c => out.extend_from_slice(b"\\f"),
            0 => out.extend_from_slice(REDACTED.as_bytes()),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_formats_without_surprises_are_taken_apart() {
        for plain in [
            "COPY customers TO STDOUT",
            "copy (select 1) to stdout ;",
            "COPY  t  TO STDOUT (FORMAT binary) ",
            "COPY t TO STDOUT WITH BINARY",
        ] {
            assert!(is_divisible(plain.as_bytes()), "{plain}");
        }
        for hidden in [
            "COPY t TO STDOUT (FORMAT csv)",
            "COPY t TO STDOUT (DELIMITER '|') -- to stdout",
            "COPY t TO STDOUT /* */ CSV",
            "COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE (xto, stdout))",
            "COPY t TO STDOUT CSV FORCE QUOTE a, stdout",
            "COPY t TO STDOUT CSV NULL 'to stdout'",
            "COPY t FROM STDIN",
        ] {
            assert!(!is_divisible(hidden.as_bytes()), "{hidden}");
        }
    }

    #[test]
    fn a_cell_comes_back_from_its_escapes() {
        let value = b"a\tb\\c\nd";
        let mut cell = Vec::new();
        escape(value, &mut cell);
        assert_eq!(cell, b"a\\tb\\\\c\\nd");
        assert_eq!(unescaped(&cell), value);
    }
}
