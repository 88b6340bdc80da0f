use std::{fmt, ops::Range, path::PathBuf};

use serde::Serialize;

/// Most mistakes of one file that are kept.
pub const MISTAKES_MAX: usize = 100;

/// Most characters of a source line that are shown.
pub const LINE_MAX: usize = 160;

/// One thing that is wrong with a configuration, and what would be right.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mistake {
    /// Bytes from the file's start; `None`: the file as a whole.
    pub span: Option<Range<usize>>,
    /// A lower-case sentence; it names what came.
    pub what: String,
    pub expected: Option<String>,
    pub hint: Option<String>,
}

impl Mistake {
    pub fn new(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { span: Some(span), what: what.into(), ..Self::default() }
    }

    /// A mistake that stands nowhere in the file.
    pub fn of_file(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    pub fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With the valid spelling that is nearest to `came`, where one is near.
    pub fn suggest<'a>(self, came: &str, valid: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(came, valid) {
            Some(nearest) => self.hint(format!("did you mean `{nearest}`?")),
            None => self,
        }
    }
}

/// Everything that is wrong with one configuration file.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    /// `None`: the text came from elsewhere.
    pub file: Option<PathBuf>,
    pub mistakes: Vec<Mistake>,
    pub(super) source: String,
}

/// A mistake as programs read it.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    file: Option<String>,
    /// From 1.
    line: Option<usize>,
    /// From 1, in characters.
    column: Option<usize>,
    what: &'a str,
    /// The text at that place, unless it may be a secret.
    came: Option<String>,
    expected: Option<&'a str>,
    hint: Option<&'a str>,
}

impl ConfigErrors {
    /// The mistakes as programs read them, in the file's order.
    pub fn reports(&self) -> Vec<Report<'_>> {
        self.mistakes.iter().map(|mistake| self.report(mistake)).collect()
    }

    fn report<'a>(&'a self, mistake: &'a Mistake) -> Report<'a> {
        let place = mistake.span.as_ref().map(|span| Place::of(&self.source, span));
        Report {
            file: self.file.as_ref().map(|file| file.display().to_string()),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            what: &mistake.what,
            came: place.and_then(|place| place.marked),
            expected: mistake.expected.as_deref(),
            hint: mistake.hint.as_deref(),
        }
    }

    fn render(&self, mistake: &Mistake, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", mistake.what)?;
        let file = self.file.as_ref().map_or("configuration".into(), |file| file.display().to_string());
        let margin = match &mistake.span {
            Some(span) => Place::of(&self.source, span).render(&file, mistake.expected.as_deref(), f)?,
            None => {
                writeln!(f, " --> {file}")?;
                1
            }
        };
        if let (Some(expected), None) = (&mistake.expected, &mistake.span) {
            writeln!(f, "{:margin$} = expected: {expected}", "")?;
        }
        if let Some(hint) = &mistake.hint {
            writeln!(f, "{:margin$} = hint: {hint}", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            self.render(mistake, f)?;
            writeln!(f)?;
        }
        let count = self.mistakes.len();
        let at_least = if count >= MISTAKES_MAX { "at least " } else { "" };
        write!(f, "{at_least}{count} {} in the configuration", if count == 1 { "mistake" } else { "mistakes" })
    }
}

impl std::error::Error for ConfigErrors {}

/// A span as people see it.
struct Place {
    line: usize,
    column: usize,
    /// The line, cut where a secret may follow.
    text: String,
    /// What the span holds, unless it may be a secret.
    marked: Option<String>,
    /// Characters under which to draw.
    width: usize,
}

impl Place {
    fn of(source: &str, span: &Range<usize>) -> Self {
        let start = boundary(source, span.start);
        let end = boundary(source, span.end.max(start));
        let (before, rest) = source.split_at(start);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let stop = rest.find('\n').map_or(source.len(), |newline| start + newline);
        let line = source.get(begin..stop).unwrap_or_default();
        let marked = source.get(start..end.min(stop)).unwrap_or_default();

        let shown = visible(source, begin, line);
        let concealed = begin + shown.len() < end.min(stop);
        let text = if shown.len() < line.len() { format!("{shown} …") } else { shown.to_owned() };
        Self {
            line: before.matches('\n').count() + 1,
            column: source.get(begin..start).unwrap_or_default().chars().count() + 1,
            text: printable(&text),
            marked: (!concealed && !marked.is_empty()).then(|| printable(marked)),
            width: if concealed { 1 } else { marked.trim_end().chars().count().clamp(1, LINE_MAX) },
        }
    }

    /// Draws the line with what was expected under it, and says how wide the margin is.
    fn render(&self, file: &str, expected: Option<&str>, f: &mut fmt::Formatter<'_>) -> Result<usize, fmt::Error> {
        let margin = self.line.to_string().len() + 1;
        let indent = self.column.min(LINE_MAX) - 1;
        let carets = "^".repeat(self.width.min(LINE_MAX.saturating_sub(indent).max(1)));
        let label = expected.map(|expected| format!(" expected {expected}")).unwrap_or_default();
        writeln!(f, "{:>margin$}> {file}:{}:{}", "--", self.line, self.column)?;
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{:<margin$} | {}", self.line, self.text.trim_end())?;
        writeln!(f, "{:margin$} | {:indent$}{carets}{label}", "", "")?;
        Ok(margin)
    }
}

/// The part of a line that may be shown: in the tables of credentials, and beside a key that sounds like a
/// secret, nothing behind the first `=`. A password that was written into the file must not get into a log.
fn visible<'a>(source: &'a str, begin: usize, line: &'a str) -> &'a str {
    let Some(key) = line.find('=').map(|at| at + 1).and_then(|end| line.get(..end)) else { return line };
    let header = source.get(..begin).unwrap_or_default().lines().rev().find(|line| line.trim_start().starts_with('['));
    let secret = header.is_some_and(|header| header.contains("credential"))
        || ["password", "passwd", "secret", "token", "credential = [", "credential=["]
            .iter()
            .any(|word| line.to_ascii_lowercase().contains(word));
    if secret { key } else { line }
}

/// Characters that a terminal shows and does not obey.
fn printable(text: &str) -> String {
    text.chars().take(LINE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The spelling that differs from `came` in few letters, if any.
fn nearest<'a>(came: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |candidate: &str| (candidate.chars().count() / 3).max(1);
    let measured = valid.into_iter().map(|candidate| (distance(came, candidate), candidate));
    measured.filter(|(distance, candidate)| *distance <= near(candidate)).min().map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.chars().take(LINE_MAX).enumerate() {
        let mut diagonal = row;
        let mut left = row + 1;
        let mut current = vec![left];
        for (&over, &candidate) in above.iter().skip(1).zip(&other) {
            left = (left + 1).min(over + 1).min(diagonal + usize::from(letter != candidate));
            diagonal = over;
            current.push(left);
        }
        above = current;
    }
    above.last().copied().unwrap_or(usize::MAX)
}
