//! How the rows of a COPY … TO STDOUT are laid out, by the options of its statement.
//! <https://www.postgresql.org/docs/current/sql-copy.html>

use pg_query::{
    NodeEnum,
    protobuf::{CopyStmt, DefElem, Node},
};

use super::scan;

/// The layout that one statement asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CopyLayout {
    pub format: CopyFormat,
    /// Whether it names a table, whose columns are copied as they are, and not a query.
    pub is_table: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CopyFormat {
    Text { delimiter: u8, null: Vec<u8>, has_header: bool },
    Csv { delimiter: u8, null: Vec<u8>, has_header: bool, quote: u8, escape: u8 },
    Binary,
}

/// Understands a text that is one COPY … TO STDOUT; `None`: it is not, or has an option that is not known.
pub fn copy_layout(text: &[u8]) -> Option<CopyLayout> {
    let parsed = pg_query::parse(scan::readable(text).ok()?, 0).ok()?.protobuf;
    let [statement] = parsed.stmts.as_slice() else { return None };
    let Some(NodeEnum::CopyStmt(copy)) = statement.stmt.as_ref()?.node.as_ref() else { return None };
    if copy.is_from || copy.is_program || !copy.filename.is_empty() {
        return None;
    }
    let format = Options::of(copy)?.format()?;
    Some(CopyLayout { format, is_table: copy.relation.is_some() && copy.query.is_none() })
}

/// Options as they are given; what is not given has its default.
#[derive(Default)]
struct Options {
    format: Option<String>,
    delimiter: Option<u8>,
    null: Option<String>,
    quote: Option<u8>,
    escape: Option<u8>,
    has_header: bool,
}

impl Options {
    fn of(copy: &CopyStmt) -> Option<Self> {
        let mut options = Self::default();
        for node in &copy.options {
            let Some(NodeEnum::DefElem(option)) = &node.node else { return None };
            match option.defname.as_str() {
                "format" => options.format = Some(text(option)?.to_owned()),
                "delimiter" => options.delimiter = Some(character(option)?),
                "null" => options.null = Some(text(option)?.to_owned()),
                "quote" => options.quote = Some(character(option)?),
                "escape" => options.escape = Some(character(option)?),
                "header" => options.has_header = flag(option)?,
                // Which cells are quoted is seen in the data.
                "force_quote" => {}
                "encoding" if is_utf8(text(option)?) => {}
                _ => return None,
            }
        }
        Some(options)
    }

    fn format(self) -> Option<CopyFormat> {
        let has_header = self.has_header;
        match self.format.as_deref() {
            None | Some("text") => {
                let null = self.null.unwrap_or_else(|| "\\N".to_owned()).into_bytes();
                Some(CopyFormat::Text { delimiter: self.delimiter.unwrap_or(b'\t'), null, has_header })
            }
            Some("csv") => {
                let quote = self.quote.unwrap_or(b'"');
                Some(CopyFormat::Csv {
                    delimiter: self.delimiter.unwrap_or(b','),
                    null: self.null.unwrap_or_default().into_bytes(),
                    has_header,
                    quote,
                    escape: self.escape.unwrap_or(quote),
                })
            }
            Some("binary") => Some(CopyFormat::Binary),
            Some(_) => None,
        }
    }
}

fn value(option: &DefElem) -> Option<&NodeEnum> {
    option.arg.as_deref().and_then(|Node { node }| node.as_ref())
}

fn text(option: &DefElem) -> Option<&str> {
    match value(option)? {
        NodeEnum::String(text) => Some(&text.sval),
        _ => None,
    }
}

/// One character of one byte, as the server demands.
fn character(option: &DefElem) -> Option<u8> {
    match text(option)?.as_bytes() {
        [byte] if byte.is_ascii() => Some(*byte),
        _ => None,
    }
}

/// A Boolean as `defGetBoolean` reads it; no value means yes. `match` is for COPY FROM alone.
fn flag(option: &DefElem) -> Option<bool> {
    match value(option) {
        None => Some(true),
        Some(NodeEnum::Boolean(flag)) => Some(flag.boolval),
        Some(NodeEnum::Integer(number)) => match number.ival {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Some(NodeEnum::String(word)) => match word.sval.to_ascii_lowercase().as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
        Some(_) => None,
    }
}

fn is_utf8(encoding: &str) -> bool {
    matches!(encoding.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Option<CopyLayout> {
        copy_layout(text.as_bytes())
    }

    fn csv(delimiter: u8, null: &str, has_header: bool, quote: u8, escape: u8) -> CopyFormat {
        CopyFormat::Csv { delimiter, null: null.as_bytes().to_vec(), has_header, quote, escape }
    }

    #[test]
    fn options_are_understood_in_both_spellings_and_behind_comments() {
        let plain = CopyFormat::Text { delimiter: b'\t', null: b"\\N".to_vec(), has_header: false };
        for (text, format, is_table) in [
            ("COPY t TO STDOUT", plain.clone(), true),
            ("copy (select 1 /* (format binary) */) to stdout -- csv", plain, false),
            ("COPY t TO STDOUT WITH BINARY", CopyFormat::Binary, true),
            ("COPY t (a) TO STDOUT (FORMAT binary)", CopyFormat::Binary, true),
            ("COPY t TO STDOUT CSV HEADER", csv(b',', "", true, b'"', b'"'), true),
            ("COPY t TO STDOUT (FORMAT csv, HEADER false, FORCE_QUOTE *)", csv(b',', "", false, b'"', b'"'), true),
            (
                "COPY t TO STDOUT (FORMAT csv, DELIMITER ';', NULL 'to stdout', QUOTE '''', ESCAPE '\\', ENCODING 'UTF8')",
                csv(b';', "to stdout", false, b'\'', b'\\'),
                true,
            ),
            (
                "COPY t TO STDOUT (DELIMITER '|', NULL '')",
                CopyFormat::Text { delimiter: b'|', null: Vec::new(), has_header: false },
                true,
            ),
        ] {
            assert_eq!(layout(text), Some(CopyLayout { format, is_table }), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_has_no_layout() {
        for text in [
            "COPY t FROM STDIN",
            "COPY t TO '/tmp/x'",
            "COPY t TO PROGRAM 'cat'",
            "COPY t TO STDOUT (FORMAT parquet)",
            "COPY t TO STDOUT (ENCODING 'latin1')",
            "COPY t TO STDOUT (HEADER match)",
            "COPY t TO STDOUT (DELIMITER '||')",
            "COPY t TO STDOUT (FREEZE)",
            "COPY t TO STDOUT; COPY u TO STDOUT",
            "SELECT 1",
            "",
        ] {
            assert_eq!(layout(text), None, "{text}");
        }
    }
}
