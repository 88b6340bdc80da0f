//! What the server runs later: functions, triggers, rules and row security, judged when they are made.

use std::{collections::BTreeMap, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{CreateFunctionStmt, CreateTrigStmt, Node, ObjectType, RangeVar, RenameStmt, RuleStmt},
};

use super::{
    Analysis, Effect,
    flow::{Flow, Row, Slot},
    from::aliased,
    scope::{Item, Scope},
    strings,
};
use crate::request::sql::Operation;

impl Analysis<'_> {
    /// A function in SQL is judged by its statements as if they ran, and what they read as if it were stored: whoever
    /// calls it may not be whoever made it. Other languages may read anything.
    pub(super) fn routine_body(&mut self, create: &CreateFunctionStmt, verb: &'static str) {
        self.level.verb = verb;
        let names = create.parameters.iter().filter_map(parameter);
        self.around = parameters(names);
        let language = option(create, "language").and_then(|node| strings(std::slice::from_ref(node)).pop());
        if let Some(body) = create.sql_body.as_deref() {
            self.body(std::slice::from_ref(body));
        } else if language.as_deref().is_some_and(|language| language.eq_ignore_ascii_case("sql")) {
            let text = match option(create, "as").map(|node| &node.node) {
                Some(Some(NodeEnum::List(list))) => strings(&list.items),
                _ => Vec::new(),
            };
            match text.as_slice() {
                [text] => self.sql_text(text),
                [..] => self.unknown("the body of a function is not understood"),
            }
        } else {
            self.stored.absorb(&Flow::opaque());
        }
        self.around = Arc::default();
        self.level.verb = verb;
    }

    fn sql_text(&mut self, text: &str) {
        match pg_query::parse(text, 0) {
            Ok(parsed) => parsed.protobuf.stmts.iter().for_each(|raw| {
                self.body(raw.stmt.as_deref().map_or(&[], std::slice::from_ref));
            }),
            Err(_) => self.unknown("the body of a function does not parse"),
        }
    }

    /// Statements of BEGIN ATOMIC stand in lists.
    fn body(&mut self, nodes: &[Node]) {
        for node in nodes {
            match &node.node {
                Some(NodeEnum::List(list)) if self.enter() => {
                    self.body(&list.items);
                    self.leave();
                }
                Some(NodeEnum::List(_)) => self.leave(),
                Some(NodeEnum::ReturnStmt(returned)) => {
                    let flow = self.maybe(&returned.returnval, &Arc::clone(&self.around));
                    self.stored.absorb(&flow);
                }
                Some(_) | None => {
                    let answer = self.inner(Some(node)).answer.unwrap_or_default();
                    self.stored.absorb(&answer.whole());
                }
            }
        }
    }

    /// A trigger's function is handed the rows of its table.
    pub(super) fn create_trigger(&mut self, trigger: &CreateTrigStmt) -> Effect {
        let effect = self.on_tables("CREATE TRIGGER", trigger.relation.as_ref());
        let Some(scope) = self.versions(trigger.relation.as_ref()) else { return effect };
        self.condition(&trigger.when_clause, &scope);
        let row = scope.everything();
        let name = strings(&trigger.funcname);
        let parts: Vec<&str> = name.iter().map(String::as_str).collect();
        self.applied(&parts, &row);
        effect
    }

    /// A rule's actions run in the place of, or beside, statements of others.
    pub(super) fn create_rule(&mut self, rule: &RuleStmt) -> Effect {
        let effect = self.on_tables("CREATE RULE", rule.relation.as_ref());
        if let Some(scope) = self.versions(rule.relation.as_ref()) {
            self.condition(&rule.where_clause, &scope);
        }
        self.body(&rule.actions);
        self.level.verb = effect.verb;
        effect
    }

    /// Which rows others see is told by what they see.
    pub(super) fn row_security(&mut self, table: Option<&RangeVar>, conditions: [&Option<Box<Node>>; 2]) {
        let Some(scope) = self.versions(table) else { return };
        for condition in conditions {
            self.condition(condition, &scope);
        }
    }

    /// A table's rows by its own name and as `old` and `new`.
    fn versions(&mut self, table: Option<&RangeVar>) -> Option<Scope<'static>> {
        let table = table?;
        let row = self.defined(table, Operation::AlterTable).row;
        let mut scope = Scope { items: vec![aliased(table, row.clone())], ..Scope::default() };
        scope.items.extend(["old", "new"].map(|name| Item::new(name, row.clone()).qualified_only()));
        Some(scope)
    }

    /// Classes are configured by name: what is renamed would lose them when they are read again.
    pub(super) fn renamed(&mut self, rename: &RenameStmt) {
        match rename.rename_type() {
            ObjectType::ObjectTable
            | ObjectType::ObjectForeignTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview => {
                if let Some(table) = &rename.relation {
                    self.uncovered(table, None);
                }
            }
            ObjectType::ObjectColumn => {
                if let Some(table) = &rename.relation {
                    self.uncovered(table, Some(&rename.subname));
                }
            }
            ObjectType::ObjectSchema => {
                let names = self.names;
                let relations = names.catalogue.relations.values();
                let moved = relations.filter(|relation| relation.classified && relation.schema == rename.subname);
                // In an order that is always the same, so that the same statement is the same request.
                let moved: BTreeMap<_, _> = moved.map(|relation| (relation.oid, relation)).collect();
                for relation in moved.values() {
                    let table = RangeVar {
                        schemaname: relation.schema.clone(),
                        relname: relation.name.clone(),
                        ..RangeVar::default()
                    };
                    self.uncovered(&table, None);
                }
            }
            _ => {}
        }
    }
}

/// The parameters of a function in SQL, which names may mean.
fn parameters(names: impl Iterator<Item = String>) -> Arc<Scope<'static>> {
    let slots = names.map(|name| Slot { name: Some(name.into()), flow: Flow::default(), origin: None });
    let row = Row { slots: slots.collect(), rest: None };
    Arc::new(Scope { items: vec![Item::new("", row)], is_code: true, ..Scope::default() })
}

fn parameter(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::FunctionParameter(parameter)) => Some(parameter.name.clone()),
        _ => None,
    }
}

fn option<'n>(create: &'n CreateFunctionStmt, name: &str) -> Option<&'n Node> {
    create.options.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if option.defname == name => option.arg.as_deref(),
        _ => None,
    })
}
