//! UTF-8 that comes in pieces.

/// Whether what has come so far is UTF-8, or could become so.
#[derive(Clone, Debug, Default)]
pub struct Utf8 {
    /// The bytes of a character that is not whole: at most three, and the one that no text can come of.
    begun: Vec<u8>,
}

impl Utf8 {
    /// Takes the next bytes; `false` once no text can come of them.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !self.begun.is_empty() {
            let Some((byte, after)) = rest.split_first() else { return true };
            self.begun.push(*byte);
            rest = after;
            match std::str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                self.begun.extend_from_slice(rest.get(error.valid_up_to()..).unwrap_or_default());
                true
            }
        }
    }

    /// Whether no character is left begun.
    pub fn is_whole(&self) -> bool {
        self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_text_in_whatever_pieces(bytes in text_like(), size in 1_usize..5) {
            let mut utf8 = Utf8::default();
            let fine = bytes.chunks(size).all(|piece| utf8.feed(piece));
            prop_assert!(utf8.begun.len() <= 4);
            prop_assert_eq!(fine && utf8.is_whole(), std::str::from_utf8(&bytes).is_ok());
        }
    }

    fn text_like() -> impl Strategy<Value = Vec<u8>> {
        let parts: Vec<&[u8]> = vec![
            b"a",
            "é".as_bytes(),
            "€".as_bytes(),
            "𝄞".as_bytes(),
            "𝄞".as_bytes(),
            b"\xf0\x9d",
            b"\xed\xa0\x80",
            b"\x80",
        ];
        let weighed = prop_oneof![9 => 0_usize..5, 1 => 5_usize..8];
        prop::collection::vec(weighed, 0..12)
            .prop_map(move |at| at.into_iter().flat_map(|at| parts[at].to_vec()).collect())
    }
}
