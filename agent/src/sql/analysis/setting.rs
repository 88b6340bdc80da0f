//! Settings: which ones would make the server read statements otherwise than this module does.

use pg_query::{
    NodeEnum,
    protobuf::{DiscardMode, DiscardStmt, Node, VariableSetKind, VariableSetStmt, a_const::Val},
};

use super::{Analysis, Effect, function};
use crate::{request::sql::Operation, sql::StatementKind};

/// The name under which all settings at once are judged.
const ALL: &str = "all";

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
        self.remarks.numbers_matter = true;
        match statement.kind() {
            VariableSetKind::VarSetValue => {
                let values: Option<Vec<String>> = statement.args.iter().map(literal).collect();
                self.setting(&statement.name, values.as_deref());
            }
            VariableSetKind::VarSetDefault | VariableSetKind::VarReset => self.setting(&statement.name, None),
            VariableSetKind::VarSetCurrent => self.setting(&statement.name, None),
            // The characteristics of this transaction or of those to come.
            VariableSetKind::VarSetMulti => return Effect::silent(StatementKind::Savepoint, verb),
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
            _ if self.keeps_reading(&name, values) => self.on_setting(&name),
            _ => self.unknown(format!("setting \"{name}\" changes how statements are read or judged")),
        }
    }

    /// Whether statements mean the same after a setting is changed.
    fn keeps_reading(&self, name: &str, values: Option<&[String]>) -> bool {
        match name {
            "client_encoding" => values.is_some_and(|values| matches!(values, [encoding] if is_utf8(encoding))),
            "standard_conforming_strings" => values.is_some_and(|values| matches!(values, [value] if is_true(value))),
            "search_path" => values.is_some_and(|values| self.is_search_path(values)),
            "backslash_quote"
            | "session_authorization"
            | "session_replication_role"
            | "row_security"
            | "allow_system_table_mods"
            | "lo_compat_privileges"
            | "dynamic_library_path"
            | "local_preload_libraries"
            | "session_preload_libraries" => false,
            _ => true,
        }
    }

    /// Whether a search path is the one that the catalogue was read with.
    fn is_search_path(&self, values: &[String]) -> bool {
        let known = self.names.catalogue.search_path.iter().filter(|schema| *schema != "pg_catalog");
        let named = values.iter().filter(|schema| *schema != "pg_catalog");
        values.iter().all(|schema| is_plain(schema)) && known.eq(named)
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

/// A value of SET as it is written, without its quotes.
fn literal(node: &Node) -> Option<String> {
    let Some(NodeEnum::AConst(constant)) = &node.node else { return function::text(node).map(str::to_owned) };
    match constant.val.as_ref()? {
        Val::Sval(string) => Some(string.sval.clone()),
        Val::Ival(integer) => Some(integer.ival.to_string()),
        Val::Fval(float) => Some(float.fval.clone()),
        Val::Boolval(boolean) => Some(boolean.boolval.to_string()),
        Val::Bsval(_) => None,
    }
}

/// Whether a name means itself both as a value of SET and inside the string that `set_config` takes apart.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// PostgreSQL compares encoding names by their letters and digits alone.
fn is_utf8(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode")
}

fn is_true(value: &str) -> bool {
    ["on", "true", "yes", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}
