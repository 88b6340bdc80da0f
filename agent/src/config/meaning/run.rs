use std::ops::RangeInclusive;

use super::Meaning;
use crate::config::{Run, UID_MAX, located::Located, mistake::Mistake, raw};

/// Between what systemd keeps for containers and for foreign users.
const UIDS_DEFAULT: RangeInclusive<u32> = 1_900_000_000..=1_900_065_535;

impl Meaning<'_> {
    pub fn run(&mut self, raw: raw::Run) -> Run {
        Run { uids: raw.uids.map_or(UIDS_DEFAULT, |uids| self.uids(&uids)) }
    }

    /// A range that ends; that it begins high enough and is not empty, the schema has checked.
    fn uids(&mut self, uids: &Located<raw::Uids>) -> RangeInclusive<u32> {
        let (first, count) = (uids.first.value, uids.count.value);
        match first.checked_add(count.saturating_sub(1)).filter(|last| *last <= UID_MAX) {
            Some(last) => first..=last,
            None => {
                self.mistakes.push(
                    Mistake::new(uids.span.clone(), format!("users beyond the last one: {count} from {first}"))
                        .expected(format!("numbers up to {UID_MAX}")),
                );
                UIDS_DEFAULT
            }
        }
    }
}
