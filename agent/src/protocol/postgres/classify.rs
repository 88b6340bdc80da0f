//! From a message of the workload to the question for the gate.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{
    Fields, HEAD,
    long_bind::{Digested, Start},
};
use crate::{
    request::{Arguments, Footprint, Request, Stage, Standing, Summary, sql},
    sql::Classified,
};

/// May this workload open a session on this database?
pub fn login(database: &str, user: &[u8]) -> Request {
    let access = sql::Access {
        operation: sql::Operation::Connect,
        resource: sql::Resource::Database(sql::Database { name: database.to_owned() }),
        facts: sql::Facts { verb: "CONNECT", ..sql::Facts::default() },
    };
    let user = String::from_utf8_lossy(user);
    Request {
        summary: Summary(format!("connect to database {database} as {user}").into()),
        arguments: None,
        stage: Stage::Execute,
        footprint: Arc::new(Footprint { accesses: vec![access.into()], ..Footprint::default() }),
        standing: Standing::fresh(),
    }
}

/// May this text run, or be made ready to run?
pub fn statement(text: Bytes, classified: &Classified, stage: Stage, standing: Standing) -> Request {
    Request { summary: Summary(text), arguments: None, stage, footprint: classified.footprint.clone(), standing }
}

/// May this prepared statement run with these arguments?
pub fn execution(text: Bytes, classified: &Classified, bound: Arguments, standing: Standing) -> Request {
    Request { arguments: Some(bound), ..statement(text, classified, Stage::Execute, standing) }
}

/// The arguments of a Bind message.
pub fn bound(message: Bytes) -> Arguments {
    Arguments::Message { bytes: message, read: arguments }
}

/// The arguments of a Bind message that was not held.
pub fn digested(bound: &Digested) -> Arguments {
    Arguments::Digest { shown: digested_lines(bound).into(), digest: bound.digest }
}

/// The same for people.
pub fn digested_lines(bound: &Digested) -> Vec<String> {
    let Digested { starts, unlisted, digest } = bound;
    let mut shown: Vec<_> =
        starts.iter().enumerate().map(|(index, start)| format!("${} = {}", index + 1, begun(start))).collect();
    if *unlisted > 0 {
        shown.push(format!("and {unlisted} more"));
    }
    shown.push(format!("all of them: BLAKE3 {}", hex::encode(digest)));
    shown
}

/// An argument of which only the start may be known.
fn begun(start: &Start) -> String {
    let Start { is_binary, length, bytes } = start;
    match length {
        Some(length) if *length > bytes.len() => {
            format!("{}… ({length} bytes in all)", argument(*is_binary, Some(bytes)))
        }
        _ => argument(*is_binary, length.map(|_| &bytes[..])),
    }
}

/// The arguments of a Bind message for people: text as it stands, anything else in hexadecimal.
pub fn arguments(message: &[u8]) -> Vec<String> {
    read_arguments(message).unwrap_or_default()
}

fn read_arguments(message: &[u8]) -> Option<Vec<String>> {
    let mut fields = Fields::new("Bind", message.get(HEAD..)?);
    fields.text().ok()?;
    fields.text().ok()?;
    let count = fields.count().ok()?;
    let formats: Vec<i16> = (0..count).map_while(|_| fields.i16().ok()).collect();
    let mut shown = Vec::new();
    for index in 0..fields.count().ok()? {
        let is_binary = formats.get(index).or(if formats.len() == 1 { formats.first() } else { None }) == Some(&1);
        shown.push(argument(is_binary, fields.value().ok()?));
    }
    Some(shown)
}

fn argument(is_binary: bool, value: Option<&[u8]>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(value) if is_binary => binary(value).unwrap_or_else(|| format!("\\x{}", hex::encode(value))),
        Some(value) => format!("'{}'", String::from_utf8_lossy(value)),
    }
}

/// What bytes of unknown type most likely are: readable text; numbers are left in hexadecimal with their value.
fn binary(value: &[u8]) -> Option<String> {
    let hexadecimal = hex::encode(value);
    match *value {
        [a, b] => Some(format!("\\x{hexadecimal} ({})", i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Some(format!("\\x{hexadecimal} ({})", i32::from_be_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => {
            Some(format!("\\x{hexadecimal} ({})", i64::from_be_bytes([a, b, c, d, e, f, g, h])))
        }
        _ => str::from_utf8(value).ok().filter(|text| !text.contains(char::is_control)).map(|text| format!("'{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::postgres::codec::write;

    #[test]
    fn an_approver_reads_the_arguments() {
        let bind = write::bind(b"", b"", &[Some(b"o'clock"), None], &[]);
        assert_eq!(arguments(&bind), ["'o'clock'", "NULL"]);
        assert!(arguments(b"garbage").is_empty());
    }
}
