//! The name of a session: sortable by time, unique without asking anybody, short enough to type.

use std::{fmt, str::FromStr, time::SystemTime};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Characters of a written id.
pub const SESSION_ID_LENGTH: usize = 26;

/// Crockford's base 32 in lower case: no `i`, `l`, `o` or `u`, which people misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Names one session: 48 bits of milliseconds since 1970, then 80 random bits, written as a
/// [ULID](https://github.com/ulid/spec) in lower case.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Makes the id of a session that starts now.
    pub fn new(now: SystemTime) -> Result<Self, getrandom::Error> {
        let mut random = [0; 10];
        getrandom::fill(&mut random)?;
        let millis = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let random = random.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        Ok(Self((millis << 80 | random).to_be_bytes()))
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// When the session began, by the clock of the host.
    pub fn started(self) -> Timestamp {
        let millis = u128::from_be_bytes(self.0) >> 80;
        i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or(Timestamp::MAX)
    }

    /// The day of its beginning in UTC: the folder that holds its file.
    pub fn date(self) -> Date {
        self.started().to_zoned(TimeZone::UTC).date()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for place in (0..SESSION_ID_LENGTH).rev() {
            let digit = (bits >> (place * 5)) & 31;
            let letter = usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit)).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is not a session's id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a session id: expected {SESSION_ID_LENGTH} letters and digits")]
pub struct NotASessionId;

impl FromStr for SessionId {
    type Err = NotASessionId;

    fn from_str(text: &str) -> Result<Self, NotASessionId> {
        if text.len() != SESSION_ID_LENGTH {
            return Err(NotASessionId);
        }
        let mut bits = 0_u128;
        for letter in text.bytes() {
            let digit = ALPHABET.iter().position(|known| *known == letter).ok_or(NotASessionId)?;
            // 26 digits hold 130 bits: the first may only use three of its five.
            bits = bits.checked_mul(32).ok_or(NotASessionId)? | digit as u128;
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

impl TryFrom<String> for SessionId {
    type Error = NotASessionId;

    fn try_from(text: String) -> Result<Self, NotASessionId> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_ids_are_read_back(bytes: [u8; 16]) {
            let id = SessionId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().len(), SESSION_ID_LENGTH);
            id.date();
        }

        #[test]
        fn written_ids_sort_like_ids(left: [u8; 16], right: [u8; 16]) {
            let (left, right) = (SessionId::from_bytes(left), SessionId::from_bytes(right));
            prop_assert_eq!(left.cmp(&right), left.to_string().cmp(&right.to_string()));
        }

        #[test]
        fn other_text_is_no_id(text: String) {
            if let Ok(id) = text.parse::<SessionId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn an_id_tells_the_day() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
        assert_eq!(SessionId::new(noon).unwrap().date().to_string(), "2026-11-21");
    }

    #[test]
    fn a_path_is_no_id() {
        assert_eq!("../../../../etc/shadow/../a".parse::<SessionId>(), Err(NotASessionId));
        assert_eq!("zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<SessionId>(), Err(NotASessionId));
    }
}
