//! The jail that `portcullis run` makes: what a command cannot do in it, and what it still can.
//!
//! Needs root. A command that tries something is this test program itself, in another role ([`attempts`]): it is bound
//! into the jail like any project's file.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod attempts;
mod files;
mod life;
mod rig;
mod terminal;
mod tools;
mod trust;
mod walls;

/// Not a test: what this program does in a jail.
#[test]
#[ignore = "plays a role for the other tests"]
fn role() {
    attempts::make();
}
