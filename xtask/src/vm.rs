//! `cargo xtask vm`: capture on the kernels that distributions ship, each in a virtual machine of its own.
//!
//! The emulation is plain (no KVM), so that it runs wherever the build does. A guest has nothing but a kernel and the
//! programs of this build; it sees no network of this machine.

mod cpio;
mod findings;
mod guest;
mod initramfs;
mod kernel;
mod matrix;
mod modules;
mod source;

use std::{
    fs,
    path::Path,
    sync::{Mutex, mpsc},
    thread,
};

use anyhow::{Context, Result};
use portcullis_tests::place;

use self::{
    findings::Findings,
    guest::Guest,
    initramfs::{Programs, Step},
    kernel::Kernel,
    matrix::Row,
    source::Source,
};
use crate::{
    build::{self, Program},
    prerequisites::{self, Need},
    progress::Progress,
    quote::Quote,
    tally::Tally,
};

/// What every guest does, in this order, and limits by the guest's clock, which are far away.
const STEPS: [Step; 4] = [
    Step { name: "doctor", seconds: 60, script: "portcullis doctor --json" },
    Step { name: "daemon", seconds: 120, script: include_str!("vm/steps/daemon.sh") },
    Step { name: "table", seconds: 800, script: include_str!("vm/steps/table.sh") },
    Step { name: "capture", seconds: 700, script: include_str!("vm/steps/capture.sh") },
];

/// The daemon, the attack table and the tests of capture.
const BUILD: [&str; 3] = ["--bins", "--test", "capture"];

/// The kernel of an ordinary test run.
const TESTED: &str = "newest";

/// The attack table's driver.
const TABLE: &str = "attack-table";

/// Boot kernels in virtual machines, and try capture on each of them.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask vm --kernel 6.1 --kernel 6.12")]
pub struct Arguments {
    /// A kernel of the list; all of them when none is named.
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Only with `bpf` among the security modules, or only without.
    #[arg(long, value_name = "on|off")]
    bpf_lsm: Option<Switch>,
    /// List the kernels and end.
    #[arg(long)]
    list: bool,
    /// Only those tests of capture whose name has this, and not the attack table.
    #[arg(long, value_name = "FILTER")]
    tests: Option<String>,
    /// Fetch the archives' current kernels in the place of those that are kept.
    #[arg(long)]
    fresh: bool,
    /// Print everything that the guests said, for programs.
    #[arg(long)]
    json: bool,
    /// Write the table to `agent/docs/kernels.md`, in which kernels that were not booted keep their rows.
    #[arg(long)]
    write: bool,
}

/// Whether `bpf` is among the kernel's security modules.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Boots what the arguments name, and prints the matrix. False when something did not hold.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.list {
        for source in Source::ALL {
            println!("{:<7} {}", source.name, source.reason);
        }
        return Ok(true);
    }
    let sources = match arguments.kernels.is_empty() {
        true => Source::ALL.to_vec(),
        false => arguments.kernels.iter().map(|name| Source::named(name)).collect::<Result<_>>()?,
    };
    prerequisites::install(&[Need::Build, Need::Vm])?;
    let programs = build::release("building what the guests run, for release", &BUILD)?;
    let modules = match arguments.bpf_lsm {
        Some(Switch::On) => &[true][..],
        Some(Switch::Off) => &[false],
        None => &[true, false],
    };
    let rows = boot(&sources, modules, arguments.fresh, arguments.tests.as_deref(), &programs)?;
    match arguments.json {
        true => println!("{:#}", matrix::json(&rows)),
        false => println!("{}", matrix::markdown(&rows)),
    }
    rows.iter().filter_map(Row::complaint).for_each(|complaint| eprintln!("{complaint}\n"));
    if arguments.write {
        let quote = Quote::of("agent/docs/kernels.md", "matrix");
        quote.write(&matrix::renewed(&quote.read()?, &rows))?;
    }
    Ok(rows.iter().all(Row::holds))
}

/// Boots the one guest that every test run can afford, with everything that a kernel can have; it counts as one test.
pub fn test(programs: &[Program]) -> Result<Tally> {
    let rows = boot(&[Source::named(TESTED)?], &[true], false, None, programs)?;
    eprintln!("{}", matrix::markdown(&rows));
    rows.iter().filter_map(Row::complaint).for_each(|complaint| eprintln!("{complaint}\n"));
    let passed = rows.iter().filter(|row| row.holds()).count() as u64;
    Ok(Tally { passed, failed: rows.len() as u64 - passed })
}

/// Boots each kernel, with and without BPF LSM as asked for; rows in the order of the sources.
fn boot(
    sources: &[Source],
    modules: &[bool],
    fresh: bool,
    tests: Option<&str>,
    programs: &[Program],
) -> Result<Vec<Row>> {
    let scratch = tempfile::tempdir().context("temporary directory")?;
    let gathered = gather(programs, scratch.path())?;
    let logs = place::repository().join("target/vm");
    fs::create_dir_all(&logs)?;

    let mut guests = Vec::new();
    for source in sources {
        let kernel = Kernel::ready(*source, fresh)?;
        let initramfs = scratch.path().join(source.name);
        let steps: Vec<_> = STEPS.into_iter().filter(|step| tests.is_none() || step.name != "table").collect();
        initramfs::write(&initramfs, &kernel, &gathered, &steps, tests.unwrap_or_default())?;
        for &bpf_lsm in modules {
            guests.push((Guest { kernel: kernel.clone(), bpf_lsm }, initramfs.clone()));
        }
    }
    Ok(side_by_side(guests, |(guest, initramfs)| {
        let answers = guest.run(initramfs, &logs);
        Row {
            kernel: guest.kernel.source.name,
            release: guest.kernel.release.clone(),
            bpf_lsm: guest.bpf_lsm,
            findings: answers.map(|answers| Findings::of(&answers)).map_err(|error| format!("{error:#}")),
        }
    }))
}

/// A guest takes one processor: half of them are left to others.
fn guests_at_once() -> usize {
    thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

/// Works on a few guests at a time behind one progress line; answers in the order of the guests.
fn side_by_side<G: Send, R: Send>(guests: Vec<(Guest, G)>, work: impl Fn(&(Guest, G)) -> R + Sync) -> Vec<R> {
    let count = guests.len();
    let mut progress = Progress::begin(&format!("booting {count} guests"));
    let waiting = Mutex::new(guests.into_iter().enumerate());
    let (said, ended) = mpsc::channel();
    let mut results: Vec<(usize, R)> = Vec::new();
    thread::scope(|scope| {
        for _ in 0..guests_at_once() {
            let (said, waiting, work) = (said.clone(), &waiting, &work);
            scope.spawn(move || {
                loop {
                    let Some((place, guest)) = waiting.lock().ok().and_then(|mut waiting| waiting.next()) else {
                        break;
                    };
                    let result = work(&guest);
                    if said.send((place, guest.0.title(), result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(said);
        for (place, title, result) in ended {
            results.push((place, result));
            progress.say(&format!("{} of {count} done, the last was {title}", results.len()));
        }
    });
    progress.done();
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What goes into the guests: our own programs, and two that the tests call.
fn gather(programs: &[Program], scratch: &Path) -> Result<Programs> {
    let tests = programs.iter().find(|program| program.test && program.name == "capture");
    let tests = &tests.context("the build has no tests of capture")?.executable;
    let of_the_host = |name| prerequisites::found(name).with_context(|| format!("`{name}` is missing"));
    let (ip, dash) = (of_the_host("ip")?, of_the_host("dash")?);
    let wanted = [
        ("portcullis", build::find(programs, "portcullis")?),
        ("capture", tests.as_path()),
        ("ip", &ip),
        ("dash", &dash),
        (TABLE, build::find(programs, TABLE)?),
    ];
    Programs::gather(&wanted, scratch)
}
