//! The attack table: every way out that we know, tried on a real kernel against the real daemon.
//!
//! `attack-table [--json] [--guest] [--portcullis PATH] [NAME…]` exits 0 iff no row differs from what is expected of
//! it, 1 if one does, and 2 if the table could not be made. It needs root, cgroup v2, `/var/lib`, a `portcullis` binary
//! (`--portcullis`, else `PORTCULLIS_BINARY`, else the one in its own directory) and nothing else: no `ip`, no server.
//! `--guest` is for machines that are thrown away: there everything may be tried, AF_VSOCK included. Text goes to
//! standard output, progress to standard error; `--save FILE` keeps the text as well. `attack-table list` names the
//! attempts.
//!
//! The table makes two network namespaces with a wire between them: a host, in which the daemon, attackers and helpers
//! live, and another host, at which every frame is heard. Each attempt carries a marker of its own and is made in five
//! places: free as root and as an ordinary user, to see that it works here at all; in a captured cgroup as both; and
//! under `portcullis run`. It leaked if the marker was heard, whatever the attacker believes.

mod attacker;
mod attempts;
mod bpf;
mod contest;
mod ear;
mod field;
mod fuse;
mod netlink;
mod outside;
mod place;
mod ring;
mod row;
mod scene;
mod sniffer;
mod sys;
mod table;
mod xdp;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, rc::Rc};

use anyhow::{Context, Result, bail, ensure};

use crate::{contest::Contest, place::Place, row::Row, table::Table};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["list"] => list(),
        ["try", name, scene] => attacker::attack(name, scene).map(|()| true),
        ["victim"] => outside::suffer().map(|()| true),
        _ => Options::parse(arguments).and_then(|options| run(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attack-table: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn list() -> Result<bool> {
    for attempt in attempts::all() {
        println!("{:<24}{}", attempt.name, attempt.about);
    }
    Ok(true)
}

#[derive(Default)]
struct Options {
    json: bool,
    guest: bool,
    portcullis: Option<PathBuf>,
    save: Option<PathBuf>,
    names: Vec<String>,
}

impl Options {
    fn parse(arguments: Vec<String>) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut path = || arguments.next().map(PathBuf::from).with_context(|| format!("`{argument}` wants a path"));
            match argument.as_str() {
                "--json" => options.json = true,
                "--guest" => options.guest = true,
                "--portcullis" => options.portcullis = Some(path()?),
                "--save" => options.save = Some(path()?),
                name if attempts::find(name).is_some() => options.names.push(argument),
                other => bail!("`{other}` is neither an option nor an attempt\nhint: `attack-table list` names them"),
            }
        }
        Ok(options)
    }

    fn portcullis(&self) -> Result<PathBuf> {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("portcullis"));
        let named = self.portcullis.clone().or_else(|| Some(std::env::var_os("PORTCULLIS_BINARY")?.into()));
        let path = named.or_else(beside).context("no portcullis binary")?;
        path.canonicalize().with_context(|| format!("the portcullis binary {}", path.display()))
    }
}

/// Makes the table; false when a row differs.
fn run(options: &Options) -> Result<bool> {
    ensure!(nix::unistd::Uid::effective().is_root(), "the table makes network namespaces, and needs root");
    let mut contest = Contest::set_up(&options.portcullis()?, options.guest)?;
    let chosen = attempts::all()
        .filter(|attempt| options.names.is_empty() || options.names.iter().any(|name| name == attempt.name));
    let layers = Rc::new(contest.layers.present.clone());
    let mut rows = Vec::new();
    for attempt in chosen {
        eprintln!("{}", attempt.name);
        let mut outcomes = BTreeMap::new();
        for place in Place::ALL {
            let outcome = contest.attempt(attempt, place);
            outcomes.insert(place, outcome.with_context(|| format!("{} ({})", attempt.name, place.name()))?);
        }
        rows.push(Row::new(attempt, outcomes, layers.clone()));
    }
    let table = Table {
        kernel: contest::kernel(),
        lsm: layers.contains("lsm"),
        allowed: contest.layers.allowed.clone(),
        rows,
        root_enters: contest.root_may_enter()?,
    };
    let text = table.text();
    if let Some(path) = &options.save {
        std::fs::write(path, &text).with_context(|| format!("saving {}", path.display()))?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&table.json())?);
    } else {
        print!("{text}");
    }
    Ok(table.well())
}
