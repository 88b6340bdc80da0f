//! `cargo xtask regression`: PostgreSQL's own regression suite, classified and compared with what the server did.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use portcullis_tests::{binary, cache};
use serde_json::Value;

use crate::{
    apt::{Apt, Archive, Packages, Suite},
    build::{self, Program},
    evidence::{Evidence, figure, table},
    prerequisites::{self, Need},
    progress,
    tally::Tally,
};

/// The distribution's source package of the release that tests run.
const PACKAGE: &str = "postgresql-15";
/// What is taken from it.
const SUITE: &str = "src/test/regress";
const SUITE_PARTS: [&str; 3] = ["sql", "data", "parallel_schedule"];
/// The release of Debian that has it.
const RELEASE: Suite = Suite::of("bookworm");

/// What a test run classifies: the files about queries and what writes rows.
const TEST_FILES: [&str; 9] =
    ["select", "select_distinct", "subselect", "union", "insert", "insert_conflict", "with", "merge", "tsrf"];

/// Classify PostgreSQL's regression suite, and compare with what the server says that it did.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files of the suite; all of them when none is named.
    files: Vec<String>,
    /// Put the figures into the documentation.
    #[arg(long)]
    write: bool,
}

/// Runs the suite; false when something was lost.
pub fn run(arguments: &Arguments) -> Result<bool> {
    prerequisites::install(&[Need::Build, Need::Postgres])?;
    let packages = ["build", "--package", "portcullis-tests", "--example", "regression"];
    let programs = build::cargo("building the comparison", &packages)?;
    compare(&programs, &arguments.files)?.publish("regression", arguments.write, markdown)
}

/// A part of the suite, as one test.
pub fn test(programs: &[Program]) -> Result<Tally> {
    Ok(compare(programs, &TEST_FILES.map(str::to_owned))?.tally())
}

fn compare(programs: &[Program], files: &[String]) -> Result<Evidence> {
    let mut command = Command::new(build::find(programs, "regression")?);
    command.arg(suite()?).args(files);
    let saved = binary::target_directory()?.join("regression.json");
    Evidence::gather("sql: PostgreSQL's regression suite", &mut command, &saved)
}

/// The suite from the distribution's source package, fetched once.
fn suite() -> Result<PathBuf> {
    let kept = cache::root().join("postgresql-regress");
    if !kept.exists() {
        let arriving = cache::root().join("postgresql-regress-arriving");
        fs::create_dir_all(&arriving)?;
        let lists = arriving.join("apt");
        let apt = Apt::of(Archive::Debian, &[RELEASE], Packages::Source, &lists, "package lists of sources")?;
        apt.source(PACKAGE, &arriving)?;
        unpack(&archive(&arriving)?, &arriving.join("suite"))?;
        fs::rename(arriving.join("suite"), &kept).context("keeping the regression suite")?;
        fs::remove_dir_all(&arriving).context("removing the source package")?;
    }
    Ok(kept)
}

/// The upstream's archive among the files of a source package.
fn archive(directory: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(".orig.tar.") && !name.ends_with(".asc") {
            return Ok(path);
        }
    }
    bail!("the source package {PACKAGE} has no archive of the upstream's")
}

fn unpack(archive: &Path, suite: &Path) -> Result<()> {
    fs::create_dir_all(suite)?;
    // `postgresql-15.18/src/test/regress/…`
    let depth = SUITE.split('/').count() + 1;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(suite).arg(format!("--strip-components={depth}")).arg("--wildcards");
    tar.args(SUITE_PARTS.map(|part| format!("*/{SUITE}/{part}")));
    progress::run("unpacking the regression suite", &mut tar)?;
    ensure!(suite.join("parallel_schedule").exists(), "the source package has no {SUITE}");
    Ok(())
}

/// The figures as a table.
fn markdown(figures: &Value) -> Result<String> {
    let number = |key: &str| figure(figures, key);
    let excepted = number("excepted")?.as_object().context("`excepted` is no map")?;
    let count: u64 = excepted.values().filter_map(Value::as_u64).sum();
    let rows = [
        ("files", number("files")?.to_string()),
        ("texts", number("texts")?.to_string()),
        ("run by the server without an error", number("run")?.to_string()),
        ("classified completely", format!("{} ({} %)", number("complete")?, number("complete_percent")?)),
        ("uses of relations compared", number("relations")?.to_string()),
        ("**relations, writes, columns or statements lost**", format!("**{}**", number("lost")?)),
        ("differences that are argued in `exceptions.txt`", count.to_string()),
        (
            "texts that define objects, call functions or set triggers off, whose locks are not compared",
            number("beyond")?.to_string(),
        ),
    ];
    Ok(table("PostgreSQL's regression suite", rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_stands_in_the_table() {
        let figures = serde_json::json!({
            "files": 4, "texts": 800, "run": 700, "complete": 790, "complete_percent": 98.8, "relations": 4000,
            "lost": 0, "excepted": { "one": 2, "two": 3 }, "beyond": 50,
        });
        let table = markdown(&figures).unwrap();
        for row in ["| classified completely | 790 (98.8 %) |", "in `exceptions.txt` | 5 |"] {
            assert!(table.contains(row), "{table}");
        }
        assert!(markdown(&serde_json::json!({})).is_err());
    }
}
