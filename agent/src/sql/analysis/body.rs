//! Bodies of functions and procedures: what they do is done by whoever calls them.

use std::{collections::BTreeMap, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{CreateFunctionStmt, FunctionParameterMode, Node, VariableSetKind, VariableSetStmt},
};

use super::{
    Analysis,
    flow::{Flow, Row, Slot},
    fragment,
    held::Variables,
    literal,
    scope::{Item, Scope},
    setting, strings,
};
use crate::sql::{
    catalogue::Names,
    path::{Path, path_of},
    scan,
};

/// Deepest calls of functions within functions that are followed; what is deeper is not known.
pub const CALL_DEPTH_MAX: usize = 8;

/// What a trigger's function knows beside the rows: names and numbers, and no values.
const TRIGGER_VARIABLES: [&str; 12] = [
    "tg_name",
    "tg_when",
    "tg_level",
    "tg_op",
    "tg_relid",
    "tg_relname",
    "tg_table_name",
    "tg_table_schema",
    "tg_nargs",
    "tg_argv",
    "tg_event",
    "tg_tag",
];

impl Analysis<'_> {
    /// A call of a function that the catalogue knows the body of: what it answers, or that nobody knows.
    ///
    /// Which of several functions of one name is meant is decided by types, so that each may be.
    pub(super) fn called(&mut self, schema: &str, name: &str, arguments: &Flow) -> Flow {
        let known = self.followed(schema, name, arguments);
        let is_followed = self.found.followed.entry((schema.to_owned(), name.to_owned())).or_insert(true);
        *is_followed &= known.is_some();
        let answer = known.unwrap_or_else(Flow::opaque);
        self.found.answers.absorb(&answer);
        answer
    }

    fn followed(&mut self, schema: &str, name: &str, arguments: &Flow) -> Option<Flow> {
        let names = self.names;
        let key = (schema.to_owned(), name.to_owned());
        let definitions = names.catalogue.routines.get(&key)?;
        // Whether it still is what it was is asked each time.
        self.found.remarks.depends_on_session = true;
        if !self.follows || self.may_be_new() || self.calling.contains(&key) || self.calling.len() >= CALL_DEPTH_MAX {
            return None;
        }
        let mut flow = Flow::default();
        for definition in definitions {
            let create = definition_of(definition)?;
            let path = path_of_body(&create)?;
            let names = path.map(|path| names.under(names.effective(&path)));
            let mut inner = self.inside(names.as_ref().unwrap_or(self.names));
            inner.calling.push(key.clone());
            inner.is_in_code = self.is_in_code || !self.is_constant_call;
            inner.step(definition.len() / fragment::BYTES_PER_STEP);
            let answer = inner.body(&create, arguments);
            let answer = answer.filter(|_| !inner.is_unknown() && inner.path_change.is_none());
            let (found, steps) = (inner.found, inner.steps);
            self.steps = steps;
            flow.absorb(&answer?);
            self.adopt_found(found);
        }
        Some(flow)
    }

    /// Whether functions may be other ones than those of the catalogue.
    pub(super) fn may_be_new(&self) -> bool {
        self.earlier.redefined || self.found.is_redefined || !self.names.definitions.hold()
    }

    /// An analysis of what runs within this statement, by other names.
    pub(super) fn inside<'b>(&'b self, names: &'b Names) -> Analysis<'b> {
        let mut inner = Analysis::new(names, self.state, self.earlier);
        (inner.depth, inner.steps) = (self.depth + 1, self.steps);
        inner.level.verb = self.level.verb;
        inner.found.is_redefined = self.found.is_redefined;
        inner.follows = self.follows;
        inner.calling.clone_from(&self.calling);
        inner
    }

    /// Walks a body; `None`: its language or what it says is not understood.
    pub(super) fn body(&mut self, create: &CreateFunctionStmt, arguments: &Flow) -> Option<Flow> {
        let nothing = Scope::default();
        let mut typed = self.cast(create.return_type.as_ref());
        for node in &create.parameters {
            let Some(NodeEnum::FunctionParameter(parameter)) = &node.node else { return None };
            typed.absorb(&self.cast(parameter.arg_type.as_ref()));
            typed.absorb(&self.maybe(&parameter.defexpr, &nothing));
        }
        let flow = match language(create)?.as_str() {
            "sql" => self.sql_body(create, arguments)?,
            "plpgsql" => self.plpgsql_body(create, arguments)?,
            _ => return None,
        };
        Some(flow.and(&typed))
    }

    fn sql_body(&mut self, create: &CreateFunctionStmt, arguments: &Flow) -> Option<Flow> {
        let slots = parameters(create).into_iter().map(|(name, _)| Slot {
            name: Some(name.into()),
            flow: arguments.clone(),
            origin: None,
        });
        let row = Row { slots: slots.collect(), rest: None };
        let mut items = vec![Item::new("", row.clone())];
        if let Some(name) = strings(&create.funcname).pop() {
            items.push(Item { is_variable: true, ..Item::new(name, row).qualified_only() });
        }
        self.around = Arc::new(Scope { items, is_code: true, ..Scope::default() });
        self.arguments.clone_from(arguments);
        let flow = match (create.sql_body.as_deref(), source(create)) {
            (Some(body), None) => self.sql_statements(std::slice::from_ref(body)),
            (None, Some(text)) => self.sql_text(&text)?,
            (Some(_), Some(_)) | (None, None) => return None,
        };
        (self.around, self.arguments) = (Arc::default(), Flow::default());
        Some(flow)
    }

    fn sql_text(&mut self, text: &str) -> Option<Flow> {
        let text = scan::readable(text.as_bytes()).ok()?;
        let mut flow = Flow::default();
        for raw in pg_query::parse(text, 0).ok()?.protobuf.stmts {
            flow.absorb(&self.sql_statements(raw.stmt.as_deref().map_or(&[], std::slice::from_ref)));
        }
        Some(flow)
    }

    /// Statements in SQL, of which those of BEGIN ATOMIC stand in lists, and what they answer together.
    pub(super) fn sql_statements(&mut self, nodes: &[Node]) -> Flow {
        let mut flow = Flow::default();
        for node in nodes {
            match &node.node {
                Some(NodeEnum::List(list)) => {
                    if self.enter() {
                        flow.absorb(&self.sql_statements(&list.items));
                    }
                    self.leave();
                }
                Some(NodeEnum::ReturnStmt(returned)) => {
                    let around = Arc::clone(&self.around);
                    flow.absorb(&self.maybe(&returned.returnval, &around));
                }
                Some(node) => flow.absorb(&self.embedded_statement(node).whole()),
                None => self.unknown("an empty statement is not understood"),
            }
        }
        flow
    }

    fn plpgsql_body(&mut self, create: &CreateFunctionStmt, arguments: &Flow) -> Option<Flow> {
        let mut variables: Variables = BTreeMap::new();
        let mut answered = Vec::new();
        for (name, mode) in parameters(create) {
            if answers(mode) {
                answered.push(name.clone());
            }
            variables.insert(name, Row::unknown(arguments.clone()));
        }
        if is_trigger(create) {
            variables.extend(["new", "old"].map(|name| (name.to_owned(), Row::unknown(arguments.clone()))));
            variables.extend(TRIGGER_VARIABLES.map(|name| (name.to_owned(), Row::unknown(Flow::default()))));
        }
        let name = strings(&create.funcname).pop().unwrap_or_default();
        let done = self.body_of_code(&source(create)?, variables, &name, false).ok()?;
        let out = answered.iter().filter_map(|name| done.variables.get(name));
        Some(out.fold(done.answer.clone(), |flow, row| flow.and(&row.whole())))
    }
}

/// The path under which a body runs, where it has one of its own; `None`: it changes what cannot be followed.
#[expect(clippy::option_option, reason = "a path that is not set is not a path that cannot be followed")]
pub fn path_of_body(create: &CreateFunctionStmt) -> Option<Option<Path>> {
    let mut path = None;
    for node in &create.options {
        let Some(NodeEnum::DefElem(option)) = &node.node else { return None };
        let Some(Some(NodeEnum::VariableSetStmt(set))) = option.arg.as_ref().map(|arg| &arg.node) else { continue };
        if set.name.eq_ignore_ascii_case("search_path") {
            path = own_path(set)?;
        } else if !is_harmless(set) {
            return None;
        }
    }
    Some(path)
}

#[expect(clippy::option_option, reason = "as above")]
fn own_path(set: &VariableSetStmt) -> Option<Option<Path>> {
    match set.kind() {
        VariableSetKind::VarSetValue => {
            let names: Option<Vec<String>> = set.args.iter().map(literal::value).collect();
            path_of(&names?).map(|path| Some(Some(path)))
        }
        // The one at hand.
        VariableSetKind::VarSetCurrent => Some(None),
        VariableSetKind::VarSetDefault
        | VariableSetKind::VarReset
        | VariableSetKind::VarSetMulti
        | VariableSetKind::VarResetAll
        | VariableSetKind::Undefined => None,
    }
}

/// Whether statements mean the same under a setting.
fn is_harmless(set: &VariableSetStmt) -> bool {
    let values: Option<Vec<String>> = set.args.iter().map(literal::value).collect();
    let name = set.name.to_ascii_lowercase();
    name != "role" && setting::keeps_reading(&name, values.as_deref())
}

/// A definition as the catalogue holds it.
fn definition_of(text: &str) -> Option<CreateFunctionStmt> {
    match fragment::statement(scan::readable(text.as_bytes()).ok()?)? {
        NodeEnum::CreateFunctionStmt(create) => Some(*create),
        _ => None,
    }
}

/// The parameters that have names. Those of the result are among them.
fn parameters(create: &CreateFunctionStmt) -> Vec<(String, FunctionParameterMode)> {
    let parameters = create.parameters.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::FunctionParameter(parameter)) => Some((parameter.name.clone(), parameter.mode())),
        _ => None,
    });
    parameters.filter(|(name, _)| !name.is_empty()).collect()
}

fn answers(mode: FunctionParameterMode) -> bool {
    match mode {
        FunctionParameterMode::FuncParamOut
        | FunctionParameterMode::FuncParamInout
        | FunctionParameterMode::FuncParamTable
        | FunctionParameterMode::Undefined => true,
        FunctionParameterMode::FuncParamIn
        | FunctionParameterMode::FuncParamVariadic
        | FunctionParameterMode::FuncParamDefault => false,
    }
}

/// The language that a function is written in: a body that is no text is SQL.
pub fn language(create: &CreateFunctionStmt) -> Option<String> {
    let named = option(create, "language").and_then(|node| strings(std::slice::from_ref(node)).pop());
    named.map(|name| name.to_ascii_lowercase()).or_else(|| create.sql_body.as_ref().map(|_| "sql".to_owned()))
}

/// Whether it is made to be run by triggers, of tables or of events.
pub fn is_trigger(create: &CreateFunctionStmt) -> bool {
    let name = create.return_type.as_ref().and_then(|name| strings(&name.names).pop());
    matches!(name.as_deref(), Some("trigger" | "event_trigger"))
}

fn source(create: &CreateFunctionStmt) -> Option<String> {
    let texts = match option(create, "as").map(|node| &node.node) {
        Some(Some(NodeEnum::List(list))) => strings(&list.items),
        _ => return None,
    };
    <[String; 1]>::try_from(texts).ok().map(|[text]| text)
}

fn option<'n>(create: &'n CreateFunctionStmt, name: &str) -> Option<&'n Node> {
    create.options.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if option.defname == name => option.arg.as_deref(),
        _ => None,
    })
}
