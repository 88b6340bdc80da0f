//! Recorded bytes read back for people: statements, arguments, results as tables, errors.
//!
//! What is read was recorded masked, and is shown as it was recorded. Control characters are left to whoever
//! prints the lines.

use std::collections::HashMap;

use bytes::Bytes;

use super::{
    classify,
    codec::{
        self, Fields, HEAD, Inbox,
        backend::{self, Field},
        frontend::{self, Formats, Named},
        long_bind::LongBind,
    },
};
use crate::protocol::{Side, Transcript};

/// Most rows of one result that are shown; the rest is counted.
const ROWS_SHOWN_MAX: usize = 1000;
/// Widest cell that is shown, in characters.
const CELL_SHOWN_MAX: usize = 60;

/// Reads one session.
#[derive(Default)]
pub struct PostgresTranscript {
    workload: Inbox,
    server: Inbox,
    /// Whether the workload's startup packet is behind us.
    has_begun: bool,
    /// Whether the server's answer to the wish for encryption is awaited: one byte without a head.
    awaits_byte: bool,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
    passing: Option<Passing>,
    formats: Formats,
    table: Option<Table>,
    copied: u64,
    /// Set once the bytes made no sense; then only their number is told.
    is_lost: bool,
}

/// A Bind that is too long to be held.
struct Passing {
    portal: Vec<u8>,
    bound: String,
    arguments: LongBind,
    left: usize,
}

impl Transcript for PostgresTranscript {
    fn feed(&mut self, from: Side, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        if self.is_lost {
            lines.push(format!("{} bytes from {}", bytes.len(), name(from)));
            return lines;
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let read = match from {
            Side::Downstream => {
                self.workload.push(bytes);
                self.read_workload(&mut lines)
            }
            Side::Upstream => {
                self.server.push(bytes);
                self.read_server(&mut lines)
            }
        };
        if let Err(error) = read {
            self.is_lost = true;
            lines.push(format!("unreadable from here on: {error}"));
        }
        lines
    }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Downstream => "the workload",
        Side::Upstream => "the gate",
    }
}

impl PostgresTranscript {
    fn read_workload(&mut self, lines: &mut Vec<String>) -> Result<(), codec::CodecError> {
        while !self.has_begun {
            let Some((opening, length)) = frontend::opening(self.workload.unread())? else { return Ok(()) };
            match opening {
                frontend::Opening::SslRequest | frontend::Opening::GssEncRequest => self.awaits_byte = true,
                // A handshake is not recorded: what follows is what was inside.
                frontend::Opening::DirectTls => {}
                frontend::Opening::Cancel { process, .. } => {
                    lines.push(format!("cancel request for process {process}"));
                    self.has_begun = true;
                }
                frontend::Opening::Startup { major, minor, parameters } => {
                    lines.push(format!("startup: protocol {major}.{minor}, {}", settings(parameters.0)));
                    self.has_begun = true;
                }
            }
            let length = if length == 0 { self.workload.unread().len() } else { length };
            self.workload.skip(length);
        }
        loop {
            if let Some(passing) = self.passing.take() {
                self.pass(passing)?;
                if self.passing.is_some() {
                    break;
                }
            }
            let Some(head) = codec::head(self.workload.unread())? else { break };
            if frontend::Tag::is_long_bind(head) {
                if !self.begin_long_bind(head)? {
                    break;
                }
                continue;
            }
            if self.workload.unread().len() < head.total {
                break;
            }
            let message = self.workload.slice(0..head.total);
            self.workload.skip(head.total);
            self.request(head.tag, &message, lines)?;
        }
        Ok(())
    }

    /// Reads the names of a Bind that is too long to be held; false while they have not come.
    fn begin_long_bind(&mut self, head: codec::Head) -> Result<bool, codec::CodecError> {
        let start = self.workload.unread().get(HEAD..).unwrap_or_default();
        let Some(frontend::BindNames { portal, statement, length }) = frontend::bind_names(start)? else {
            return Ok(false);
        };
        let arguments = LongBind::behind(start.get(..length).unwrap_or_default());
        let bound = self.statements.get(statement).cloned().unwrap_or_else(|| text(statement));
        let left = head.total.saturating_sub(HEAD + length);
        self.passing = Some(Passing { portal: portal.to_vec(), bound, arguments, left });
        self.workload.skip(HEAD + length);
        Ok(true)
    }

    /// Reads what there is of a Bind that is too long to be held.
    fn pass(&mut self, mut passing: Passing) -> Result<(), codec::CodecError> {
        let piece = self.workload.unread();
        let piece = piece.get(..passing.left).unwrap_or(piece);
        passing.arguments.read(piece)?;
        passing.left -= piece.len();
        self.workload.skip(piece.len());
        if passing.left > 0 {
            self.passing = Some(passing);
            return Ok(());
        }
        let (formats, digested) = passing.arguments.end()?;
        for line in classify::digested_lines(&digested) {
            passing.bound.push_str(&format!("\n    {line}"));
        }
        self.formats = formats;
        self.portals.insert(passing.portal, passing.bound);
        Ok(())
    }

    fn request(&mut self, tag: u8, message: &[u8], lines: &mut Vec<String>) -> Result<(), codec::CodecError> {
        let body = message.get(HEAD..).unwrap_or_default();
        match tag {
            b'Q' => lines.push(format!("> {}", text(frontend::query(body)?))),
            b'P' => {
                let frontend::Parse { name, text: statement, .. } = frontend::parse(body)?;
                if !name.is_empty() {
                    lines.push(format!("prepare {}: {}", text(name), text(statement)));
                }
                self.statements.insert(name.to_vec(), text(statement));
            }
            b'B' => {
                let bind = frontend::bind(body)?;
                let mut bound = self.statements.get(bind.statement).cloned().unwrap_or_else(|| text(bind.statement));
                for (number, argument) in classify::arguments(message).iter().enumerate() {
                    bound.push_str(&format!("\n    ${} = {argument}", number + 1));
                }
                self.formats = bind.formats;
                self.portals.insert(bind.portal.to_vec(), bound);
            }
            b'E' => {
                let portal = frontend::execute(body)?;
                lines.push(format!("> {}", self.portals.get(portal).cloned().unwrap_or_else(|| text(portal))));
            }
            b'C' => {
                if let Named::Statement(name) = frontend::named("Close", body)? {
                    self.statements.remove(name);
                }
            }
            b'd' => self.copied += body.len() as u64,
            b'c' => lines.push(format!("> {} bytes copied in", std::mem::take(&mut self.copied))),
            b'f' => lines.push("> copy abandoned".to_owned()),
            b'F' => lines.push("> function call".to_owned()),
            b'X' => lines.push("end of session".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn read_server(&mut self, lines: &mut Vec<String>) -> Result<(), codec::CodecError> {
        if self.awaits_byte && !self.server.unread().is_empty() {
            self.server.skip(1);
            self.awaits_byte = false;
        }
        while let Some(head) = codec::head(self.server.unread())? {
            if self.server.unread().len() < head.total {
                break;
            }
            let body = self.server.slice(HEAD..head.total);
            self.server.skip(head.total);
            self.reply(head.tag, &body, lines)?;
        }
        Ok(())
    }

    fn reply(&mut self, tag: u8, body: &[u8], lines: &mut Vec<String>) -> Result<(), codec::CodecError> {
        match tag {
            b'T' => self.table = Some(Table::new(backend::row_description(body)?)),
            b'D' => {
                let formats = &self.formats;
                self.table.get_or_insert_default().add(body, formats)?;
            }
            b'C' => {
                // A description that nobody ran for has no rows to show.
                lines.extend(self.table.take().into_iter().flat_map(Table::lines));
                lines.push(format!("< {}", text(body)));
                self.told_copied(lines);
            }
            b'E' | b'N' => {
                lines.extend(self.table.take().into_iter().flat_map(Table::lines));
                lines.push(format!("< {}", complaint(body)?));
            }
            b'A' => {
                let (_, channel, payload) = backend::notification(body)?;
                lines.push(format!("< notification on {}: {}", text(channel), text(payload)));
            }
            b'd' => self.copied += body.len() as u64,
            b'Z' => self.formats = Formats::Text,
            _ => {}
        }
        Ok(())
    }

    fn told_copied(&mut self, lines: &mut Vec<String>) {
        if self.copied > 0 {
            lines.push(format!("< {} bytes copied out", std::mem::take(&mut self.copied)));
        }
    }
}

/// A result that is being read.
#[derive(Default)]
struct Table {
    fields: Vec<Field>,
    rows: Vec<Vec<String>>,
    hidden: usize,
}

impl Table {
    fn new(fields: Vec<Field>) -> Self {
        Self { fields, ..Self::default() }
    }

    fn add(&mut self, body: &[u8], formats: &Formats) -> Result<(), codec::CodecError> {
        if self.rows.len() >= ROWS_SHOWN_MAX {
            self.hidden += 1;
            return Ok(());
        }
        let mut fields = Fields::new("DataRow", body);
        let count = backend::columns(&mut fields, "DataRow")?;
        let mut row = Vec::with_capacity(count);
        for index in 0..count {
            let is_binary = formats.is_binary(index) || self.fields.get(index).is_some_and(|field| field.is_binary);
            row.push(match fields.value()? {
                None => "NULL".to_owned(),
                Some(value) => shortened(cell(value, is_binary)),
            });
        }
        self.rows.push(row);
        Ok(())
    }

    fn lines(self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let header: Vec<String> = self.fields.iter().map(|field| text(&field.name)).collect();
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default().max(header.len());
        let width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().chain([&header]).map(|row| width(row, column)).max().unwrap_or_default())
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            format!("  {}", cells.collect::<Vec<_>>().join(" | ")).trim_end().to_owned()
        };
        let mut lines = Vec::with_capacity(self.rows.len() + 3);
        if !header.is_empty() {
            lines.push(line(&header));
            lines.push(format!("  {}", widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-+-")));
        }
        lines.extend(self.rows.iter().map(line));
        if self.hidden > 0 {
            lines.push(format!("  … and {} rows more", self.hidden));
        }
        lines
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
}

/// A value as people read it: text as it stands, binary as text where it is text, else in hexadecimal.
fn cell(value: &[u8], is_binary: bool) -> String {
    match str::from_utf8(value) {
        Ok(text) if !is_binary || !text.contains(char::is_control) => text.to_owned(),
        Ok(_) | Err(_) => match *value {
            [a, b] => i16::from_be_bytes([a, b]).to_string(),
            [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).to_string(),
            [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]).to_string(),
            _ => format!("\\x{}", hex::encode(value)),
        },
    }
}

fn shortened(cell: String) -> String {
    let cell = cell.replace('\n', "⏎");
    match cell.char_indices().nth(CELL_SHOWN_MAX) {
        None => cell,
        Some((end, _)) => format!("{}…", cell.get(..end).unwrap_or_default()),
    }
}

fn settings(parameters: &[u8]) -> String {
    let mut words = parameters.split(|&byte| byte == 0);
    let mut settings = Vec::new();
    while let (Some(name), Some(value)) = (words.next().filter(|name| !name.is_empty()), words.next()) {
        settings.push(format!("{}={}", text(name), text(value)));
    }
    settings.join(" ")
}

/// An error or notice on one line, with its detail and hint below.
fn complaint(body: &[u8]) -> Result<String, codec::CodecError> {
    let parts = backend::notice(body)?;
    let part = |wanted| parts.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| text(value));
    let severity = part(b'V').or_else(|| part(b'S')).unwrap_or_default();
    let mut complaint = format!("{severity} {}: {}", part(b'C').unwrap_or_default(), part(b'M').unwrap_or_default());
    for (kind, label) in [(b'D', "detail"), (b'H', "hint")] {
        if let Some(more) = part(kind) {
            complaint.push_str(&format!("\n    {label}: {more}"));
        }
    }
    Ok(complaint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::postgres::{
        codec::{backend::Status, write},
        playbook::{field, startup},
    };

    #[test]
    fn a_long_argument_is_told_by_its_start_and_its_length() {
        let value = vec![b'x'; 2 * codec::BIND_WHOLE_MAX];
        let batch = [
            write::parse(b"", b"DELETE FROM orders WHERE note = $1"),
            write::bind(b"", b"", &[Some(&value)], &[]),
            write::execute(b""),
        ];
        let conversation = [(Side::Downstream, startup().to_vec()), (Side::Downstream, batch.concat())];
        let read = read(&conversation, 1 << 16);
        assert!(read.contains("> DELETE FROM orders WHERE note = $1\n    $1 = 'xxx"), "{read}");
        assert!(read.contains("… (2097152 bytes in all)\n    all of them: BLAKE3 ") && read.len() < 1000, "{read}");
    }

    /// The lines of a conversation, whichever way its bytes are cut.
    fn read(conversation: &[(Side, Vec<u8>)], size: usize) -> String {
        let mut transcript = PostgresTranscript::default();
        let mut lines = Vec::new();
        for (side, bytes) in conversation {
            bytes.chunks(size).for_each(|piece| lines.extend(transcript.feed(*side, piece)));
        }
        lines.join("\n")
    }

    #[test]
    fn a_session_reads_like_a_protocol_of_a_meeting() {
        let answer = [
            write::row_description(&[field("id", 1, 1, 23), field("email", 1, 2, 25)]),
            write::data_row(&[Some(b"1"), Some(b"a***@e***.com")]),
            write::data_row(&[Some(b"200"), None]),
            write::complete(b"SELECT 2"),
            write::ready(Status::Idle),
        ];
        let batch = [
            write::parse(b"", b"DELETE FROM orders WHERE id = $1"),
            write::bind(b"", b"", &[Some(b"7")], &[]),
            write::execute(b""),
            write::bare(b'S'),
        ];
        let denied = write::notice(b'E', [(b'S', &b"ERROR"[..]), (b'C', b"42501"), (b'M', b"denied"), (b'H', b"ask")]);
        let conversation = [
            (Side::Downstream, write::ssl_request().to_vec()),
            (Side::Upstream, b"S".to_vec()),
            (Side::Downstream, startup().to_vec()),
            (Side::Upstream, write::authentication(0, b"").to_vec()),
            (Side::Downstream, write::query(b"SELECT id, email FROM customers").to_vec()),
            (Side::Upstream, answer.concat()),
            (Side::Downstream, batch.concat()),
            (Side::Upstream, [denied, write::ready(Status::Idle)].concat()),
            (Side::Downstream, write::terminate().to_vec()),
        ];
        let expected = "\
startup: protocol 3.0, user=ann database=shop
> SELECT id, email FROM customers
  id  | email
  ----+--------------
  1   | a***@e***.com
  200 | NULL
< SELECT 2
> DELETE FROM orders WHERE id = $1
    $1 = '7'
< ERROR 42501: denied
    hint: ask
end of session";
        assert_eq!(read(&conversation, usize::MAX), expected);
        assert_eq!(read(&conversation, 1), expected);
    }

    #[test]
    fn bytes_without_sense_are_counted() {
        let lines =
            read(&[(Side::Downstream, b"GET / HTTP/1.1\r\n".to_vec()), (Side::Downstream, b"abc".to_vec())], 64);
        assert!(lines.starts_with("unreadable from here on") && lines.ends_with("3 bytes from the workload"));
    }
}
