//! Looks for secrets in bytes, in every spelling that a query might give them.

use aho_corasick::AhoCorasick;
use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::secret::{Edition, PREFIX};

/// Letters of a piece of a text that already count as the secret. Shorter ones come out by chance.
const PIECE: usize = 8;
/// Hexadecimal digits that count as a binary secret.
const HEX_PIECE: usize = 16;

/// Searches for all secrets of an edition at once.
pub struct Needles {
    search: AhoCorasick,
    spellings: Vec<String>,
}

impl Needles {
    pub fn of(edition: &Edition) -> Result<Self> {
        let mut found = Vec::new();
        for text in &edition.texts {
            spell_text(text.strip_prefix(PREFIX).unwrap_or(text), &mut found);
        }
        for number in &edition.numbers {
            spell_number(*number, &mut found);
        }
        for uuid in &edition.uuids {
            spell_bytes(&uuid.to_be_bytes(), "uuid", &mut found);
        }
        for bytes in &edition.bytes {
            spell_bytes(bytes, "bytes", &mut found);
        }
        let (patterns, spellings): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let search = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns)?;
        Ok(Self { search, spellings })
    }

    /// The first secret in these bytes, as they stand and with everything but letters and digits left out.
    pub fn find(&self, bytes: &[u8]) -> Option<&str> {
        let squeezed: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
        let found = self.search.find(bytes).or_else(|| self.search.find(&squeezed))?;
        self.spellings.get(found.pattern().as_usize()).map(String::as_str)
    }
}

type Spelled = Vec<(Vec<u8>, String)>;

/// Any piece, forwards and backwards, in hexadecimal, and the whole in base64 at each of its three alignments.
fn spell_text(letters: &str, out: &mut Spelled) {
    let mut add = |bytes: Vec<u8>, how: &str| out.push((bytes, format!("text {letters}, {how}")));
    for piece in letters.as_bytes().windows(PIECE) {
        add(piece.to_vec(), "a piece");
        add(piece.iter().rev().copied().collect(), "backwards");
        add(hex(piece).into_bytes(), "in hexadecimal");
    }
    for shift in 0..3 {
        let part = letters.as_bytes().get(shift..shift + 12).unwrap_or_default();
        add(BASE64.encode(part).into_bytes(), "in base64");
    }
}

/// Decimal digits, and what binary formats make of the number.
fn spell_number(number: u64, out: &mut Spelled) {
    let mut add = |bytes: Vec<u8>, how: &str| out.push((bytes, format!("number {number}, {how}")));
    let digits = number.to_string();
    add(digits.chars().rev().collect::<String>().into_bytes(), "backwards");
    add(digits.into_bytes(), "in digits");
    add(number.to_be_bytes().to_vec(), "as an int8");
    add((number as f64).to_be_bytes().to_vec(), "as a float8");
    let groups = [number / 100_000_000, number / 10_000 % 10_000, number % 10_000];
    add(groups.iter().flat_map(|&group| (group as u16).to_be_bytes()).collect(), "as a numeric");
    add(hex(&number.to_be_bytes()).into_bytes(), "in hexadecimal");
}

fn spell_bytes(bytes: &[u8], kind: &str, out: &mut Spelled) {
    let hex = hex(bytes);
    let mut add = |bytes: Vec<u8>, how: &str| out.push((bytes, format!("{kind} {hex}, {how}")));
    add(bytes.to_vec(), "as it is");
    for piece in [hex.get(..HEX_PIECE), hex.get(hex.len() - HEX_PIECE..)].into_iter().flatten() {
        add(piece.as_bytes().to_vec(), "in hexadecimal");
    }
    for shift in 0..3 {
        add(BASE64.encode(bytes.get(shift..shift + 12).unwrap_or_default()).into_bytes(), "in base64");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret;

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let [edition, other] = secret::editions(&mut fastrand::Rng::with_seed(3), 5);
        let needles = Needles::of(&edition).unwrap();
        let text = &edition.texts[2];
        let split: String = text.chars().flat_map(|letter| [letter, ',']).collect();
        let encoded = BASE64.encode(format!("<{text}>."));
        for spelled in
            [text.clone(), text.to_uppercase(), text.chars().rev().collect(), hex(text.as_bytes()), split, encoded]
        {
            assert!(needles.find(format!("before {spelled} behind").as_bytes()).is_some(), "{spelled}");
        }
        let number = edition.numbers[0];
        for bytes in
            [number.to_string().into_bytes(), number.to_be_bytes().to_vec(), (number as f64).to_be_bytes().to_vec()]
        {
            assert!(needles.find(&bytes).is_some(), "{bytes:?}");
        }
        let uuid = uuid_text(&hex(&edition.uuids[1].to_be_bytes()));
        assert!(needles.find(uuid.as_bytes()).is_some(), "{uuid}");
        assert_eq!(needles.find(other.texts.concat().as_bytes()), None);
    }

    fn uuid_text(hex: &str) -> String {
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}
