//! `cargo xtask table`: every known way out, tried on this kernel; and the README's quote of what came of it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Uid;
use portcullis_tests::binary;
use serde_json::Value;

use crate::{
    build::{self, Program},
    prerequisites::{self, Need},
    progress,
    quote::Quote,
    tally::Tally,
};

/// Where the README shows what came of it.
const QUOTE: Quote = Quote::of("README.md", "table");

/// Try every known way out of a workload on this kernel, and print who was held by what.
#[derive(clap::Args)]
pub struct Arguments {
    /// Put the summary into the README.
    #[arg(long)]
    write: bool,
}

/// Makes the table; false when a row is not as expected.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if !Uid::effective().is_root() {
        bail!("the attack table makes network namespaces and attaches programs\nhint: run it as root");
    }
    prerequisites::install(&[Need::Build])?;
    let packages = ["build", "--package", "portcullis", "--package", "portcullis-tests", "--bins"];
    let programs = build::cargo("building Portcullis and the attack table", &packages)?;
    let table = Table::make(&programs)?;
    print!("{}", table.text);
    if arguments.write {
        QUOTE.write(&format!("```text\n{}```\n", table.summary))?;
    }
    Ok(table.well)
}

/// The table as a part of the tests: each row is one, and so is the README's quote.
pub fn test(programs: &[Program]) -> Result<Tally> {
    let table = Table::make(programs)?;
    println!("{}", table.text);
    let mut tally = table.tally;
    match table.check_quote() {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            eprintln!("README.md: {error:#}\nhint: cargo xtask table --write");
            tally.failed += 1;
        }
    }
    eprintln!("  capture: attack table: {} passed, {} failed", tally.passed, tally.failed);
    Ok(tally)
}

struct Table {
    text: String,
    summary: String,
    kernel: String,
    tally: Tally,
    well: bool,
}

impl Table {
    fn make(programs: &[Program]) -> Result<Self> {
        let saved = binary::target_directory()?.join("attack-table.txt");
        let mut command = Command::new(build::find(programs, "attack-table")?);
        command.arg("--json").arg("--save").arg(&saved).env(binary::VARIABLE, build::find(programs, "portcullis")?);
        let mut lines = Vec::new();
        progress::watch("capture: attack table", &mut command, |line| lines.push(line.to_owned()))?;
        // Progress comes first, then one JSON document.
        let begin = lines.iter().position(|line| line == "{");
        let json = begin.and_then(|begin| serde_json::from_str(&lines.get(begin..)?.join("\n")).ok());
        let Some(json) = json else { bail!("the attack table could not be made:\n{}", lines.join("\n")) };
        Self::read(&json, &saved)
    }

    fn read(json: &Value, saved: &Path) -> Result<Self> {
        let word =
            |key: &str| json.get(key).and_then(Value::as_str).with_context(|| format!("no `{key}` in the table"));
        let rows = json.get("rows").and_then(Value::as_array).context("no rows in the table")?;
        let failed = rows.iter().filter(|row| differs(row)).count() as u64;
        Ok(Self {
            text: fs::read_to_string(saved).with_context(|| format!("reading {}", saved.display()))?,
            summary: word("summary")?.to_owned(),
            kernel: word("kernel")?.to_owned(),
            tally: Tally { passed: rows.len() as u64 - failed, failed },
            well: json.get("well").and_then(Value::as_bool).context("no `well` in the table")?,
        })
    }

    /// Compares the README's quote, where it is of this kernel: counts, not which of two layers came first.
    fn check_quote(&self) -> Result<()> {
        compare(&QUOTE.read()?, &self.summary, &self.kernel)
    }
}

fn compare(quote: &str, summary: &str, kernel: &str) -> Result<()> {
    let quoted: Vec<_> = quote.lines().filter(|line| !line.is_empty() && !line.starts_with("```")).collect();
    let first = quoted.first().context("the README quotes nothing of the attack table")?;
    if !first.contains(kernel) {
        return Ok(());
    }
    let counts = |line: &str| line.split("; by").next().unwrap_or_default().to_owned();
    for (quoted, made) in quoted.iter().zip(summary.lines()) {
        ensure!(counts(quoted) == counts(made), "it says `{}`, and the table `{}`", counts(quoted), counts(made));
    }
    ensure!(quoted.len() == summary.lines().count(), "its quote of the attack table has another number of lines");
    Ok(())
}

fn differs(row: &Value) -> bool {
    let places = row.get("places").and_then(Value::as_array).into_iter().flatten();
    places.into_iter().any(|place| place.get("differs").is_none_or(|differs| !differs.is_null()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "3 attempts on Linux 6.1\n  jail  3 that work free: 3 held, 0 open; by packet 3\n";

    #[test]
    fn a_quote_must_have_the_tables_counts() {
        assert!(
            compare(
                "```text\n3 attempts on Linux 6.1\n  jail  3 that work free: 3 held, 0 open; by x 3\n```",
                SUMMARY,
                "6.1"
            )
            .is_ok()
        );
        assert!(
            compare("3 attempts on Linux 6.1\n  jail  4 that work free: 3 held, 1 open; by x 3", SUMMARY, "6.1")
                .is_err()
        );
        assert!(compare("3 attempts on Linux 6.1", SUMMARY, "6.1").is_err());
        assert!(compare("", SUMMARY, "6.1").is_err());
    }

    #[test]
    fn a_quote_of_another_kernel_is_not_compared() {
        assert!(compare("9 attempts on Linux 5.15", SUMMARY, "6.1").is_ok());
    }

    #[test]
    fn a_row_fails_when_one_place_differs_or_does_not_say() {
        let row = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert!(!differs(&row(r#"{"places": [{"differs": null}, {"differs": null}]}"#)));
        assert!(differs(&row(r#"{"places": [{"differs": null}, {"differs": "got out: the wire"}]}"#)));
        assert!(differs(&row(r#"{"places": [{}]}"#)));
    }
}
