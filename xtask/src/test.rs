//! `cargo xtask test`: builds once, runs the areas, and ends with one plain line.

mod area;
mod suite;

use anyhow::{Result, bail};
use nix::unistd::Uid;

pub use self::area::Area;
use self::suite::Suite;
use crate::{
    build, fuzz,
    prerequisites::{self, Need},
    regression, soundness, table,
    tally::Tally,
    vm,
};

/// How long each fuzz target is fed in a test run.
const SMOKE_SECONDS: u32 = 10;

/// Run the tests of some areas, or all of them.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask test unit sql\n\nA single test: see tests/README.md.")]
pub struct Arguments {
    /// Areas to test; all of them when none is named.
    areas: Vec<String>,
    /// List the areas and end.
    #[arg(long)]
    list: bool,
    /// Install what the areas need and end.
    #[arg(long)]
    prepare: bool,
}

/// Tests what the arguments name; prints `N passed, N failed` last. False when something failed.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.list {
        for area in Area::ALL {
            println!("{:<10} {}", area.name(), area.about());
        }
        return Ok(true);
    }
    let areas = chosen(&arguments.areas)?;
    if arguments.prepare {
        return prepare(&areas).map(|()| true);
    }
    let rootless: Vec<_> = areas.iter().filter(|area| area.needs_root()).map(|area| area.name()).collect();
    if !rootless.is_empty() && !Uid::effective().is_root() {
        bail!(
            "these areas attach programs to the kernel and need root: {}\nhint: run as root, or name other areas",
            rootless.join(", ")
        );
    }
    all(&areas)
}

/// Installs what the given areas need.
fn prepare(areas: &[Area]) -> Result<()> {
    let mut needs: Vec<_> = areas.iter().flat_map(|area| area.needs()).copied().collect();
    needs.sort_unstable();
    needs.dedup();
    prerequisites::install(&needs)
}

/// Tests the given areas.
pub fn all(areas: &[Area]) -> Result<bool> {
    prepare(areas)?;
    let programs = build::everything()?;
    let suites = Suite::of(&programs)?;
    let mut tally = Tally::default();
    for area in areas {
        for suite in suites.iter().filter(|suite| suite.area == *area) {
            tally += suite.run()?;
        }
        if *area == Area::Capture {
            tally += table::test(&programs)?;
        }
        if *area == Area::Postgres {
            tally += regression::test(&programs)?;
            tally += soundness::test(&programs)?;
        }
        if *area == Area::Vm {
            tally += vm::test(&programs)?;
        }
        if *area == Area::Laws && fuzz::available() {
            tally += smoke()?;
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}

/// A short fuzz run of every target, each counted as one test.
fn smoke() -> Result<Tally> {
    prerequisites::install(&[Need::Fuzz])?;
    let mut tally = Tally::default();
    for target in fuzz::targets()? {
        match fuzz::feed(&target, SMOKE_SECONDS)? {
            true => tally.passed += 1,
            false => tally.failed += 1,
        }
    }
    Ok(tally)
}

fn chosen(names: &[String]) -> Result<Vec<Area>> {
    if names.is_empty() {
        return Ok(Area::ALL.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let found = Area::ALL.into_iter().find(|area| area.name() == name);
            found.ok_or_else(|| anyhow::anyhow!("unknown area `{name}`\nhint: the areas are {}", Area::names()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_area_is_an_error_that_lists_the_areas() {
        let error = chosen(&["unti".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`unti`") && error.contains("unit, laws, sql"), "{error}");
    }

    #[test]
    fn no_area_means_all() {
        assert_eq!(chosen(&[]).unwrap(), Area::ALL);
    }
}
