//! The query of a request target: kept as it came, and read in one way (RFC 3986, section 3.4).
//!
//! | input | reading |
//! |---|---|
//! | `a=1&b=2`, `a=1&a=2`, `a`, `a=`, `=1`, `&&a=1` | fields in their order; without `=` the value is empty; empty fields are left out |
//! | `a+b=%2B%20` | `a b` is `+ ` |
//! | `a=b=c`, `a=[1]`, `a={}`, `a=x\|y` | the first `=` separates; other visible characters stand for themselves |
//! | `a=1;b=2` | refused: some servers separate at `;` |
//! | `a=%`, `a=%4`, `a=%zz` | refused: no escape |
//! | `a=%00` | refused: some servers end the value there |
//! | `a=%FF`, `a=%C0%AF` | refused: no UTF-8 |
//! | control characters, spaces, what is not ASCII, `#` | refused |

use std::fmt;

use super::{Found, Malformed};

/// Most fields of one query.
pub const QUERY_FIELDS_MAX: usize = 256;

/// A query that has one reading.
#[derive(Clone, Eq, PartialEq)]
pub struct Query {
    raw: String,
    fields: Vec<(String, String)>,
}

impl Query {
    /// Reads what stands behind the `?`.
    pub fn read(raw: &[u8]) -> Result<Self, Malformed> {
        let odd = raw.iter().copied().find(|byte| !byte.is_ascii_graphic() || matches!(byte, b';' | b'#'));
        if odd.is_some() {
            let expected = "visible ASCII characters without `;` and `#`";
            return Err(Malformed::Byte { part: "query", expected, found: Found(odd) });
        }
        let fields = raw.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
        let fields: Vec<_> = fields.take(QUERY_FIELDS_MAX + 1).map(field).collect::<Result<_, _>>()?;
        if fields.len() > QUERY_FIELDS_MAX {
            return Err(Malformed::TooLong(super::Limit::Query));
        }
        Ok(Self { raw: String::from_utf8_lossy(raw).into_owned(), fields })
    }

    /// As it came, without the `?`.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Names and values, decoded, in the order in which they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Shows names alone: values may be keys.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields().map(|(name, _)| name)).finish()
    }
}

fn field(field: &[u8]) -> Result<(String, String), Malformed> {
    let equals = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
    let (name, value) = field.split_at_checked(equals).unwrap_or_default();
    Ok((decode(name)?, decode(value.strip_prefix(b"=").unwrap_or(value))?))
}

fn decode(text: &[u8]) -> Result<String, Malformed> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let (decoded, after) = escape("query", after)?;
                if decoded == 0 {
                    let expected = "no `%00`";
                    return Err(Malformed::Text { part: "query", expected, found: b"%00"[..].into() });
                }
                out.push(decoded);
                rest = after;
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).map_err(|_| Malformed::Text {
        part: "query",
        expected: "escapes of UTF-8",
        found: b"another encoding"[..].into(),
    })
}

/// Reads the two digits behind a `%`, and says what follows.
pub(super) fn escape<'a>(part: &'static str, digits: &'a [u8]) -> Result<(u8, &'a [u8]), Malformed> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let decoded =
        digits.split_first_chunk::<2>().and_then(|(&[high, low], rest)| Some((digit(high)? << 4 | digit(low)?, rest)));
    decoded.ok_or_else(|| {
        let found = digits.get(..2).unwrap_or(digits).into();
        Malformed::Text { part, expected: "two hexadecimal digits behind `%`", found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_fields_in_their_order() {
        let rows: [(&str, &[(&str, &str)]); 8] = [
            ("", &[]),
            ("&&", &[]),
            ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
            ("a&b=&=c", &[("a", ""), ("b", ""), ("", "c")]),
            ("a+b=%2B%20%2b", &[("a b", "+ +")]),
            ("a=b=c", &[("a", "b=c")]),
            ("f[]={1|2}^`\"<>\\", &[("f[]", "{1|2}^`\"<>\\")]),
            ("q=%E2%82%AC%0A%26%3D%3b", &[("q", "\u{20ac}\n&=;")]),
        ];
        for (raw, fields) in rows {
            let query = Query::read(raw.as_bytes()).unwrap();
            assert_eq!(query.fields().collect::<Vec<_>>(), fields, "{raw}");
            assert_eq!(query.raw(), raw);
        }
    }

    #[test]
    fn a_query_that_has_two_readings_is_refused() {
        for raw in [
            "a=1;b=2",
            ";",
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%+1",
            "%g0=a",
            "a=%00",
            "%00",
            "a=%FF",
            "a=%C0%AF",
            "a=%ed%a0%80",
            "a b",
            "a=\u{fc}",
            "a\t",
            "a\0",
            "a\x7f",
            "a#b",
            "a=%%34%31",
        ] {
            assert!(Query::read(raw.as_bytes()).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_query_has_not_too_many_fields() {
        assert!(Query::read("a=1&".repeat(QUERY_FIELDS_MAX).as_bytes()).is_ok());
        let malformed = Query::read("a=1&".repeat(QUERY_FIELDS_MAX + 1).as_bytes()).unwrap_err();
        assert_eq!(malformed.status(), 414);
    }

    #[test]
    fn values_do_not_show_when_a_query_is_printed() {
        let printed = format!("{:?}", Query::read(b"key=hunter2").unwrap());
        assert_eq!(printed, r#"["key"]"#);
    }
}
