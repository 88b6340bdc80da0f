use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::{
    mistake::{MISTAKES_MAX, Mistake},
    place::Place,
};

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
    pub file: Option<String>,
    /// From 1.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    pub what: &'a str,
    /// The text at that place, unless it may be a secret.
    pub came: Option<String>,
    pub expected: Option<&'a str>,
    pub hint: Option<&'a str>,
}

impl ConfigErrors {
    /// The mistakes as programs read them, in the file's order.
    pub fn reports(&self) -> Vec<Report<'_>> {
        self.mistakes.iter().map(|mistake| self.report(mistake)).collect()
    }

    /// Whether the file could not be read at all.
    pub fn is_unreadable(&self) -> bool {
        self.mistakes.iter().all(|mistake| mistake.span.is_none())
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
