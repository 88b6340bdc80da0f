//! A rule's message, with placeholders that are filled in for each access.

use crate::{
    policy::Question,
    request::{Access, sql::Resource},
};

/// Longest value that is put into a message, in characters.
const VALUE_CHARS_MAX: usize = 128;

/// Longest message of a rule, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1000;

/// What may stand between braces.
pub const PLACEHOLDERS: [Placeholder; 8] = [
    Placeholder::ResourceName,
    Placeholder::ResourceSchema,
    Placeholder::ResourceDatabase,
    Placeholder::Resource,
    Placeholder::Principal,
    Placeholder::Action,
    Placeholder::Target,
    Placeholder::Verb,
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placeholder {
    ResourceName,
    ResourceSchema,
    ResourceDatabase,
    Resource,
    Principal,
    Action,
    Target,
    Verb,
}

impl Placeholder {
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResourceName => "resource.name",
            Self::ResourceSchema => "resource.schema",
            Self::ResourceDatabase => "resource.database",
            Self::Resource => "resource",
            Self::Principal => "principal.name",
            Self::Action => "action",
            Self::Target => "target",
            Self::Verb => "statement.verb",
        }
    }

    fn value(self, question: &Question<'_>, access: &Access) -> String {
        let (name, schema, database) = names(access);
        match self {
            Self::ResourceName => name.to_owned(),
            Self::ResourceSchema => schema.to_owned(),
            Self::ResourceDatabase => database.to_owned(),
            Self::Resource => access.resource().to_string(),
            Self::Principal => question.principal.workload.to_string(),
            Self::Action => access.operation().to_string(),
            Self::Target => question.target.name.to_string(),
            Self::Verb => match access {
                Access::Sql(access) => access.facts.verb.to_owned(),
                Access::Http(access) => access.facts.method.clone(),
            },
        }
    }
}

/// A parsed message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message(Vec<Piece>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

impl Message {
    /// Fails with the text between braces that is no placeholder.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').ok_or_else(|| after.to_owned())?;
            let placeholder = PLACEHOLDERS.into_iter().find(|known| known.name() == name).ok_or(name)?;
            pieces.extend([Piece::Text(before.to_owned()), Piece::Value(placeholder)]);
            rest = tail;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    pub fn fill(&self, question: &Question<'_>, access: &Access) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(placeholder) => presentable(&placeholder.value(question, access)),
        };
        self.0.iter().map(piece).collect()
    }
}

/// What nobody permitted: the message of a default deny.
pub fn no_permit(question: &Question<'_>, access: &Access) -> String {
    format!(
        "no policy allows {} {} on {}/{}",
        presentable(&question.principal.workload),
        access.operation(),
        presentable(&question.target.name),
        presentable(&access.resource().to_string()),
    )
}

/// A value of the workload's making, short and without control characters.
pub fn presentable(value: &str) -> String {
    let mut clean: String = value.chars().take(VALUE_CHARS_MAX).map(|c| if c.is_control() { '?' } else { c }).collect();
    if value.chars().nth(VALUE_CHARS_MAX).is_some() {
        clean.push('…');
    }
    clean
}

/// The attribute `name` of a resource.
pub fn name(access: &Access) -> &str {
    names(access).0
}

/// Name, schema and database; what a resource does not have is empty.
fn names(access: &Access) -> (&str, &str, &str) {
    let Access::Sql(access) = access else { return ("", "", "") };
    match &access.resource {
        Resource::Database(database) => (&database.name, "", &database.name),
        Resource::Table(table) => (&table.name, &table.schema, &table.database),
        Resource::Function(function) => (&function.name, &function.schema, &function.database),
        Resource::Setting(setting) => (&setting.name, "", &setting.database),
    }
}

/// Adds what of the request could not be analysed.
pub fn with_caveats(mut message: String, question: &Question<'_>) -> String {
    let caveats: Vec<String> = question.request.footprint.caveats.iter().map(|text| presentable(text)).collect();
    if !caveats.is_empty() {
        message.push_str(": ");
        message.push_str(&caveats.join("; "));
    }
    message
}
