//! What kind of body a `Content-Type` announces.

/// Longest `Content-Type` that is read, in bytes.
pub const MEDIA_TYPE_MAX: usize = 1024;

/// How a body is taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    Json,
    /// One JSON document a line.
    JsonLines,
    /// Server-sent events.
    Events,
    /// Names and values of a form, encoded as in a URL.
    Form,
    Xml,
    Text,
    /// Nothing that could be masked.
    Binary,
}

/// A `Content-Type`: RFC 9110, section 8.3.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaType {
    /// Type and subtype, in lower case.
    essence: String,
    /// In lower case.
    charset: Option<String>,
}

impl MediaType {
    /// Reads the value of one `Content-Type`; `None`: it is none, or could be read in two ways.
    pub fn parse(value: &str) -> Option<Self> {
        if value.len() > MEDIA_TYPE_MAX {
            return None;
        }
        let mut parts = Parts(value);
        let essence = parts.next()?.to_ascii_lowercase();
        let (family, kind) = essence.split_once('/')?;
        if !(is_token(family) && is_token(kind)) {
            return None;
        }
        let mut charset = None;
        while let Some(parameter) = parts.next() {
            if parameter.is_empty() {
                continue;
            }
            let (name, value) = parameter.split_once('=')?;
            let value = unquoted(value)?;
            if !is_token(name) {
                return None;
            }
            if name.eq_ignore_ascii_case("charset") && charset.replace(value.to_ascii_lowercase()).is_some() {
                return None;
            }
        }
        Some(Self { essence, charset })
    }

    /// Type and subtype, in lower case.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    pub fn charset(&self) -> Option<&str> {
        self.charset.as_deref()
    }

    /// Whether bytes are characters as UTF-8 has them.
    pub fn is_utf8(&self) -> bool {
        self.charset().is_none_or(|charset| matches!(charset, "utf-8" | "utf8" | "us-ascii" | "ascii"))
    }

    pub fn format(&self) -> Format {
        match self.essence.as_str() {
            "application/json" | "text/json" => Format::Json,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/json-lines" => Format::JsonLines,
            "text/event-stream" => Format::Events,
            "application/x-www-form-urlencoded" => Format::Form,
            "application/xml" | "text/xml" => Format::Xml,
            "application/javascript"
            | "application/yaml"
            | "application/x-yaml"
            | "application/graphql"
            | "application/toml" => Format::Text,
            essence if essence.ends_with("+json") => Format::Json,
            essence if essence.ends_with("+xml") => Format::Xml,
            essence if essence.starts_with("text/") => Format::Text,
            _ => Format::Binary,
        }
    }
}

/// The parts between semicolons, of which some may be in quotation marks.
struct Parts<'a>(&'a str);

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let text = std::mem::take(&mut self.0);
        if text.is_empty() {
            return None;
        }
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let was_escaped = std::mem::take(&mut is_escaped);
            match byte {
                b'"' if !was_escaped => is_quoted = !is_quoted,
                b'\\' if is_quoted && !was_escaped => is_escaped = true,
                b';' => return !is_quoted,
                _ => {}
            }
            false
        });
        let (part, rest) = text.split_at(end.unwrap_or(text.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        Some(part.trim_matches([' ', '\t']))
    }
}

/// The value of a parameter. Escapes in quotation marks are nothing that anyone writes, and not read.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').filter(|inside| !inside.contains(['"', '\\'])),
        None => is_token(value).then_some(value),
    }
}

/// Whether this is a token: RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart() {
        for (value, format) in [
            ("application/json", Format::Json),
            ("Application/JSON; charset=UTF-8", Format::Json),
            ("application/vnd.api+json;profile=\"a;b\"", Format::Json),
            ("application/x-ndjson", Format::JsonLines),
            ("text/event-stream", Format::Events),
            ("application/x-www-form-urlencoded", Format::Form),
            ("image/svg+xml", Format::Xml),
            ("text/html; charset=utf-8", Format::Text),
            ("application/octet-stream", Format::Binary),
            ("multipart/form-data; boundary=x", Format::Binary),
            ("application/json-seq", Format::Binary),
        ] {
            assert_eq!(MediaType::parse(value).map(|media| media.format()), Some(format), "{value}");
        }
    }

    #[test]
    fn only_utf8_is_read() {
        for (value, is_utf8) in [
            ("text/plain", true),
            ("text/plain; charset=\"utf-8\"", true),
            ("text/plain; charset=us-ascii;", true),
            ("text/plain; charset=utf-16", false),
            ("application/json; charset=utf-7", false),
            ("text/plain; charset=iso-8859-1", false),
        ] {
            assert_eq!(MediaType::parse(value).unwrap().is_utf8(), is_utf8, "{value}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_media_type() {
        for value in [
            "",
            "json",
            "application/",
            "application/json, text/plain",
            "application/json charset=utf-8",
            "text/plain; charset=utf-8; charset=utf-16",
            "text/plain; charset=\"utf-8",
            "text/plain; charset",
            "text/plain; charset=\"utf\\-8\"",
        ] {
            assert_eq!(MediaType::parse(value), None, "{value}");
        }
    }
}
