//! The rules of an engine, beside what they are looked up by.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{PolicyId, Schema};

use crate::policy::{Rule, Vocabulary, entities::Names, index::Index};

/// Usable rules, and what their words mean.
#[derive(Debug)]
pub struct Rules {
    pub rules: HashMap<PolicyId, Arc<Rule>>,
    pub index: Index,
    pub names: Names,
    pub vocabulary: Vocabulary,
    pub schema: Schema,
}
