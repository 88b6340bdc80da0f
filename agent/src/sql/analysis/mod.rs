//! One statement's tree to what it touches and what flows out of it.

mod access;
mod body;
mod code;
mod copy;
mod definition;
mod early;
mod expression;
mod flow;
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
mod routine;
mod scope;
mod setting;
mod table;
mod tag;
mod target;
mod utility;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pg_query::{NodeEnum, protobuf::Node};

use self::{
    access::Draft,
    flow::{Flow, Row},
    scope::Scope,
};
use super::{
    ColumnRef, Output, RelationName, SessionState, Statement, StatementKind, Step, Trace, catalogue::Names,
    path::PathChange,
};
use crate::{
    request::{Footprint, Predicate, PredicateKind, sql},
    target::Class,
};

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
        self.redefined |= analysed.footprint.sql().any(|access| access::redefines(access.operation));
    }
}

/// What the analysis of a text learnt beside its statements.
#[derive(Debug, Default)]
pub struct Remarks {
    pub unknown_relations: bool,
    pub is_premature: bool,
    /// The names of relations without their schemas.
    pub named: BTreeSet<String>,
    pub depends_on_session: bool,
    /// Whether integers decide what a column of the answer or a setting is.
    pub numbers_matter: bool,
}

impl Remarks {
    pub fn merge(&mut self, other: Self) {
        self.unknown_relations |= other.unknown_relations;
        self.is_premature |= other.is_premature;
        self.depends_on_session |= other.depends_on_session;
        self.numbers_matter |= other.numbers_matter;
        self.named.extend(other.named);
    }
}

/// What classification and walk of one statement share.
#[derive(Debug)]
pub struct Analysis<'a> {
    names: &'a Names,
    state: &'a SessionState,
    earlier: &'a Earlier,
    accesses: Vec<Draft>,
    caveats: Vec<String>,
    /// What is stored somewhere.
    stored: Flow,
    /// How many relations were named so far.
    relations: u32,
    /// Whether a transaction begins that may not write.
    begins_read_only: bool,
    /// Whether rows are written that the command tag does not count.
    writes_within: bool,
    /// What is decided by; `None`: values of unknown origin.
    predicates: BTreeSet<(PredicateKind, Option<ColumnRef>)>,
    /// Those of statements that were analysed before, and run again.
    resumed: BTreeSet<Predicate>,
    /// Relations of the session's own that are written.
    fills: BTreeSet<RelationName>,
    /// Whether a statement that runs again may fill any.
    may_fill_all: bool,
    /// Variables and parameters of the code that is walked, which names may mean in all its SQL.
    around: Arc<Scope<'static>>,
    /// Whether bodies of functions are looked into: what is judged now has to hold for now alone.
    follows: bool,
    /// Functions whose bodies are being walked.
    calling: Vec<(String, String)>,
    /// Functions that were called, and whether each of their calls was followed.
    followed: BTreeMap<(String, String), bool>,
    /// What they answer: the planner may ask them, and show it as a constant.
    answers: Flow,
    /// Whether the call at hand has constants for its arguments.
    is_constant_call: bool,
    /// What `$1` and its kind may hold there.
    arguments: Flow,
    /// Whether what is walked runs as often as code says.
    is_in_code: bool,
    /// Whether names may mean something else, since code has redefined them.
    is_redefined: bool,
    /// Whether names of cursors may mean something else.
    forgets_names: bool,
    /// Relations that are made.
    creates: BTreeMap<RelationName, Option<Vec<String>>>,
    /// Relations of the session's own that get other columns.
    reshapes: BTreeSet<RelationName>,
    /// Whether what a definition changes is known to leave the relations of this transaction what they are.
    keeps_made: bool,
    /// Whether they may be others, or show what others hold, whatever else is known.
    overturns: bool,
    /// Whether a temporary relation is named.
    names_temporary: bool,
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
    remarks: Remarks,
}

/// What a part of a statement was found to do, when it was analysed by itself.
#[derive(Debug)]
struct Done {
    accesses: Vec<Draft>,
    caveats: Vec<String>,
    stored: Flow,
    writes_within: bool,
    predicates: BTreeSet<(PredicateKind, Option<ColumnRef>)>,
    resumed: BTreeSet<Predicate>,
    fills: BTreeSet<RelationName>,
    creates: BTreeMap<RelationName, Option<Vec<String>>>,
    reshapes: BTreeSet<RelationName>,
    overturns: bool,
    names_temporary: bool,
    may_fill_all: bool,
    forgets_names: bool,
    is_redefined: bool,
    followed: BTreeMap<(String, String), bool>,
    /// What they answer: the planner may ask them, and show it as a constant.
    answers: Flow,
    steps: usize,
    remarks: Remarks,
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
            accesses: Vec::new(),
            caveats: Vec::new(),
            stored: Flow::default(),
            relations: 0,
            begins_read_only: false,
            writes_within: false,
            predicates: BTreeSet::new(),
            resumed: BTreeSet::new(),
            fills: BTreeSet::new(),
            may_fill_all: false,
            around: Arc::default(),
            follows: true,
            calling: Vec::new(),
            followed: BTreeMap::new(),
            answers: Flow::default(),
            is_constant_call: false,
            arguments: Flow::default(),
            is_in_code: false,
            is_redefined: false,
            forgets_names: false,
            creates: BTreeMap::new(),
            reshapes: BTreeSet::new(),
            keeps_made: false,
            overturns: false,
            names_temporary: false,
            level: Level::default(),
            depth: 0,
            steps: 0,
            is_bare_call: false,
            named_setting: None,
            path_change: None,
            brings_code: false,
            remarks: Remarks::default(),
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

    fn into_done(self) -> Done {
        Done {
            accesses: self.accesses,
            caveats: self.caveats,
            stored: self.stored,
            writes_within: self.writes_within,
            predicates: self.predicates,
            resumed: self.resumed,
            fills: self.fills,
            creates: self.creates,
            reshapes: self.reshapes,
            overturns: self.overturns,
            names_temporary: self.names_temporary,
            may_fill_all: self.may_fill_all,
            forgets_names: self.forgets_names,
            is_redefined: self.is_redefined,
            followed: self.followed,
            answers: self.answers,
            steps: self.steps,
            remarks: self.remarks,
        }
    }

    /// Takes over all that a part of the statement does.
    fn adopt_done(&mut self, done: Done) {
        done.accesses.into_iter().for_each(|draft| self.adopt_draft(draft));
        done.caveats.into_iter().for_each(|caveat| self.unknown(caveat));
        self.stored.absorb(&done.stored);
        self.writes_within |= done.writes_within;
        self.predicates.extend(done.predicates);
        self.resumed.extend(done.resumed);
        self.fills.extend(done.fills);
        self.creates.extend(done.creates);
        self.reshapes.extend(done.reshapes);
        self.overturns |= done.overturns;
        self.names_temporary |= done.names_temporary;
        self.may_fill_all |= done.may_fill_all;
        self.forgets_names |= done.forgets_names;
        self.is_redefined |= done.is_redefined;
        self.answers.absorb(&done.answers);
        for (function, is_followed) in done.followed {
            *self.followed.entry(function).or_insert(true) &= is_followed;
        }
        self.steps = done.steps;
        self.remarks.merge(done.remarks);
    }

    fn finish(mut self, effect: Effect) -> Analysed {
        self.read_what_decides();
        if self.earlier.brought_code {
            self.store_what_is_named();
        }
        let kind = self.path_change.take().map_or(effect.kind, StatementKind::SetSearchPath);
        let kind_is_unknown = kind == StatementKind::Unknown;
        let answered = effect.answer.is_some();
        let answer = effect.answer.unwrap_or_default();
        let flow = answer.whole().and(&self.stored);
        let outputs = answer.rest.is_none().then(|| answer.slots.iter().map(|slot| self.output(&slot.flow)).collect());
        let may_overturn = self.may_overturn(kind.trace()) || self.is_redefined;
        let statement = Statement {
            returns_rows: answered && kind != StatementKind::CopyOut,
            kind,
            verb: effect.verb,
            flow_classes: self.classes(&flow.columns),
            sink: !self.stored.is_clean(),
            is_read_only: self.begins_read_only,
            writes_within: self.writes_within,
            stored_classes: self.classes(&self.stored.columns),
            stored_opaque: self.stored.opaque && self.names.has_classes(),
            opaque_flow: flow.opaque,
            fills: self.fills.clone(),
            may_fill_all: self.may_fill_all || self.calls_unknown(),
            forgets_names: self.forgets_names,
            rests_on_bodies: self.followed.values().any(|is_followed| *is_followed),
            outputs,
            creates: self.creates.clone(),
            reshapes: self.reshapes.clone(),
            may_overturn,
            brings_code: self.brings_code || kind_is_unknown,
            flows: flow.columns,
        };
        let deciding = self.predicates.iter().filter_map(|(_, column)| column.as_ref());
        let read = self.read_classes(statement.flows.iter().chain(deciding));
        let predicates = self.named_predicates().chain(self.resumed.iter().cloned()).collect();
        let accesses =
            self.accesses.into_iter().map(|draft| draft.complete(self.names, &read, self.relations).into()).collect();
        let footprint = Footprint { accesses, predicates, caveats: self.caveats };
        Analysed { statement, footprint, remarks: self.remarks }
    }

    /// Whether relations of this transaction may be others afterwards, or show what others hold.
    const fn may_overturn(&self, trace: Trace<'_>) -> bool {
        match trace {
            Trace::Unknown | Trace::Code | Trace::Rows => true,
            Trace::Definitions => self.overturns || !self.keeps_made,
            // What a savepoint brings back is not remembered.
            Trace::Transaction(Step::RollbackTo) => true,
            Trace::Transaction(Step::Begin | Step::Commit | Step::Rollback | Step::Savepoint | Step::Mode)
            | Trace::Nothing
            | Trace::Prepared(_)
            | Trace::Cursor(_)
            | Trace::Temporary { .. }
            | Trace::NoTemporary
            | Trace::Setting
            | Trace::Path(_)
            | Trace::NoSettings
            | Trace::Afresh => false,
        }
    }

    fn output(&self, flow: &Flow) -> Output {
        Output {
            columns: flow.columns.clone(),
            classes: self.classes(&flow.columns),
            opaque: flow.opaque,
            computed: flow.computed,
            is_temporary: flow.temporary,
        }
    }

    fn classes(&self, columns: &BTreeSet<ColumnRef>) -> BTreeSet<Class> {
        columns.iter().flat_map(|&column| self.names.classes(column)).cloned().collect()
    }

    /// The classes that flow, by the relation that they flow from.
    fn read_classes<'c>(&self, columns: impl Iterator<Item = &'c ColumnRef>) -> BTreeMap<u32, BTreeSet<Class>> {
        let mut read: BTreeMap<u32, BTreeSet<Class>> = BTreeMap::new();
        for &column in columns {
            read.entry(column.relation).or_default().extend(self.names.classes(column).iter().cloned());
        }
        read
    }

    /// Notes something that is not understood: one unknown access, and why.
    fn unknown(&mut self, caveat: impl Into<String>) {
        let caveat = caveat.into();
        if self.caveats.len() < CAVEATS_MAX && !self.caveats.contains(&caveat) {
            self.caveats.push(caveat);
        }
        self.on_database(sql::Operation::Unknown);
    }

    fn is_unknown(&self) -> bool {
        self.accesses.iter().any(Draft::is_unknown)
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
