//! Functions: which one a name means, and what may come out of it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

use pg_query::{
    NodeEnum,
    protobuf::{FuncCall, Node, a_const::Val},
};

use super::{Analysis, flow::Flow, literal, predicate::is_constant, scope::Scope, setting::is_setting_name, strings};
use crate::sql::path::{PathChange, path_in};

/// The schema of a function that is neither the server's own nor in the catalogue. No schema has this name.
pub const UNRESOLVED_SCHEMA: &str = "?";

const SERVER_SCHEMA: &str = "pg_catalog";

/// The functions of `pg_catalog` in PostgreSQL 15 to 18, one a line. A `!` before a name says that it may
/// answer with values that are not among its arguments: tables by name or as a query in text, files, large
/// objects, statistics, other sessions.
static SERVER_FUNCTIONS: LazyLock<HashMap<&'static str, Body>> = LazyLock::new(|| {
    let lines = include_str!("functions.txt").lines();
    lines.map(|line| line.strip_prefix('!').map_or((line, Body::Pure), |name| (name, Body::Opaque))).collect()
});

/// What is known of a function's body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Body {
    /// It computes from its arguments and from what is no data: the clock, the catalogue, settings.
    Pure,
    Opaque,
}

impl<'a> Analysis<'a> {
    /// A call: what flows through its arguments, and what the function itself may add.
    pub(super) fn call(&mut self, call: &FuncCall, scope: &Scope<'_>) -> Flow {
        let mut arguments = Flow::default();
        for argument in &call.args {
            arguments.absorb(&self.operand(argument, scope));
        }
        if call.agg_within_group {
            // What is sorted there is answered with.
            arguments.absorb(&self.values(&call.agg_order, scope).computed());
        } else {
            self.sort(&call.agg_order, None, scope);
        }
        self.condition(&call.agg_filter, scope);
        if let Some(window) = &call.over {
            self.window(window, scope);
        }
        let name = strings(&call.funcname);
        let parts: Vec<&str> = name.iter().map(String::as_str).collect();
        self.is_constant_call = call.args.iter().all(is_constant);
        let added = self.applied(&parts, &arguments);
        self.is_constant_call = false;
        if let Some(name) = parts.last() {
            self.telling_call(name, call, &arguments);
        }
        match parts.last() {
            Some(&"count") if self.is_server_function(&parts) => return Flow::default(),
            Some(&"set_config") => {
                self.is_bare_call &= self.is_server_function(&parts);
                self.set_config(&call.args, &arguments);
            }
            Some(&name) if stores_arguments(name) => self.found.stored.absorb(&arguments),
            Some(_) | None => {}
        }
        let flow = arguments.and(&added);
        if self.is_server_function(&parts) && keeps_values(call, parts.last()) { flow } else { flow.computed() }
    }

    /// Notes a call with `arguments`. A function whose body is not known may keep them, or send them somewhere.
    pub(super) fn applied(&mut self, parts: &[&str], arguments: &Flow) -> Flow {
        let added = self.function(parts, arguments);
        if added.opaque {
            self.found.stored.columns.extend(&arguments.columns);
        }
        added
    }

    /// Notes a call of the function that a name means, and says what its body may add.
    fn function(&mut self, parts: &[&str], arguments: &Flow) -> Flow {
        match *parts {
            [name] => self.unqualified_function(name, arguments),
            [schema, name] => self.qualified_function(schema, name, arguments),
            [database, schema, name] if database == self.names.catalogue.database => {
                self.qualified_function(schema, name, arguments)
            }
            [..] => {
                self.unknown(format!("function {} is in another database", parts.join(".")));
                Flow::opaque()
            }
        }
    }

    /// Whether a name alone means a function that is known.
    pub(super) fn is_function(&self, name: &str) -> bool {
        SERVER_FUNCTIONS.contains_key(name) || self.names.catalogue.functions.contains_key(name)
    }

    /// An unqualified name means the best match for its arguments among all schemas of the search path, so
    /// every one of them that has such a function must be permitted: unless it only computes, as the server's of that name
    /// does (`replace` of the extension citext).
    fn unqualified_function(&mut self, name: &str, arguments: &Flow) -> Flow {
        let names = self.names;
        let mut flow = Flow::default();
        let mut resolved = false;
        if let Some(body) = SERVER_FUNCTIONS.get(name) {
            self.on_function(SERVER_SCHEMA, name);
            flow.opaque |= *body == Body::Opaque;
            resolved = true;
        }
        if let Some(schemas) = names.catalogue.functions.get(name) {
            for schema in names.path.iter().filter(|schema| schemas.contains(*schema)) {
                let is_pure = self.is_pure(schema, name);
                if !(resolved && is_pure) {
                    self.on_function(schema, name);
                }
                if !is_pure {
                    flow.absorb(&self.called(schema, name, arguments));
                }
                resolved = true;
            }
        }
        if !resolved {
            self.on_function(UNRESOLVED_SCHEMA, name);
            flow.opaque = true;
        }
        flow
    }

    fn qualified_function(&mut self, schema: &str, name: &str, arguments: &Flow) -> Flow {
        self.on_function(schema, name);
        let body = match schema {
            SERVER_SCHEMA => SERVER_FUNCTIONS.get(name).copied(),
            // JDBC takes index keys apart with it.
            "information_schema" if name == "_pg_expandarray" => Some(Body::Pure),
            _ if self.is_pure(schema, name) => Some(Body::Pure),
            _ => return self.called(schema, name, arguments),
        };
        Flow { opaque: body != Some(Body::Pure), ..Flow::default() }
    }

    pub(super) fn is_pure(&self, schema: &str, name: &str) -> bool {
        let pure = &self.names.catalogue.pure;
        !pure.is_empty() && pure.contains(&(schema.to_owned(), name.to_owned()))
    }

    /// Notes calls of the functions that run where an operator or the name of a type stands.
    pub(super) fn implied(&mut self, functions: Option<&'a BTreeSet<(String, String)>>) -> Flow {
        let mut flow = Flow::default();
        for (schema, name) in functions.into_iter().flatten() {
            self.on_function(schema, name);
            flow.opaque |= !self.is_pure(schema, name);
        }
        flow
    }

    /// What values become that a cast or an operator is given. Like a call: a function whose body is not known may keep them.
    pub(super) fn handed(&mut self, values: &Flow, code: &Flow) -> Flow {
        if code.opaque {
            self.found.stored.columns.extend(&values.columns);
        }
        values.clone().and(code)
    }

    pub(super) fn is_server_function(&self, parts: &[&str]) -> bool {
        match *parts {
            [name] => SERVER_FUNCTIONS.contains_key(name) && !self.names.catalogue.functions.contains_key(name),
            [schema, name] => schema == SERVER_SCHEMA && SERVER_FUNCTIONS.contains_key(name),
            [..] => false,
        }
    }

    /// `set_config(name, value, local)` sets what SET would.
    fn set_config(&mut self, arguments: &[Node], flow: &Flow) {
        self.found.stored.absorb(flow);
        let about = arguments.first().filter(|name| is_setting_name(name)).and(self.named_setting.clone());
        match arguments.first().and_then(literal::text).or(about.as_deref()) {
            // The one form in which it is sure to be called, and once.
            Some(name) if name.eq_ignore_ascii_case("search_path") && self.is_bare_call => {
                let path = arguments.get(1).and_then(literal::text).and_then(path_in);
                let is_local = arguments.get(2).and_then(boolean);
                self.change_path(path.zip(is_local).map(|(path, is_local)| PathChange { path: Some(path), is_local }));
            }
            Some(name) => {
                let value = arguments.get(1).and_then(literal::text).map(|value| vec![value.to_owned()]);
                self.setting(name, value.as_deref());
            }
            None => self.unknown("set_config of a computed name is not understood"),
        }
    }
}

/// Functions that answer with one of their arguments' values, or with several of them side by side.
fn keeps_values(call: &FuncCall, name: Option<&&str>) -> bool {
    match name {
        Some(
            &("lower" | "upper" | "min" | "max" | "any_value" | "first_value" | "last_value" | "nth_value" | "lag"
            | "lead" | "array_agg" | "unnest" | "row_to_json" | "to_json" | "to_jsonb" | "json_agg" | "jsonb_agg"
            | "json_build_array" | "jsonb_build_array"),
        ) => true,
        // Keys come first, and are no values.
        Some(&("json_build_object" | "jsonb_build_object")) => {
            call.args.iter().step_by(2).all(|key| literal::text(key).is_some())
        }
        Some(_) | None => false,
    }
}

/// Functions of the server that compute from nothing else, but keep or send their arguments: other sessions see which
/// locks are held, and `random` goes on from its seed.
fn stores_arguments(name: &str) -> bool {
    matches!(name, "pg_notify" | "setseed" | "setval")
        || name.starts_with("pg_advisory_")
        || name.starts_with("pg_try_advisory_")
}

/// A boolean literal.
fn boolean(node: &Node) -> Option<bool> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Boolval(boolean)) => Some(boolean.boolval),
            Some(Val::Sval(_) | Val::Ival(_) | Val::Fval(_) | Val::Bsval(_)) | None => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_read_on_their_own_are_not_pure() {
        for name in ["query_to_xml", "table_to_xml", "pg_read_file", "lo_get", "ts_stat", "pg_ls_dir", "cursor_to_xml"]
        {
            assert_eq!(SERVER_FUNCTIONS.get(name), Some(&Body::Opaque), "{name}");
        }
        for name in ["lower", "count", "now", "row_to_json", "jsonb_build_object", "uuidv7"] {
            assert_eq!(SERVER_FUNCTIONS.get(name), Some(&Body::Pure), "{name}");
        }
        assert!(!SERVER_FUNCTIONS.contains_key("dblink"));
    }
}
