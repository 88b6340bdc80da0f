//! What variables of code may hold, and what it may answer with.

use std::collections::{BTreeMap, BTreeSet};

use super::flow::{Flow, Row};
use crate::sql::plpgsql::{ANSWER, Target};

/// Variables by name, each as a row: what is no row has one part of no name.
pub type Variables = BTreeMap<String, Row>;

/// What code came to while it was walked.
#[derive(Debug, Default)]
pub struct Held {
    pub variables: Variables,
    /// What it answers with.
    pub answer: Flow,
    /// What any condition looked at.
    pub control: Flow,
    /// All that any piece read.
    pub read: Flow,
    /// Variables that are given values: a cursor's value is its name.
    pub named: BTreeSet<Target>,
}

impl Held {
    /// What any variable holds, to see whether a round has added anything.
    pub fn flows(&self) -> Vec<Flow> {
        self.variables.values().map(Row::whole).chain([self.control.clone(), self.read.clone()]).collect()
    }

    pub fn everything(&self) -> Flow {
        self.flows().iter().fold(self.answer.clone(), |flow, held| flow.and(held))
    }

    /// Puts a value into a variable, or into a part of it.
    pub fn put(&mut self, target: &str, flow: &Flow) {
        if target == ANSWER {
            self.answer.absorb(flow);
            return;
        }
        let flow = flow.clone().and(&self.control);
        let row = self.variables.entry(target.to_owned()).or_default();
        row.slots.iter_mut().for_each(|slot| slot.flow.absorb(&flow));
        row.widen(&flow);
    }

    /// Puts a row into one variable, or its columns into several.
    pub fn take(&mut self, row: &Row, into: &[Target]) {
        self.read.absorb(&row.whole());
        match into {
            [target] if target != ANSWER => {
                let held = self.variables.entry(target.clone()).or_default();
                let is_new = held.slots.is_empty() && held.rest.is_none();
                let is_same = held.slots.len() == row.slots.len()
                    && held.slots.iter().zip(&row.slots).all(|(held, new)| held.name == new.name);
                if is_new {
                    held.clone_from(row);
                } else if is_same && held.rest.is_none() && row.rest.is_none() {
                    held.unite(row);
                } else {
                    let all = held.whole().and(&row.whole());
                    *held = Row::unknown(all);
                }
            }
            _ if row.rest.is_none() && row.slots.len() == into.len() => {
                for (target, slot) in into.iter().zip(&row.slots) {
                    self.put(target, &slot.flow);
                }
            }
            _ => into.iter().for_each(|target| self.put(target, &row.whole())),
        }
    }
}
