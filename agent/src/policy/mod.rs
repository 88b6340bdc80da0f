//! Policy as code: Cedar rules, and what the host adds to them.

mod decision;

pub use decision::{Decision, Effect, Obligations, RuleId, Terms};
