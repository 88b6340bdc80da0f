//! Recorded text on a terminal, without what it could do there.
//!
//! Statements and answers come from workloads and servers that nobody trusts: escape sequences, carriage returns and
//! direction overrides would let them rewrite what an investigator sees.

use std::fmt::Write;

/// Shows text with every character escaped that is not simply seen. Tabs stay; lines are the caller's.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\t' => shown.push('\t'),
            letter if is_unseen(letter) => shown.extend(letter.escape_unicode()),
            letter => shown.push(letter),
        }
    }
    shown
}

/// Shows bytes as text where they are text, and as `\xNN` where not.
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Makes JSON safe for a terminal: it means the same, and the characters that JSON lets through are escaped.
pub fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter == '\n' || !is_unseen(letter) {
            shown.push(letter);
        } else {
            // Outside strings JSON has no such characters, so this is always within one.
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

/// Control characters, and those that change the direction or the joining of what stands around them.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' |
            '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{9b}1m\u{202e}"), "a\\u{1b}[2Jb\\u{d}\\u{9b}1m\\u{202e}");
        assert_eq!(printable_bytes(b"Gr\xc3\xbc\xc3\x9fe\x1b]0;x\x07\xff"), "Grüße\\u{1b}]0;x\\u{7}\\xff");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let json = serde_json::to_string(&"\u{9b}1m\u{202e}\u{e0001}ok").unwrap();
        let shown = printable_json(&json);
        assert_eq!(shown, r#""\u009b1m\u202e\udb40\udc01ok""#);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), "\u{9b}1m\u{202e}\u{e0001}ok");
    }

    proptest! {
        #[test]
        fn nothing_unseen_reaches_the_terminal(bytes: Vec<u8>) {
            prop_assert!(printable_bytes(&bytes).chars().all(|letter| letter == '\t' || !letter.is_control()));
        }
    }
}
