//! What names mean at one place of a statement.

use super::flow::{Flow, Row, Slot};

/// The names of one query level, and of those around it.
#[derive(Debug, Default)]
pub struct Scope<'s> {
    pub outer: Option<&'s Scope<'s>>,
    /// What stands in FROM, and for RETURNING the table itself.
    pub items: Vec<Item>,
    /// What `SELECT *` stands for.
    pub star: Row,
    /// The queries of WITH.
    pub queries: Vec<(String, Row)>,
    /// Whether its names are variables of code: they may be meant though a column of the same name is nearer.
    pub is_code: bool,
}

/// A table, sub-query or function in FROM, by the name that columns are qualified with.
#[derive(Clone, Debug)]
pub struct Item {
    pub name: String,
    /// The schema, when the table has no alias and may be written with it.
    pub schema: Option<String>,
    pub row: Row,
    /// Whether only qualified names mean it.
    pub qualified_only: bool,
    /// Whether it is a variable of code, whose fields are no functions.
    pub is_variable: bool,
}

impl Item {
    pub fn new(name: impl Into<String>, row: Row) -> Self {
        Self { name: name.into(), schema: None, row, qualified_only: false, is_variable: false }
    }

    pub fn qualified_only(mut self) -> Self {
        self.qualified_only = true;
        self
    }
}

impl<'s> Scope<'s> {
    pub fn inside(outer: &'s Scope<'s>) -> Self {
        Self { outer: Some(outer), ..Self::default() }
    }

    /// This level and those around it, from the inside out.
    pub fn levels(&self) -> impl Iterator<Item = &Scope<'s>> {
        std::iter::successors(Some(self), |scope| scope.outer)
    }

    /// The query of WITH that an unqualified table name means.
    pub fn query(&self, name: &str) -> Option<&Row> {
        self.levels()
            .find_map(|scope| scope.queries.iter().rev().find_map(|(known, row)| (known == name).then_some(row)))
    }

    /// The item that qualifies a column.
    pub fn item(&self, schema: Option<&str>, name: &str) -> Option<&Item> {
        self.levels().find_map(|scope| {
            scope
                .items
                .iter()
                .find(|item| item.name == name && schema.is_none_or(|schema| item.schema.as_deref() == Some(schema)))
        })
    }

    /// The columns that an unqualified name may mean.
    pub fn column(&self, name: &str) -> Found {
        let mut found = Found::default();
        for scope in self.levels().filter(|scope| !scope.is_code) {
            let mut certain = false;
            for item in scope.items.iter().filter(|item| !item.qualified_only) {
                certain |= found.look(&item.row, name);
            }
            if certain {
                found.certain = true;
                break;
            }
        }
        if let Some(code) = self.code() {
            code.items
                .iter()
                .filter(|item| !item.qualified_only)
                .for_each(|item| found.certain |= found.look(&item.row, name));
        }
        found
    }

    /// The variable that may be meant though a table of the same name is nearer.
    pub fn variable(&self, name: &str) -> Option<&Row> {
        let items = &self.code()?.items;
        items.iter().find(|item| item.is_variable && item.name == name).map(|item| &item.row)
    }

    fn code(&self) -> Option<&Scope<'s>> {
        self.levels().find(|scope| scope.is_code)
    }

    /// Everything that any name here could mean.
    pub fn everything(&self) -> Flow {
        let mut flow = Flow::default();
        for item in self.levels().flat_map(|scope| &scope.items) {
            flow.absorb(&item.row.whole());
        }
        flow
    }
}

/// The columns that a name may mean.
#[derive(Debug, Default)]
pub struct Found {
    pub slots: Vec<Slot>,
    pub rest: Flow,
    /// Whether a column has exactly this name.
    pub certain: bool,
    /// Whether a column could have this name, because the names there are not all known.
    pub possible: bool,
}

impl Found {
    /// Looks a name up in one row; says whether a column has exactly this name.
    pub fn look(&mut self, row: &Row, name: &str) -> bool {
        let mut certain = false;
        for slot in &row.slots {
            match &slot.name {
                Some(known) if **known == *name => certain = true,
                Some(_) => continue,
                None => self.possible = true,
            }
            self.slots.push(slot.clone());
        }
        if let Some(flow) = &row.rest {
            self.possible = true;
            self.rest.absorb(flow);
        }
        certain
    }
}
