//! SQL text to accesses: what a statement would touch, decided on the server's own grammar.
//!
//! ```text
//! text ─▶ scan ─▶ pg_query's parser ─▶ analysis ─▶ Classified
//!  limits, UTF-8      the tree     scopes, accesses, flows
//! ```
//! `README.md` beside this module says what is understood, what is unknown, and where the limits are.

mod analysis;
#[cfg(test)]
mod bad_input;
mod cache;
mod catalogue;
mod classifier;
mod layout;
mod mistake;
mod path;
mod scan;
mod statement;
#[cfg(test)]
mod tests;
mod views;

pub use analysis::{STEPS_MAX, TREE_DEPTH_MAX};
pub use catalogue::{Catalogue, Column, Definition, Relation, RelationKind, SETTINGS};
pub use classifier::{Changes, Classifier, STATEMENTS_MAX};
pub use layout::{CopyFormat, CopyLayout, copy_layout};
pub use mistake::Mistake;
pub use path::{Path, SCHEMAS_MAX, SearchPath, path_in};
pub use scan::{COMMENT_DEPTH_MAX, OPERATOR_RUN_MAX, STATEMENT_BYTES_MAX};
pub use statement::{
    Classified, ColumnRef, Output, Own, Prepared, RelationName, SessionState, Statement, StatementKind,
    TEMPORARY_SCHEMA,
};
pub use views::VIEW_DEPTH_MAX;
