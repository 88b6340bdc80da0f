//! Numbers of the server's own types, in both formats.

/// A type of numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
}

/// Greatest whole numbers below which each has a float of its own.
const FLOAT4_WHOLE_MAX: i64 = (1 << 24) - 1;
const FLOAT8_WHOLE_MAX: i64 = (1 << 53) - 1;
/// A `numeric` that masking makes has at most 18 digits, as an `int8` has.
const NUMERIC_MAX: i64 = 999_999_999_999_999_999;

/// Binary numeric is in groups of four decimal digits. `numeric.c` of the server: `NBASE`, `NUMERIC_NEG`.
const GROUP: u16 = 10_000;
const GROUP_DIGITS: usize = 4;
const NEGATIVE: u16 = 0x4000;
/// Most groups before the point that are read: more digits than an `int8` has.
const WEIGHT_MAX: i16 = 8;

impl Kind {
    /// Whether a number that detectors look for has room in it.
    pub const fn is_big(self) -> bool {
        match self {
            Self::Int8 | Self::Float8 | Self::Numeric => true,
            Self::Int2 | Self::Int4 | Self::Oid | Self::Float4 => false,
        }
    }

    /// The greatest whole number that masking may put in place of another.
    pub const fn max(self) -> i64 {
        match self {
            Self::Int2 => i16::MAX as i64,
            Self::Int4 => i32::MAX as i64,
            Self::Int8 => i64::MAX,
            Self::Oid => u32::MAX as i64,
            Self::Float4 => FLOAT4_WHOLE_MAX,
            Self::Float8 => FLOAT8_WHOLE_MAX,
            Self::Numeric => NUMERIC_MAX,
        }
    }

    /// The value, if it is whole and has no more digits than an `int8`.
    pub fn whole(self, value: &[u8], is_binary: bool) -> Option<i64> {
        if !is_binary {
            let text = str::from_utf8(value).ok()?;
            return without_zeros(text).parse().ok().or_else(|| self.exponential(text));
        }
        match self {
            Self::Int2 => value.try_into().ok().map(|bytes| i16::from_be_bytes(bytes).into()),
            Self::Int4 => value.try_into().ok().map(|bytes| i32::from_be_bytes(bytes).into()),
            Self::Int8 => value.try_into().ok().map(i64::from_be_bytes),
            Self::Oid => value.try_into().ok().map(|bytes| u32::from_be_bytes(bytes).into()),
            Self::Float4 => value.try_into().ok().and_then(|bytes| whole_float(f32::from_be_bytes(bytes).into())),
            Self::Float8 => value.try_into().ok().and_then(|bytes| whole_float(f64::from_be_bytes(bytes))),
            Self::Numeric => numeric(value),
        }
    }

    /// Floats write great numbers with an exponent.
    fn exponential(self, text: &str) -> Option<i64> {
        match self {
            Self::Float4 | Self::Float8 => whole_float(text.parse().ok()?),
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid | Self::Numeric => None,
        }
    }

    /// A whole number as a value of this type; `None` where it does not fit.
    pub fn write(self, number: i64, is_binary: bool) -> Option<Vec<u8>> {
        if !is_binary {
            return (number.abs() <= self.max()).then(|| number.to_string().into_bytes());
        }
        match self {
            Self::Int2 => i16::try_from(number).ok().map(|number| number.to_be_bytes().to_vec()),
            Self::Int4 => i32::try_from(number).ok().map(|number| number.to_be_bytes().to_vec()),
            Self::Int8 => Some(number.to_be_bytes().to_vec()),
            Self::Oid => u32::try_from(number).ok().map(|number| number.to_be_bytes().to_vec()),
            Self::Float4 => (number.abs() <= self.max()).then(|| (number as f32).to_be_bytes().to_vec()),
            Self::Float8 => (number.abs() <= self.max()).then(|| (number as f64).to_be_bytes().to_vec()),
            Self::Numeric => Some(write_numeric(number)),
        }
    }
}

/// A numeric of a scale, and floats with extra digits, write a fraction of zeros.
fn without_zeros(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        Some(_) | None => text,
    }
}

fn whole_float(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() <= FLOAT8_WHOLE_MAX as f64).then_some(float as i64)
}

/// The integer part of a binary numeric, where its fraction is zero.
///
/// Count of groups, weight of the first, sign, scale; the first group is worth 10000^weight.
fn numeric(value: &[u8]) -> Option<i64> {
    let mut words = words(value);
    let (count, weight, sign, _scale) = (words.next()?, words.next()? as i16, words.next()?, words.next()?);
    if weight > WEIGHT_MAX || usize::from(count) > words.len() || !(sign == 0 || sign == NEGATIVE) {
        return None;
    }
    let mut groups = words.take(count.into());
    let mut number: i64 = 0;
    for _ in 0..=weight {
        let group = groups.next().unwrap_or(0);
        number = number.checked_mul(GROUP.into())?.checked_add(group.into())?;
    }
    let has_fraction = groups.any(|group| group != 0);
    (!has_fraction).then_some(if sign == NEGATIVE { -number } else { number })
}

/// The digits before the point of a binary numeric, whatever is behind it, where a number that detectors know may be.
pub fn integer_digits(value: &[u8]) -> Option<String> {
    let mut words = words(value);
    let (count, weight, _sign, _scale) = (words.next()?, words.next()? as i16, words.next()?, words.next()?);
    if !(0..=WEIGHT_MAX).contains(&weight) {
        return None;
    }
    let mut groups = words.take(count.into());
    let mut text = String::new();
    for _ in 0..=weight {
        text.push_str(&format!("{:0width$}", groups.next().unwrap_or(0), width = GROUP_DIGITS));
    }
    Some(text.trim_start_matches('0').to_owned())
}

fn words(value: &[u8]) -> impl ExactSizeIterator<Item = u16> + '_ {
    value.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

fn write_numeric(number: i64) -> Vec<u8> {
    let mut rest = number.unsigned_abs();
    let mut groups = Vec::new();
    while rest > 0 {
        groups.push((rest % u64::from(GROUP)) as u16);
        rest /= u64::from(GROUP);
    }
    groups.reverse();
    let count = groups.len() as u16;
    let sign = if number < 0 { NEGATIVE } else { 0 };
    let head = [count, count.saturating_sub(1), sign, 0];
    head.into_iter().chain(groups).flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 7] = [Kind::Int2, Kind::Int4, Kind::Int8, Kind::Oid, Kind::Float4, Kind::Float8, Kind::Numeric];

    #[test]
    fn a_number_comes_back_from_both_formats() {
        for kind in ALL {
            for number in [0, 1, 9_999, 10_000, 12_345, 16_777_215, 4_111_111_111_111_111, kind.max()] {
                if number > kind.max() {
                    assert!(kind.write(number, false).is_none(), "{kind:?} {number}");
                    continue;
                }
                for is_binary in [false, true] {
                    let value = kind.write(number, is_binary).unwrap();
                    assert_eq!(kind.whole(&value, is_binary), Some(number), "{kind:?} {number} {is_binary}");
                }
            }
        }
        assert_eq!(Kind::Numeric.whole(&write_numeric(-70_000), true), Some(-70_000));
    }

    #[test]
    fn a_number_in_binary_is_read_as_the_server_writes_it() {
        // 4111 1111 1111 1111
        let card = [0, 4, 0, 3, 0, 0, 0, 0, 0x10, 0x0f, 0x04, 0x57, 0x04, 0x57, 0x04, 0x57];
        assert_eq!(numeric(&card), Some(4_111_111_111_111_111));
        assert_eq!(integer_digits(&card).as_deref(), Some("4111111111111111"));
        // 10000.5
        let half = [0, 3, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0x13, 0x88];
        assert_eq!((numeric(&half), integer_digits(&half).as_deref()), (None, Some("10000")));
        assert_eq!((numeric(&[0, 1]), integer_digits(&[0, 1])), (None, None));
        assert_eq!(numeric(&[0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 1]), None, "more groups than there are");
        // NaN
        assert_eq!(numeric(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), None);
    }

    #[test]
    fn text_with_a_fraction_or_an_exponent_is_read() {
        assert_eq!(Kind::Numeric.whole(b"4111.00", false), Some(4111));
        assert_eq!(Kind::Numeric.whole(b"4111.01", false), None);
        assert_eq!(Kind::Float8.whole(b"4.111111111111111e+15", false), Some(4_111_111_111_111_111));
        for odd in [&b"NaN"[..], b"Infinity", b"", b"1e400", b"\xff"] {
            assert_eq!(Kind::Float8.whole(odd, false), None);
        }
    }
}
