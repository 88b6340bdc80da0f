//! Policy as code: Cedar rules, and what the host adds to them.
//!
//! A [`Bundle`] of files becomes one immutable [`Engine`], or a list of [`Findings`]: nothing in between
//! is ever in force. The engine answers each [`Question`] with a [`Decision`]; the [`Store`] holds the
//! engine that is in force and replaces it when the files change.
//!
//! ```text
//! Bundle ─▶ parse ─▶ strict validation ─▶ lint ─▶ manifest ─▶ the bundle's own tests ─▶ Engine ─▶ Store
//!           rule      schema               lint    manifest    suite
//!
//! Question ─▶ for each access: pass 1, nothing granted ─▶ pass 2, what is needed granted ─▶ Decision
//! ```
//!
//! An obligation (mask, approval) is a `forbid` that the obligation lifts: it fails closed in every tool
//! that reads Cedar, and no added `permit` can get around it.

mod annotation;
mod bundle;
mod decision;
mod diagnostic;
mod engine;
mod entities;
mod explain;
mod expression;
mod finding;
mod index;
mod judge;
mod limit;
mod lint;
mod manifest;
mod message;
mod needs;
mod predicates;
mod question;
mod rule;
mod rules;
mod schema;
mod store;
mod suite;
mod validation;

pub use bundle::{Bundle, BundleError, Source};
pub use decision::{Decision, Effect, Obligations, RuleId, Terms};
pub use engine::Engine;
pub use explain::{Explanation, explain};
pub use finding::{Finding, Findings};
pub use judge::{Judgement, Pass};
pub use limit::{Bound, Limit, Limits};
pub use manifest::Manifest;
pub use needs::Needs;
pub use predicates::{PREDICATES, Predicates};
pub use question::{Clock, Question, Weekday};
pub use rule::{Approval, Remedy, Rule};
pub use schema::Vocabulary;
pub use store::{Origin, Settings, State, Store, Watch};
pub use suite::{Change, Report, Stage, Tests, activate, execute, login};

#[cfg(test)]
mod tests;
