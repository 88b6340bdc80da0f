//! Settings: which ones would make the server read statements otherwise than this module does.

use pg_query::{
    NodeEnum,
    protobuf::{AExprKind, DiscardMode, DiscardStmt, Node, VariableSetKind, VariableSetStmt},
};

use super::{Analysis, Effect, literal, strings};
use crate::{
    request::sql::Operation,
    sql::{
        StatementKind, Step,
        path::{PathChange, path_of},
    },
};

/// The name under which all settings at once are judged.
const ALL: &str = "all";
const SEARCH_PATH: &str = "search_path";

impl Analysis<'_> {
    /// SET, RESET.
    pub(super) fn variable_set(&mut self, statement: &VariableSetStmt) -> Effect {
        let verb = match statement.kind() {
            VariableSetKind::VarReset | VariableSetKind::VarResetAll => "RESET",
            VariableSetKind::VarSetValue
            | VariableSetKind::VarSetDefault
            | VariableSetKind::VarSetCurrent
            | VariableSetKind::VarSetMulti
            | VariableSetKind::Undefined => "SET",
        };
        self.level.verb = verb;
        // A number is as good a value as any: `standard_conforming_strings = 0`.
        self.found.remarks.numbers_matter = true;
        if statement.name.eq_ignore_ascii_case(SEARCH_PATH) {
            return self.set_path(statement, verb);
        }
        if goes_back(statement) && !self.names.catalogue.acts_as_another {
            self.on_setting(&statement.name.to_ascii_lowercase());
            return Effect::silent(StatementKind::Set, verb);
        }
        match statement.kind() {
            VariableSetKind::VarSetValue => {
                let values: Option<Vec<String>> = statement.args.iter().map(literal::value).collect();
                self.setting(&statement.name, values.as_deref());
            }
            VariableSetKind::VarSetDefault | VariableSetKind::VarReset => self.setting(&statement.name, None),
            VariableSetKind::VarSetCurrent => self.setting(&statement.name, None),
            // The characteristics of this transaction or of those to come.
            VariableSetKind::VarSetMulti => return Effect::silent(StatementKind::Transaction(Step::Mode), verb),
            VariableSetKind::VarResetAll => {
                self.on_setting(ALL);
                return Effect::silent(StatementKind::ResetAll, verb);
            }
            VariableSetKind::Undefined => return self.not_understood("a form of SET"),
        }
        Effect::silent(StatementKind::Set, verb)
    }

    /// Notes a change of one setting; the value is `None` when it is the default or not known.
    pub(super) fn setting(&mut self, name: &str, values: Option<&[String]>) {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "role" => self.on_database(Operation::SetRole),
            _ if keeps_reading(&name, values) => self.on_setting(&name),
            _ => self.unknown(format!("setting \"{name}\" changes how statements are read or judged")),
        }
    }

    /// Notes a change of the search path; `None`: one that cannot be followed.
    pub(super) fn change_path(&mut self, change: Option<PathChange>) {
        match change {
            Some(change) => {
                self.on_setting(SEARCH_PATH);
                self.path_change = Some(change);
            }
            None => self.setting(SEARCH_PATH, None),
        }
    }

    /// SET and RESET of the search path.
    fn set_path(&mut self, statement: &VariableSetStmt, verb: &'static str) -> Effect {
        let path = match statement.kind() {
            VariableSetKind::VarSetValue => {
                let names: Option<Vec<String>> = statement.args.iter().map(literal::value).collect();
                names.as_deref().and_then(path_of).map(Some)
            }
            VariableSetKind::VarSetDefault | VariableSetKind::VarReset => Some(None),
            VariableSetKind::VarSetCurrent
            | VariableSetKind::VarSetMulti
            | VariableSetKind::VarResetAll
            | VariableSetKind::Undefined => None,
        };
        self.change_path(path.map(|path| PathChange { path, is_local: statement.is_local }));
        Effect::silent(StatementKind::Set, verb)
    }

    /// The settings under which a function runs. Its body is read under the search path among them where it is at hand.
    pub(super) fn routine_settings(&mut self, options: &[Node], body_is_at_hand: bool) {
        for node in options {
            let Some(NodeEnum::DefElem(option)) = &node.node else { continue };
            let Some(NodeEnum::VariableSetStmt(set)) = option.arg.as_deref().and_then(|node| node.node.as_ref()) else {
                continue;
            };
            let values: Option<Vec<String>> = set.args.iter().map(literal::value).collect();
            match (set.name.to_ascii_lowercase().as_str(), values.as_deref().and_then(path_of)) {
                (SEARCH_PATH, _) if body_is_at_hand => {}
                (SEARCH_PATH, Some(path)) if self.names.effective(&Some(path.clone())) == self.names.path => {}
                (SEARCH_PATH, _) => self.unknown("a function that looks names up elsewhere is not understood"),
                (name, _) => self.setting(name, values.as_deref()),
            }
        }
    }

    /// DISCARD.
    pub(super) fn discard(&mut self, statement: &DiscardStmt) -> Effect {
        self.level.verb = "DISCARD";
        let kind = match statement.target() {
            DiscardMode::DiscardAll => {
                self.on_setting(ALL);
                StatementKind::DiscardAll
            }
            DiscardMode::DiscardTemp => StatementKind::DiscardTemporary,
            DiscardMode::DiscardPlans | DiscardMode::DiscardSequences => StatementKind::DiscardOther,
            DiscardMode::Undefined => return self.not_understood("a form of DISCARD"),
        };
        Effect::silent(kind, "DISCARD")
    }
}

/// Whether statements mean the same after a setting is changed.
pub fn keeps_reading(name: &str, values: Option<&[String]>) -> bool {
    match name {
        "client_encoding" => values.is_some_and(|values| matches!(values, [encoding] if is_utf8(encoding))),
        "standard_conforming_strings" => values.is_some_and(|values| matches!(values, [value] if is_true(value))),
        // Where its change can be followed, it does not come here.
        "search_path" => false,
        "backslash_quote"
        | "session_authorization"
        | "session_replication_role"
        | "allow_system_table_mods"
        | "lo_compat_privileges"
        | "dynamic_library_path"
        | "local_preload_libraries"
        | "session_preload_libraries" => false,
        _ => true,
    }
}

/// Whether SET or RESET makes the session act as whoever has logged in, as it does from the start unless the role is
/// configured otherwise.
fn goes_back(statement: &VariableSetStmt) -> bool {
    let is_default = matches!(statement.kind(), VariableSetKind::VarSetDefault | VariableSetKind::VarReset);
    let is_none = || statement.args.iter().map(literal::value).eq([Some("none".to_owned())]);
    match statement.name.to_ascii_lowercase().as_str() {
        "role" => is_default || is_none(),
        "session_authorization" => is_default,
        _ => false,
    }
}

/// The setting that `SELECT … FROM pg_settings WHERE name = 'setting'` is about, where `name` can only mean that
/// column: pg_dump sets a setting so, if the server has it.
pub(super) fn named_setting(node: &NodeEnum) -> Option<String> {
    let NodeEnum::SelectStmt(select) = node else { return None };
    let [Node { node: Some(NodeEnum::RangeVar(table)) }] = select.from_clause.as_slice() else { return None };
    let Some(Node { node: Some(NodeEnum::AExpr(test)) }) = select.where_clause.as_deref() else { return None };
    let is_settings = table.relname == "pg_settings" && matches!(table.schemaname.as_str(), "" | "pg_catalog");
    let is_equality = test.kind() == AExprKind::AexprOp && strings(&test.name) == ["="];
    let is_name = test.lexpr.as_deref().is_some_and(is_setting_name);
    if !(is_settings && is_equality && is_name && table.alias.is_none() && select.with_clause.is_none()) {
        return None;
    }
    literal::text(test.rexpr.as_deref()?).map(str::to_owned)
}

/// Whether an expression is the column `name`.
pub(super) fn is_setting_name(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::ColumnRef(column)) if strings(&column.fields) == ["name"] && column.fields.len() == 1)
}

/// PostgreSQL compares encoding names by their letters and digits alone.
fn is_utf8(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode")
}

fn is_true(value: &str) -> bool {
    ["on", "true", "yes", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}
