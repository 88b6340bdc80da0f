//! Making messages.

use bytes::{BufMut, Bytes, BytesMut};

use super::{backend::Status, frontend::CANCEL_REQUEST};

/// Appends one message: its type, its length and what `body` writes.
pub fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    counted(out, body);
}

/// Appends what `body` writes, with its length (the length word included) before it.
fn counted(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(start..start + 4) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a string with the NUL that ends it; a NUL inside would end it early, so it ends there.
pub fn text(out: &mut BytesMut, text: &[u8]) {
    out.put_slice(text.split(|&byte| byte == 0).next().unwrap_or_default());
    out.put_u8(0);
}

fn one(tag: u8, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    message(&mut out, tag, body);
    out.freeze()
}

fn untyped(body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    counted(&mut out, body);
    out.freeze()
}

// To the server.

pub fn ssl_request() -> Bytes {
    untyped(|out| out.put_u32(super::frontend::SSL_REQUEST))
}

pub fn cancel_request(process: u32, key: &[u8]) -> Bytes {
    untyped(|out| {
        out.put_u32(CANCEL_REQUEST);
        out.put_u32(process);
        out.put_slice(key);
    })
}

/// A startup packet of protocol 3.`minor`.
pub fn startup<'a>(minor: u16, parameters: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Bytes {
    untyped(|out| {
        out.put_u32(3 << 16 | u32::from(minor));
        for (name, value) in parameters {
            text(out, name);
            text(out, value);
        }
        out.put_u8(0);
    })
}

pub fn query(statement: &[u8]) -> Bytes {
    one(b'Q', |out| text(out, statement))
}

pub fn parse(name: &[u8], statement: &[u8]) -> Bytes {
    one(b'P', |out| {
        text(out, name);
        text(out, statement);
        out.put_u16(0);
    })
}

pub fn describe_portal(name: &[u8]) -> Bytes {
    one(b'D', |out| {
        out.put_u8(b'P');
        text(out, name);
    })
}

pub fn password(password: &[u8]) -> Bytes {
    one(b'p', |out| text(out, password))
}

pub fn sasl_initial(mechanism: &[u8], first: &[u8]) -> Bytes {
    one(b'p', |out| {
        text(out, mechanism);
        out.put_u32(u32::try_from(first.len()).unwrap_or(u32::MAX));
        out.put_slice(first);
    })
}

pub fn sasl_response(response: &[u8]) -> Bytes {
    one(b'p', |out| out.put_slice(response))
}

pub fn flush() -> Bytes {
    Bytes::from_static(b"H\0\0\0\x04")
}

pub fn terminate() -> Bytes {
    Bytes::from_static(b"X\0\0\0\x04")
}

// To the workload.

pub fn authentication_ok() -> Bytes {
    Bytes::from_static(b"R\0\0\0\x08\0\0\0\0")
}

pub fn key_data(process: u32, key: &[u8]) -> Bytes {
    one(b'K', |out| {
        out.put_u32(process);
        out.put_slice(key);
    })
}

/// Says that the session speaks at most protocol 3.`minor`, and which options it does not know.
pub fn negotiate(minor: u16, unknown: &[&[u8]]) -> Bytes {
    one(b'v', |out| {
        out.put_u32(3 << 16 | u32::from(minor));
        out.put_u32(u32::try_from(unknown.len()).unwrap_or(u32::MAX));
        unknown.iter().for_each(|name| text(out, name));
    })
}

pub fn ready(status: Status) -> Bytes {
    match status {
        Status::Idle => Bytes::from_static(b"Z\0\0\0\x05I"),
        Status::InTransaction => Bytes::from_static(b"Z\0\0\0\x05T"),
        Status::Failed => Bytes::from_static(b"Z\0\0\0\x05E"),
    }
}

/// An error (`E`) or a notice (`N`) with these fields; empty ones are left out.
pub fn notice<'a>(tag: u8, fields: impl IntoIterator<Item = (u8, &'a [u8])>) -> Bytes {
    one(tag, |out| {
        for (kind, value) in fields {
            if !value.is_empty() {
                out.put_u8(kind);
                text(out, value);
            }
        }
        out.put_u8(0);
    })
}

pub fn parameter(name: &[u8], value: &[u8]) -> Bytes {
    one(b'S', |out| {
        text(out, name);
        text(out, value);
    })
}

pub fn notification(process: u32, channel: &[u8], payload: &[u8]) -> Bytes {
    one(b'A', |out| {
        out.put_u32(process);
        text(out, channel);
        text(out, payload);
    })
}

/// Messages that only tests have to make: those that are forwarded as they came.
#[cfg(test)]
pub use tests::*;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::postgres::codec::backend::Field;

    pub fn bind(portal: &[u8], statement: &[u8], values: &[Option<&[u8]>], formats: &[i16]) -> Bytes {
        one(b'B', |out| {
            text(out, portal);
            text(out, statement);
            out.put_u16(0);
            out.put_u16(values.len() as u16);
            values.iter().for_each(|value| put_value(out, *value));
            out.put_u16(formats.len() as u16);
            formats.iter().for_each(|&format| out.put_i16(format));
        })
    }

    pub fn describe_statement(name: &[u8]) -> Bytes {
        one(b'D', |out| {
            out.put_u8(b'S');
            text(out, name);
        })
    }

    pub fn execute(portal: &[u8]) -> Bytes {
        one(b'E', |out| {
            text(out, portal);
            out.put_i32(0);
        })
    }

    pub fn close_statement(name: &[u8]) -> Bytes {
        one(b'C', |out| {
            out.put_u8(b'S');
            text(out, name);
        })
    }

    /// A message without fields.
    pub fn bare(tag: u8) -> Bytes {
        one(tag, |_| {})
    }

    pub fn row_description(fields: &[Field]) -> Bytes {
        one(b'T', |out| {
            out.put_u16(fields.len() as u16);
            for field in fields {
                text(out, &field.name);
                out.put_u32(field.relation);
                out.put_i16(field.column);
                out.put_u32(field.type_oid);
                out.put_i16(-1);
                out.put_i32(-1);
                out.put_i16(i16::from(field.is_binary));
            }
        })
    }

    pub fn data_row(values: &[Option<&[u8]>]) -> Bytes {
        one(b'D', |out| {
            out.put_u16(values.len() as u16);
            values.iter().for_each(|value| put_value(out, *value));
        })
    }

    pub fn complete(tag: &[u8]) -> Bytes {
        one(b'C', |out| text(out, tag))
    }

    pub fn authentication(code: u32, rest: &[u8]) -> Bytes {
        one(b'R', |out| {
            out.put_u32(code);
            out.put_slice(rest);
        })
    }

    pub fn copy_response(tag: u8, is_binary: bool, columns: u16) -> Bytes {
        one(tag, |out| {
            out.put_u8(u8::from(is_binary));
            out.put_u16(columns);
            (0..columns).for_each(|_| out.put_u16(u16::from(is_binary)));
        })
    }

    pub fn copy_data(data: &[u8]) -> Bytes {
        one(b'd', |out| out.put_slice(data))
    }

    fn put_value(out: &mut BytesMut, value: Option<&[u8]>) {
        out.put_i32(value.map_or(-1, |value| value.len() as i32));
        out.put_slice(value.unwrap_or_default());
    }

    #[test]
    fn a_nul_inside_a_string_cannot_start_another_field() {
        assert_eq!(notice(b'E', [(b'M', &b"a\0Cb"[..])]), &b"E\0\0\0\x08Ma\0\0"[..]);
    }
}
