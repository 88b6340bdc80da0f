//! `cargo xtask fuzz soundness`: queries composed at random over planted secrets, through the gate on a live server.

use std::process::Command;

use anyhow::{Result, ensure};
use nix::unistd::Uid;
use portcullis_tests::binary;
use serde_json::Value;

use crate::{
    build::{self, Program},
    evidence::{Evidence, figure, table},
    prerequisites::{self, Need},
    tally::Tally,
};

/// Queries of a test run.
const TEST_QUERIES: u64 = 1200;
/// The seed of a test run: every run asks the same.
const TEST_SEED: u64 = 1;

/// What `cargo xtask fuzz soundness` asks for.
pub struct Wanted {
    pub queries: u64,
    pub seed: u64,
    /// Whether the figures go into the documentation.
    pub write: bool,
}

/// Builds and asks; false when something leaked.
pub fn run(wanted: &Wanted) -> Result<bool> {
    ensure!(Uid::effective().is_root(), "the soundness fuzzer captures a workload\nhint: run it as root");
    prerequisites::install(&[Need::Build, Need::Postgres])?;
    let packages = ["build", "--package", "portcullis", "--package", "portcullis-tests", "--bins"];
    let programs = build::cargo("building Portcullis and the soundness fuzzer", &packages)?;
    ask(&programs, wanted.queries, wanted.seed)?.publish("soundness", wanted.write, markdown)
}

/// A bounded run, as one test.
pub fn test(programs: &[Program]) -> Result<Tally> {
    Ok(ask(programs, TEST_QUERIES, TEST_SEED)?.tally())
}

fn ask(programs: &[Program], queries: u64, seed: u64) -> Result<Evidence> {
    let mut command = Command::new(build::find(programs, "soundness")?);
    command.arg("--queries").arg(queries.to_string()).arg("--seed").arg(seed.to_string());
    command.env(binary::VARIABLE, build::find(programs, "portcullis")?);
    let title = format!("postgres: {queries} queries over planted secrets");
    Evidence::gather(&title, &mut command, &binary::target_directory()?.join("soundness.json"))
}

/// The figures as a table.
fn markdown(figures: &Value) -> Result<String> {
    let number = |key: &str| figure(figures, key);
    let rows = [
        ("seed", number("seed")?.to_string()),
        ("queries asked", number("asked")?.to_string()),
        ("answered through the gate", number("answered")?.to_string()),
        ("denied by the gate", number("denied")?.to_string()),
        ("refused by the server itself", number("failed")?.to_string()),
        ("too slow or too big to compare", number("too_much")?.to_string()),
        ("answers that hold secrets before masking", number("would_leak")?.to_string()),
        ("**leaks**", format!("**{}**", number("leaks")?)),
        ("answers changed otherwise than by masking", number("changed")?.to_string()),
        ("columns that follow the secrets, all masked", number("dependent_columns")?.to_string()),
        ("columns that do not", number("independent_columns")?.to_string()),
        ("of these over-masked", format!("{} ({} %)", number("over_masked_columns")?, number("over_masked_percent")?)),
    ];
    Ok(table("soundness fuzzer", rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_stands_in_the_table() {
        let figures = serde_json::json!({
            "seed": 7, "asked": 100, "answered": 60, "denied": 30, "failed": 9, "too_much": 1, "would_leak": 40,
            "leaks": 0, "changed": 0, "dependent_columns": 80, "independent_columns": 90, "over_masked_columns": 9,
            "over_masked_percent": 10.0,
        });
        let table = markdown(&figures).unwrap();
        for row in ["| queries asked | 100 |", "| **leaks** | **0** |", "| of these over-masked | 9 (10.0 %) |"] {
            assert!(table.contains(row), "{table}");
        }
        assert!(markdown(&serde_json::json!({ "seed": 7 })).is_err());
    }
}
