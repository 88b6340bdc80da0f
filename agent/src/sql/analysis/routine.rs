//! What the server runs later: functions, triggers, rules and row security, judged when they are made.

use std::collections::BTreeMap;

use pg_query::protobuf::{CreateFunctionStmt, CreateTrigStmt, Node, ObjectType, RangeVar, RenameStmt, RuleStmt};

use super::{
    Analysis, Effect,
    body::{is_trigger, language, path_of_body},
    flow::Flow,
    found::Found,
    from::aliased,
    scope::{Item, Scope},
    strings,
};
use crate::request::sql::Operation;

impl Analysis<'_> {
    /// A function is judged by its statements as if they ran, and what it answers as if it were stored: whoever calls
    /// it may not be whoever made it. What is not understood may read anything.
    pub(super) fn routine_body(&mut self, create: &CreateFunctionStmt, verb: &'static str) {
        self.level.verb = verb;
        let Some(path) = path_of_body(create) else {
            return self.unknown("a setting under which a function would run is not understood");
        };
        let names = path.map(|path| self.names.under(self.names.effective(&path)));
        let mut inner = self.inside(names.as_ref().unwrap_or(self.names));
        let given = if self.replaces_trigger(create) { Flow::opaque() } else { Flow::default() };
        let answer = inner.body(create, &given);
        let is_sql = language(create).as_deref() == Some("sql");
        let is_followed = answer.is_some() && !inner.is_unknown() && inner.path_change.is_none();
        let (found, steps) = (inner.found, inner.steps);
        self.steps = steps;
        match answer {
            Some(answer) if is_followed || is_sql => {
                // Nothing is read, sent or made anew before it is called.
                self.adopt_found(Found { writes_within: false, forgets_names: false, is_redefined: false, ..found });
                self.found.stored.absorb(&answer);
            }
            _ if is_sql => self.unknown("the body of a function is not understood"),
            _ => self.found.stored.absorb(&Flow::opaque()),
        }
        self.level.verb = verb;
    }

    /// Whether triggers that nobody looks at now would run the new body, with the rows of their tables.
    fn replaces_trigger(&self, create: &CreateFunctionStmt) -> bool {
        let is_known = strings(&create.funcname).pop().is_some_and(|name| self.is_function(&name));
        create.replace && is_trigger(create) && is_known
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
        let answer = self.sql_statements(&rule.actions);
        self.found.stored.absorb(&answer);
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
