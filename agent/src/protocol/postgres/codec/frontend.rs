//! Messages from the workload.

use bytes::Bytes;

use super::{BIND_WHOLE_MAX, CodecError, FRAME_MAX, Fields, Head, NAMING_MAX, STARTUP_MAX, TEXT_MAX};

/// The request for TLS before the startup packet.
pub const SSL_REQUEST: u32 = 80_877_103;
/// The request for GSSAPI encryption before the startup packet.
pub const GSSENC_REQUEST: u32 = 80_877_104;
/// The request to cancel what another connection runs.
pub const CANCEL_REQUEST: u32 = 80_877_102;
/// The first byte of a TLS handshake record.
pub const TLS_HANDSHAKE: u8 = 0x16;

/// Longest cancel key of protocol 3.2.
pub const CANCEL_KEY_MAX: usize = 256;

/// Types of messages that a workload may send once it is logged in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tag {
    Query,
    Parse,
    Bind,
    Describe,
    Execute,
    Close,
    Sync,
    Flush,
    CopyData,
    CopyDone,
    CopyFail,
    FunctionCall,
    Terminate,
}

impl Tag {
    /// Recognises a message by its head and checks its length.
    pub fn of(head: Head) -> Result<Self, CodecError> {
        let (tag, kind, max) = match head.tag {
            b'Q' => (Self::Query, "Query", TEXT_MAX),
            b'P' => (Self::Parse, "Parse", TEXT_MAX),
            b'B' => (Self::Bind, "Bind", BIND_WHOLE_MAX),
            b'D' => (Self::Describe, "Describe", NAMING_MAX),
            b'E' => (Self::Execute, "Execute", NAMING_MAX),
            b'C' => (Self::Close, "Close", NAMING_MAX),
            b'S' => (Self::Sync, "Sync", 4),
            b'H' => (Self::Flush, "Flush", 4),
            b'd' => (Self::CopyData, "CopyData", FRAME_MAX),
            b'c' => (Self::CopyDone, "CopyDone", 4),
            b'f' => (Self::CopyFail, "CopyFail", NAMING_MAX),
            b'F' => (Self::FunctionCall, "FunctionCall", TEXT_MAX),
            b'X' => (Self::Terminate, "Terminate", 4),
            other => return Err(CodecError::UnknownType(other)),
        };
        let length = head.total - 1;
        if length > max {
            return Err(CodecError::Length { kind, length, min: 4, max });
        }
        Ok(tag)
    }

    /// What a message is that carries more than this session holds of its kind, though the server would take it:
    /// such a request is refused alone, and the session goes on.
    pub fn oversized(head: Head) -> Option<Oversized> {
        let (max, is_simple) = match head.tag {
            b'Q' | b'F' => (TEXT_MAX, true),
            b'P' => (TEXT_MAX, false),
            _ => return None,
        };
        let length = head.total - 1;
        (length > max).then_some(Oversized { length, max, is_simple })
    }

    /// Whether it is a Bind that passes in pieces.
    pub const fn is_long_bind(head: Head) -> bool {
        head.tag == b'B' && head.total > BIND_WHOLE_MAX
    }
}

/// A request that is too long to be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Oversized {
    /// Bytes after the type of the message.
    pub length: usize,
    pub max: usize,
    /// Whether it belongs to the simple protocol.
    pub is_simple: bool,
}

/// What a connection opens with.
#[derive(Debug, Eq, PartialEq)]
pub enum Opening<'a> {
    DirectTls,
    SslRequest,
    GssEncRequest,
    Cancel { process: u32, key: &'a [u8] },
    Startup { major: u16, minor: u16, parameters: Parameters<'a> },
}

/// The parameters of a startup packet, still encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameters<'a>(pub &'a [u8]);

/// Reads the opening packet and its length.
pub fn opening(bytes: &[u8]) -> Result<Option<(Opening<'_>, usize)>, CodecError> {
    if bytes.first() == Some(&TLS_HANDSHAKE) {
        return Ok(Some((Opening::DirectTls, 0)));
    }
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if !(8..=STARTUP_MAX).contains(&length) {
        return Err(CodecError::Length { kind: "StartupMessage", length, min: 8, max: STARTUP_MAX });
    }
    let Some(body) = rest.get(..length - 4) else { return Ok(None) };
    let mut fields = Fields::new("StartupMessage", body);
    let opening = match fields.u32()? {
        SSL_REQUEST => Opening::SslRequest,
        GSSENC_REQUEST => Opening::GssEncRequest,
        CANCEL_REQUEST => {
            let (process, key) = (fields.u32()?, fields.rest());
            if !(4..=CANCEL_KEY_MAX).contains(&key.len()) {
                return Err(CodecError::Value("CancelRequest"));
            }
            Opening::Cancel { process, key }
        }
        version => {
            let (major, minor) = ((version >> 16) as u16, version as u16);
            Opening::Startup { major, minor, parameters: Parameters(fields.rest()) }
        }
    };
    fields.end()?;
    Ok(Some((opening, length)))
}

/// The text of a Query.
pub fn query(body: &[u8]) -> Result<&[u8], CodecError> {
    let mut fields = Fields::new("Query", body);
    let text = fields.text()?;
    fields.end()?;
    Ok(text)
}

/// A statement to be prepared.
#[derive(Debug, Eq, PartialEq)]
pub struct Parse<'a> {
    pub name: &'a [u8],
    pub text: &'a [u8],
    /// The types of the first of its parameters.
    pub types: Vec<u32>,
}

pub fn parse(body: &[u8]) -> Result<Parse<'_>, CodecError> {
    let mut fields = Fields::new("Parse", body);
    let (name, text) = (fields.text()?, fields.text()?);
    let types = (0..fields.count()?).map(|_| fields.u32()).collect::<Result<_, _>>()?;
    fields.end()?;
    Ok(Parse { name, text, types })
}

/// What a Bind ties together.
#[derive(Debug, Eq, PartialEq)]
pub struct Bind<'a> {
    pub portal: &'a [u8],
    pub statement: &'a [u8],
    pub formats: Formats,
}

/// In which format the results come: `false` text, `true` binary.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Formats {
    #[default]
    Text,
    Binary,
    /// One for each column.
    Each(Vec<bool>),
}

impl Formats {
    /// As a Bind lists them: none is all in text, one is that of all.
    pub fn of(each: Vec<bool>) -> Self {
        match each.as_slice() {
            [] | [false] => Self::Text,
            [true] => Self::Binary,
            _ => Self::Each(each),
        }
    }

    /// Whether the column at `index` comes in binary.
    pub fn is_binary(&self, index: usize) -> bool {
        match self {
            Self::Text => false,
            Self::Binary => true,
            Self::Each(each) => each.get(index).copied().unwrap_or(false),
        }
    }
}

/// What a Bind begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BindNames<'a> {
    pub portal: &'a [u8],
    pub statement: &'a [u8],
    /// Bytes that both take; at most [`NAMING_MAX`].
    pub length: usize,
}

/// The names in a Bind of which the start has come.
pub fn bind_names(start: &[u8]) -> Result<Option<BindNames<'_>>, CodecError> {
    let start = start.get(..NAMING_MAX).unwrap_or(start);
    let mut fields = Fields::new("Bind", start);
    match (fields.text(), fields.text()) {
        (Ok(portal), Ok(statement)) => {
            Ok(Some(BindNames { portal, statement, length: start.len() - fields.rest().len() }))
        }
        _ if start.len() < NAMING_MAX => Ok(None),
        _ => Err(CodecError::Value("Bind")),
    }
}

pub fn bind(body: &[u8]) -> Result<Bind<'_>, CodecError> {
    let mut fields = Fields::new("Bind", body);
    let (portal, statement) = (fields.text()?, fields.text()?);
    for _ in 0..fields.count()? {
        format(&mut fields)?;
    }
    for _ in 0..fields.count()? {
        fields.value()?;
    }
    let formats = (0..fields.count()?).map(|_| format(&mut fields)).collect::<Result<_, _>>()?;
    fields.end()?;
    Ok(Bind { portal, statement, formats: Formats::of(formats) })
}

/// The arguments of a Bind in order: whether each is in binary, and its value.
pub fn arguments(body: &[u8]) -> Result<Vec<(bool, Option<Bytes>)>, CodecError> {
    let mut fields = Fields::new("Bind", body);
    fields.text()?;
    fields.text()?;
    let formats = (0..fields.count()?).map(|_| format(&mut fields)).collect::<Result<Vec<_>, _>>()?;
    let is_binary = |index| match formats.as_slice() {
        [all] => *all,
        each => each.get(index).copied().unwrap_or(false),
    };
    let mut values = Vec::new();
    for index in 0..fields.count()? {
        values.push((is_binary(index), fields.value()?.map(Bytes::copy_from_slice)));
    }
    Ok(values)
}

/// A format code of a Bind or a row description: whether it is binary.
pub fn format(fields: &mut Fields<'_>) -> Result<bool, CodecError> {
    match fields.i16()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Value("format code")),
    }
}

/// What a Describe or Close names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Named<'a> {
    Statement(&'a [u8]),
    Portal(&'a [u8]),
}

pub fn named<'a>(kind: &'static str, body: &'a [u8]) -> Result<Named<'a>, CodecError> {
    let mut fields = Fields::new(kind, body);
    let named = match fields.u8()? {
        b'S' => Named::Statement(fields.text()?),
        b'P' => Named::Portal(fields.text()?),
        _ => return Err(CodecError::Value(kind)),
    };
    fields.end()?;
    Ok(named)
}

/// The portal of an Execute; the row limit does not matter here.
pub fn execute(body: &[u8]) -> Result<&[u8], CodecError> {
    let mut fields = Fields::new("Execute", body);
    let portal = fields.text()?;
    fields.i32()?;
    fields.end()?;
    Ok(portal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::postgres::codec::{HEAD, head, write};

    fn body(message: &[u8]) -> &[u8] {
        &message[HEAD..]
    }

    #[test]
    fn an_opening_is_read_from_its_length_word() {
        assert_eq!(opening(b"\0\0\0\x08\x04\xd2\x16"), Ok(None));
        assert_eq!(opening(b"\0\0\0\x08\x04\xd2\x16\x2f"), Ok(Some((Opening::SslRequest, 8))));
        assert_eq!(opening(b"\x16\x03\x01"), Ok(Some((Opening::DirectTls, 0))));
        assert!(opening(b"GET / HTTP/1.1\r\n").is_err());
        assert!(opening(b"\0\0\0\x07").is_err());
    }

    #[test]
    fn cancel_keys_of_both_versions_are_read() {
        let (Opening::Cancel { process: 7, key }, 16) =
            opening(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\x01\x02\x03\x04").unwrap().unwrap()
        else {
            panic!("no cancel request")
        };
        assert_eq!(key, [1, 2, 3, 4]);
        assert!(opening(b"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\x07").is_err());
    }

    #[test]
    fn a_bind_gives_the_formats_of_its_results() {
        let message = write::bind(b"p", b"s", &[Some(b"v"), None], &[1, 0]);
        let bind = bind(body(&message)).unwrap();
        assert_eq!((bind.portal, bind.statement), (&b"p"[..], &b"s"[..]));
        assert_eq!(bind.formats, Formats::Each(vec![true, false]));
    }

    #[test]
    fn text_that_is_longer_than_its_limit_is_refused_by_its_head() {
        let mut message = vec![b'Q'];
        message.extend_from_slice(&((TEXT_MAX + 1) as u32).to_be_bytes());
        let head_of_text = head(&message).unwrap().unwrap();
        assert!(Tag::of(head_of_text).is_err());
        assert!(Tag::oversized(head_of_text).is_some_and(|oversized| oversized.is_simple));
        assert_eq!(Tag::oversized(Head { tag: b'Q', total: TEXT_MAX + 1 }), None);
        assert_eq!(Tag::oversized(Head { tag: b'E', total: TEXT_MAX * 2 }), None);
        assert!(Tag::of(head(b"S\0\0\0\x05").unwrap().unwrap()).is_err());
    }

    #[test]
    fn a_query_with_bytes_behind_its_text_is_refused() {
        assert_eq!(query(b"SELECT 1\0"), Ok(&b"SELECT 1"[..]));
        assert_eq!(query(b"SELECT 1\0DROP\0"), Err(CodecError::Long("Query")));
        assert_eq!(query(b"SELECT 1"), Err(CodecError::Short("Query")));
    }
}
