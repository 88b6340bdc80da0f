//! SQL text to accesses: what a statement would touch, decided on the server's own grammar.

mod catalogue;

pub use catalogue::{Catalogue, Column, Relation, RelationKind};

/// Classifies statements against one catalogue, with a cache by text.
#[derive(Debug)]
pub struct Classifier;
