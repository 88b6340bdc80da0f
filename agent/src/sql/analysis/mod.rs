//! One statement's tree to what it touches and what flows out of it.

mod access;
mod body;
mod code;
mod copy;
mod definition;
mod draft;
mod early;
mod expression;
mod finish;
mod flow;
mod found;
mod fragment;
mod from;
mod function;
mod held;
mod json;
mod literal;
mod merge;
mod named;
mod nodes;
mod object;
mod predicate;
mod publication;
mod query;
mod relation;
mod routine;
mod scope;
mod setting;
mod table;
mod tag;
mod target;
mod utility;
mod write;

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{NodeEnum, protobuf::Node};

pub use self::found::Remarks;
use self::{
    draft::Draft,
    flow::{Flow, Row},
    found::Found,
    scope::Scope,
};
use super::{RelationName, SessionState, Statement, StatementKind, catalogue::Names, path::PathChange};
use crate::request::{Footprint, sql};

/// Most steps that one text's analysis takes; a step is a node visited or a base column carried along.
/// Recursive queries are walked twice, so that nesting them multiplies the work.
pub const STEPS_MAX: usize = 1 << 19;

/// Deepest nesting of nodes that is walked. The decoder of trees stops at 100 messages, two for each node.
pub const TREE_DEPTH_MAX: usize = 100;

/// Most reasons that are listed for what is unknown in one statement.
pub const CAVEATS_MAX: usize = 16;

/// What one statement of a text turned out to do.
#[derive(Debug)]
pub struct Analysed {
    pub statement: Statement,
    pub footprint: Footprint,
    pub remarks: Remarks,
}

/// What earlier statements of the same text have done to the catalogue.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Relations that they create.
    pub created: BTreeSet<RelationName>,
    /// Whether names may mean something else now: a view was replaced, a column renamed.
    pub redefined: bool,
    /// Whether casts, operators, domains and functions may run what no catalogue has.
    pub brought_code: bool,
}

impl Earlier {
    /// Takes note of one statement.
    pub fn note(&mut self, analysed: &Analysed) {
        self.created.extend(analysed.statement.creates.keys().cloned());
        self.brought_code |= analysed.statement.brings_code;
        self.redefined |= analysed.footprint.sql().any(|access| draft::redefines(access.operation));
    }
}

/// What classification and walk of one statement share.
#[derive(Debug)]
pub struct Analysis<'a> {
    names: &'a Names,
    state: &'a SessionState,
    earlier: &'a Earlier,
    found: Found,
    /// How many relations were named so far.
    relations: u32,
    /// Whether a transaction begins that may not write.
    begins_read_only: bool,
    /// Variables and parameters of the code that is walked, which names may mean in all its SQL.
    around: Arc<Scope<'static>>,
    /// Whether bodies of functions are looked into: what is judged now has to hold for now alone.
    follows: bool,
    /// Functions whose bodies are being walked.
    calling: Vec<(String, String)>,
    /// Whether the call at hand has constants for its arguments.
    is_constant_call: bool,
    /// What `$1` and its kind may hold there.
    arguments: Flow,
    /// Whether what is walked runs as often as code says.
    is_in_code: bool,
    /// Whether what a definition changes is known to leave the relations of this transaction what they are.
    keeps_made: bool,
    /// What the query level at hand is.
    level: Level,
    depth: usize,
    steps: usize,
    /// Whether the statement is a call of one function with nothing around it.
    is_bare_call: bool,
    /// The one setting that a query of `pg_settings` is about.
    named_setting: Option<String>,
    /// What becomes of the search path.
    path_change: Option<PathChange>,
    /// Whether it may make functions that run unseen.
    brings_code: bool,
}

/// What policy may know of the query level that touches something.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    verb: &'static str,
    has_where: bool,
    has_limit: bool,
    limit: Option<i64>,
}

/// What a statement answers and does, before its flows are put together.
#[derive(Debug)]
struct Effect {
    kind: StatementKind,
    verb: &'static str,
    /// The answer; `None` when there are no rows.
    answer: Option<Row>,
}

impl Effect {
    fn silent(kind: StatementKind, verb: &'static str) -> Self {
        Self { kind, verb, answer: None }
    }
}

impl<'a> Analysis<'a> {
    pub fn new(names: &'a Names, state: &'a SessionState, earlier: &'a Earlier) -> Self {
        Self {
            names,
            state,
            earlier,
            found: Found::default(),
            relations: 0,
            begins_read_only: false,
            around: Arc::default(),
            follows: true,
            calling: Vec::new(),
            is_constant_call: false,
            arguments: Flow::default(),
            is_in_code: false,
            keeps_made: false,
            level: Level::default(),
            depth: 0,
            steps: 0,
            is_bare_call: false,
            named_setting: None,
            path_change: None,
            brings_code: false,
        }
    }

    /// The same for what is judged once and runs later: functions may be made anew meanwhile.
    pub fn for_later(self) -> Self {
        Self { follows: false, ..self }
    }

    /// Analyses one statement.
    pub fn run(mut self, node: Option<&Node>) -> Analysed {
        let effect = match node.and_then(|node| node.node.as_ref()) {
            Some(node) => {
                self.named_setting = setting::named_setting(node);
                self.is_bare_call = matches!(node, NodeEnum::SelectStmt(select) if utility::is_bare_call(select));
                self.statement(node)
            }
            None => self.not_understood("an empty statement"),
        };
        self.finish(effect)
    }

    /// Notes something that is not understood: one unknown access, and why.
    fn unknown(&mut self, caveat: impl Into<String>) {
        let caveat = caveat.into();
        if self.found.caveats.len() < CAVEATS_MAX && !self.found.caveats.contains(&caveat) {
            self.found.caveats.push(caveat);
        }
        self.on_database(sql::Operation::Unknown);
    }

    fn is_unknown(&self) -> bool {
        self.found.accesses.iter().any(Draft::is_unknown)
    }

    /// A statement that is not understood as a whole.
    fn not_understood(&mut self, what: &str) -> Effect {
        if self.level.verb.is_empty() {
            self.level.verb = "UNKNOWN";
        }
        self.unknown(format!("{what} is not understood"));
        Effect::silent(StatementKind::Unknown, self.level.verb)
    }

    /// Enters a node of the tree; says whether there is room, and notes it as unknown when there is none.
    fn enter(&mut self) -> bool {
        self.step(1);
        self.depth += 1;
        if self.depth > TREE_DEPTH_MAX {
            self.unknown(format!("the statement is nested deeper than {TREE_DEPTH_MAX} levels"));
            return false;
        }
        self.steps <= STEPS_MAX
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    fn step(&mut self, work: usize) {
        let before = self.steps;
        self.steps = self.steps.saturating_add(work);
        if before <= STEPS_MAX && self.steps > STEPS_MAX {
            self.unknown(format!("the statement takes more than {STEPS_MAX} steps to analyse"));
        }
    }

    /// Runs `walk` at a query level of its own.
    fn at_level<T>(&mut self, level: Level, walk: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.level, level);
        let result = walk(self);
        self.level = outer;
        result
    }
}

/// The strings of a list of names.
fn strings(nodes: &[Node]) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::String(string)) => Some(string.sval.clone()),
            _ => None,
        })
        .collect()
}
