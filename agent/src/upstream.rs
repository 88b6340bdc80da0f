//! Dialling the target's server.
