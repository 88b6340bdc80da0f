//! Requests as Cedar sees them: entities and context, exactly as the schemas declare them.
//!
//! What all families of protocols share stands here; each has its own names beside it.

mod http;
mod sql;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
};

use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, RestrictedExpression as Value};

use crate::{
    policy::{Clock, Limit, schema::Vocabulary},
    principal::Principal,
    request::{Access, Operation, Standing},
    target::{Class, Target},
};

/// The schemas' type names, parsed once.
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
    sql: sql::Names,
    http: http::Names,
}

/// What an access touches, as Cedar sees it.
#[derive(Debug)]
pub struct Touched {
    pub resource: Entity,
    /// What the context refers to.
    pub others: Vec<Entity>,
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
    #[error("target `{target}` speaks `{protocol}`, in which there is no `{operation}`")]
    Foreign { target: String, protocol: String, operation: Operation },
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
            sql: sql::Names::parse()?,
            http: http::Names::parse()?,
        })
    }

    pub fn action(&self, operation: Operation) -> EntityUid {
        match operation {
            Operation::Sql(operation) => self.sql.action(operation),
            Operation::Http(operation) => self.http.action(operation),
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
    pub fn touched(&self, target: &Target, access: &Access, vocabulary: &Vocabulary) -> Result<Touched, Unspeakable> {
        match access {
            Access::Sql(access) => {
                let resource = self.sql_resource(target, access, vocabulary)?;
                Ok(Touched { resource, others: Vec::new() })
            }
            Access::Http(access) => self.http_endpoint(target, access),
        }
    }

    /// What a rule may know of the moment, of the request and of the session that sends it.
    pub fn context(
        &self,
        clock: Clock,
        access: &Access,
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
        let mut pairs = vec![
            ("clock", clock),
            ("approvals", Value::new_set(approvals)),
            ("masked", self.classes(grants.masked.iter().copied())),
            ("limited", Value::new_set(limited)),
        ];
        pairs.extend(match access {
            Access::Sql(access) => self.sql.context(&access.facts, standing)?,
            Access::Http(access) => self.http.context(&access.facts)?,
        });
        Context::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value))).map_err(internal)
    }

    /// What every resource of a target has.
    fn below(&self, target: &Target) -> (EntityUid, Vec<(String, Value)>) {
        let owner = uid(&self.target, &target.name);
        let attributes = vec![
            ("target".to_owned(), Value::new_entity_uid(owner.clone())),
            ("environment".to_owned(), Value::new_entity_uid(uid(&self.environment, target.environment()))),
        ];
        (owner, attributes)
    }

    fn classes<'a>(&self, classes: impl IntoIterator<Item = &'a Class>) -> Value {
        Value::new_set(classes.into_iter().map(|class| Value::new_entity_uid(uid(&self.class, &class.0))))
    }
}

/// Checks that an access's resource is one of those that its action applies to.
pub fn fits(access: &Access, resource: &Entity, allowed: &HashSet<EntityTypeName>) -> Result<(), Unspeakable> {
    if allowed.contains(resource.uid().type_name()) {
        return Ok(());
    }
    Err(Unspeakable::Mismatch { operation: access.operation(), resource: access.resource().to_string() })
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// An identifier of names, one below the other.
fn path(kind: &EntityTypeName, parts: &[&str]) -> EntityUid {
    uid(kind, &parts.iter().map(|part| escape(part)).collect::<Vec<_>>().join("/"))
}

fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Result<Value, Unspeakable> {
    Value::new_record(fields.into_iter().map(|(name, value)| (name.to_owned(), value))).map_err(internal)
}

/// A count as Cedar has numbers: what is beyond them stays at their end.
fn count(count: u64) -> Value {
    Value::new_long(i64::try_from(count).unwrap_or(i64::MAX))
}

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

/// A name inside a path: two different resources never have the same path.
fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(['/', '%']) { name.replace('%', "%25").replace('/', "%2F").into() } else { name.into() }
}

fn internal(error: impl std::fmt::Display) -> Unspeakable {
    Unspeakable::Internal(error.to_string())
}
