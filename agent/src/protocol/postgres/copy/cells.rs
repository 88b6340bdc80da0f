//! The cells of one row of COPY data, in text format and CSV.

use std::borrow::Cow;

use crate::sql::CopyFormat;

/// One cell as it stands in the row, and what it stands for; `None` is NULL.
#[derive(Debug, Eq, PartialEq)]
pub struct Cell<'a> {
    pub raw: &'a [u8],
    pub value: Option<Cow<'a, [u8]>>,
}

/// Takes a row apart; `None` where it is not written as the layout says.
pub fn split<'a>(format: &CopyFormat, row: &'a [u8]) -> Option<Vec<Cell<'a>>> {
    match format {
        CopyFormat::Text { delimiter, null, .. } => Some(split_text(row, *delimiter, null)),
        CopyFormat::Csv { delimiter, null, quote, escape, .. } => split_csv(row, *delimiter, null, *quote, *escape),
        CopyFormat::Binary => None,
    }
}

pub fn delimiter(format: &CopyFormat) -> u8 {
    match format {
        CopyFormat::Text { delimiter, .. } | CopyFormat::Csv { delimiter, .. } => *delimiter,
        CopyFormat::Binary => 0,
    }
}

pub fn null(format: &CopyFormat) -> &[u8] {
    match format {
        CopyFormat::Text { null, .. } | CopyFormat::Csv { null, .. } => null,
        CopyFormat::Binary => &[],
    }
}

/// Appends a value so that it reads as itself and as nothing else.
pub fn write(format: &CopyFormat, value: &[u8], out: &mut Vec<u8>) {
    match format {
        CopyFormat::Text { delimiter, .. } => write_text(value, *delimiter, out),
        CopyFormat::Csv { quote, escape, .. } => write_csv(value, *quote, *escape, out),
        CopyFormat::Binary => {}
    }
}

/// A delimiter inside a cell has a backslash before it.
fn split_text<'a>(row: &'a [u8], delimiter: u8, null: &[u8]) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    let (mut start, mut at) = (0, 0);
    loop {
        match row.get(at) {
            Some(b'\\') if delimiter != b'\\' => at += 2,
            Some(byte) if *byte != delimiter => at += 1,
            end => {
                let raw = row.get(start..at.min(row.len())).unwrap_or_default();
                cells.push(Cell { raw, value: (raw != null).then(|| unescaped(raw)) });
                if end.is_none() {
                    return cells;
                }
                at += 1;
                start = at;
            }
        }
    }
}

/// A cell as the value that it stands for. The server writes no other escapes than these.
fn unescaped(cell: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', cell).is_none() {
        return Cow::Borrowed(cell);
    }
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
    Cow::Owned(value)
}

fn write_text(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x0c => out.extend_from_slice(b"\\f"),
            byte if byte == delimiter => out.extend_from_slice(&[b'\\', byte]),
            other => out.push(other),
        }
    }
}

/// A quoted cell begins with the quote; inside, a quote and an escape have an escape before them.
fn split_csv<'a>(row: &'a [u8], delimiter: u8, null: &[u8], quote: u8, escape: u8) -> Option<Vec<Cell<'a>>> {
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        let (raw, value) = if rest.first() == Some(&quote) {
            let (length, value) = quoted(rest, quote, escape)?;
            (rest.get(..length)?, Some(Cow::Owned(value)))
        } else {
            let raw = rest.get(..memchr::memchr(delimiter, rest).unwrap_or(rest.len()))?;
            (raw, (raw != null).then_some(Cow::Borrowed(raw)))
        };
        rest = rest.get(raw.len()..)?;
        cells.push(Cell { raw, value });
        rest = match rest.split_first() {
            None => return Some(cells),
            Some((byte, after)) if *byte == delimiter => after,
            Some(_) => return None,
        };
    }
}

/// Length of a quoted cell with its quotes, and its value.
fn quoted(cell: &[u8], quote: u8, escape: u8) -> Option<(usize, Vec<u8>)> {
    let mut value = Vec::new();
    let mut at = 1;
    loop {
        let (byte, next) = (*cell.get(at)?, cell.get(at + 1));
        match next {
            Some(&next) if byte == escape && (next == quote || next == escape) => {
                value.push(next);
                at += 2;
            }
            _ if byte == quote => return Some((at + 1, value)),
            _ => {
                value.push(byte);
                at += 1;
            }
        }
    }
}

fn write_csv(value: &[u8], quote: u8, escape: u8, out: &mut Vec<u8>) {
    out.push(quote);
    for &byte in value {
        if byte == quote || byte == escape {
            out.push(escape);
        }
        out.push(byte);
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(delimiter: u8) -> CopyFormat {
        CopyFormat::Text { delimiter, null: b"\\N".to_vec(), has_header: false }
    }

    fn csv(delimiter: u8, quote: u8, escape: u8) -> CopyFormat {
        CopyFormat::Csv { delimiter, null: Vec::new(), has_header: false, quote, escape }
    }

    fn values(format: &CopyFormat, row: &[u8]) -> Option<Vec<Option<String>>> {
        let owned = |value: Cow<'_, [u8]>| String::from_utf8(value.into_owned()).unwrap();
        Some(split(format, row)?.into_iter().map(|cell| cell.value.map(owned)).collect())
    }

    #[test]
    fn a_value_comes_back_from_its_cell_in_every_layout() {
        let formats =
            [text(b'\t'), text(b'|'), csv(b',', b'"', b'"'), csv(b';', b'\'', b'\\'), csv(b'\t', b'"', b'\\')];
        for format in formats {
            for value in ["", "plain", "a\tb|c,d;e", "\"q\" 'q'", "back\\slash\\", "line\nline\r", "\u{8}\u{b}\u{c}"] {
                let mut row = b"x".to_vec();
                row.push(delimiter(&format));
                write(&format, value.as_bytes(), &mut row);
                row.push(delimiter(&format));
                row.extend_from_slice(null(&format));
                let expected = vec![Some("x".to_owned()), Some(value.to_owned()), None];
                assert_eq!(values(&format, &row), Some(expected), "{format:?} {value:?}");
            }
        }
    }

    #[test]
    fn cells_are_split_where_the_server_splits_them() {
        assert_eq!(values(&text(b'|'), b"a\\|b|c").unwrap().len(), 2);
        assert_eq!(values(&text(b'\t'), b"").unwrap(), [Some(String::new())]);
        assert_eq!(values(&csv(b',', b'"', b'"'), b"\"a,\"\"b\"\"\",,\"\"").unwrap().len(), 3);
        assert_eq!(values(&csv(b',', b'"', b'"'), b"\"open,1"), None);
        assert_eq!(values(&csv(b',', b'"', b'"'), b"\"a\"b,1"), None, "the server quotes whole cells");
    }
}
