//! Portcullis: a gate that no AI agent on a host can walk around.
//!
//! The kernel redirects every outbound connection of a governed process tree (a *workload*) to this
//! daemon. The modules stand in the order in which a connection meets them:
//!
//! ```text
//! capture ─▶ accept ─▶ tls ─▶ detect ─▶ protocol::X::session ─▶ driver ─▶ upstream
//!                                            │ ask(Request)
//!                                            ▼
//!                            gate: policy ▶ approval ▶ record ▶ Verdict
//! ```
//!
//! **A session may only ask, a gate may only answer, a driver may only move bytes.**
//! `ARCHITECTURE.md` beside this crate has the bird's view, the invariants and the threat model.

// The kernel side: what captures, and who was captured.
pub mod accept;
pub mod capture;
pub mod jail;

// The way of one connection.
pub mod connection;
pub mod detect;
pub mod dns;
pub mod protocol;
pub mod socket;
pub mod surveys;
pub mod tls;
pub mod upstream;

// The nouns that everything speaks of.
pub mod principal;
pub mod request;
pub mod target;

// What decides, what masks, what waits, what remembers.
pub mod approval;
pub mod credential;
pub mod gate;
pub mod http;
pub mod mask;
pub mod policy;
pub mod record;
pub mod sql;

// The daemon around it, and the person's way in.
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod lanes;
pub mod live;
