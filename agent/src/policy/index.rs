//! Rules by action and by principal, so that a decision looks only at those that can matter.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    ActionConstraint, Entity, EntityTypeName, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint, Schema,
};

use crate::{
    policy::{Rule, entities::Names},
    request::{Operation, sql},
};

/// Every operation with the rules that may apply to it.
#[derive(Debug)]
pub struct Index(HashMap<Operation, Shelf>);

/// The rules for one action, divided by whom they name.
#[derive(Debug)]
pub struct Shelf {
    /// The action, with every group of actions that it is in.
    pub action: Entity,
    pub uid: EntityUid,
    /// What the action applies to.
    pub resources: HashSet<EntityTypeName>,
    anybody: PolicySet,
    /// By the group or the workload that the rule's scope names.
    named: HashMap<EntityUid, PolicySet>,
}

/// Why rules could not be indexed: the schema and the code disagree.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("the schema has no usable action `{0}`")]
    Action(Operation),
    #[error("failed to index a rule: {0}")]
    Rule(String),
}

impl Index {
    pub fn build(rules: &[Rule], schema: &Schema, names: &Names) -> Result<Self, IndexError> {
        let actions = schema.action_entities().map_err(|error| IndexError::Rule(error.to_string()))?;
        let mut shelves = HashMap::new();
        for operation in sql::Operation::ALL.map(Operation::Sql) {
            let uid = names.action(operation);
            if actions.get(&uid).is_none() {
                return Err(IndexError::Action(operation));
            }
            let ancestors: HashSet<EntityUid> = actions.ancestors(&uid).into_iter().flatten().cloned().collect();
            let resources = schema.resources_for_action(&uid).into_iter().flatten().cloned().collect();
            let mut shelf = Shelf {
                action: Entity::new_no_attrs(uid.clone(), ancestors.clone()),
                uid,
                resources,
                anybody: PolicySet::new(),
                named: HashMap::new(),
            };
            for rule in rules {
                if shelf.concerns(rule, &ancestors) {
                    shelf.add(rule, names)?;
                }
            }
            shelves.insert(operation, shelf);
        }
        Ok(Self(shelves))
    }

    pub fn shelf(&self, operation: Operation) -> Option<&Shelf> {
        self.0.get(&operation)
    }
}

impl Shelf {
    /// The sets that together hold every rule that may match a principal of these identities.
    pub fn sets<'a>(&'a self, identities: &'a [EntityUid]) -> impl Iterator<Item = &'a PolicySet> {
        let named = identities.iter().filter_map(|identity| self.named.get(identity));
        std::iter::once(&self.anybody).filter(|set| !set.is_empty()).chain(named)
    }

    /// Whether the rule's scope can match this action and one of its resources.
    fn concerns(&self, rule: &Rule, ancestors: &HashSet<EntityUid>) -> bool {
        let named = |uid: &EntityUid| *uid == self.uid || ancestors.contains(uid);
        let action = match rule.policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid == self.uid,
            ActionConstraint::In(uids) => uids.iter().any(named),
        };
        let resource = match rule.policy.resource_constraint() {
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => self.resources.contains(&kind),
            ResourceConstraint::Any | ResourceConstraint::In(_) | ResourceConstraint::Eq(_) => true,
        };
        action && resource
    }

    fn add(&mut self, rule: &Rule, names: &Names) -> Result<(), IndexError> {
        let known = |uid: EntityUid| (names.is_identity(&uid)).then_some(uid);
        let owner = match rule.policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
            PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                known(uid)
            }
        };
        let set = match owner {
            Some(uid) => self.named.entry(uid).or_default(),
            None => &mut self.anybody,
        };
        set.add(rule.policy.clone()).map_err(|error| IndexError::Rule(error.to_string()))
    }
}
