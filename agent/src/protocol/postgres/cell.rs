//! One value of a result: what its type allows to be done with it.

use super::rows::Shield;
use crate::{
    mask::{Masked, Method},
    target::Class,
};

/// How values of one column are written, as far as masking has to know.
///
/// Types by their fixed object identifiers, `pg_type.dat` of the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// A word may stand for it in either format.
    Text,
    /// JSON; in binary, jsonb has a version byte before it.
    Json { has_version: bool },
    /// A big integer in binary.
    Int8,
    /// A decimal number in binary.
    Numeric,
    /// Bytes, written as `\x…` in text format.
    Bytes { is_binary: bool },
    /// A built-in type in which nothing that detectors look for has room: dates, small numbers, booleans.
    Small,
    /// Text of a type for which a word may stand nowhere: numbers, addresses …
    Rigid,
    /// Text in which a word may be replaced inside: arrays, composites, types of extensions.
    Loose,
    /// Anything else in binary.
    Opaque,
}

/// What becomes of a value.
#[derive(Debug, Eq, PartialEq)]
pub enum Change {
    None,
    Value(Vec<u8>),
    Null,
}

impl Shape {
    pub const fn of(type_oid: u32, is_binary: bool) -> Self {
        match type_oid {
            // text, varchar, bpchar, name, unknown, xml
            25 | 1043 | 1042 | 19 | 705 | 142 => Self::Text,
            114 => Self::Json { has_version: false },
            3802 => Self::Json { has_version: is_binary },
            17 => Self::Bytes { is_binary },
            20 if is_binary => Self::Int8,
            1700 if is_binary => Self::Numeric,
            // bool, int2, int4, oid, float4, date, time, timestamp, timestamptz, interval, timetz, uuid, void
            16 | 21 | 23 | 26 | 700 | 1082 | 1083 | 1114 | 1184 | 1186 | 1266 | 2950 | 2278 => Self::Small,
            _ if is_binary => Self::Opaque,
            // json[], name[], text[], bpchar[], varchar[], xml[], jsonb[], record, and whatever was created later
            199 | 1003 | 1009 | 1014 | 1015 | 143 | 3807 | 2249 | 2287 | 16384.. => Self::Loose,
            _ => Self::Rigid,
        }
    }

    /// Whether detectors see on the wire all that they would see in the value.
    pub const fn is_scannable_raw(self) -> bool {
        match self {
            Self::Text | Self::Json { .. } | Self::Small | Self::Rigid | Self::Loose | Self::Opaque => true,
            Self::Bytes { is_binary } => is_binary,
            Self::Int8 | Self::Numeric => false,
        }
    }

    /// Whether a backslash may hide content from a look at the wire.
    pub const fn has_escapes(self) -> bool {
        matches!(self, Self::Json { .. })
    }

    /// A value of a masked class, masked whole. Where a word would not be a value of the type, NULL stands.
    pub fn mask(self, shield: &Shield, class: &Class, method: Method, value: &[u8]) -> Change {
        match self {
            Self::Text => change(shield.apply(method, class, value)),
            Self::Json { has_version } => match shield.apply(method, class, json_body(has_version, value)) {
                Masked::Value(word) => json_string(has_version, &word),
                Masked::Null => Change::Null,
            },
            Self::Int8
            | Self::Numeric
            | Self::Bytes { .. }
            | Self::Small
            | Self::Rigid
            | Self::Loose
            | Self::Opaque => Change::Null,
        }
    }

    /// A value of no known class, without what the detectors find in it.
    pub fn scan(self, shield: &Shield, value: &[u8]) -> Change {
        match self {
            Self::Small => Change::None,
            Self::Text | Self::Loose => shield.scan(value).map_or(Change::None, change),
            Self::Rigid | Self::Opaque | Self::Bytes { is_binary: true } => null_if(shield.scan(value).is_some()),
            Self::Bytes { is_binary: false } => null_if(shield.scan(&unhex(value)).is_some()),
            Self::Int8 => null_if(int8(value).is_some_and(|text| shield.scan(text.as_bytes()).is_some())),
            Self::Numeric => null_if(numeric(value).is_some_and(|text| shield.scan(text.as_bytes()).is_some())),
            Self::Json { has_version } => scan_json(shield, has_version, value),
        }
    }
}

fn change(masked: Masked) -> Change {
    match masked {
        Masked::Value(value) => Change::Value(value),
        Masked::Null => Change::Null,
    }
}

fn null_if(found: bool) -> Change {
    if found { Change::Null } else { Change::None }
}

fn json_body(has_version: bool, value: &[u8]) -> &[u8] {
    if has_version { value.get(1..).unwrap_or_default() } else { value }
}

fn json_string(has_version: bool, word: &[u8]) -> Change {
    json_value(has_version, &serde_json::Value::String(String::from_utf8_lossy(word).into_owned()))
}

fn json_value(has_version: bool, value: &serde_json::Value) -> Change {
    let version: &[u8] = if has_version { b"\x01" } else { b"" };
    Change::Value([version, value.to_string().as_bytes()].concat())
}

/// Replaces what is found inside strings and numbers, so that the document stays one.
fn scan_json(shield: &Shield, has_version: bool, value: &[u8]) -> Change {
    let body = json_body(has_version, value);
    let may_hide = memchr::memchr(b'\\', body).is_some();
    if !may_hide && shield.scan(body).is_none() {
        return Change::None;
    }
    let Ok(mut document) = serde_json::from_slice(body) else { return Change::Null };
    if scan_document(shield, &mut document) { json_value(has_version, &document) } else { Change::None }
}

/// Masks in place; true if anything was found. The parser bounds the depth.
fn scan_document(shield: &Shield, document: &mut serde_json::Value) -> bool {
    use serde_json::Value;
    match document {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => scan_leaf(shield, &number.to_string(), document),
        Value::String(text) => scan_leaf(shield, &std::mem::take(text), document),
        Value::Array(items) => items.iter_mut().fold(false, |found, item| scan_document(shield, item) | found),
        Value::Object(members) => {
            let mut found = false;
            for (name, mut member) in std::mem::take(members) {
                found |= scan_document(shield, &mut member);
                let masked = shield.words(name.as_bytes()).map(|name| String::from_utf8_lossy(&name).into_owned());
                found |= masked.is_some();
                members.insert(masked.unwrap_or(name), member);
            }
            found
        }
    }
}

fn scan_leaf(shield: &Shield, text: &str, leaf: &mut serde_json::Value) -> bool {
    use serde_json::Value;
    match shield.scan(text.as_bytes()) {
        Some(Masked::Value(masked)) => *leaf = Value::String(String::from_utf8_lossy(&masked).into_owned()),
        Some(Masked::Null) => *leaf = Value::Null,
        None => {
            if let Value::String(taken) = leaf {
                text.clone_into(taken);
            }
            return false;
        }
    }
    true
}

fn unhex(value: &[u8]) -> Vec<u8> {
    value.strip_prefix(b"\\x").and_then(|digits| hex::decode(digits).ok()).unwrap_or_else(|| value.to_vec())
}

fn int8(value: &[u8]) -> Option<String> {
    value.try_into().ok().map(|bytes| i64::from_be_bytes(bytes).to_string())
}

/// The integer part of a binary numeric, where it is short enough to be a number that detectors know.
///
/// Groups of four decimal digits, the first worth 10000^weight.
fn numeric(value: &[u8]) -> Option<String> {
    const WEIGHT_MAX: i16 = 8;
    let mut words = value.chunks_exact(2).map(|pair| match pair {
        [high, low] => i16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let (count, weight, _sign, _scale) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if !(0..=WEIGHT_MAX).contains(&weight) {
        return None;
    }
    let mut groups = words.take(usize::try_from(count).ok()?);
    let mut text = String::new();
    for _ in 0..=weight {
        let group = groups.next().unwrap_or(0);
        if text.is_empty() {
            text = if group == 0 { String::new() } else { group.to_string() };
        } else {
            text.push_str(&format!("{group:04}"));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_binary_is_read_as_its_digits() {
        // 4111 1111 1111 1111
        let card = [0, 4, 0, 3, 0, 0, 0, 0, 0x10, 0x0f, 0x04, 0x57, 0x04, 0x57, 0x04, 0x57];
        assert_eq!(numeric(&card).as_deref(), Some("4111111111111111"));
        // 10000.5
        assert_eq!(numeric(&[0, 3, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0x13, 0x88]).as_deref(), Some("10000"));
        assert_eq!(numeric(&[0, 1]), None);
        assert_eq!(int8(&4_111_111_111_111_111_i64.to_be_bytes()).as_deref(), Some("4111111111111111"));
    }

    #[test]
    fn bytes_are_searched_as_bytes_in_either_format() {
        assert_eq!(unhex(b"\\x6162"), b"ab");
        assert_eq!(unhex(b"ab\\001"), b"ab\\001");
    }

    #[test]
    fn types_of_extensions_are_searched_inside_and_numbers_never_rewritten() {
        assert_eq!(Shape::of(16999, false), Shape::Loose);
        assert_eq!(Shape::of(16999, true), Shape::Opaque);
        assert_eq!(Shape::of(20, false), Shape::Rigid);
        assert_eq!(Shape::of(1043, true), Shape::Text);
    }
}
