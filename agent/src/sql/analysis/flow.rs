//! Where values come from: sets of base columns, and columns of an answer made of them.

use std::{collections::BTreeSet, sync::Arc};

use crate::sql::ColumnRef;

/// The base columns that a value may stem from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Flow {
    pub columns: BTreeSet<ColumnRef>,
    /// Whether it may also stem from elsewhere: a function whose body is not known.
    pub opaque: bool,
    /// Whether it may be something else than one column's value as it stands, or several of them side by side in
    /// rows, arrays and documents.
    pub computed: bool,
    /// Whether it is read from a temporary relation.
    pub temporary: bool,
}

impl Flow {
    pub fn opaque() -> Self {
        Self { opaque: true, ..Self::default() }
    }

    pub fn of(column: ColumnRef) -> Self {
        Self { columns: BTreeSet::from([column]), ..Self::default() }
    }

    /// What is computed from it.
    pub fn computed(mut self) -> Self {
        self.computed = true;
        self
    }

    pub fn absorb(&mut self, other: &Self) {
        self.columns.extend(&other.columns);
        self.opaque |= other.opaque;
        self.computed |= other.computed;
        self.temporary |= other.temporary;
    }

    pub fn and(mut self, other: &Self) -> Self {
        self.absorb(other);
        self
    }

    pub fn is_clean(&self) -> bool {
        self.columns.is_empty() && !self.opaque
    }
}

/// One column of a table, sub-query or answer.
#[derive(Clone, Debug)]
pub struct Slot {
    /// `None` when the server chooses a name that is not worth predicting: it may be any.
    pub name: Option<Arc<str>>,
    pub flow: Flow,
    /// Which access names a column when this one is named.
    pub origin: Option<Origin>,
}

/// A column of a relation that is accessed.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The position of the access.
    pub access: usize,
    pub column: Arc<str>,
}

/// The columns of a table, sub-query or answer, in order.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub slots: Vec<Slot>,
    /// What further columns hold, of which neither number nor names are known; then the order is not known either.
    pub rest: Option<Flow>,
}

impl Row {
    pub fn unknown(flow: Flow) -> Self {
        Self { slots: Vec::new(), rest: Some(flow) }
    }

    /// All that any of its columns holds.
    pub fn whole(&self) -> Flow {
        let mut flow = self.rest.clone().unwrap_or_default();
        for slot in &self.slots {
            flow.absorb(&slot.flow);
        }
        flow
    }

    /// What each column holds, and last what further ones do.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.slots.iter().map(|slot| &slot.flow).chain(&self.rest)
    }

    /// Adds the columns of another row behind its own.
    pub fn append(&mut self, other: &Self) {
        self.slots.extend(other.slots.iter().cloned());
        if let Some(flow) = &other.rest {
            self.widen(flow);
        }
    }

    /// Adds columns of unknown number.
    pub fn widen(&mut self, flow: &Flow) {
        self.rest.get_or_insert_default().absorb(flow);
    }

    /// Unites two rows column by column, as set operations do.
    pub fn unite(&mut self, other: &Self) {
        if self.rest.is_some() || other.rest.is_some() || self.slots.len() != other.slots.len() {
            let flow = self.whole().and(&other.whole());
            self.rest = Some(flow);
            return;
        }
        for (slot, other) in self.slots.iter_mut().zip(&other.slots) {
            slot.flow.absorb(&other.flow);
            slot.origin = None;
        }
    }

    /// Gives the first columns other names, as `AS t (a, b)` does.
    pub fn rename(mut self, names: &[String]) -> Self {
        if names.is_empty() {
            return self;
        }
        if self.rest.is_some() {
            return Self::unknown(self.whole());
        }
        for (slot, name) in self.slots.iter_mut().zip(names) {
            slot.name = Some(name.as_str().into());
        }
        self
    }

    /// Forgets which accesses its columns belong to: naming a column of a sub-query names no base column again.
    pub fn detached(mut self) -> Self {
        for slot in &mut self.slots {
            slot.origin = None;
        }
        self
    }
}
