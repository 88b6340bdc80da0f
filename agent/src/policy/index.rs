//! Rules by action and by principal, so that a decision looks only at those that can matter.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{
    ActionConstraint, Entity, EntityTypeName, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint, Schema,
    pst::Clause,
};

use crate::{
    policy::{Needs, Rule, entities::Names, expression},
    request::Operation,
};

/// Every operation with the rules that may apply to it.
#[derive(Debug)]
pub struct Index(HashMap<Operation, Shelf>);

/// The rules for one action.
#[derive(Debug)]
pub struct Shelf {
    /// The action, with every group of actions that it is in.
    pub action: Entity,
    pub uid: EntityUid,
    /// What the action applies to.
    pub resources: HashSet<EntityTypeName>,
    /// What any of the rules reads, beside the request.
    pub needs: Needs,
    forbids: Division,
    permits: Division,
    /// Permits that only ever match resources of certain names: a list of hundreds of names is slow to
    /// evaluate. One division for each such rule.
    listed: Vec<Division>,
    /// The positions in `listed`, by name.
    by_name: HashMap<String, Vec<usize>>,
}

/// Rules, divided by whom their scopes name.
#[derive(Debug, Default)]
struct Division {
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
        for operation in Operation::all() {
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
                needs: Needs::default(),
                forbids: Division::default(),
                permits: Division::default(),
                listed: Vec::new(),
                by_name: HashMap::new(),
            };
            for rule in rules {
                if shelf.concerns(rule, &ancestors) {
                    shelf.needs = shelf.needs.and(Needs::of(rule));
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
    /// The sets that together hold every forbid that may match a principal of these identities.
    pub fn forbids<'a>(&'a self, identities: &'a [EntityUid]) -> impl Iterator<Item = &'a PolicySet> {
        self.forbids.sets(identities)
    }

    /// The sets that together hold every permit that may match such a principal and a resource of this name.
    pub fn permits<'a>(&'a self, identities: &'a [EntityUid], name: &str) -> impl Iterator<Item = &'a PolicySet> {
        let positions = self.by_name.get(name).into_iter().flatten();
        let listed = positions.filter_map(|position| self.listed.get(*position));
        std::iter::once(&self.permits).chain(listed).flat_map(|division| division.sets(identities))
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
        if rule.forbids {
            return self.forbids.add(rule, names);
        }
        let Some(listed) = resource_names(rule) else { return self.permits.add(rule, names) };
        let mut division = Division::default();
        division.add(rule, names)?;
        for name in listed {
            self.by_name.entry(name).or_default().push(self.listed.len());
        }
        self.listed.push(division);
        Ok(())
    }
}

impl Division {
    fn sets<'a>(&'a self, identities: &'a [EntityUid]) -> impl Iterator<Item = &'a PolicySet> {
        let named = identities.iter().filter_map(|identity| self.named.get(identity));
        std::iter::once(&self.anybody).filter(|set| !set.is_empty()).chain(named)
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

/// The only names of resources that a rule can match, where it lists them; `None` when it may match any.
fn resource_names(rule: &Rule) -> Option<BTreeSet<String>> {
    let policy = rule.policy.to_pst().ok()?;
    policy.body().clauses().iter().find_map(|clause| match clause {
        Clause::When(condition) => expression::resource_names(condition),
        Clause::Unless(_) => None,
    })
}
