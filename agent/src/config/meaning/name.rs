use std::sync::Arc;

use super::Meaning;
use crate::config::{NAME_MAX, located::Located, mistake::Mistake};

impl Meaning<'_> {
    /// A name as policy, logs and commands use it: letters of ASCII only, so that no two look alike.
    pub fn name(&mut self, name: &Located<String>, of: &str) -> Arc<str> {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let valid = name.chars().all(letters)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.len() <= NAME_MAX;
        if !valid {
            self.mistakes.push(
                Mistake::new(name.span.clone(), format!("invalid {of} name: `{}`", name.escape_debug())).expected(
                    format!("1 to {NAME_MAX} of a-z, A-Z, 0-9, `-`, `_` and `.`, with a letter or digit in front"),
                ),
            );
        }
        name.as_str().into()
    }

    /// Several names, each given once.
    pub fn names(&mut self, names: &[Located<String>], of: &str) -> Vec<Arc<str>> {
        let mut valid: Vec<Arc<str>> = Vec::new();
        for name in names {
            let read = self.name(name, of);
            if valid.contains(&read) {
                self.mistakes.push(Mistake::new(name.span.clone(), format!("{of} given twice: `{read}`")));
            }
            valid.push(read);
        }
        valid
    }
}
