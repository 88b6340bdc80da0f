//! Does the classifier see what the server sees? PostgreSQL's own regression suite, statement by statement.
//!
//! `regression SUITE [--save FILE] [NAME…]` runs the files of `SUITE/parallel_schedule` (`src/test/regress` of the
//! server's source), or those that are named with what they need, and exits 0 iff nothing was lost, 1 if something was, and
//! 2 if it could not be run.
//!
//! psql takes the files apart as it does for anybody, and sends texts to a wiretap, which has each classified as a
//! session would, against the daemon's own survey, and run by the server. Two things are then asked of the server: which
//! relations and columns it found in the text (`debug_print_parse`), and which relations it has locked (`pg_locks`).
//! A text that is classified completely and lacks one of them, or a statement, is a loss. What is unknown to the
//! classifier is denied, and loses nothing.

mod claim;
mod findings;
mod oracle;
mod server;
mod survey;
mod tap;

use std::{
    fs::{self, File},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use portcullis_tests::{
    place,
    postgres::{Postgres, Release, Tls},
};
use tempfile::TempDir;

use crate::{
    findings::Findings,
    survey::Surveyor,
    tap::{Shared, Tap},
};

const DATABASE: &str = "regression";
/// What every other file builds on.
const SETUP: &str = "test_setup";
/// The number in the name of the wiretap's socket; it is no port that anything listens on.
const NUMBER: &str = "5432";

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("regression: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Options {
    suite: PathBuf,
    save: Option<PathBuf>,
    names: Vec<String>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let usage = "usage: regression SUITE [--save FILE] [NAME…]";
        let mut options = Self { suite: words.next().context(usage)?.into(), ..Self::default() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--save" => options.save = Some(words.next().context(usage)?.into()),
                name if name.starts_with('-') => bail!("`{name}` is no option\n{usage}"),
                name => options.names.push(name.to_owned()),
            }
        }
        Ok(options)
    }

    /// The files to run, in the order of the schedule.
    fn files(&self) -> Result<Vec<String>> {
        let schedule = self.suite.join("parallel_schedule");
        let schedule = fs::read_to_string(&schedule).with_context(|| format!("reading {}", schedule.display()))?;
        let lines = schedule.lines().filter_map(|line| line.strip_prefix("test: "));
        let all: Vec<String> = lines.flat_map(str::split_whitespace).map(str::to_owned).collect();
        if let Some(unknown) = self.names.iter().find(|name| !all.contains(name)) {
            bail!("the schedule has no `{unknown}`");
        }
        let is_wanted = |name: &String| self.names.is_empty() || name == SETUP || self.names.contains(name);
        Ok(all.into_iter().filter(is_wanted).collect())
    }
}

/// Runs the suite; false when something was lost.
fn run(options: &Options) -> Result<bool> {
    let server = Postgres::with(Release::Debian, Tls::Offered, &SETTINGS)?;
    server
        .superuser("postgres", &format!("create database {DATABASE} template template0 lc_collate 'C' lc_ctype 'C'"))?;
    for setting in [
        "lc_messages to 'C'",
        "datestyle to 'Postgres, MDY'",
        "timezone to 'PST8PDT'",
        "intervalstyle to 'postgres_verbose'",
    ] {
        server.superuser("postgres", &format!("alter database {DATABASE} set {setting}"))?;
    }
    let place = place::temporary()?;
    place::open(place.path(), 0o777)?;
    fs::create_dir(place.path().join("results"))?;
    place::open(&place.path().join("results"), 0o777)?;
    let listener = UnixListener::bind(place.path().join(format!(".s.PGSQL.{NUMBER}")))?;

    let surveyor = Surveyor::new(server.socket(), DATABASE)?;
    let shared = Mutex::new(Shared { surveyor, findings: Findings::default() });
    let tap = Tap { socket: server.socket(), shared: &shared };
    let files = options.files()?;
    for name in &files {
        eprintln!("{name}");
        shared.lock().findings.open(name);
        let mut psql = psql(&options.suite, name, &place)?.spawn().context("starting psql")?;
        tap.serve(&listener, || psql.try_wait().is_ok_and(|status| status.is_some())).with_context(|| name.clone())?;
    }
    report(options, &shared.lock().findings, files.len())
}

/// What the oracle needs, and what keeps it readable: statistics come when they are asked for.
const SETTINGS: [&str; 8] = [
    "debug_print_parse=on",
    "debug_pretty_print=off",
    "autovacuum=off",
    "log_statement=none",
    "log_min_messages=fatal",
    "log_min_error_statement=fatal",
    "max_prepared_transactions=4",
    "wal_level=logical",
];

fn psql(suite: &Path, name: &str, place: &TempDir) -> Result<Command> {
    let script = suite.join("sql").join(format!("{name}.sql"));
    let mut psql = Command::new("psql");
    psql.args([
        "-X",
        "-q",
        "-v",
        "HIDE_TABLEAM=on",
        "-v",
        "HIDE_TOAST_COMPRESSION=on",
        "-U",
        "postgres",
        "-d",
        DATABASE,
    ]);
    psql.arg("-h").arg(place.path()).args(["-p", NUMBER]).current_dir(place.path());
    psql.env("PG_ABS_SRCDIR", suite).env("PG_ABS_BUILDDIR", place.path());
    psql.env("PG_LIBDIR", "/usr/lib/postgresql/15/lib").env("PG_DLSUFFIX", ".so");
    let script = File::open(&script).with_context(|| format!("opening {}", script.display()))?;
    psql.stdin(script).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(psql)
}

fn report(options: &Options, findings: &Findings, files: usize) -> Result<bool> {
    print!("{}", findings.text(files));
    if let Some(path) = &options.save {
        fs::write(path, serde_json::to_string_pretty(&findings.json(files))?)
            .with_context(|| format!("saving {}", path.display()))?;
    }
    Ok(findings.lost == 0)
}
