//! JSON documents whose leaves are replaced where they stand.
//!
//! Everything between the leaves stays as it came: order, duplicates, white space, numbers of any length.

use std::borrow::Cow;

/// A piece of a document that carries data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Leaf<'a> {
    /// The name of an object's member.
    Name(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// As it is written.
    Number(&'a str),
    /// `true` or `false`.
    Flag,
}

/// What becomes of a leaf.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replaced {
    Kept,
    Text(String),
    Null,
}

/// The document with each leaf as `replace` wants it; `None` when this is no JSON, as far as leaves tell.
///
/// A name cannot be null: it becomes empty then.
pub fn rewrite(document: &str, mut replace: impl FnMut(Leaf<'_>) -> Replaced) -> Option<String> {
    let mut out = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => 1,
            b'"' => string_length(rest)?,
            _ => rest.find([',', '}', ']', ' ', '\t', '\n', '\r', ':']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at_checked(length)?;
        rest = after;
        let is_name = first == b'"' && after.trim_start().starts_with(':');
        match leaf(token, is_name)? {
            None => out.push_str(token),
            Some(leaf) => match replace(leaf) {
                Replaced::Kept => out.push_str(token),
                Replaced::Text(text) => out.push_str(&quoted(&text)?),
                Replaced::Null if is_name => out.push_str("\"\""),
                Replaced::Null => out.push_str("null"),
            },
        }
    }
    Some(out)
}

/// The data in a token, if it holds any.
fn leaf(token: &str, is_name: bool) -> Option<Option<Leaf<'_>>> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    match token {
        "{" | "}" | "[" | "]" | "," | ":" | " " | "\t" | "\n" | "\r" | "null" => Some(None),
        "true" | "false" => Some(Some(Leaf::Flag)),
        quoted if quoted.starts_with('"') => {
            let text = unquoted(quoted)?;
            Some(Some(if is_name { Leaf::Name(text) } else { Leaf::Text(text) }))
        }
        number if number.chars().all(is_number) => Some(Some(Leaf::Number(number))),
        _ => None,
    }
}

/// Length of the string that begins here, quotes included.
fn string_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

fn unquoted(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(token).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

fn quoted(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(document: &str) -> Option<String> {
        rewrite(document, |leaf| match leaf {
            Leaf::Name(_) => Replaced::Kept,
            Leaf::Text(text) => Replaced::Text(format!("<{}>", text.len())),
            Leaf::Number(_) | Leaf::Flag => Replaced::Null,
        })
    }

    #[test]
    fn leaves_are_replaced_and_all_else_stays() {
        for (document, shown) in [
            (r#"{"a": "x\"y", "b":[1,-2.5e3, true,null]}"#, r#"{"a": "<3>", "b":[null,null, null,null]}"#),
            (r#"{"a":1,"a":"\u0061"}"#, r#"{"a":null,"a":"<1>"}"#),
            (r#""whole""#, r#""<5>""#),
            ("17", "null"),
            ("", ""),
        ] {
            assert_eq!(hidden(document).as_deref(), Some(shown), "{document}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_passed_on() {
        for document in [r#"{"a": secret}"#, r#""open"#, r#"{"a":"x\"#, "<xml/>", r#"{"\ud800":1}"#] {
            assert_eq!(hidden(document), None, "{document}");
        }
    }

    #[test]
    fn a_name_that_is_replaced_stays_a_name() {
        let shown = rewrite(r#"{"536-90-4399" : {"k":1}}"#, |leaf| match leaf {
            Leaf::Name(name) if name == "k" => Replaced::Null,
            Leaf::Name(_) => Replaced::Text("[redacted]".to_owned()),
            Leaf::Text(_) | Leaf::Number(_) | Leaf::Flag => Replaced::Kept,
        });
        assert_eq!(shown.as_deref(), Some(r#"{"[redacted]" : {"":1}}"#));
    }
}
