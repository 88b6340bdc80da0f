//! COPY.

use pg_query::protobuf::CopyStmt;

use super::{
    Analysis, Effect, Level,
    flow::{Flow, Row, Slot},
    scope::{Item, Scope},
    strings,
};
use crate::{request::sql::Operation, sql::StatementKind};

impl Analysis<'_> {
    pub(super) fn copy(&mut self, copy: &CopyStmt) -> Effect {
        let level = Level { verb: "COPY", has_where: copy.where_clause.is_some(), ..Level::default() };
        let row = self.at_level(level, |analysis| {
            match (copy.is_program, copy.filename.is_empty()) {
                (true, _) => analysis.on_database(Operation::CopyProgram),
                (false, false) => analysis.on_database(Operation::CopyFile),
                (false, true) => {}
            }
            analysis.copied(copy)
        });
        let server = copy.is_program || !copy.filename.is_empty();
        match (server, copy.is_from) {
            (true, _) => {
                self.found.stored.absorb(&row.whole());
                Effect::silent(StatementKind::CopyServer, "COPY")
            }
            (false, true) => Effect::silent(StatementKind::CopyIn, "COPY"),
            (false, false) => Effect { kind: StatementKind::CopyOut, verb: "COPY", answer: Some(row) },
        }
    }

    /// What COPY reads, or nothing when it writes.
    fn copied(&mut self, copy: &CopyStmt) -> Row {
        let Some(name) = &copy.relation else {
            return self.inner(copy.query.as_deref()).answer.unwrap_or_default();
        };
        let operation = if copy.is_from { Operation::CopyIn } else { Operation::CopyOut };
        let touched = self.table(name, operation);
        let listed = strings(&copy.attlist);
        let row = if listed.is_empty() { touched.row } else { picked(&touched.row, &listed) };
        self.name_all(&row);
        let mut scope = Scope::default();
        scope.items.push(Item::new(&name.relname, row.clone()));
        self.maybe(&copy.where_clause, &scope);
        if copy.is_from { Row::default() } else { row }
    }
}

/// The named columns of a row, in the order that they are named.
fn picked(row: &Row, names: &[String]) -> Row {
    if row.rest.is_some() {
        return Row::unknown(row.whole());
    }
    let slots: Option<Vec<Slot>> =
        names.iter().map(|name| row.slots.iter().find(|slot| slot.name.as_deref() == Some(name)).cloned()).collect();
    match slots {
        Some(slots) => Row { slots, rest: None },
        // A column that the catalogue lacks: the server refuses it, or knows more.
        None => Row::unknown(row.whole().and(&Flow::opaque())),
    }
}
