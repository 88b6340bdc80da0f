//! Numbers: RFC 8259, section 6.

/// Whether this is a number, with nothing before or behind it.
pub(super) fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let text = match text {
        [b'0', rest @ ..] => Some(rest),
        _ => digits(text),
    };
    let text = text.and_then(|text| match text {
        [b'.', rest @ ..] => digits(rest),
        _ => Some(text),
    });
    let text = text.and_then(|text| match text {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => digits(rest),
        _ => Some(text),
    });
    text.is_some_and(<[u8]>::is_empty)
}

/// What follows one or more digits.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length > 0 { text.get(length..) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_the_grammar_says() {
        for number in ["0", "-0", "7", "-12", "0.5", "10.25", "1e9", "1E+9", "1.5e-3"] {
            assert!(is_number(number.as_bytes()), "{number}");
        }
        for other in ["", "-", "01", "+1", ".5", "1.", "1e", "1e+", "1.5.2", "1-2", "0x1", "1e5.5"] {
            assert!(!is_number(other.as_bytes()), "{other}");
        }
    }
}
