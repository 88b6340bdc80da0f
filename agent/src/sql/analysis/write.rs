//! INSERT, UPDATE, DELETE, and what their RETURNING answers.

use pg_query::{
    NodeEnum,
    protobuf::{
        DeleteStmt, InsertStmt, Node, OnConflictAction, OnConflictClause, RangeVar, ReturningClause,
        ReturningOptionKind, UpdateStmt,
    },
};

use super::{
    Analysis, Level,
    flow::{Flow, Row},
    from::aliased,
    predicate::chooses,
    relation::Touched,
    scope::{Item, Scope},
};
use crate::{
    request::{PredicateKind, sql::Operation},
    sql::SETTINGS,
};

impl Analysis<'_> {
    pub(super) fn insert(&mut self, insert: &InsertStmt, outer: &Scope<'_>) -> Row {
        let Some(name) = &insert.relation else { return self.without_table("INSERT") };
        let mut with = Scope::inside(outer);
        let level = Level { verb: "INSERT", ..Level::default() };
        self.at_level(level, |analysis| {
            analysis.with(insert.with_clause.as_ref(), &mut with);
            let target = analysis.table(name, Operation::Insert);
            analysis.set_columns(&insert.cols, &target);
            if insert.cols.is_empty() {
                analysis.name_all(&target.row);
            }
            let source = match insert.select_stmt.as_ref().and_then(|node| node.node.as_ref()) {
                Some(NodeEnum::SelectStmt(select)) => analysis.select(select, &with).whole(),
                Some(_) => {
                    analysis.unknown("the source of INSERT is not understood");
                    Flow::opaque()
                }
                None => Flow::default(),
            };
            analysis.found.stored.absorb(&source);
            if let Some(conflict) = &insert.on_conflict_clause {
                analysis.on_conflict(insert, conflict, name, &target, &source, &with);
            }
            analysis.returning(insert.returning_clause.as_ref(), name, &mut Scope::inside(&with))
        })
    }

    /// ON CONFLICT DO UPDATE updates only rows that collide, so it counts as having a WHERE clause.
    fn on_conflict(
        &mut self,
        insert: &InsertStmt,
        conflict: &OnConflictClause,
        name: &RangeVar,
        inserted: &Touched,
        source: &Flow,
        with: &Scope<'_>,
    ) {
        let mut scope = Scope::inside(with);
        scope.items.push(aliased(name, inserted.row.clone()));
        self.arbiter(insert, &scope);
        match conflict.action() {
            OnConflictAction::OnconflictNothing => {}
            OnConflictAction::OnconflictUpdate => {
                let level = Level { verb: "INSERT", has_where: true, ..Level::default() };
                self.at_level(level, |analysis| {
                    let named = analysis.relations;
                    let target = analysis.table(name, Operation::Update);
                    analysis.relations = named;
                    let mut excluded = target.row.clone();
                    for slot in &mut excluded.slots {
                        slot.flow = source.clone();
                    }
                    if excluded.rest.is_some() {
                        excluded.rest = Some(source.clone());
                    }
                    scope.items =
                        vec![aliased(name, target.row.clone()), Item::new("excluded", excluded).qualified_only()];
                    analysis.assign(&conflict.target_list, &target, &scope);
                    analysis.condition(&conflict.where_clause, &scope);
                });
            }
            OnConflictAction::OnconflictNone | OnConflictAction::Undefined => {
                self.unknown("a form of ON CONFLICT is not understood");
            }
        }
    }

    /// What a new row collides with is told by the rows that are affected: each row is a guess.
    fn arbiter(&mut self, insert: &InsertStmt, scope: &Scope<'_>) {
        let is_listed =
            |node: &Node| matches!(&node.node, Some(NodeEnum::SelectStmt(select)) if !select.values_lists.is_empty());
        let kind = match insert.select_stmt.as_deref() {
            Some(source) if !is_listed(source) => PredicateKind::Filter,
            Some(_) | None => PredicateKind::Equality,
        };
        let infer = insert.on_conflict_clause.as_ref().and_then(|conflict| conflict.infer.as_ref());
        let elements = infer.map_or(&[][..], |infer| &infer.index_elems);
        for element in elements {
            match &element.node {
                Some(NodeEnum::IndexElem(element)) => {
                    let flow = self.index_element(element, scope);
                    self.decides(if flow.computed { PredicateKind::Filter } else { kind }, &flow);
                }
                _ => self.unknown("the target of ON CONFLICT is not understood"),
            }
        }
        if let Some(infer) = infer {
            self.condition(&infer.where_clause, scope);
        }
        if elements.is_empty() {
            // Any unique index may be meant.
            let written = scope.items.iter().flat_map(|item| &item.row.slots);
            let is_written = |name: &str| {
                insert
                    .cols
                    .iter()
                    .any(|node| matches!(&node.node, Some(NodeEnum::ResTarget(target)) if target.name == name))
            };
            let written: Vec<Flow> = written
                .filter(|slot| insert.cols.is_empty() || slot.name.as_deref().is_some_and(is_written))
                .map(|slot| slot.flow.clone())
                .collect();
            written.iter().for_each(|flow| self.decides(kind, flow));
        }
    }

    pub(super) fn update(&mut self, update: &UpdateStmt, outer: &Scope<'_>) -> Row {
        let Some(name) = &update.relation else { return self.without_table("UPDATE") };
        let mut with = Scope::inside(outer);
        let level = Level { verb: "UPDATE", has_where: chooses(update.where_clause.as_deref()), ..Level::default() };
        self.at_level(level, |analysis| {
            analysis.with(update.with_clause.as_ref(), &mut with);
            let mut scope = Scope::inside(&with);
            let target = analysis.table(name, Operation::Update);
            if name.relname == SETTINGS || target.access.is_some_and(|access| analysis.is_settings(access)) {
                analysis.unknown("an update of pg_settings changes settings");
            }
            scope.items.push(aliased(name, target.row.clone()));
            analysis.sources(&update.from_clause, &mut scope);
            analysis.assign(&update.target_list, &target, &scope);
            analysis.condition(&update.where_clause, &scope);
            analysis.returning(update.returning_clause.as_ref(), name, &mut scope)
        })
    }

    pub(super) fn delete(&mut self, delete: &DeleteStmt, outer: &Scope<'_>) -> Row {
        let Some(name) = &delete.relation else { return self.without_table("DELETE") };
        let mut with = Scope::inside(outer);
        let level = Level { verb: "DELETE", has_where: chooses(delete.where_clause.as_deref()), ..Level::default() };
        self.at_level(level, |analysis| {
            analysis.with(delete.with_clause.as_ref(), &mut with);
            let mut scope = Scope::inside(&with);
            let target = analysis.table(name, Operation::Delete);
            scope.items.push(aliased(name, target.row));
            analysis.sources(&delete.using_clause, &mut scope);
            analysis.condition(&delete.where_clause, &scope);
            analysis.returning(delete.returning_clause.as_ref(), name, &mut scope)
        })
    }

    /// The assignments of UPDATE: what is stored is what flows into other columns than it came from.
    pub(super) fn assign(&mut self, targets: &[Node], target: &Touched, scope: &Scope<'_>) {
        self.set_columns(targets, target);
        for node in targets {
            let Some(NodeEnum::ResTarget(assignment)) = &node.node else { continue };
            let mut flow = self.maybe(&assignment.val, scope);
            if !matches!(assignment.val.as_ref().map(|node| &node.node), Some(Some(NodeEnum::MultiAssignRef(_)))) {
                let own = target.row.slots.iter().filter(|slot| slot.name.as_deref() == Some(&assignment.name));
                for column in own.flat_map(|slot| &slot.flow.columns) {
                    flow.columns.remove(column);
                }
            }
            self.found.stored.absorb(&flow);
        }
    }

    /// Notes the columns that are written, and walks the subscripts that they are written at.
    pub(super) fn set_columns(&mut self, targets: &[Node], target: &Touched) {
        let around = std::sync::Arc::clone(&self.around);
        for node in targets {
            let Some(NodeEnum::ResTarget(column)) = &node.node else {
                self.unknown("a column that is written is not understood");
                continue;
            };
            if let Some(access) = target.access {
                self.name_column(access, &column.name);
            }
            self.values(&column.indirection, &around);
        }
    }

    /// RETURNING reads the rows of the table that was written, so it needs to be permitted to.
    pub(super) fn returning(
        &mut self,
        returning: Option<&ReturningClause>,
        name: &RangeVar,
        scope: &mut Scope<'_>,
    ) -> Row {
        let Some(returning) = returning else { return Row::default() };
        let read = self.table(name, Operation::Select);
        let item = aliased(name, read.row);
        let row = item.row.clone();
        match scope.items.first_mut() {
            Some(target) => *target = item,
            None => scope.items.push(item),
        }
        let others = std::mem::replace(&mut scope.star, row.clone());
        scope.star.append(&others);
        for name in row_versions(returning) {
            scope.items.push(Item::new(name, row.clone()).qualified_only());
        }
        self.targets(&returning.exprs, scope)
    }

    fn without_table(&mut self, verb: &str) -> Row {
        self.unknown(format!("{verb} without a table is not understood"));
        Row::unknown(Flow::opaque())
    }
}

/// The names of a row before and after: `old` and `new`, unless RETURNING WITH gives others.
fn row_versions(returning: &ReturningClause) -> Vec<String> {
    let mut names = vec!["old".to_owned(), "new".to_owned()];
    for node in &returning.options {
        if let Some(NodeEnum::ReturningOption(option)) = &node.node {
            match option.option() {
                ReturningOptionKind::ReturningOptionOld
                | ReturningOptionKind::ReturningOptionNew
                | ReturningOptionKind::Undefined => names.push(option.value.clone()),
            }
        }
    }
    names
}
