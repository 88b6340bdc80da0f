//! Test executables, and which area each belongs to.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use portcullis_tests::{binary, place};

use super::area::Area;
use crate::{
    build::{self, Program},
    progress,
    tally::Tally,
};

/// Modules of the daemon that are areas of their own.
const MODULES: [(&str, Area); 3] = [("protocol::laws::", Area::Laws), ("sql::", Area::Sql), ("record::", Area::Record)];

/// One run of one test executable.
pub struct Suite {
    pub area: Area,
    title: String,
    executable: PathBuf,
    folder: PathBuf,
    /// The daemon that tests start.
    portcullis: PathBuf,
    arguments: Vec<String>,
}

impl Suite {
    /// Sorts a build's test executables into suites. An executable that belongs nowhere is an error.
    pub fn of(programs: &[Program]) -> Result<Vec<Self>> {
        let daemon = build::find(programs, "portcullis")?;
        let mut suites = Vec::new();
        for program in programs.iter().filter(|program| program.test) {
            match (program.package.as_str(), program.kind.as_str(), program.name.as_str()) {
                ("agent", "lib", _) => suites.extend(daemon_library(program, daemon)),
                ("tests", "test", name) => suites.push(Self::new(integration(name)?, program, daemon, Vec::new())),
                (_, "lib" | "bin" | "test", _) => suites.push(Self::new(Area::Unit, program, daemon, Vec::new())),
                // Examples have no tests.
                (_, _, _) => {}
            }
        }
        Ok(suites)
    }

    fn new(area: Area, program: &Program, daemon: &Path, arguments: Vec<String>) -> Self {
        let filter = arguments.iter().find(|argument| argument.ends_with("::")).filter(|_| arguments.len() == 1);
        let part = filter.map_or_else(|| program.kind.clone(), |module| module.trim_end_matches("::").to_owned());
        Self {
            area,
            title: format!("{}: {} {part}", area.name(), program.name),
            executable: program.executable.clone(),
            folder: program.folder.clone(),
            portcullis: daemon.to_owned(),
            arguments,
        }
    }

    /// Runs it. What failed is printed; an executable that dies without a result counts as one failure.
    pub fn run(&self) -> Result<Tally> {
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments).current_dir(&self.folder);
        command.env("CARGO_MANIFEST_DIR", &self.folder).env(binary::VARIABLE, &self.portcullis);
        command.env("INSTA_WORKSPACE_ROOT", place::repository()).env("INSTA_UPDATE", "no");
        // What failed is said in the error itself; a panic's trace can still be asked for.
        command.env("RUST_LIB_BACKTRACE", "0");

        let mut lines = Vec::new();
        let mut result = None;
        let succeeded = progress::watch(&self.title, &mut command, |line| {
            result = tally(line).or(result);
            lines.push(line.to_owned());
        })?;
        let mut tally = result.unwrap_or_default();
        if !succeeded {
            tally.failed = tally.failed.max(1);
            failures(&lines).iter().for_each(|line| eprintln!("{line}"));
        }
        eprintln!("  {}: {} passed, {} failed", self.title, tally.passed, tally.failed);
        Ok(tally)
    }
}

/// The daemon's own tests: one suite for each area that is a module, and one for the rest.
fn daemon_library(program: &Program, daemon: &Path) -> Vec<Suite> {
    let rest = MODULES.iter().flat_map(|(module, _)| ["--skip".to_owned(), (*module).to_owned()]).collect();
    let mut suites = vec![Suite::new(Area::Unit, program, daemon, rest)];
    for (module, area) in MODULES {
        suites.push(Suite::new(area, program, daemon, vec![module.to_owned()]));
    }
    suites
}

/// The area of one file under `tests/tests`.
fn integration(name: &str) -> Result<Area> {
    Ok(match name {
        "capture" | "enrol" | "fault" | "guard" | "proof" | "takeover" => Area::Capture,
        "jail" => Area::Jail,
        "postgres" | "releases" => Area::Postgres,
        "http" => Area::Http,
        "clients" | "tools" => Area::Clients,
        "crash" => Area::Record,
        "containers" => Area::Containers,
        _ => bail!("tests/tests/{name}.rs belongs to no area; name its area in xtask/src/test/suite.rs"),
    })
}

/// Reads libtest's last line.
fn tally(line: &str) -> Option<Tally> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| -> Option<u64> {
        rest.split([';', '.']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    Some(Tally { passed: number("passed")?, failed: number("failed")? })
}

/// The part of a failed run that says what failed; all of it when there is no such part.
fn failures(lines: &[String]) -> &[String] {
    let begin = lines.iter().position(|line| line == "failures:").unwrap_or(0);
    lines.get(begin..).unwrap_or(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_results_are_read() {
        let line = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 6.01s";
        assert_eq!(tally(line), Some(Tally { passed: 7, failed: 2 }));
        assert_eq!(tally("test direct::psql ... ok"), None);
    }

    #[test]
    fn a_crash_counts_as_a_failure() {
        let suite = Suite {
            area: Area::Unit,
            title: "crash".into(),
            executable: "sh".into(),
            folder: "/".into(),
            portcullis: "/bin/true".into(),
            arguments: vec!["-c".into(), "kill -ABRT $$".into()],
        };
        assert_eq!(suite.run().unwrap(), Tally { passed: 0, failed: 1 });
    }

    #[test]
    fn a_test_file_without_an_area_is_an_error() {
        assert!(integration("forgotten").is_err());
    }
}
