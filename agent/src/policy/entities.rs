//! Requests as Cedar sees them: entities and context, exactly as the schema declares them.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, RestrictedExpression as Value};

use crate::{
    policy::{Clock, Limit, schema::Vocabulary},
    principal::Principal,
    request::{Access, Estimate, Facts, Operation, Resource, Standing, Usage, sql},
    target::{Class, Target},
};

/// The schema's type names, parsed once.
#[derive(Clone, Debug)]
pub struct Names {
    workload: EntityTypeName,
    group: EntityTypeName,
    user: EntityTypeName,
    target: EntityTypeName,
    environment: EntityTypeName,
    class: EntityTypeName,
    weekday: EntityTypeName,
    limit: EntityTypeName,
    action: EntityTypeName,
    engine: EntityTypeName,
    transaction: EntityTypeName,
    database: EntityTypeName,
    schema: EntityTypeName,
    table: EntityTypeName,
    function: EntityTypeName,
    setting: EntityTypeName,
}

/// What the gate guarantees for a request.
#[derive(Clone, Debug, Default)]
pub struct Grants<'a> {
    /// Groups of which a member has approved.
    pub approvals: BTreeSet<&'a str>,
    pub masked: BTreeSet<&'a Class>,
    pub limited: BTreeSet<Limit>,
}

/// Why a request cannot be put to the rules. Such a request is denied.
#[derive(Debug, thiserror::Error)]
pub enum Unspeakable {
    #[error("target `{target}` is labelled environment=`{environment}`, which `site.cedarschema` does not list")]
    Environment { target: String, environment: String },
    #[error("the data class `{0}` is not listed in `site.cedarschema`, so that no rule can mask it")]
    Class(Class),
    #[error("target `{target}` speaks `{protocol}`, for which there are no rules")]
    Protocol { target: String, protocol: String },
    #[error("`{operation}` does not apply to {resource}")]
    Mismatch { operation: Operation, resource: String },
    #[error("failed to describe the request: {0}")]
    Internal(String),
}

impl Names {
    pub fn parse() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            workload: "Workload".parse()?,
            group: "Group".parse()?,
            user: "User".parse()?,
            target: "Target".parse()?,
            environment: "Environment".parse()?,
            class: "DataClass".parse()?,
            weekday: "Weekday".parse()?,
            limit: "Limit".parse()?,
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
        match operation {
            Operation::Sql(operation) => uid(&self.action, operation.name()),
        }
    }

    /// Whether a rule's scope that names this can be looked up by [`Names::identities`].
    pub fn is_identity(&self, uid: &EntityUid) -> bool {
        *uid.type_name() == self.workload || *uid.type_name() == self.group
    }

    /// Everything that a rule's scope may name a principal by; groups that the schema does not list are
    /// left out, because no rule can speak of them.
    pub fn identities(&self, principal: &Principal, vocabulary: &Vocabulary) -> Vec<EntityUid> {
        let groups: BTreeSet<&str> =
            principal.groups.iter().map(AsRef::as_ref).filter(|group| vocabulary.groups.contains(*group)).collect();
        let groups = groups.into_iter().map(|group| uid(&self.group, group));
        std::iter::once(uid(&self.workload, &principal.workload)).chain(groups).collect()
    }

    /// The workload, from its [`identities`](Self::identities).
    pub fn workload(&self, principal: &Principal, identities: &[EntityUid]) -> Result<Entity, Unspeakable> {
        let process = &principal.process;
        let mut fields = vec![
            ("uid".to_owned(), Value::new_long(process.uid.into())),
            ("user".to_owned(), text(&process.user)),
            ("cgroup".to_owned(), text(&process.cgroup)),
        ];
        if let Some(path) = process.executable.as_ref().and_then(|path| path.to_str()) {
            fields.push(("exe".to_owned(), text(path)));
        }
        if let Some(hash) = &process.executable_hash {
            fields.push(("exe_hash".to_owned(), text(hash)));
        }
        let process = Value::new_record(fields).map_err(internal)?;
        let mut attributes = vec![("name".to_owned(), text(&principal.workload)), ("process".to_owned(), process)];
        if let Some(owner) = &principal.owner {
            attributes.push(("owner".to_owned(), Value::new_entity_uid(uid(&self.user, owner))));
        }
        let groups = identities.iter().filter(|identity| *identity.type_name() == self.group).cloned();
        Entity::new_with_tags(uid(&self.workload, &principal.workload), attributes, groups, []).map_err(internal)
    }

    /// The target with its labels as tags.
    pub fn target(&self, target: &Target, vocabulary: &Vocabulary) -> Result<Entity, Unspeakable> {
        let environment = target.environment();
        if !vocabulary.environments.contains(environment) {
            let (target, environment) = (target.name.to_string(), environment.to_owned());
            return Err(Unspeakable::Environment { target, environment });
        }
        let attributes = [
            ("name".to_owned(), text(&target.name)),
            ("environment".to_owned(), Value::new_entity_uid(uid(&self.environment, environment))),
        ];
        let labels = target.labels.iter().map(|(key, label)| (key.clone(), text(label)));
        Entity::new_with_tags(uid(&self.target, &target.name), attributes, [], labels).map_err(internal)
    }

    /// What an access touches, below its target.
    pub fn resource(
        &self,
        target: &Target,
        resource: &Resource,
        vocabulary: &Vocabulary,
    ) -> Result<Entity, Unspeakable> {
        let engine = match target.protocol.as_ref() {
            "postgres" => "postgresql",
            protocol => {
                return Err(Unspeakable::Protocol { target: target.name.to_string(), protocol: protocol.to_owned() });
            }
        };
        let owner = uid(&self.target, &target.name);
        let mut attributes = vec![
            ("target".to_owned(), Value::new_entity_uid(owner.clone())),
            ("engine".to_owned(), Value::new_entity_uid(uid(&self.engine, engine))),
            ("environment".to_owned(), Value::new_entity_uid(uid(&self.environment, target.environment()))),
        ];
        let mut parents = vec![owner];
        let mut field = |name: &str, value: &str| attributes.push((name.to_owned(), text(value)));
        let own = match resource {
            Resource::Database(database) => {
                field("name", &database.name);
                self.path(&self.database, &[&target.name, &database.name])
            }
            Resource::Table(sql::Table { database, schema, name, .. }) => {
                field("name", name);
                field("schema", schema);
                field("database", database);
                parents.extend(self.schema_path(target, database, schema));
                self.path(&self.table, &[&target.name, database, schema, name])
            }
            Resource::Function(sql::Function { database, schema, name }) => {
                field("name", name);
                field("schema", schema);
                field("database", database);
                parents.extend(self.schema_path(target, database, schema));
                self.path(&self.function, &[&target.name, database, schema, name])
            }
            Resource::Setting(sql::Setting { database, name }) => {
                field("name", name);
                field("database", database);
                parents.push(self.path(&self.database, &[&target.name, database]));
                self.path(&self.setting, &[&target.name, database, name])
            }
        };
        if let Resource::Table(table) = resource {
            attributes.extend(self.table_contents(table, vocabulary)?);
        }
        Entity::new_with_tags(own, attributes, parents, []).map_err(internal)
    }

    /// What a rule may know of the moment, of the statement and of the session that sends it.
    pub fn context(
        &self,
        clock: Clock,
        facts: &Facts,
        standing: &Standing,
        grants: &Grants<'_>,
    ) -> Result<Context, Unspeakable> {
        let clock = record([
            ("hour", Value::new_long(clock.hour.into())),
            ("minute", Value::new_long(clock.minute.into())),
            ("weekday", Value::new_entity_uid(uid(&self.weekday, clock.weekday.name()))),
        ])?;
        let approvals = grants.approvals.iter().map(|group| Value::new_entity_uid(uid(&self.group, group)));
        let limited = grants.limited.iter().map(|limit| Value::new_entity_uid(uid(&self.limit, limit.name())));
        let usage = record([("session", used(standing.session)?), ("transaction", used(standing.in_transaction)?)])?;
        let mut pairs = vec![
            ("clock", clock),
            ("statement", statement(facts)?),
            ("transaction", self.transaction(standing)?),
            ("usage", usage),
            ("approvals", Value::new_set(approvals)),
            ("masked", self.classes(grants.masked.iter().copied())),
            ("limited", Value::new_set(limited)),
        ];
        if let Some(estimate) = standing.estimate {
            pairs.push(("estimate", estimated(estimate)?));
        }
        Context::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value))).map_err(internal)
    }

    fn transaction(&self, standing: &Standing) -> Result<Value, Unspeakable> {
        let state = standing.transaction.map(|state| Value::new_entity_uid(uid(&self.transaction, state.name())));
        let read_only = ("read_only", Value::new_bool(standing.is_read_only));
        record(state.map(|state| ("state", state)).into_iter().chain([read_only]))
    }

    fn table_contents(&self, table: &sql::Table, vocabulary: &Vocabulary) -> Result<Vec<(String, Value)>, Unspeakable> {
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

    fn classes<'a>(&self, classes: impl IntoIterator<Item = &'a Class>) -> Value {
        Value::new_set(classes.into_iter().map(|class| Value::new_entity_uid(uid(&self.class, &class.0))))
    }

    fn schema_path(&self, target: &Target, database: &str, schema: &str) -> [EntityUid; 2] {
        [
            self.path(&self.database, &[&target.name, database]),
            self.path(&self.schema, &[&target.name, database, schema]),
        ]
    }

    fn path(&self, kind: &EntityTypeName, parts: &[&str]) -> EntityUid {
        uid(kind, &parts.iter().map(|part| escape(part)).collect::<Vec<_>>().join("/"))
    }
}

/// The entities and the parents that one access adds, checked against what the action applies to.
pub fn fits(access: &Access, resource: &Entity, allowed: &HashSet<EntityTypeName>) -> Result<(), Unspeakable> {
    if allowed.contains(resource.uid().type_name()) {
        return Ok(());
    }
    Err(Unspeakable::Mismatch { operation: access.operation, resource: access.resource.to_string() })
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Result<Value, Unspeakable> {
    Value::new_record(fields.into_iter().map(|(name, value)| (name.to_owned(), value))).map_err(internal)
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

/// A count as Cedar has numbers: what is beyond them stays at their end.
fn count(count: u64) -> Value {
    Value::new_long(i64::try_from(count).unwrap_or(i64::MAX))
}

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

/// A name inside a path: two different resources never have the same path.
fn escape(name: &str) -> std::borrow::Cow<'_, str> {
    if name.contains(['/', '%']) { name.replace('%', "%25").replace('/', "%2F").into() } else { name.into() }
}

fn internal(error: impl std::fmt::Display) -> Unspeakable {
    Unspeakable::Internal(error.to_string())
}
