//! Numbers that stay numbers, and UUIDs that stay UUIDs.

use super::{Masker, Method, shape, token};
use crate::target::Class;

/// What of a number `last4` leaves.
const LAST4: u64 = 10_000;

impl Masker {
    /// Masks a whole number of a type whose greatest is `max`; `None`: no number may stand for it.
    ///
    /// Its last four digits of at least eight, a pseudonym with as many digits, or a keyed number from zero to
    /// `max`. Small types have few numbers: there, two values may share a token.
    pub fn number(&self, method: Method, class: &Class, number: i64, max: i64) -> Option<i64> {
        let plain = number.unsigned_abs();
        match method {
            Method::Last4 | Method::Partial => {
                let is_long = plain.to_string().len() >= shape::LAST4_MIN;
                is_long.then_some(plain % LAST4).and_then(|kept| kept.try_into().ok())
            }
            Method::Pseudonym => match self.pseudonyms.number(class, plain, max.unsigned_abs()) {
                Some(other) => i64::try_from(other).ok().map(|other| if number < 0 { -other } else { other }),
                None => self.keyed(class, number, max),
            },
            Method::Hash => self.keyed(class, number, max),
            Method::Redact | Method::Null => None,
        }
    }

    /// Masks a UUID, given as its sixteen bytes, so that a UUID remains; `None`: none may stand for it.
    ///
    /// The outcome is of version 8, which is for whatever makes its own: RFC 9562, section 5.8.
    pub fn uuid(&self, method: Method, class: &Class, uuid: [u8; 16]) -> Option<[u8; 16]> {
        match method {
            Method::Pseudonym | Method::Hash => {}
            Method::Last4 | Method::Partial | Method::Redact | Method::Null => return None,
        }
        let digest = token::digest(&self.key, class, &hex::encode(uuid));
        let mut uuid: [u8; 16] = digest.first_chunk().copied()?;
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Some(uuid)
    }

    fn keyed(&self, class: &Class, number: i64, max: i64) -> Option<i64> {
        let digest = token::digest(&self.key, class, &number.to_string());
        let bits = digest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))?;
        i64::try_from(bits % max.unsigned_abs().saturating_add(1)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(method: Method, number: i64, max: i64) -> Option<i64> {
        Masker::new([7; 32]).number(method, &Class::from("ssn"), number, max)
    }

    #[test]
    fn a_masked_number_is_a_number_of_its_type_or_none() {
        let (small, big) = (i64::from(i16::MAX), i64::MAX);
        for method in [Method::Last4, Method::Partial] {
            assert_eq!(number(method, 4_111_111_111_111_234, big), Some(1234));
            assert_eq!(number(method, 1_234_567, big), None, "never more than half is shown");
        }
        assert!((0..=small).contains(&number(Method::Hash, 12_345, small).unwrap()));
        assert_ne!(number(Method::Hash, 536_904_399, big), Some(536_904_399));
        assert_eq!(number(Method::Pseudonym, -536_904_399, big).unwrap().to_string().len(), "-536904399".len());
        assert_eq!(number(Method::Pseudonym, 42, small), number(Method::Hash, 42, small), "too few digits");
        assert!(number(Method::Pseudonym, i64::MIN, big).is_some());
        for method in [Method::Redact, Method::Null] {
            assert_eq!(number(method, 536_904_399, big), None);
        }
    }

    #[test]
    fn a_masked_uuid_is_a_uuid_that_tells_nothing_of_the_old_one() {
        let masker = Masker::new([7; 32]);
        let (class, uuid) = (Class::from("pii"), [0xab; 16]);
        let shown = masker.uuid(Method::Hash, &class, uuid).unwrap();
        assert_eq!((shown[6] >> 4, shown[8] >> 6), (8, 0b10));
        assert_eq!(masker.uuid(Method::Hash, &class, uuid), Some(shown));
        assert_ne!(masker.uuid(Method::Hash, &class, [0xac; 16]), Some(shown));
        assert_eq!(masker.uuid(Method::Partial, &class, uuid), None);
    }
}
