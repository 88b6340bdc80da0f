//! The gate's parts by themselves, as their own examples measure them.

use std::{fmt::Write, process::Command};

use anyhow::{Context, Result};
use portcullis_tests::postgres::succeeded;

use crate::{
    build::{self, Program},
    progress::Progress,
};

/// What is built and run; its own words tell what it prints.
struct Part {
    example: &'static str,
    /// What it is about, with the target that the design sets.
    title: &'static str,
}

const PARTS: [Part; 3] = [
    Part { example: "decide", title: "A decision that is not cached: at most 80 µs" },
    Part {
        example: "mask_speed",
        title: "Detectors: at least 2.5 GB/s where nothing matches, 0.2 GB/s on hostile text",
    },
    Part { example: "record_speed", title: "The record: at least 2 GB/s on its whole way, one processor" },
];

/// Runs each, and quotes what it says.
pub fn measure() -> Result<String> {
    let examples = PARTS.map(|part| ["--example", part.example]).concat();
    let programs = build::release("building the parts for release", &examples)?;
    let mut text =
        String::from("\n## Parts\n\nEach by itself, without a server; the example of that name prints it.\n");
    for part in PARTS {
        let progress = Progress::begin(part.title);
        let said = succeeded(part.example, Command::new(&find(&programs, part.example)?.executable).output()?)?;
        progress.done();
        let _ = write!(text, "\n### {}\n\n```text\n{}\n```\n", part.title, said.trim_end());
    }
    Ok(text)
}

fn find<'a>(programs: &'a [Program], example: &str) -> Result<&'a Program> {
    let found = programs.iter().find(|program| program.kind == "example" && program.name == example);
    found.with_context(|| format!("the build has no example `{example}`"))
}
