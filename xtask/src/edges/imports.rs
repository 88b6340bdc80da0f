//! Which of the crate's modules a source file names.

/// One mention of `crate::module`.
#[derive(Debug, Eq, PartialEq)]
pub struct Import {
    pub module: String,
    /// Counted from one.
    pub line: usize,
}

/// Every module that the text names by `crate::module` or in a group `crate::{a::B, c}`. Comments do not count.
pub fn of(text: &str) -> Vec<Import> {
    let code: String = text.lines().map(|line| format!("{}\n", line.split("//").next().unwrap_or_default())).collect();
    let mut imports = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = code.get(at + found.len()..).unwrap_or_default();
        let line = 1 + code.get(..at).unwrap_or_default().matches('\n').count();
        let modules = match rest.strip_prefix('{') {
            Some(group) => first_words(group),
            None => vec![(word(rest), 0)],
        };
        imports.extend(modules.into_iter().map(|(module, below)| Import { module, line: line + below }));
    }
    imports
}

/// The text before its `mod tests { … }`.
pub fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests").and_then(|at| text.get(..at)).unwrap_or(text)
}

/// The first word of each element of a group, and how many lines below its start.
fn first_words(group: &str) -> Vec<(String, usize)> {
    let mut words = Vec::new();
    let (mut depth, mut lines, mut fresh) = (0_usize, 0, true);
    for (at, character) in group.char_indices() {
        match character {
            '\n' => lines += 1,
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !character.is_whitespace() => {
                words.push((word(group.get(at..).unwrap_or_default()), lines));
                fresh = false;
            }
            _ => {}
        }
    }
    words
}

fn word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_paths_are_found_where_they_stand() {
        let text = "use crate::{\n    gate::{Denial, Permit},\n    request::sql,\n};\n// crate::cli\nfn f() { crate::mask::g() }";
        let found: Vec<_> = of(text).into_iter().map(|import| (import.module, import.line)).collect();
        let expected = [("gate", 2), ("request", 3), ("mask", 6)];
        assert_eq!(found, expected.map(|(module, line)| (module.to_owned(), line)));
    }
}
