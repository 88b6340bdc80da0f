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
mod definitions;
mod kind;
mod layout;
mod mistake;
mod path;
mod plpgsql;
mod scan;
mod session;
mod statement;
#[cfg(test)]
mod tests;
mod views;

pub use analysis::{STEPS_MAX, TREE_DEPTH_MAX};
pub use catalogue::{Catalogue, Column, Definition, Relation, RelationKind, SETTINGS};
pub use classifier::{Classifier, STATEMENTS_MAX};
pub use definitions::{Change, Changes, Definitions};
pub use kind::{Naming, StatementKind, Step, Trace};
pub use layout::{CopyFormat, CopyLayout, copy_layout};
pub use mistake::Mistake;
pub use path::{Path, SCHEMAS_MAX, SearchPath, path_in};
pub use scan::{COMMENT_DEPTH_MAX, OPERATOR_RUN_MAX, STATEMENT_BYTES_MAX};
pub use session::{Own, SessionState};
pub use statement::{Classified, ColumnRef, Output, Prepared, RelationName, Statement, TEMPORARY_SCHEMA};
pub use views::VIEW_DEPTH_MAX;
