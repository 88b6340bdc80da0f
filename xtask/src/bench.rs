//! `cargo xtask bench`: the gate beside its peers, interleaved in one run. A measurement, not a test.

mod connect;
mod figure;
mod measure;
mod parts;
mod rig;
mod scenario;

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use portcullis_tests::place;

use self::{
    figure::{Figure, Machine},
    rig::{Rig, Route},
    scenario::{Area, Scenario},
};
use crate::{
    build,
    prerequisites::{self, Need},
    progress::Progress,
};

/// Where `--write` puts the table.
const DOCUMENT: &str = "agent/docs/bench.md";

/// Measure direct, through a bare relay, through pgbouncer and through the gate, in turns.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to measure: throughput, rows, connects, latency, memory, capture, parts. All of it when none is named.
    areas: Vec<String>,
    /// Fewer and shorter rounds: whether it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Write the table to `agent/docs/bench.md`.
    #[arg(long)]
    write: bool,
}

/// How often and how long each route is measured.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    rounds: usize,
    length: Duration,
}

/// Measures and prints a table with the target beside each figure.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("the benchmark captures its load like any workload\nhint: run it as root");
    }
    let areas = Area::chosen(&arguments.areas)?;
    let rounds = match arguments.quick {
        true => Rounds { rounds: 2, length: Duration::from_secs(2) },
        false => Rounds { rounds: 5, length: Duration::from_secs(3) },
    };
    prerequisites::install(&[Need::Build, Need::Postgres, Need::Peers])?;
    let programs = release_build()?;
    // First: until the rig stands, no program of ours is in the kernel.
    let capture = match areas.contains(&Area::Capture) {
        true => {
            let (portcullis, connects) = (build::find(&programs, "portcullis")?, build::find(&programs, "connects")?);
            connect::measure(portcullis, connects, rounds.rounds, arguments.quick)?
        }
        false => String::new(),
    };
    let served = match areas.iter().all(|area| matches!(area, Area::Capture | Area::Parts)) {
        true => String::new(),
        false => served(&programs, &areas, rounds, arguments.quick)?,
    };
    let parts = if areas.contains(&Area::Parts) { parts::measure()? } else { String::new() };
    let table = served + &capture + &parts;
    println!("{table}");
    if arguments.write {
        let document = place::repository().join(DOCUMENT);
        std::fs::create_dir_all(document.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(&document, table).with_context(|| format!("writing {DOCUMENT}"))?;
        eprintln!("written: {DOCUMENT}");
    }
    Ok(true)
}

/// Measures what has a server behind it.
fn served(programs: &[build::Program], areas: &[Area], rounds: Rounds, quick: bool) -> Result<String> {
    let rig = Rig::start(build::find(programs, "portcullis")?, build::find(programs, "relay")?)?;
    let mut figures = Vec::new();
    for scenario in Scenario::all().into_iter().filter(|scenario| areas.contains(&scenario.area)) {
        figures.push(interleaved(&rig, scenario, rounds)?);
    }
    Ok(figure::markdown(&figures, &Machine::here(&rig)?, quick))
}

/// The daemon and the relay, built together so that they share what they depend on.
fn release_build() -> Result<Vec<build::Program>> {
    build::release("building for release", &["--bin", "portcullis", "--bin", "relay", "--bin", "connects"])
}

/// Measures one scenario: every route in every round, so that what disturbs the machine disturbs them alike.
fn interleaved(rig: &Rig, scenario: Scenario, rounds: Rounds) -> Result<Figure> {
    let mut progress = Progress::begin(&scenario.name);
    let mut values: BTreeMap<Route, Vec<f64>> = BTreeMap::new();
    let mut costs = Vec::new();
    for round in 1..=rounds.rounds {
        for route in scenario.routes() {
            progress.say(&format!("round {round} of {}: {}", rounds.rounds, route.name()));
            let before = rig.gate_cpu()?;
            let sample = measure::sample(rig, &scenario, route, rounds.length)
                .with_context(|| format!("{}: {}", scenario.name, route.name()))?;
            if route == Route::Gate && sample.requests > 0.0 {
                costs.push((rig.gate_cpu()? - before) / sample.requests);
            }
            values.entry(route).or_default().push(sample.value);
        }
    }
    progress.done();
    Ok(Figure::new(scenario, values, costs))
}
