use std::{fmt, ops::Range};

/// Most characters of a source line that are shown.
pub const LINE_MAX: usize = 160;

/// A span as people see it.
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line, cut where a secret may follow.
    text: String,
    /// What the span holds, unless it may be a secret.
    pub marked: Option<String>,
    /// Characters in front of the carets, and how many of them there are.
    indent: usize,
    width: usize,
}

impl Place {
    pub fn of(source: &str, span: &Range<usize>) -> Self {
        let start = boundary(source, span.start);
        let end = boundary(source, span.end.max(start));
        let (before, rest) = source.split_at(start);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let stop = rest.find('\n').map_or(source.len(), |newline| start + newline);
        let line = source.get(begin..stop).unwrap_or_default();
        let marked = source.get(start..end.min(stop)).unwrap_or_default();
        let column = source.get(begin..start).unwrap_or_default().chars().count();

        let shown = visible(source, begin, line);
        let place = Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            text: printable(shown),
            marked: None,
            indent: column,
            width: marked.trim_end().chars().count().max(1),
        };
        if shown.len() == line.len() {
            return Self { marked: (!marked.is_empty()).then(|| printable(marked)), ..place };
        }
        let text = format!("{} …", place.text.trim_end()).trim_start().to_owned();
        if begin + shown.len() >= end.min(stop) {
            return Self { text, marked: Some(printable(marked)), ..place };
        }
        Self { indent: text.chars().count() - 1, width: 1, text, ..place }
    }

    /// Draws the line with what was expected under it, and says how wide the margin is.
    pub fn render(&self, file: &str, expected: Option<&str>, f: &mut fmt::Formatter<'_>) -> Result<usize, fmt::Error> {
        let margin = self.line.to_string().len();
        let indent = self.indent.min(LINE_MAX);
        let carets = "^".repeat(self.width.min((LINE_MAX - indent).max(1)));
        let label = expected.map(|expected| format!(" expected {expected}")).unwrap_or_default();
        writeln!(f, "{:margin$}--> {file}:{}:{}", "", self.line, self.column)?;
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{} | {}", self.line, self.text.trim_end())?;
        writeln!(f, "{:margin$} | {:indent$}{carets}{label}", "", "")?;
        Ok(margin)
    }
}

/// Words in a line that announce a secret.
const SECRETIVE: [&str; 5] = ["password", "passwd", "passphrase", "secret", "token"];

/// The part of a line that may be shown: in the tables of credentials, and beside a key that sounds like a
/// secret, nothing behind the first `=`. A password that was written into the file must not get into a log.
fn visible<'a>(source: &'a str, begin: usize, line: &'a str) -> &'a str {
    if is_header(line) {
        return line;
    }
    let above: Vec<&str> = source.get(..begin).unwrap_or_default().lines().collect();
    let header = above.iter().rposition(|line| is_header(line)).unwrap_or(0);
    let section = above.get(header..).unwrap_or_default();
    let lower = line.to_ascii_lowercase();
    let secret = SECRETIVE.iter().any(|word| lower.contains(word))
        || opens_credentials(line)
        || section.iter().any(|line| opens_credentials(line));
    match line.find('=').and_then(|equals| line.get(..=equals)) {
        _ if !secret => line,
        Some(key) => key,
        None => "",
    }
}

/// Whether a line is a table's header, such as `[[target]]`.
fn is_header(line: &str) -> bool {
    let name = line.trim_start().trim_start_matches('[');
    line.trim_start().starts_with('[') && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !line.contains('=')
}

/// Whether credentials follow a line: `[[credential]]`, or `credential = [`.
fn opens_credentials(line: &str) -> bool {
    match line.split_once('=') {
        Some((key, value)) => key.contains("credential") && value.trim_start().starts_with(['[', '{']),
        None => line.contains("credential"),
    }
}

/// Characters that a terminal shows and does not obey.
fn printable(text: &str) -> String {
    text.chars().take(LINE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
