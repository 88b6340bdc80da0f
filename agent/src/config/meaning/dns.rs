use std::collections::HashMap;

use super::Meaning;
use crate::{
    config::{ALLOWED_NAMES_MAX, Dns, located::Located, mistake::Mistake, raw},
    dns::{Pattern, PatternError},
};

impl Meaning<'_> {
    /// The names that workloads may ask beside those of targets, and those that live where others may not.
    pub fn dns(&mut self, raw: &raw::Dns) -> Dns {
        Dns { allowed: self.patterns(&raw.allow), private: self.patterns(&raw.private) }
    }

    fn patterns(&mut self, list: &[Located<String>]) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        let mut seen = HashMap::new();
        for raw in list {
            match raw.parse::<Pattern>() {
                Ok(pattern) => {
                    let twice = format!("name given twice: `{pattern}`");
                    self.unique(&mut seen, pattern.to_string(), &raw.span, twice, "once is enough");
                    patterns.push(pattern);
                }
                Err(error) => {
                    let mistake = Mistake::new(raw.span.clone(), format!("{error}: `{}`", raw.escape_debug()));
                    self.mistakes.push(explained(mistake, error));
                }
            }
            if patterns.len() == ALLOWED_NAMES_MAX + 1 {
                let what = format!("too many names: `{}` is one more than {ALLOWED_NAMES_MAX}", raw.escape_debug());
                self.mistakes.push(Mistake::new(raw.span.clone(), what).hint("a wildcard stands for many"));
            }
        }
        patterns
    }
}

fn explained(mistake: Mistake, error: PatternError) -> Mistake {
    let mistake = mistake.expected("a host name, `*.example.org` or `**.example.org`");
    match error {
        PatternError::Address => mistake.hint("workloads dial addresses without asking for them"),
        PatternError::Everything => mistake.hint("what fits into names would leave, to whoever answers for them"),
        PatternError::Wildcard => mistake.hint("`*` stands for one label in front, `**` for any number of them"),
        PatternError::Host => mistake,
    }
}
