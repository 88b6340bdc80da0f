//! `cargo xtask`: everything that is done to this repository, from a fresh clone on.

mod apt;
mod bench;
mod build;
mod ci;
mod demo;
mod edges;
mod evidence;
mod fuzz;
mod prerequisites;
mod progress;
mod quote;
mod regression;
mod soundness;
mod table;
mod tally;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, tests, measures and shows Portcullis. Installs what it lacks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what Portcullis does: a real server, an unchanged psql, ten steps.
    Demo(demo::Arguments),
    /// Run the tests of some areas, or all of them.
    Test(test::Arguments),
    /// Measure direct, through a bare relay, through pgbouncer and through the gate, in turns.
    Bench(bench::Arguments),
    /// Feed hostile bytes to everything that reads bytes from outside; needs nightly Rust.
    Fuzz(fuzz::Arguments),
    /// Boot kernels in virtual machines, and try capture on each of them.
    Vm(vm::Arguments),
    /// Try every known way out of a workload on this kernel.
    Table(table::Arguments),
    /// Classify PostgreSQL's own regression suite, and compare with what the server did.
    Regression(regression::Arguments),
    /// Check which module of the daemon knows which.
    Edges,
    /// Do what CI does: format, lints, module edges, policies, and every test.
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Vm(arguments) => vm::run(&arguments),
        Command::Table(arguments) => table::run(&arguments),
        Command::Regression(arguments) => regression::run(&arguments),
        Command::Edges => edges::check().map(|()| true),
        Command::Ci => ci::run(),
    };
    report(outcome)
}

/// Whether all went well is in the exit status; what could not be done at all is in words.
fn report(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
