//! PostgreSQL, protocol 3.0 and 3.2.

use crate::protocol::{Detection, Engine, Protocol};

/// This folder's line in the registry.
pub const PROTOCOL: Protocol = Protocol {
    name: "postgres",
    detect: |_| Detection::No,
    engine: Engine::Session(|_| unimplemented!()),
    transcript: || unimplemented!(),
};

/// Which cancel key of ours stands for which of the server's.
#[derive(Debug, Default)]
pub struct Cancels;
