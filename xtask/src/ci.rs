//! `cargo xtask ci`: nothing else decides what CI is.

use std::process::Command;

use anyhow::Result;
use portcullis_tests::place;

use crate::{
    build, edges,
    prerequisites::{self, Need},
    progress,
    test::{self, Area},
};

/// Format, lints, module edges, dependencies, policies, then every test. False when tests failed.
pub fn run() -> Result<bool> {
    prerequisites::install(&[Need::Build])?;
    cargo("format", &["fmt", "--all", "--check"])?;
    cargo("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    edges::check()?;
    if prerequisites::found("cargo-deny").is_some() {
        cargo("dependencies", &["deny", "check"])?;
    }
    policies()?;
    // Under plain emulation one guest takes minutes of a processor, and on a machine that does much else a multiple of
    // that: `cargo xtask test vm` is a command of its own.
    let areas: Vec<_> = Area::ALL.into_iter().filter(|area| *area != Area::Vm).collect();
    test::all(&areas)
}

/// What operators are given to start from must itself pass.
fn policies() -> Result<()> {
    let directory = place::repository().join("policies");
    let programs = build::everything()?;
    let portcullis = build::find(&programs, "portcullis")?;
    for action in ["check", "test"] {
        let mut command = Command::new(portcullis);
        command.args(["policy", action]).arg(&directory);
        progress::run(&format!("policy {action}"), &mut command)?;
    }
    Ok(())
}

fn cargo(title: &str, arguments: &[&str]) -> Result<()> {
    progress::run(title, Command::new("cargo").args(arguments).current_dir(place::repository()))
}
