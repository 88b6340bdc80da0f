//! What expressions are made of: lines of a file, by the type that they give.

use std::collections::BTreeMap;

use crate::world::Kind;

/// Each line is a type and an expression of it. `{text}` is any expression of that type, `{any}` one of any type,
/// `{row}` the name of something in FROM, `{key}` what rows may be told apart by, `{query:text}` a query of one column,
/// `{window}` an order for a window, `{condition}` a predicate.
const LINES: &str = include_str!("templates.txt");

/// One expression with places for others.
#[derive(Clone, Debug)]
pub struct Template {
    pub parts: Vec<Part>,
    /// Whether it gives one value for many rows.
    pub is_aggregate: bool,
    /// Whether it may stand in a target list only.
    pub is_window: bool,
}

#[derive(Clone, Debug)]
pub enum Part {
    Literal(String),
    Value(Kind),
    Any,
    Row,
    Key,
    Window,
    Condition,
    Query(Kind),
}

/// All templates by type.
pub fn all() -> BTreeMap<Kind, Vec<Template>> {
    let mut all: BTreeMap<Kind, Vec<Template>> = BTreeMap::new();
    for line in LINES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (head, text) = line.split_once(' ').unwrap_or((line, ""));
        let (kind, is_aggregate) = head.strip_suffix('*').map_or((head, false), |kind| (kind, true));
        if let Some(kind) = kind_named(kind) {
            let parts = parts(text.trim());
            let is_window = parts.iter().any(|part| matches!(part, Part::Window));
            all.entry(kind).or_default().push(Template { parts, is_aggregate, is_window });
        }
    }
    all
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{')
        && let Some((name, behind)) = after.split_once('}')
    {
        match part(name) {
            Some(part) => parts.extend([Part::Literal(before.to_owned()), part]),
            // Braces of the expression itself.
            None => parts.push(Part::Literal(format!("{before}{{{name}}}"))),
        }
        rest = behind;
    }
    parts.push(Part::Literal(rest.to_owned()));
    parts
}

fn part(name: &str) -> Option<Part> {
    Some(match name {
        "any" => Part::Any,
        "row" => Part::Row,
        "key" => Part::Key,
        "window" => Part::Window,
        "condition" => Part::Condition,
        name => match name.strip_prefix("query:") {
            Some(kind) => Part::Query(kind_named(kind)?),
            None => Part::Value(kind_named(name)?),
        },
    })
}

fn kind_named(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| format!("{kind:?}").eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_every_type_has_some() {
        let all = all();
        assert!(Kind::ALL.iter().all(|kind| all.contains_key(kind)));
        let lines = LINES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
        assert_eq!(all.values().map(Vec::len).sum::<usize>(), lines);
    }
}
