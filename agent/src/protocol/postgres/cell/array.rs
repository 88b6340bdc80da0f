//! Arrays: each element is changed where it stands, and the array keeps its shape.
//! <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>, `array_recv` of the server

use super::Change;
use crate::protocol::postgres::codec::Fields;

/// Most dimensions of an array: `MAXDIM` of the server.
const DIMENSIONS_MAX: i32 = 6;

/// An array in text format; `None` when it is not written as one.
pub fn rewrite_text(array: &[u8], mut element: impl FnMut(&[u8]) -> Change) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(array.len());
    let mut at = 0;
    // Bounds that do not begin with one: [0:1]={…}
    if array.first() == Some(&b'[') {
        at = memchr::memchr(b'=', array)? + 1;
        let bounds = array.get(..at)?;
        if !bounds.iter().all(|byte| byte.is_ascii_digit() || b"[]:-=".contains(byte)) {
            return None;
        }
        out.extend_from_slice(bounds);
    }
    if array.get(at) != Some(&b'{') {
        return None;
    }
    while let Some(&first) = array.get(at) {
        if matches!(first, b'{' | b'}' | b',') {
            out.push(first);
            at += 1;
            continue;
        }
        let rest = array.get(at..)?;
        let (raw, value) = if first == b'"' { quoted(rest)? } else { bare(rest) };
        at += raw.len();
        match value.map_or(Change::Null, |value| element(&value)) {
            Change::None => out.extend_from_slice(raw),
            Change::Value(changed) => quote(&changed, &mut out),
            Change::Null => out.extend_from_slice(b"NULL"),
        }
    }
    Some(out)
}

/// A quoted element with its quotes, and its value.
fn quoted(rest: &[u8]) -> Option<(&[u8], Option<Vec<u8>>)> {
    let mut value = Vec::new();
    let mut at = 1;
    loop {
        match rest.get(at)? {
            b'"' => return Some((rest.get(..=at)?, Some(value))),
            b'\\' => {
                value.push(*rest.get(at + 1)?);
                at += 2;
            }
            byte => {
                value.push(*byte);
                at += 1;
            }
        }
    }
}

/// An element without quotes, and its value; `None` for NULL.
fn bare(rest: &[u8]) -> (&[u8], Option<Vec<u8>>) {
    let end = rest.iter().position(|byte| matches!(byte, b'{' | b'}' | b',' | b'"')).unwrap_or(rest.len());
    let raw = rest.get(..end).unwrap_or_default();
    (raw, (!raw.eq_ignore_ascii_case(b"NULL")).then(|| raw.to_vec()))
}

fn quote(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// An array in binary format; `None` when it is none, or holds other elements than its type says.
pub fn rewrite_binary(array: &[u8], type_oid: u32, mut element: impl FnMut(&[u8]) -> Change) -> Option<Vec<u8>> {
    let mut fields = Fields::new("array", array);
    let dimensions = fields.u32().ok().map(u32::cast_signed).filter(|count| (0..=DIMENSIONS_MAX).contains(count))?;
    let _has_null = fields.u32().ok()?;
    if fields.u32().ok()? != type_oid {
        return None;
    }
    let bounds = fields.take(usize::try_from(dimensions).ok()? * 8).ok()?;
    let mut has_null: u32 = 0;
    let mut elements = Vec::with_capacity(array.len());
    while !fields.is_empty() {
        let value = fields.value().ok()?;
        let change = value.map_or(Change::Null, &mut element);
        let kept = match &change {
            Change::None => value,
            Change::Value(changed) => Some(changed.as_slice()),
            Change::Null => None,
        };
        has_null |= u32::from(kept.is_none());
        super::put(&mut elements, kept);
    }
    let head = [dimensions.to_be_bytes(), has_null.to_be_bytes(), type_oid.to_be_bytes()];
    Some([head.as_flattened(), bounds, &elements].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hide(value: &[u8]) -> Change {
        match value {
            b"keep" => Change::None,
            b"gone" => Change::Null,
            _ => Change::Value(b"a\"b".to_vec()),
        }
    }

    #[test]
    fn elements_are_changed_and_the_shape_stays() {
        for (array, shown) in [
            ("{}", "{}"),
            ("{keep,secret,NULL}", r#"{keep,"a\"b",NULL}"#),
            (r#"{{"ke\ep","s,}\""},{gone,"NULL"}}"#, r#"{{"ke\ep","a\"b"},{NULL,"a\"b"}}"#),
            ("[0:1]={keep,secret}", r#"[0:1]={keep,"a\"b"}"#),
        ] {
            let seen = rewrite_text(array.as_bytes(), hide).unwrap();
            assert_eq!(String::from_utf8(seen).unwrap(), shown, "{array}");
        }
    }

    #[test]
    fn what_is_no_array_is_not_passed_on() {
        for odd in ["secret", "", r#"{"open"#, "[secret]={1}", "[0:1", r#"{"a\"#] {
            assert_eq!(rewrite_text(odd.as_bytes(), hide), None, "{odd}");
        }
        for odd in [&b""[..], b"\0\0\0\x07\0\0\0\0\0\0\0\x19", b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x19", b"\0\0\0\x01"] {
            assert_eq!(rewrite_binary(odd, 25, hide), None);
        }
    }

    #[test]
    fn a_binary_array_says_when_an_element_became_null() {
        let head = |has_null: u8| [0, 0, 0, 1, 0, 0, 0, has_null, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1];
        let array = [&head(0)[..], b"\0\0\0\x04keep\0\0\0\x04gone"].concat();
        assert_eq!(rewrite_binary(&array, 25, hide), Some([&head(1)[..], b"\0\0\0\x04keep\xff\xff\xff\xff"].concat()));
        assert_eq!(rewrite_binary(&array, 23, hide), None, "other elements than the type has");
    }
}
