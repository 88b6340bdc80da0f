//! Real services for the tests, the demo and the benchmark: PostgreSQL, pgbouncer, the gate itself, and
//! the clients that agents use.
//!
//! Everything here is started on a free port, in a directory of its own, in a process group of its own,
//! and ends with the value that stands for it.

pub mod binary;
pub mod cache;
pub mod certificates;
pub mod client;
pub mod gate;
pub mod guard;
pub mod nginx;
pub mod place;
pub mod port;
pub mod postgres;
pub mod service;
pub mod vault;
pub mod wait;
