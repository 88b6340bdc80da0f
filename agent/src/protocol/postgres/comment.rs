//! Data classes that COMMENT ON gives: `@class(email)` anywhere in the comment of a column, or of a table for all
//! of its columns; several stand in one pair of parentheses or in several.

use std::collections::{BTreeMap, BTreeSet};

use crate::target::Class;

/// The class of a `@class` that cannot be read. No site lists it, so that no rule can mask it and what has it is
/// refused.
pub const UNREADABLE: &str = "(unreadable)";

/// Most columns and tables whose comments give classes, in one database.
pub const COMMENTED_MAX: usize = 100_000;

/// A column by relation and attribute number; zero is the whole relation.
type Place = (u32, i16);

/// Every class that comments were seen to give.
///
/// A class that was given stays: whoever may comment on a table cannot take its classes away while this lives.
#[derive(Debug, Default)]
pub struct Comments(BTreeMap<Place, BTreeSet<Class>>);

impl Comments {
    /// Adds what a comment says; false when there are too many.
    pub fn add(&mut self, relation: u32, column: i16, comment: &str) -> bool {
        let classes = classes(comment);
        if classes.is_empty() {
            return true;
        }
        if self.0.len() >= COMMENTED_MAX && !self.0.contains_key(&(relation, column)) {
            return false;
        }
        self.0.entry((relation, column)).or_default().extend(classes);
        true
    }

    /// The classes of a column, those of its table included.
    pub fn of(&self, relation: u32, column: i16) -> impl Iterator<Item = &Class> {
        [0, column].into_iter().filter_map(move |number| self.0.get(&(relation, number))).flatten()
    }
}

/// The classes that a comment names.
fn classes(comment: &str) -> Vec<Class> {
    let mut found = Vec::new();
    for (at, tag) in comment.match_indices("@class") {
        let rest = comment.get(at + tag.len()..).unwrap_or_default();
        match words(rest) {
            Some(words) => found.extend(words.into_iter().map(Class::from)),
            None => found.push(Class::from(UNREADABLE)),
        }
    }
    found
}

/// The words between the parentheses with which `text` begins.
fn words(text: &str) -> Option<Vec<&str>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let words: Vec<&str> = inside.split(',').map(str::trim).collect();
    words.iter().all(|word| is_name(word)).then_some(words)
}

/// Whether the configuration would take it as a name.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.len() <= 64
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(comment: &str) -> Vec<String> {
        classes(comment).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classes_stand_anywhere_in_a_comment() {
        assert_eq!(found("Where we write to. @class(email)"), ["email"]);
        assert_eq!(found("@class( ssn , pii )@class(email)"), ["ssn", "pii", "email"]);
        assert_eq!(found("nothing of the kind; class(email)"), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_a_class_that_nobody_can_mask() {
        for comment in
            ["@class", "@class email", "@class()", "@class(email", "@class(e mail)", "@classes(email)", "@class(é)"]
        {
            assert_eq!(found(comment), [UNREADABLE], "{comment}");
        }
    }

    #[test]
    fn a_class_that_was_given_stays() {
        let mut comments = Comments::default();
        assert!(comments.add(1, 2, "@class(email)") && comments.add(1, 0, "@class(pii)"));
        assert!(comments.add(1, 2, "nothing any more") && comments.add(1, 2, "@class(ssn)"));
        let of = |relation, column| comments.of(relation, column).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of(1, 2), ["pii", "email", "ssn"]);
        assert_eq!((of(1, 3), of(2, 2)), (vec!["pii".to_owned()], Vec::new()));
    }
}
