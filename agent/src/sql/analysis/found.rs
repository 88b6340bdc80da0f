//! What a statement, or a part of it, was found to do.

use std::collections::{BTreeMap, BTreeSet};

use super::{Analysis, draft::Draft, flow::Flow};
use crate::{
    request::{Predicate, PredicateKind},
    sql::{ColumnRef, RelationName},
};

/// What a statement was found to do so far. Parts of it that are analysed by themselves add theirs.
#[derive(Debug, Default)]
pub struct Found {
    pub accesses: Vec<Draft>,
    pub caveats: Vec<String>,
    /// What is stored somewhere.
    pub stored: Flow,
    /// Whether rows are written that the command tag does not count.
    pub writes_within: bool,
    /// What is decided by; `None`: values of unknown origin.
    pub predicates: BTreeSet<(PredicateKind, Option<ColumnRef>)>,
    /// Those of statements that were analysed before, and run again.
    pub resumed: BTreeSet<Predicate>,
    /// Relations of the session's own that are written.
    pub fills: BTreeSet<RelationName>,
    /// Whether a statement that runs again may fill any.
    pub may_fill_all: bool,
    /// Functions that were called, and whether each of their calls was followed.
    pub followed: BTreeMap<(String, String), bool>,
    /// What they answer: the planner may ask them, and show it as a constant.
    pub answers: Flow,
    /// Whether names may mean something else, since code has redefined them.
    pub is_redefined: bool,
    /// Whether names of cursors may mean something else.
    pub forgets_names: bool,
    /// Relations that are made.
    pub creates: BTreeMap<RelationName, Option<Vec<String>>>,
    /// Relations of the session's own that get other columns.
    pub reshapes: BTreeSet<RelationName>,
    /// Whether relations of this transaction may be others, or show what others hold, whatever else is known.
    pub overturns: bool,
    /// Whether a temporary relation is named.
    pub names_temporary: bool,
    /// Whether the object that the statement makes is temporary because it says so.
    pub makes_own: bool,
    /// Whether more may be changed than what is named.
    pub reaches_further: bool,
    pub remarks: Remarks,
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

impl Analysis<'_> {
    /// Takes over all that a part of the statement does.
    pub(super) fn adopt_found(&mut self, part: Found) {
        part.accesses.into_iter().for_each(|draft| self.adopt_draft(draft));
        part.caveats.into_iter().for_each(|caveat| self.unknown(caveat));
        let found = &mut self.found;
        found.stored.absorb(&part.stored);
        found.writes_within |= part.writes_within;
        found.predicates.extend(part.predicates);
        found.resumed.extend(part.resumed);
        found.fills.extend(part.fills);
        found.may_fill_all |= part.may_fill_all;
        for (function, is_followed) in part.followed {
            *found.followed.entry(function).or_insert(true) &= is_followed;
        }
        found.answers.absorb(&part.answers);
        found.is_redefined |= part.is_redefined;
        found.forgets_names |= part.forgets_names;
        found.creates.extend(part.creates);
        found.reshapes.extend(part.reshapes);
        found.overturns |= part.overturns;
        found.names_temporary |= part.names_temporary;
        found.reaches_further |= part.reaches_further;
        found.remarks.merge(part.remarks);
    }
}
