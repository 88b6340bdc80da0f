//! Messages from the server.

use super::{CodecError, FRAME_MAX, Fields, Head, REPLY_MAX, frontend::format};

/// Most columns of one result, as the server has it (`MaxTupleAttributeNumber`).
pub const COLUMNS_MAX: usize = 1664;

/// Types of messages that a server may send once a session has begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tag {
    RowDescription,
    DataRow,
    CommandComplete,
    EmptyQuery,
    ParseComplete,
    BindComplete,
    CloseComplete,
    NoData,
    ParameterDescription,
    PortalSuspended,
    ReadyForQuery,
    Error,
    Notice,
    Notification,
    ParameterStatus,
    CopyIn,
    CopyOut,
    CopyData,
    CopyDone,
}

impl Tag {
    /// Recognises a message by its head and checks its length. What a governed session never calls for
    /// (COPY in both directions, function results, late authentication) is unknown on purpose.
    pub fn of(head: Head) -> Result<Self, CodecError> {
        let (tag, kind, max) = match head.tag {
            b'T' => (Self::RowDescription, "RowDescription", REPLY_MAX),
            b'D' => (Self::DataRow, "DataRow", FRAME_MAX),
            b'C' => (Self::CommandComplete, "CommandComplete", REPLY_MAX),
            b'I' => (Self::EmptyQuery, "EmptyQueryResponse", 4),
            b'1' => (Self::ParseComplete, "ParseComplete", 4),
            b'2' => (Self::BindComplete, "BindComplete", 4),
            b'3' => (Self::CloseComplete, "CloseComplete", 4),
            b'n' => (Self::NoData, "NoData", 4),
            b't' => (Self::ParameterDescription, "ParameterDescription", REPLY_MAX),
            b's' => (Self::PortalSuspended, "PortalSuspended", 4),
            b'Z' => (Self::ReadyForQuery, "ReadyForQuery", 5),
            b'E' => (Self::Error, "ErrorResponse", REPLY_MAX),
            b'N' => (Self::Notice, "NoticeResponse", REPLY_MAX),
            b'A' => (Self::Notification, "NotificationResponse", REPLY_MAX),
            b'S' => (Self::ParameterStatus, "ParameterStatus", REPLY_MAX),
            b'G' => (Self::CopyIn, "CopyInResponse", REPLY_MAX),
            b'H' => (Self::CopyOut, "CopyOutResponse", REPLY_MAX),
            b'd' => (Self::CopyData, "CopyData", FRAME_MAX),
            b'c' => (Self::CopyDone, "CopyDone", 4),
            other => return Err(CodecError::UnknownType(other)),
        };
        let length = head.total - 1;
        if length > max {
            return Err(CodecError::Length { kind, length, min: 4, max });
        }
        Ok(tag)
    }
}

/// One column of a result, as a RowDescription has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    pub name: Vec<u8>,
    /// The table that the value comes from unchanged, or zero.
    pub relation: u32,
    /// The attribute number in that table, or zero.
    pub column: i16,
    pub type_oid: u32,
    pub is_binary: bool,
}

pub fn row_description(body: &[u8]) -> Result<Vec<Field>, CodecError> {
    let mut fields = Fields::new("RowDescription", body);
    let count = columns(&mut fields, "RowDescription")?;
    let mut described = Vec::with_capacity(count);
    for _ in 0..count {
        let name = fields.text()?.to_vec();
        let (relation, column, type_oid) = (fields.u32()?, fields.i16()?, fields.u32()?);
        fields.take(2 + 4)?;
        described.push(Field { name, relation, column, type_oid, is_binary: format(&mut fields)? });
    }
    fields.end()?;
    Ok(described)
}

/// The count of columns at the start of a row description or a row.
pub fn columns(fields: &mut Fields<'_>, kind: &'static str) -> Result<usize, CodecError> {
    match fields.count()? {
        count if count <= COLUMNS_MAX => Ok(count),
        _ => Err(CodecError::Value(kind)),
    }
}

/// Whether a CopyInResponse or CopyOutResponse announces the binary format, and its columns.
pub fn copy_response(body: &[u8]) -> Result<(bool, usize), CodecError> {
    let mut fields = Fields::new("CopyResponse", body);
    let is_binary = match fields.u8()? {
        0 => false,
        1 => true,
        _ => return Err(CodecError::Value("CopyResponse")),
    };
    let count = columns(&mut fields, "CopyResponse")?;
    fields.take(count * 2)?;
    fields.end()?;
    Ok((is_binary, count))
}

/// The fields of an error or notice, in order: type and text.
pub fn notice(body: &[u8]) -> Result<Vec<(u8, &[u8])>, CodecError> {
    let mut fields = Fields::new("ErrorResponse", body);
    let mut parts = Vec::with_capacity(8);
    loop {
        match fields.u8()? {
            0 => break,
            kind => parts.push((kind, fields.text()?)),
        }
    }
    fields.end()?;
    Ok(parts)
}

/// Name and value of a ParameterStatus.
pub fn parameter(body: &[u8]) -> Result<(&[u8], &[u8]), CodecError> {
    let mut fields = Fields::new("ParameterStatus", body);
    let parameter = (fields.text()?, fields.text()?);
    fields.end()?;
    Ok(parameter)
}

/// Process, channel and payload of a NotificationResponse.
pub fn notification(body: &[u8]) -> Result<(u32, &[u8], &[u8]), CodecError> {
    let mut fields = Fields::new("NotificationResponse", body);
    let notification = (fields.u32()?, fields.text()?, fields.text()?);
    fields.end()?;
    Ok(notification)
}

/// Where the transaction stands, as ReadyForQuery tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Status {
    #[default]
    Idle,
    InTransaction,
    Failed,
}

impl Status {
    pub const fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

pub fn ready(body: &[u8]) -> Result<Status, CodecError> {
    match body {
        b"I" => Ok(Status::Idle),
        b"T" => Ok(Status::InTransaction),
        b"E" => Ok(Status::Failed),
        _ => Err(CodecError::Value("ReadyForQuery")),
    }
}

/// What the server wants before it lets anyone in.
#[derive(Debug, Eq, PartialEq)]
pub enum Authentication<'a> {
    Ok,
    Cleartext,
    Md5 {
        salt: [u8; 4],
    },
    Sasl {
        mechanisms: Vec<&'a [u8]>,
    },
    SaslContinue(&'a [u8]),
    SaslFinal(&'a [u8]),
    /// Kerberos, SSPI and whatever else the gate has no credential for.
    Other(u32),
}

pub fn authentication(body: &[u8]) -> Result<Authentication<'_>, CodecError> {
    let mut fields = Fields::new("Authentication", body);
    let wanted = match fields.u32()? {
        0 => Authentication::Ok,
        3 => Authentication::Cleartext,
        5 => {
            let salt = fields.u32()?.to_be_bytes();
            Authentication::Md5 { salt }
        }
        10 => {
            let mut mechanisms = Vec::new();
            loop {
                match fields.text()? {
                    [] => break,
                    name => mechanisms.push(name),
                }
            }
            Authentication::Sasl { mechanisms }
        }
        11 => Authentication::SaslContinue(fields.rest()),
        12 => Authentication::SaslFinal(fields.rest()),
        other => {
            fields.rest();
            Authentication::Other(other)
        }
    };
    fields.end()?;
    Ok(wanted)
}

/// The newest minor version that the server speaks, of a NegotiateProtocolVersion.
pub fn newest_minor(body: &[u8]) -> Result<u16, CodecError> {
    let mut fields = Fields::new("NegotiateProtocolVersion", body);
    // Servers write the whole version; its upper half is the major one.
    let minor = (fields.u32()? & 0xffff) as u16;
    for _ in 0..fields.u32()? {
        fields.text()?;
    }
    fields.end()?;
    Ok(minor)
}

/// Process and key of a BackendKeyData.
pub fn key_data(body: &[u8]) -> Result<(u32, &[u8]), CodecError> {
    let mut fields = Fields::new("BackendKeyData", body);
    Ok((fields.u32()?, fields.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::postgres::codec::{HEAD, write};

    #[test]
    fn a_row_description_tells_where_each_column_comes_from() {
        let described =
            vec![Field { name: b"email".to_vec(), relation: 16384, column: 3, type_oid: 25, is_binary: false }];
        let message = write::row_description(&described);
        assert_eq!(row_description(&message[HEAD..]), Ok(described));
    }

    #[test]
    fn a_row_description_that_promises_more_than_it_holds_is_refused() {
        assert!(row_description(b"\x7f\xff").is_err());
        assert!(row_description(b"\xff\xff").is_err());
        assert!(row_description(b"\0\x01").is_err());
    }

    #[test]
    fn what_a_session_never_calls_for_is_no_message() {
        for tag in [b'W', b'V', b'R', b'K', b'v', 0] {
            assert_eq!(Tag::of(Head { tag, total: 5 }), Err(CodecError::UnknownType(tag)));
        }
    }
}
