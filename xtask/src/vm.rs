//! `cargo xtask vm`: capture on the kernels that distributions ship, each in a virtual machine of its own.

mod apt;
mod cpio;
mod guest;
mod initramfs;
mod kernel;
mod matrix;
mod modules;
mod source;

use std::path::Path;

use anyhow::{Context, Result};
use portcullis_tests::place;

use self::{
    guest::{Answer, Guest},
    initramfs::{Programs, Step},
    kernel::Kernel,
    matrix::{Findings, Outcome, Row},
    source::Source,
};
use crate::{
    build,
    prerequisites::{self, Need},
    progress::Progress,
};

/// Boot kernels in virtual machines, and try capture on each of them.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask vm --kernel 6.1 --kernel 6.12")]
pub struct Arguments {
    /// A kernel of the list; all of them when none is named.
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// List the kernels and end.
    #[arg(long)]
    list: bool,
    /// Fetch the archives' current kernels in the place of those that are kept.
    #[arg(long)]
    fresh: bool,
    #[arg(long)]
    json: bool,
}

const STEPS: &[Step] = &[
    Step { name: "doctor", seconds: 30, command: "portcullis doctor --json" },
    Step { name: "capture", seconds: 150, command: "capture --test-threads=1" },
];

pub fn run(arguments: &Arguments) -> Result<bool> {
    prerequisites::install(&[Need::Build, Need::Vm])?;
    let sources = match arguments.kernels.is_empty() {
        true => Source::ALL.to_vec(),
        false => arguments.kernels.iter().map(|name| Source::named(name)).collect::<Result<_>>()?,
    };
    let packages = ["--package", "portcullis", "--package", "portcullis-tests"];
    let programs = build::cargo("building", &[&["build"], &packages[..], &["--bin", "portcullis", "--test", "capture"]].concat())?;
    let scratch = tempfile::tempdir()?;
    let capture = programs.iter().find(|program| program.test && program.name == "capture").context("no capture")?;
    let ip = prerequisites::found("ip").context("ip")?;
    let gathered = Programs::gather(
        &[("portcullis", build::find(&programs, "portcullis")?), ("capture", &capture.executable), ("ip", &ip)],
        scratch.path(),
    )?;
    let logs = place::repository().join("target/vm");
    std::fs::create_dir_all(&logs)?;
    for source in sources {
        let kernel = Kernel::ready(source, arguments.fresh)?;
        let file = scratch.path().join(source.name);
        initramfs::write(&file, &kernel, &gathered, STEPS)?;
        for bpf_lsm in [true, false] {
            let guest = Guest { kernel: kernel.clone(), bpf_lsm };
            let progress = Progress::begin(&guest.title());
            let answers = guest.run(&file, &logs);
            progress.done();
            match answers {
                Ok(answers) => println!("{:#?}", Findings::of(&answers)),
                Err(error) => println!("{error:#}"),
            }
        }
    }
    Ok(true)
}
