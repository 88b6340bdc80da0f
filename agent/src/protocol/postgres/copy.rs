//! COPY data in binary format on its way to the workload.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format"

use super::{
    codec::{CodecError, Fields},
    rows::Shield,
};

/// What a binary COPY starts with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// One message without what the detectors find in its values: these become NULL, which every type has.
/// `None`: they find nothing.
pub fn scan_binary(shield: &Shield, message: &[u8]) -> Result<Option<Vec<u8>>, CodecError> {
    if shield.is_clear(message) {
        return Ok(None);
    }
    let mut fields = Fields::new("CopyData", message);
    let mut out = Vec::with_capacity(message.len());
    let mut found = false;
    if message.starts_with(SIGNATURE) {
        out.extend_from_slice(fields.take(SIGNATURE.len())?);
        out.extend_from_slice(fields.take(4)?);
        let extension = fields.value()?.unwrap_or_default();
        put(&mut out, Some(extension));
    }
    while !fields.is_empty() {
        let count = fields.i16()?;
        out.extend_from_slice(&count.to_be_bytes());
        // A count of -1 ends the data.
        for _ in 0..count.max(0) {
            let value = fields.value()?;
            let is_found = value.is_some_and(|value| shield.words(value).is_some());
            found |= is_found;
            put(&mut out, value.filter(|_| !is_found));
        }
    }
    Ok(found.then_some(out))
}

fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}
