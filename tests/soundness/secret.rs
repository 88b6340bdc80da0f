//! Secrets in two editions: as the governed database holds them, and as its twin does.
//!
//! The editions sort alike: the secret that comes third here comes third there. What a query does with the order or the
//! equality of secrets is therefore the same in both, and only what carries their content differs.

use std::collections::BTreeSet;

use fastrand::Rng;

/// Letters that secrets are made of: no vowels, so that no word comes out by chance.
const LETTERS: &[u8] = b"23456789bcdfghjkmnpqrstvwxz";
/// Random letters of one text secret, behind [`PREFIX`].
const TEXT_LETTERS: usize = 16;
/// Begins every text secret, and no other text.
pub const PREFIX: &str = "zq";

/// One edition's secrets, by kind, in the order in which they are planted.
#[derive(Debug)]
pub struct Edition {
    pub texts: Vec<String>,
    /// Ten digits: too big for an `int4`, small enough for every other number.
    pub numbers: Vec<u64>,
    /// Days since 1900.
    pub days: Vec<u32>,
    pub uuids: Vec<u128>,
    pub bytes: Vec<[u8; 16]>,
}

/// Makes both editions with so many secrets of each kind.
pub fn editions(rng: &mut Rng, count: usize) -> [Edition; 2] {
    let (texts, other_texts) = pairs(rng, count, |rng| {
        let letters = (0..TEXT_LETTERS).filter_map(|_| rng.choice(LETTERS).copied().map(char::from));
        PREFIX.chars().chain(letters).collect::<String>()
    });
    let (numbers, other_numbers) = pairs(rng, count, |rng| rng.u64(3_000_000_000..9_999_999_999));
    let (days, other_days) = pairs(rng, count, |rng| rng.u32(4_000..44_000));
    let (uuids, other_uuids) = pairs(rng, count, |rng| rng.u128(..));
    let (bytes, other_bytes) = pairs(rng, count, |rng| rng.u128(..).to_be_bytes());
    [
        Edition { texts, numbers, days, uuids, bytes },
        Edition {
            texts: other_texts,
            numbers: other_numbers,
            days: other_days,
            uuids: other_uuids,
            bytes: other_bytes,
        },
    ]
}

/// Distinct values for both editions: paired by rank, then shuffled together.
fn pairs<T: Ord>(rng: &mut Rng, count: usize, mut draw: impl FnMut(&mut Rng) -> T) -> (Vec<T>, Vec<T>) {
    let mut drawn = BTreeSet::new();
    while drawn.len() < count * 2 {
        drawn.insert(draw(rng));
    }
    let mut all: Vec<T> = drawn.into_iter().collect();
    rng.shuffle(&mut all);
    let mut second = all.split_off(count);
    all.sort_unstable();
    second.sort_unstable();
    let mut pairs: Vec<(T, T)> = all.into_iter().zip(second).collect();
    rng.shuffle(&mut pairs);
    pairs.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks<T: Ord>(values: &[T]) -> Vec<usize> {
        let mut sorted: Vec<&T> = values.iter().collect();
        sorted.sort_unstable();
        values.iter().map(|value| sorted.binary_search(&value).unwrap()).collect()
    }

    #[test]
    fn editions_sort_alike_and_share_nothing() {
        let [first, second] = editions(&mut Rng::with_seed(7), 40);
        assert_eq!(ranks(&first.texts), ranks(&second.texts));
        assert_eq!(ranks(&first.numbers), ranks(&second.numbers));
        assert_eq!(ranks(&first.days), ranks(&second.days));
        assert!(first.texts.iter().all(|text| !second.texts.contains(text)));
        assert!(first.days.iter().all(|day| !second.days.contains(day)));
    }
}
