//! Rows as values: `record` in both formats.
//! <https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX>, `record_send` of the server

use super::Change;
use crate::protocol::postgres::codec::{Fields, backend::COLUMNS_MAX};

/// A record in binary format, whose fields carry their types; `None` when it is none.
pub fn rewrite_binary(record: &[u8], mut field: impl FnMut(u32, &[u8]) -> Change) -> Option<Vec<u8>> {
    let mut fields = Fields::new("record", record);
    let count = fields.u32().ok()?;
    if usize::try_from(count).ok()? > COLUMNS_MAX {
        return None;
    }
    let mut out = Vec::with_capacity(record.len());
    out.extend_from_slice(&count.to_be_bytes());
    for _ in 0..count {
        let type_oid = fields.u32().ok()?;
        let value = fields.value().ok()?;
        out.extend_from_slice(&type_oid.to_be_bytes());
        match value.map_or(Change::Null, |value| field(type_oid, value)) {
            Change::None => super::put(&mut out, value),
            Change::Value(changed) => super::put(&mut out, Some(&changed)),
            Change::Null => super::put(&mut out, None),
        }
    }
    fields.is_empty().then_some(out)
}

/// A record in text format with all its fields NULL: their types are not told. `None` when it is none.
pub fn emptied_text(record: &[u8]) -> Option<Vec<u8>> {
    let inner = record.strip_prefix(b"(")?.strip_suffix(b")")?;
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut out = vec![b'('];
    for &byte in inner {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => out.push(b','),
            _ => {}
        }
    }
    out.push(b')');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_record_keeps_nothing_but_its_number_of_fields() {
        for (record, shown) in
            [(r#"(1,"Love,lace ""x""",ada@example.com)"#, "(,,)"), (r#"("a\"b,c",)"#, "(,)"), ("()", "()")]
        {
            assert_eq!(emptied_text(record.as_bytes()).as_deref(), Some(shown.as_bytes()), "{record}");
        }
        assert_eq!(emptied_text(b"secret"), None);
    }

    #[test]
    fn a_binary_record_is_changed_field_by_field() {
        let record = b"\0\0\0\x02\0\0\0\x17\0\0\0\x04\0\0\0\x07\0\0\0\x19\0\0\0\x06secret";
        let shown = rewrite_binary(record, |oid, _| if oid == 25 { Change::Null } else { Change::None });
        assert_eq!(shown.as_deref(), Some(&b"\0\0\0\x02\0\0\0\x17\0\0\0\x04\0\0\0\x07\0\0\0\x19\xff\xff\xff\xff"[..]));
        for odd in [&record[..20], b"\xff\xff\xff\xff", b"", &[&record[..], b"!"].concat()] {
            assert_eq!(rewrite_binary(odd, |_, _| Change::None), None);
        }
    }
}
