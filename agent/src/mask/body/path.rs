//! Where in a document a value stands, and what class it has there.
//!
//! Paths are JSON Pointers (RFC 6901) in which `*` is any one name or index, and `**` any number of them, none too. All
//! paths of a plan become one automaton, so that a document's depth and not the number of paths decides what a value costs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{mask::Method, target::Class};

/// Most steps of one path.
pub const STEPS_MAX: usize = 32;
/// Most paths of one plan.
pub const PATHS_MAX: usize = 1024;
/// Most states that the paths of one plan may need together. Many `**` in one path multiply.
pub const STATES_MAX: usize = 2048;

/// What one step of a path matches.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Name(Box<str>),
    Any,
    Deep,
}

/// A place, or many, in documents: `/customers/*/ssn`, `**/ssn`. The empty path is the whole document.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    #[error("expected a path such as `/customers/*/ssn` or `**/ssn`, got: `{path}`")]
    Start { path: String },
    #[error("expected `~0` for `~` and `~1` for `/` in a path, got: `{path}`")]
    Tilde { path: String },
    #[error("path has {got} steps, at most {STEPS_MAX} are possible: `{path}`")]
    Steps { path: String, got: usize },
    #[error("{got} paths, at most {PATHS_MAX} are possible for one target")]
    Paths { got: usize },
    #[error("these paths need more than {STATES_MAX} states together\nhint: use fewer `**` in one path")]
    States,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let owned = || text.to_owned();
        let steps = match text.strip_prefix('/') {
            Some(steps) => steps,
            None if text.is_empty() => return Ok(Self(Vec::new())),
            None if text.starts_with("**/") => text,
            None => return Err(PathError::Start { path: owned() }),
        };
        let got = steps.split('/').count();
        if got > STEPS_MAX {
            return Err(PathError::Steps { path: owned(), got });
        }
        let steps = steps.split('/').map(|step| Step::parse(step).ok_or_else(|| PathError::Tilde { path: owned() }));
        steps.collect::<Result<_, _>>().map(Self)
    }
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => return Some(Self::Any),
            "**" => return Some(Self::Deep),
            _ => {}
        }
        let mut name = String::with_capacity(text.len());
        let mut parts = text.split('~');
        name.push_str(parts.next()?);
        for part in parts {
            let (escaped, rest) = part.split_at_checked(1)?;
            name.push(match escaped {
                "0" => '~',
                "1" => '/',
                _ => return None,
            });
            name.push_str(rest);
        }
        Some(Self::Name(name.into()))
    }
}

/// What is done with the values of a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    pub class: Class,
    pub method: Method,
}

/// A rule of [`Paths`]. Ordered by strictness, so that the strictest of several wins by `max`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RuleId(u16);

/// How far a walk from the root of a document has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place(u32);

/// All paths of a plan, and the rules of what they lead to.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Names that paths mention. All others are one to the automaton.
    names: HashMap<Box<str>, usize>,
    has_indices: bool,
    states: Vec<State>,
    /// From lenient to strict.
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct State {
    rule: Option<RuleId>,
    /// No path goes on from here.
    is_dead: bool,
    /// Where each name leads, and in the last place any other.
    next: Box<[u32]>,
}

/// A set of positions in paths: which path, and before which of its steps.
type Positions = BTreeSet<(usize, usize)>;

impl Paths {
    pub const ROOT: Place = Place(0);

    /// Compiles paths; each has its rule beside it.
    pub fn new(paths: &[(Path, Rule)]) -> Result<Self, PathError> {
        if paths.len() > PATHS_MAX {
            return Err(PathError::Paths { got: paths.len() });
        }
        let mut rules: Vec<Rule> = Vec::new();
        for (_, rule) in paths {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        rules.sort_by_key(|rule| rule.method);
        let mut names = HashMap::new();
        for step in paths.iter().flat_map(|(path, _)| &path.0) {
            if let Step::Name(name) = step {
                let next = names.len();
                names.entry(name.clone()).or_insert(next);
            }
        }
        let has_indices = names.keys().any(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let states = states(paths, &rules, &names)?;
        Ok(Self { names, has_indices, states, rules })
    }

    /// Whether no path leads anywhere.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where an object's member of this name stands.
    pub fn member(&self, place: Place, name: &str) -> Place {
        let Some(state) = self.state(place).filter(|state| !state.is_dead) else { return place };
        let symbol = self.names.get(name).copied().unwrap_or(self.names.len());
        state.next.get(symbol).map_or(place, |next| Place(*next))
    }

    /// Where an array's item stands.
    pub fn item(&self, place: Place, index: u64) -> Place {
        if self.has_indices {
            return self.member(place, &index.to_string());
        }
        match self.state(place) {
            Some(state) if !state.is_dead => state.next.last().map_or(place, |next| Place(*next)),
            _ => place,
        }
    }

    /// What is done with the value at a place, and all inside it.
    pub fn rule_at(&self, place: Place) -> Option<RuleId> {
        self.state(place)?.rule
    }

    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(usize::from(id.0))
    }

    fn state(&self, place: Place) -> Option<&State> {
        self.states.get(place.0 as usize)
    }
}

/// Makes one deterministic automaton of all paths. The root is its first state.
fn states(paths: &[(Path, Rule)], rules: &[Rule], names: &HashMap<Box<str>, usize>) -> Result<Vec<State>, PathError> {
    let mut symbols: Vec<Option<&str>> = vec![None; names.len() + 1];
    for (name, index) in names {
        if let Some(symbol) = symbols.get_mut(*index) {
            *symbol = Some(name);
        }
    }
    let root = (0..paths.len()).flat_map(|path| reached(paths, path, 0)).collect::<Positions>();
    let mut known = BTreeMap::from([(root.clone(), 0_u32)]);
    let mut found = vec![root];
    let mut states = Vec::new();
    while let Some(positions) = found.get(states.len()).cloned() {
        let mut next = Vec::with_capacity(symbols.len());
        for symbol in &symbols {
            let led = step(paths, &positions, *symbol);
            let id = u32::try_from(found.len()).map_err(|_| PathError::States)?;
            next.push(*known.entry(led).or_insert_with_key(|led| {
                found.push(led.clone());
                id
            }));
        }
        if found.len() > STATES_MAX {
            return Err(PathError::States);
        }
        states.push(State {
            rule: rule_of(paths, rules, &positions),
            is_dead: positions.is_empty(),
            next: next.into(),
        });
    }
    Ok(states)
}

/// A position, and those behind the `**` that stand there, which may match nothing.
fn reached(paths: &[(Path, Rule)], path: usize, at: usize) -> Vec<(usize, usize)> {
    let steps = paths.get(path).map_or(&[][..], |(path, _)| &path.0);
    let deep = steps.iter().skip(at).take_while(|step| **step == Step::Deep).count();
    (at..=at + deep).map(|at| (path, at)).collect()
}

fn step(paths: &[(Path, Rule)], positions: &Positions, symbol: Option<&str>) -> Positions {
    let mut led = Positions::new();
    for &(path, at) in positions {
        let next = match paths.get(path).and_then(|(path, _)| path.0.get(at)) {
            Some(Step::Deep) => at,
            Some(Step::Any) => at + 1,
            Some(Step::Name(name)) if symbol == Some(name) => at + 1,
            Some(Step::Name(_)) | None => continue,
        };
        led.extend(reached(paths, path, next));
    }
    led
}

/// The strictest rule of all paths that end here.
fn rule_of(paths: &[(Path, Rule)], rules: &[Rule], positions: &Positions) -> Option<RuleId> {
    let ended = positions.iter().filter_map(|&(path, at)| {
        let (path, rule) = paths.get(path)?;
        (path.0.len() == at).then_some(rule)
    });
    let ids = ended.filter_map(|rule| rules.iter().position(|known| known == rule));
    ids.filter_map(|id| u16::try_from(id).ok()).max().map(RuleId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(written: &[(&str, &str, Method)]) -> Paths {
        let paths: Vec<_> = written
            .iter()
            .map(|(path, class, method)| {
                (Path::parse(path).unwrap(), Rule { class: Class::from(*class), method: *method })
            })
            .collect();
        Paths::new(&paths).unwrap()
    }

    fn class_at(paths: &Paths, steps: &[&str]) -> Option<String> {
        let place = steps.iter().fold(Paths::ROOT, |place, step| match step.parse() {
            Ok(index) => paths.item(place, index),
            Err(_) => paths.member(place, step),
        });
        paths.rule_at(place).and_then(|id| paths.rule(id)).map(|rule| rule.class.to_string())
    }

    #[test]
    fn paths_lead_where_they_say_and_nowhere_else() {
        for (path, there, not_there) in [
            ("/a/b", vec![vec!["a", "b"]], vec![vec![], vec!["a"], vec!["b"], vec!["a", "b", "c"], vec!["x", "b"]]),
            ("/a/*/b", vec![vec!["a", "0", "b"], vec!["a", "x", "b"]], vec![vec!["a", "b"], vec!["a", "x", "y", "b"]]),
            (
                "**/b",
                vec![vec!["b"], vec!["a", "b"], vec!["b", "b"], vec!["a", "7", "b"]],
                vec![vec!["a"], vec!["b", "c"]],
            ),
            ("/a/**/b", vec![vec!["a", "b"], vec!["a", "x", "y", "b"]], vec![vec!["b"], vec!["x", "a", "b"]]),
            ("/a/1", vec![vec!["a", "1"]], vec![vec!["a", "0"], vec!["a", "x"]]),
            ("/a~1b/~0", vec![vec!["a/b", "~"]], vec![vec!["a", "b", "~"]]),
            ("/a/**", vec![vec!["a"], vec!["a", "x", "0"]], vec![vec!["b"]]),
            ("", vec![vec![]], vec![vec!["a"]]),
            ("/", vec![vec![""]], vec![vec![]]),
        ] {
            let paths = paths(&[(path, "pii", Method::Redact)]);
            for steps in there {
                assert_eq!(class_at(&paths, &steps).as_deref(), Some("pii"), "{path} {steps:?}");
            }
            for steps in not_there {
                assert_eq!(class_at(&paths, &steps), None, "{path} {steps:?}");
            }
        }
    }

    #[test]
    fn the_strictest_of_several_paths_wins() {
        let paths = paths(&[
            ("**/number", "pii", Method::Last4),
            ("/card/number", "credit_card", Method::Null),
            ("/card/*", "secret", Method::Hash),
        ]);
        assert_eq!(class_at(&paths, &["card", "number"]).as_deref(), Some("credit_card"));
        assert_eq!(class_at(&paths, &["card", "holder"]).as_deref(), Some("secret"));
        assert_eq!(class_at(&paths, &["house", "number"]).as_deref(), Some("pii"));
    }

    #[test]
    fn what_is_no_path_is_named() {
        assert!(matches!(Path::parse("ssn"), Err(PathError::Start { .. })));
        assert!(matches!(Path::parse("$.a"), Err(PathError::Start { .. })));
        assert!(matches!(Path::parse("/a~2"), Err(PathError::Tilde { .. })));
        assert!(matches!(Path::parse("/a~"), Err(PathError::Tilde { .. })));
        assert!(matches!(Path::parse(&"/a".repeat(STEPS_MAX + 1)), Err(PathError::Steps { .. })));
    }

    #[test]
    fn paths_that_multiply_are_refused() {
        let wild = format!("**/a{}", "/*".repeat(20));
        let rule = Rule { class: Class::from("pii"), method: Method::Null };
        assert!(matches!(Paths::new(&[(Path::parse(&wild).unwrap(), rule)]), Err(PathError::States)));
    }
}
