//! The path of a request target, in the one spelling that is judged and sent.
//!
//! | input | reading |
//! |---|---|
//! | `/a/b`, `/a/b/`, `/` | as they are; an empty path of an absolute URI is `/` |
//! | `/%41%7e%2Da` | `/A~-a`: what needs no escape has none |
//! | `/%c3%a9%3f` | `/%C3%A9%3F`: the rest is escaped in capitals |
//! | `/a\|b{c}^[d]` | `/a%7Cb%7Bc%7D%5E%5Bd%5D`: what a URI has no place for is escaped |
//! | `/a/./b`, `/a/../b`, `/a/%2e%2E/b`, `/a/..` | `/a/b`, `/b`, `/b`, `/` (RFC 3986, section 5.2.4) |
//! | `/..`, `/a/../../b` | refused: above the root |
//! | `//a`, `/a//b`, `/a//` | refused: some servers merge them and others do not, and what was signed would change |
//! | `/a;b=c/d` | refused: some servers drop parameters before they route |
//! | `/a\b`, `/a%5Cb` | refused: some servers take it for `/` |
//! | `/a%2Fb` | refused, or kept where the target's owner says so: then neither reading may have empty, `.` or `..` segments |
//! | `/%252e`, `/%25%32%65` | refused: read twice it would be another |
//! | `/%00`, `/%0d`, `/%7f` | refused: control characters |
//! | `/%C0%AF`, `/%FF` | refused: no UTF-8 |
//! | `/%`, `/%4`, `/%zz` | refused: no escape |
//! | control characters, spaces, what is not ASCII, `#` | refused |

use super::{Excerpt, Found, Malformed, query::escape};

/// What is done with `%2F`, which some servers take for a separator and others for a character of a segment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EscapedSlash {
    #[default]
    Refused,
    /// For servers that are known to have it in names: registries of npm (`/@scope%2fname`), GitLab (`/group%2Fproject`).
    Kept,
}

/// Gives a path its one spelling.
pub fn normalised(path: &[u8], slash: EscapedSlash) -> Result<String, Malformed> {
    let Some(segments) = path.strip_prefix(b"/") else {
        let found = Found(path.first().copied());
        return Err(Malformed::Byte { part: "path", expected: "`/` first", found });
    };
    let mut out = String::with_capacity(path.len());
    let mut segments = segments.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment.is_empty() && !is_last {
            return Err(refused("no empty segment", b"//"));
        }
        let parent = out.len();
        out.push('/');
        push(segment, slash, &mut out)?;
        match out.get(parent + 1..).unwrap_or_default() {
            "." => out.truncate(parent),
            ".." => {
                out.truncate(parent);
                let above = out.rfind('/').ok_or_else(|| refused("a path within the root", b".."))?;
                out.truncate(above);
            }
            segment => {
                require_one_reading(segment)?;
                continue;
            }
        }
        if is_last {
            out.push('/');
        }
    }
    Ok(out)
}

/// Adds one segment in its one spelling. It may be `.` or `..` by then.
fn push(segment: &[u8], slash: EscapedSlash, out: &mut String) -> Result<(), Malformed> {
    let mut rest = segment;
    loop {
        let plain = rest.iter().position(|byte| !is_path(*byte)).unwrap_or(rest.len());
        let (plain, after) = rest.split_at_checked(plain).unwrap_or_default();
        out.extend(std::str::from_utf8(plain));
        let Some((byte, after)) = after.split_first() else { return Ok(()) };
        rest = after;
        match byte {
            b'%' => {
                let (decoded, after) = escape("path", after)?;
                rest = after;
                push_escape(decoded, slash, out)?;
            }
            b'\\' | b';' | b'#' | b'?' => return Err(odd(*byte)),
            byte if byte.is_ascii_graphic() => push_hexadecimal(*byte, out),
            byte => return Err(odd(*byte)),
        }
    }
}

fn push_escape(decoded: u8, slash: EscapedSlash, out: &mut String) -> Result<(), Malformed> {
    match (decoded, slash) {
        (b'/', EscapedSlash::Refused) => Err(refused("no escaped `/`", b"%2F")),
        (b'\\', _) => Err(refused("no escaped `\\`", b"%5C")),
        (0..=0x1f | 0x7f, _) => Err(refused("no escaped control characters", format!("%{decoded:02X}").as_bytes())),
        (b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', _) => {
            out.push(char::from(decoded));
            Ok(())
        }
        (b'/', EscapedSlash::Kept) | (b' '..=b'~' | 0x80.., _) => {
            push_hexadecimal(decoded, out);
            Ok(())
        }
    }
}

fn push_hexadecimal(byte: u8, out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    out.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
}

/// Refuses a spelled segment that a server could decode to something else than it says.
fn require_one_reading(segment: &str) -> Result<(), Malformed> {
    if !segment.contains('%') {
        return Ok(());
    }
    let is_hexadecimal = |text: &str| text.bytes().take_while(u8::is_ascii_hexdigit).take(2).count() == 2;
    if segment.split("%25").skip(1).any(is_hexadecimal) {
        return Err(refused("nothing that is escaped twice", b"%25"));
    }
    if segment.contains("%2F") && segment.split("%2F").any(|part| matches!(part, "" | "." | "..")) {
        return Err(refused("names on both sides of an escaped `/`", b"%2F"));
    }
    match std::str::from_utf8(&unescaped(segment)) {
        Ok(_) => Ok(()),
        Err(_) => Err(refused("escapes of UTF-8", b"another encoding")),
    }
}

/// The bytes that a segment stands for.
fn unescaped(segment: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let decoded = if *byte == b'%' { escape("path", after).ok() } else { None };
        let (decoded, after) = decoded.unwrap_or((*byte, after));
        out.push(decoded);
        rest = after;
    }
    out
}

/// Whether a byte stands for itself in a segment (`pchar` of RFC 3986, section 3.3), without `;`.
const fn is_path(byte: u8) -> bool {
    matches!(byte,
        b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

fn odd(byte: u8) -> Malformed {
    let expected = "visible ASCII characters without `\\`, `;` and `#`";
    Malformed::Byte { part: "path", expected, found: Found(Some(byte)) }
}

fn refused(expected: &'static str, found: &[u8]) -> Malformed {
    Malformed::Text { part: "path", expected, found: Excerpt::from(found) }
}

#[cfg(test)]
mod tests;
