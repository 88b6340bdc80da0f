//! A mistake in a bundle, with its place, for people and for machines.

use std::{error::Error, fmt};

use serde::Serialize;

use crate::policy::Source;

/// Most findings that one check reports; the rest are counted.
const FINDINGS_MAX: usize = 200;

/// One mistake: where, what, and what to do about it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Finding {
    /// The file's name inside the bundle.
    pub file: String,
    /// From 1; 0 when the whole file is meant.
    pub line: usize,
    /// In characters, from 1; 0 when the whole file is meant.
    pub column: usize,
    /// What came and what was expected.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The line itself, to point into.
    #[serde(skip)]
    pub excerpt: Option<String>,
}

impl Finding {
    /// A mistake at a byte offset of a file.
    pub fn at(source: &Source, offset: usize, message: impl Into<String>) -> Self {
        let (line, column, excerpt) = place(&source.text, offset);
        Self { file: source.name.clone(), line, column, message: message.into(), hint: None, excerpt: Some(excerpt) }
    }

    /// A mistake of a file as a whole.
    pub fn in_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, message: message.into(), hint: None, excerpt: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Line and column (from 1, in characters) of a byte offset, and the line's text.
fn place(text: &str, offset: usize) -> (usize, usize, String) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let (before, after) = text.split_at(offset);
    let head = before.rsplit('\n').next().unwrap_or_default();
    let tail = after.split('\n').next().unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    (line, head.chars().count() + 1, format!("{head}{tail}").trim_end().to_owned())
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        if self.line == 0 {
            write!(f, "  --> {}", self.file)?;
        } else {
            write!(f, "  --> {}:{}:{}", self.file, self.line, self.column)?;
        }
        if let Some(excerpt) = &self.excerpt {
            let gutter = " ".repeat(self.line.to_string().len());
            let indent: String = excerpt
                .chars()
                .take(self.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(f, "\n {gutter} |\n {} | {excerpt}\n {gutter} | {indent}^", self.line)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a bundle, in the order of its files. Never empty as an error.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Sorted by place, each mistake once.
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort();
        findings.dedup();
        let more = findings.len().saturating_sub(FINDINGS_MAX);
        if more > 0 {
            findings.truncate(FINDINGS_MAX);
            findings.push(Finding::in_file("…", format!("{more} more findings are not shown")));
        }
        Self(findings)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }

    /// `Ok` when nothing was found.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Workflow commands that GitHub shows beside the lines of a change
    /// (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).
    pub fn github(&self, directory: &str) -> String {
        let mut out = String::new();
        for finding in &self.0 {
            let mut text = finding.message.clone();
            if let Some(hint) = &finding.hint {
                text.push_str("\nhint: ");
                text.push_str(hint);
            }
            let file = escape_property(&format!("{directory}/{}", finding.file));
            let place = format!("file={file},line={},col={}", finding.line.max(1), finding.column.max(1));
            out.push_str(&format!("::error {place}::{}\n", escape_data(&text)));
        }
        out
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for Findings {}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}
