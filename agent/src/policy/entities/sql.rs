//! SQL's accesses: databases, tables, functions and settings, as `sql.cedarschema` declares them.

use cedar_policy::{Entity, EntityTypeName, EntityUid, ParseErrors, RestrictedExpression as Value};

use super::{Unspeakable, count, internal, path, record, text, uid};
use crate::{
    policy::schema::Vocabulary,
    request::{
        self, Estimate, Standing, Usage,
        sql::{Access, Facts, Function, Operation, Resource, Setting, Table},
    },
    target::Target,
};

#[derive(Clone, Debug)]
pub struct Names {
    action: EntityTypeName,
    engine: EntityTypeName,
    transaction: EntityTypeName,
    database: EntityTypeName,
    schema: EntityTypeName,
    table: EntityTypeName,
    function: EntityTypeName,
    setting: EntityTypeName,
}

impl Names {
    pub fn parse() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            action: "Sql::Action".parse()?,
            engine: "Sql::Engine".parse()?,
            transaction: "Sql::Transaction".parse()?,
            database: "Sql::Database".parse()?,
            schema: "Sql::Schema".parse()?,
            table: "Sql::Table".parse()?,
            function: "Sql::Function".parse()?,
            setting: "Sql::Setting".parse()?,
        })
    }

    pub fn action(&self, operation: Operation) -> EntityUid {
        uid(&self.action, operation.name())
    }

    /// What only SQL's rules may know: the statement, the transaction, what has passed.
    pub fn context(&self, facts: &Facts, standing: &Standing) -> Result<Vec<(&'static str, Value)>, Unspeakable> {
        let usage = record([("session", used(standing.session)?), ("transaction", used(standing.in_transaction)?)])?;
        let mut pairs =
            vec![("statement", statement(facts)?), ("transaction", self.transaction(standing)?), ("usage", usage)];
        if let Some(estimate) = standing.estimate {
            pairs.push(("estimate", estimated(estimate)?));
        }
        Ok(pairs)
    }

    fn transaction(&self, standing: &Standing) -> Result<Value, Unspeakable> {
        let state = standing.transaction.map(|state| Value::new_entity_uid(uid(&self.transaction, state.name())));
        let read_only = ("read_only", Value::new_bool(standing.is_read_only));
        record(state.map(|state| ("state", state)).into_iter().chain([read_only]))
    }

    fn schema_path(&self, target: &Target, database: &str, schema: &str) -> [EntityUid; 2] {
        [path(&self.database, &[&target.name, database]), path(&self.schema, &[&target.name, database, schema])]
    }
}

impl super::Names {
    pub(super) fn sql_resource(
        &self,
        target: &Target,
        access: &Access,
        vocabulary: &Vocabulary,
    ) -> Result<Entity, Unspeakable> {
        let engine = match target.protocol.as_ref() {
            "postgres" => "postgresql",
            protocol => {
                let (target, protocol) = (target.name.to_string(), protocol.to_owned());
                return Err(Unspeakable::Foreign {
                    target,
                    protocol,
                    operation: request::Operation::Sql(access.operation),
                });
            }
        };
        let (owner, mut attributes) = self.below(target);
        attributes.push(("engine".to_owned(), Value::new_entity_uid(uid(&self.sql.engine, engine))));
        let mut parents = vec![owner];
        let mut field = |name: &str, value: &str| attributes.push((name.to_owned(), text(value)));
        let own = match &access.resource {
            Resource::Database(database) => {
                field("name", &database.name);
                path(&self.sql.database, &[&target.name, &database.name])
            }
            Resource::Table(Table { database, schema, name, .. }) => {
                field("name", name);
                field("schema", schema);
                field("database", database);
                parents.extend(self.sql.schema_path(target, database, schema));
                path(&self.sql.table, &[&target.name, database, schema, name])
            }
            Resource::Function(Function { database, schema, name }) => {
                field("name", name);
                field("schema", schema);
                field("database", database);
                parents.extend(self.sql.schema_path(target, database, schema));
                path(&self.sql.function, &[&target.name, database, schema, name])
            }
            Resource::Setting(Setting { database, name }) => {
                field("name", name);
                field("database", database);
                parents.push(path(&self.sql.database, &[&target.name, database]));
                path(&self.sql.setting, &[&target.name, database, name])
            }
        };
        if let Resource::Table(table) = &access.resource {
            attributes.extend(self.table_contents(table, vocabulary)?);
        }
        Entity::new_with_tags(own, attributes, parents, []).map_err(internal)
    }

    fn table_contents(&self, table: &Table, vocabulary: &Vocabulary) -> Result<Vec<(String, Value)>, Unspeakable> {
        if let Some(class) = table.read_classes.iter().find(|class| !vocabulary.classes.contains(class.0.as_ref())) {
            return Err(Unspeakable::Class(class.clone()));
        }
        let mut contents = vec![
            ("columns".to_owned(), Value::new_set(table.columns.iter().map(|column| text(column)))),
            ("read_classes".to_owned(), self.classes(&table.read_classes)),
        ];
        if let Some(classes) = &table.classes {
            contents.push(("classes".to_owned(), self.classes(classes)));
        }
        Ok(contents)
    }
}

fn statement(facts: &Facts) -> Result<Value, Unspeakable> {
    let limit = facts.limit.map(|limit| ("limit", Value::new_long(limit)));
    let fields = [
        ("verb", text(facts.verb)),
        ("has_where", Value::new_bool(facts.has_where)),
        ("has_limit", Value::new_bool(facts.has_limit)),
        ("relations", Value::new_long(facts.relations.into())),
    ];
    record(fields.into_iter().chain(limit))
}

fn used(usage: Usage) -> Result<Value, Unspeakable> {
    record([("rows_returned", count(usage.rows_returned)), ("rows_affected", count(usage.rows_affected))])
}

fn estimated(estimate: Estimate) -> Result<Value, Unspeakable> {
    record([("rows", count(estimate.rows)), ("cost", count(estimate.cost))])
}
