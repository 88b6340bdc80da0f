//! One value of a result: what its type allows to be done with it.

mod array;
mod number;
mod record;

use self::number::Kind;
use super::rows::Shield;
use crate::{
    mask::{
        Masked, Method, REDACTED,
        json::{self, Leaf, Replaced},
    },
    target::Class,
};

/// Deepest nesting of arrays and records that is taken apart; what is deeper becomes NULL.
const NESTING_MAX: usize = 16;

/// How values of one column are written, as far as masking has to know.
///
/// Types by their fixed object identifiers, `pg_type.dat` of the server. A domain is described as its base type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// A word may stand for it in either format.
    Text,
    /// Text in which no mark-up may stand that was not there.
    Xml,
    /// JSON; in binary, jsonb has a version byte before it.
    Json {
        has_version: bool,
    },
    Number {
        kind: Kind,
        is_binary: bool,
    },
    Uuid {
        is_binary: bool,
    },
    /// Bytes, written as `\x…` in text format.
    Bytes {
        is_binary: bool,
    },
    Array {
        element: u32,
        is_binary: bool,
    },
    /// A row of no named type.
    Record {
        is_binary: bool,
    },
    /// A built-in type in which nothing that detectors look for has room: dates, times, booleans.
    Small,
    /// Text of a type for which a word may stand nowhere: addresses, ranges …
    Rigid,
    /// Text of a type that the server does not come with: a word may be replaced inside.
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
            // text, varchar, bpchar, name, unknown
            25 | 1043 | 1042 | 19 | 705 => Self::Text,
            142 => Self::Xml,
            114 => Self::Json { has_version: false },
            3802 => Self::Json { has_version: is_binary },
            17 => Self::Bytes { is_binary },
            20 => Self::Number { kind: Kind::Int8, is_binary },
            21 => Self::Number { kind: Kind::Int2, is_binary },
            23 => Self::Number { kind: Kind::Int4, is_binary },
            26 => Self::Number { kind: Kind::Oid, is_binary },
            700 => Self::Number { kind: Kind::Float4, is_binary },
            701 => Self::Number { kind: Kind::Float8, is_binary },
            1700 => Self::Number { kind: Kind::Numeric, is_binary },
            2950 => Self::Uuid { is_binary },
            2249 => Self::Record { is_binary },
            // bool, date, time, timestamp, timestamptz, interval, timetz, void
            16 | 1082 | 1083 | 1114 | 1184 | 1186 | 1266 | 2278 => Self::Small,
            _ => match element(type_oid) {
                Some(element) => Self::Array { element, is_binary },
                None if is_binary => Self::Opaque,
                None if type_oid >= FIRST_USER_OID => Self::Loose,
                None => Self::Rigid,
            },
        }
    }

    /// Whether detectors see on the wire all that they would see in the value.
    pub const fn is_scannable_raw(self) -> bool {
        match self {
            Self::Text
            | Self::Xml
            | Self::Json { .. }
            | Self::Uuid { .. }
            | Self::Small
            | Self::Rigid
            | Self::Loose
            | Self::Opaque
            | Self::Record { is_binary: false } => true,
            Self::Bytes { is_binary } => is_binary,
            Self::Number { kind, is_binary } => !(is_binary && kind.is_big()),
            Self::Record { is_binary: true } => false,
            Self::Array { element, is_binary } => Self::of(element, is_binary).is_scannable_raw(),
        }
    }

    /// Whether a backslash may hide content from a look at the wire.
    pub const fn has_escapes(self) -> bool {
        matches!(
            self,
            Self::Json { .. } | Self::Array { is_binary: false, .. } | Self::Array { element: 114 | 3802, .. }
        )
    }

    /// A value of a masked class, masked whole. Where nothing of the type can stand for it, NULL stands.
    pub fn mask(self, shield: &Shield, class: &Class, method: Method, value: &[u8]) -> Change {
        self.mask_at(0, shield, class, method, value)
    }

    fn mask_at(self, depth: usize, shield: &Shield, class: &Class, method: Method, value: &[u8]) -> Change {
        if method == Method::Null || depth > NESTING_MAX {
            return Change::Null;
        }
        let inner = |shape: Self, value: &[u8]| shape.mask_at(depth + 1, shield, class, method, value);
        match self {
            Self::Text => change(shield.apply(method, class, value)),
            Self::Xml => match shield.apply(method, class, value) {
                Masked::Value(word) if memchr::memchr2(b'<', b'&', &word).is_none() => Change::Value(word),
                Masked::Value(_) => Change::Value(REDACTED.as_bytes().to_vec()),
                Masked::Null => Change::Null,
            },
            Self::Json { has_version } => mask_json(shield, class, method, has_version, value),
            Self::Number { kind, is_binary } => {
                let whole = kind.whole(value, is_binary);
                let other = whole.and_then(|whole| shield.masker().number(method, class, whole, kind.max()));
                or_null(other.and_then(|other| kind.write(other, is_binary)))
            }
            Self::Uuid { is_binary } => {
                let other = uuid(value, is_binary).and_then(|uuid| shield.masker().uuid(method, class, uuid));
                or_null(other.map(|other| write_uuid(other, is_binary)))
            }
            Self::Bytes { is_binary: true } => change(shield.apply(method, class, value)),
            Self::Bytes { is_binary: false } => match shield.apply(method, class, &unhex(value)) {
                Masked::Value(word) => Change::Value(format!("\\x{}", hex::encode(word)).into_bytes()),
                Masked::Null => Change::Null,
            },
            Self::Array { element, is_binary: false } => {
                or_null(array::rewrite_text(value, |value| inner(Self::of(element, false), value)))
            }
            Self::Array { element, is_binary: true } => {
                or_null(array::rewrite_binary(value, element, |value| inner(Self::of(element, true), value)))
            }
            Self::Record { is_binary: false } => or_null(record::emptied_text(value)),
            Self::Record { is_binary: true } => {
                or_null(record::rewrite_binary(value, |oid, value| inner(Self::of(oid, true), value)))
            }
            Self::Small | Self::Rigid | Self::Loose | Self::Opaque => Change::Null,
        }
    }

    /// A value of no known class, without what the detectors find in it.
    pub fn scan(self, shield: &Shield, value: &[u8]) -> Change {
        self.scan_at(0, shield, value)
    }

    fn scan_at(self, depth: usize, shield: &Shield, value: &[u8]) -> Change {
        if depth > NESTING_MAX {
            return Change::Null;
        }
        let finds = |text: &[u8]| shield.scan(text).is_some();
        let inner = |shape: Self, value: &[u8]| shape.scan_at(depth + 1, shield, value);
        match self {
            Self::Small | Self::Uuid { .. } => Change::None,
            Self::Text | Self::Xml | Self::Loose | Self::Record { is_binary: false } => {
                shield.scan(value).map_or(Change::None, change)
            }
            Self::Rigid | Self::Opaque | Self::Bytes { is_binary: true } => null_if(finds(value)),
            Self::Bytes { is_binary: false } => null_if(finds(&unhex(value))),
            Self::Number { kind, .. } if !kind.is_big() => Change::None,
            Self::Number { is_binary: false, .. } => null_if(finds(value)),
            Self::Number { kind, is_binary: true } => {
                null_if(digits(kind, value).is_some_and(|digits| finds(digits.as_bytes())))
            }
            Self::Json { has_version } => scan_json(shield, has_version, value),
            Self::Array { element, is_binary: false } => {
                some_change(value, array::rewrite_text(value, |value| inner(Self::of(element, false), value)))
            }
            Self::Array { element, is_binary: true } => {
                some_change(value, array::rewrite_binary(value, element, |value| inner(Self::of(element, true), value)))
            }
            Self::Record { is_binary: true } => {
                some_change(value, record::rewrite_binary(value, |oid, value| inner(Self::of(oid, true), value)))
            }
        }
    }
}

/// Objects below this identifier come with the server: `FirstNormalObjectId` in `access/transam.h`.
const FIRST_USER_OID: u32 = 16384;

/// The type of the elements of a built-in array type, where elements are separated by commas.
const fn element(type_oid: u32) -> Option<u32> {
    Some(match type_oid {
        1000 => 16,   // bool
        1001 => 17,   // bytea
        1003 => 19,   // name
        1005 => 21,   // int2
        1007 => 23,   // int4
        1009 => 25,   // text
        1014 => 1042, // bpchar
        1015 => 1043, // varchar
        1016 => 20,   // int8
        1021 => 700,  // float4
        1022 => 701,  // float8
        1028 => 26,   // oid
        1040 => 829,  // macaddr
        1041 => 869,  // inet
        651 => 650,   // cidr
        143 => 142,   // xml
        199 => 114,   // json
        3807 => 3802, // jsonb
        1115 => 1114, // timestamp
        1182 => 1082, // date
        1183 => 1083, // time
        1185 => 1184, // timestamptz
        1187 => 1186, // interval
        1231 => 1700, // numeric
        1270 => 1266, // timetz
        1561 => 1560, // bit
        1563 => 1562, // varbit
        2287 => 2249, // record
        2951 => 2950, // uuid
        3643 => 3614, // tsvector
        3905 => 3904, // int4range
        3907 => 3906, // numrange
        3909 => 3908, // tsrange
        3911 => 3910, // tstzrange
        3913 => 3912, // daterange
        3927 => 3926, // int8range
        _ => return None,
    })
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

fn or_null(value: Option<Vec<u8>>) -> Change {
    value.map_or(Change::Null, Change::Value)
}

/// NULL for what could not be taken apart, and nothing for what came out as it went in.
fn some_change(value: &[u8], rewritten: Option<Vec<u8>>) -> Change {
    match rewritten {
        Some(same) if same == value => Change::None,
        rewritten => or_null(rewritten),
    }
}

/// Appends a value with its length before it; `None` is NULL.
pub(super) fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// The version byte and the document.
fn json_parts(has_version: bool, value: &[u8]) -> Option<(&[u8], &str)> {
    let (version, body) = value.split_at_checked(usize::from(has_version))?;
    str::from_utf8(body).ok().map(|body| (version, body))
}

/// Masks each text, and each name that is no column's; numbers and flags become null.
fn mask_json(shield: &Shield, class: &Class, method: Method, has_version: bool, value: &[u8]) -> Change {
    let Some((version, body)) = json_parts(has_version, value) else { return Change::Null };
    let apply = |text: &str| match shield.apply(method, class, text.as_bytes()) {
        Masked::Value(word) => Replaced::Text(String::from_utf8_lossy(&word).into_owned()),
        Masked::Null => Replaced::Null,
    };
    let masked = json::rewrite(body, |leaf| match leaf {
        Leaf::Name(name) if shield.is_column(&name) => Replaced::Kept,
        Leaf::Name(text) | Leaf::Text(text) => apply(&text),
        Leaf::Number(_) | Leaf::Flag => Replaced::Null,
    });
    or_null(masked.map(|masked| [version, masked.as_bytes()].concat()))
}

/// Replaces what is found inside names, texts and numbers, so that the document stays one.
fn scan_json(shield: &Shield, has_version: bool, value: &[u8]) -> Change {
    let Some((version, body)) = json_parts(has_version, value) else {
        return null_if(shield.scan(value).is_some());
    };
    if memchr::memchr(b'\\', body.as_bytes()).is_none() && shield.scan(body.as_bytes()).is_none() {
        return Change::None;
    }
    let scanned = json::rewrite(body, |leaf| match leaf {
        Leaf::Name(text) | Leaf::Text(text) => scan_leaf(shield, &text),
        Leaf::Number(number) => scan_leaf(shield, number),
        Leaf::Flag => Replaced::Kept,
    });
    some_change(value, scanned.map(|scanned| [version, scanned.as_bytes()].concat()))
}

fn scan_leaf(shield: &Shield, text: &str) -> Replaced {
    match shield.scan(text.as_bytes()) {
        Some(Masked::Value(masked)) => Replaced::Text(String::from_utf8_lossy(&masked).into_owned()),
        Some(Masked::Null) => Replaced::Null,
        None => Replaced::Kept,
    }
}

fn unhex(value: &[u8]) -> Vec<u8> {
    value.strip_prefix(b"\\x").and_then(|digits| hex::decode(digits).ok()).unwrap_or_else(|| value.to_vec())
}

fn uuid(value: &[u8], is_binary: bool) -> Option<[u8; 16]> {
    if is_binary {
        return value.try_into().ok();
    }
    let digits: Vec<u8> = value.iter().copied().filter(|byte| *byte != b'-').collect();
    hex::decode(digits).ok()?.try_into().ok()
}

fn write_uuid(uuid: [u8; 16], is_binary: bool) -> Vec<u8> {
    if is_binary {
        return uuid.to_vec();
    }
    let mut text = hex::encode(uuid);
    for hyphen in [20, 16, 12, 8] {
        text.insert(hyphen, '-');
    }
    text.into_bytes()
}

/// The digits before the point of a big number in binary.
fn digits(kind: Kind, value: &[u8]) -> Option<String> {
    match kind {
        Kind::Numeric => number::integer_digits(value),
        Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid | Kind::Float4 | Kind::Float8 => {
            kind.whole(value, true).map(|number| number.to_string())
        }
    }
}

/// Digits that a value of eight bytes or a numeric may stand for, where its type is not told.
///
/// Sixteen at most: the bits of ordinary floats make numbers of nineteen, which are no cards.
pub fn guessed_digits(value: &[u8]) -> Option<String> {
    const DIGITS_MAX: usize = 16;
    let whole = Kind::Int8.whole(value, true).or_else(|| Kind::Numeric.whole(value, true));
    whole.map(|number| number.to_string()).filter(|digits| digits.len() <= DIGITS_MAX)
}

#[cfg(test)]
mod tests;
