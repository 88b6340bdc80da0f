use std::ops::Range;

/// Most mistakes of one file that are kept.
pub const MISTAKES_MAX: usize = 100;

/// Most characters of a word for which a near one is looked up.
const SPELLING_MAX: usize = 64;

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
    for (row, letter) in one.chars().take(SPELLING_MAX).enumerate() {
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
