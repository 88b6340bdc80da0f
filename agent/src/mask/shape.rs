//! Masks that leave something to recognise a value by.

/// Letters and digits that [`last4`] leaves.
const KEPT: usize = 4;
/// Fewest letters and digits of which four may be left: never more than half is shown.
pub(super) const LAST4_MIN: usize = 8;
/// Fewest characters of which the first may be left.
const FIRST_MIN: usize = 4;
/// What hides the rest, whatever its length.
const HIDDEN: &str = "***";

/// Replaces all characters but the last four letters or digits with `*`.
///
/// Spaces and dashes stay where they are, so that a card still looks like a card, and so does the
/// number of characters. A value of fewer than eight letters and digits is masked whole.
pub(super) fn last4(text: &str) -> String {
    // Whole scans of cards and numbers end here, and they are ASCII, where a character is a byte.
    if text.is_ascii() { last4_of_ascii(text) } else { last4_of_any(text) }
}

fn last4_of_ascii(text: &str) -> String {
    let mut masked = text.as_bytes().to_vec();
    let total = masked.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    let mut shown = if total < LAST4_MIN { 0 } else { KEPT };
    for byte in masked.iter_mut().rev() {
        if byte.is_ascii_alphanumeric() && shown > 0 {
            shown -= 1;
        } else if !matches!(byte, b' ' | b'-') {
            *byte = b'*';
        }
    }
    // Stars in the place of ASCII are ASCII.
    String::from_utf8(masked).unwrap_or_default()
}

fn last4_of_any(text: &str) -> String {
    let total = text.chars().filter(|c| c.is_alphanumeric()).count();
    let hidden = if total < LAST4_MIN { total } else { total.saturating_sub(KEPT) };
    let mut seen = 0;
    let mut masked = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() {
            seen += 1;
            masked.push(if seen > hidden { c } else { '*' });
        } else {
            masked.push(if matches!(c, ' ' | '-') { c } else { '*' });
        }
    }
    masked
}

/// Leaves the first letters and the top-level domain of an e-mail address, the last four of what is
/// mostly digits, and the first character of anything else. The number of characters is hidden.
pub(super) fn partial(text: &str) -> String {
    if let Some(address) = address(text) {
        return address;
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if digits * 2 > text.chars().count() {
        return last4(text);
    }
    initial(text)
}

/// `ann@mail.example.com` as `a***@m***.com`; `None` for what is no address.
fn address(text: &str) -> Option<String> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let (host, top) = domain.rsplit_once('.')?;
    if local.is_empty() || host.is_empty() || top.is_empty() || !top.chars().all(char::is_alphanumeric) {
        return None;
    }
    let mut masked = String::with_capacity(text.len() + 2 * HIDDEN.len());
    push_first(&mut masked, local, 2);
    masked.push('@');
    push_first(&mut masked, host, 2);
    masked.push('.');
    masked.push_str(top);
    Some(masked)
}

fn initial(text: &str) -> String {
    let mut masked = String::new();
    push_first(&mut masked, text.trim(), FIRST_MIN);
    masked
}

/// Appends the first character and stars, or stars alone where there are fewer than `fewest` characters.
fn push_first(masked: &mut String, text: &str, fewest: usize) {
    let mut characters = text.chars();
    if let Some(first) = characters.next()
        && characters.nth(fewest.saturating_sub(2)).is_some()
    {
        masked.push(first);
    }
    masked.push_str(HIDDEN);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_four_stay_and_separators_too() {
        for (text, masked) in [
            ("4111111111111111", "************1111"),
            ("4111 1111 1111 1111", "**** **** **** 1111"),
            ("123-45-6789", "***-**-6789"),
            ("DE89 3704 0044 0532 0130 00", "**** **** **** **** **30 00"),
            ("ann@example.com", "**********e*com"),
            ("Grüße-äöüß1", "*****-*öüß1"),
        ] {
            assert_eq!(last4(text), masked, "{text}");
        }
    }

    #[test]
    fn ascii_is_masked_like_any_text() {
        for length in 0..24 {
            for text in ["4111-1111 1111.1111x", "----------", "a1b2c3d4e5f6g7h8i9j0", "       7       "] {
                let text: String = text.chars().cycle().take(length).collect();
                assert_eq!(last4_of_ascii(&text), last4_of_any(&text), "{text}");
            }
        }
    }

    #[test]
    fn never_more_than_half_is_shown() {
        for (text, masked) in [("1234", "****"), ("Smith", "*****"), ("12-34-567", "**-**-***"), ("x", "*")] {
            assert_eq!(last4(text), masked, "{text}");
        }
    }

    #[test]
    fn an_address_keeps_its_shape_but_not_its_length() {
        for (text, masked) in [
            ("ann@example.com", "a***@e***.com"),
            ("ann.longer+tag@mail.example.co.uk", "a***@m***.uk"),
            ("a@b.io", "***@***.io"),
            ("öl@bücher.de", "ö***@b***.de"),
        ] {
            assert_eq!(partial(text), masked, "{text}");
        }
    }

    #[test]
    fn other_values_keep_their_first_letter_or_last_digits() {
        for (text, masked) in [
            ("Alice Liddell", "A***"),
            ("Ann", "***"),
            ("+49 170 1234567", "*** *** ***4567"),
            ("@", "***"),
            ("no@dot", "n***"),
            ("a@b.c/d", "a***"),
        ] {
            assert_eq!(partial(text), masked, "{text}");
        }
    }
}
