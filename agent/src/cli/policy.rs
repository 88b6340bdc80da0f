//! `portcullis policy`: check, test, explain and format rules, with no daemon needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    http::Understood,
    policy::{
        Bundle, Clock, Engine, Finding, Findings, Manifest, Question, Report, Tests, activate, execute, explain, login,
    },
    request::Request,
};

/// Where rules are when nobody says.
const DIRECTORY: &str = "/etc/portcullis/policies";

/// Stack of the thread that parses and decides: some C libraries give the main thread too little.
const STACK_BYTES: usize = 16 << 20;

/// What scripts may rely on.
const FOUND: u8 = 1;
const UNUSABLE: u8 = 2;

const EXAMPLES: &str = "Examples:
  portcullis policy init /etc/portcullis/policies
  portcullis policy check /etc/portcullis/policies --format github
  portcullis policy test /etc/portcullis/policies --mutate
  portcullis policy explain --workload agent --target shop --sql 'DELETE FROM orders'

Exit status: 0 all is well, 1 something was found or a test failed, 2 the files could not be read.";

/// Check, test, explain and format policy rules.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find mistakes: syntax, types, names, obligations that nothing lifts, changed files, failing tests.
    Check(Check),
    /// Run the tests of the rules.
    Test(Test),
    /// Say which rule decides on a statement and why.
    Explain(Explain),
    /// Rewrite rules in the one format.
    Fmt(Fmt),
    /// Show where the tests of two directories are decided differently.
    Diff(Diff),
    /// Write the embedded rules into a new directory.
    Init(Init),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy check ./policies --json")]
struct Check {
    /// The rules; default: /etc/portcullis/policies, or the embedded ones where that does not exist.
    directory: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// The same as `--format json`.
    #[arg(long)]
    json: bool,
    /// Accept the files as they are: write `manifest.json`.
    #[arg(long)]
    write_manifest: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Human,
    Json,
    /// Annotations that GitHub shows beside the lines of a change.
    Github,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy test ./policies --mutate")]
struct Test {
    /// The rules; default: /etc/portcullis/policies, or the embedded ones where that does not exist.
    directory: Option<PathBuf>,
    /// Remove each rule in turn, and name those whose absence no test notices.
    #[arg(long)]
    mutate: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  portcullis policy explain --workload agent --target shop --sql 'SELECT * FROM customers'"
)]
struct Explain {
    /// A workload of `fixtures.yaml`.
    #[arg(long)]
    workload: String,
    /// A target of `fixtures.yaml`.
    #[arg(long)]
    target: String,
    /// The statement; without it, the login is explained.
    #[arg(long)]
    sql: Option<String>,
    /// A request to an HTTP target, as `DELETE https://api.example.com/v1/orders/7`.
    #[arg(long, conflicts_with = "sql", value_name = "METHOD URL")]
    http: Option<String>,
    /// A header field of that request, as `Content-Type: application/json`; may be repeated.
    #[arg(long = "header", requires = "http", value_name = "FIELD")]
    headers: Vec<String>,
    /// The rules; default: /etc/portcullis/policies, or the embedded ones where that does not exist.
    #[arg(long = "dir")]
    directory: Option<PathBuf>,
    /// A group of which a member has approved; may be repeated.
    #[arg(long = "approved-by")]
    approvals: Vec<String>,
    /// The moment of the decision in RFC 3339; default: now.
    #[arg(long)]
    at: Option<Timestamp>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy fmt --check ./policies")]
struct Fmt {
    /// The rules; default: /etc/portcullis/policies.
    directory: Option<PathBuf>,
    /// Change nothing; name the files that would change.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy diff /etc/portcullis/policies ./policies")]
struct Diff {
    before: PathBuf,
    /// Its fixtures and tests are asked of both.
    after: PathBuf,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy init /etc/portcullis/policies")]
struct Init {
    /// A directory that does not exist or is empty.
    directory: PathBuf,
}

/// Runs one of the commands.
pub fn run(policy: Policy) -> ExitCode {
    let thread = thread::Builder::new().name("policy".to_owned()).stack_size(STACK_BYTES);
    let outcome = thread.spawn(move || execute_command(&policy.command)).map(thread::JoinHandle::join);
    match outcome {
        Ok(Ok(Ok(code))) => code,
        Ok(Ok(Err(error))) => {
            eprintln!("error: {error:#}");
            ExitCode::from(UNUSABLE)
        }
        Ok(Err(_)) | Err(_) => ExitCode::from(UNUSABLE),
    }
}

fn execute_command(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(check) => check.run(),
        Command::Test(test) => test.run(),
        Command::Explain(explain) => explain.run(),
        Command::Fmt(fmt) => fmt.run(),
        Command::Diff(diff) => diff.run(),
        Command::Init(init) => init.run(),
    }
}

impl Check {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let (name, bundle) = read(self.directory.as_deref())?;
        if self.write_manifest {
            return self.manifest(bundle);
        }
        let outcome = activate(&bundle, 0);
        let format = if self.json { Format::Json } else { self.format };
        let (rules, findings) = match &outcome {
            Ok(engine) => (engine.rules().len(), Findings::default()),
            Err(findings) => (0, findings.clone()),
        };
        match format {
            Format::Human if findings.is_empty() => say(&format!("{name}: {rules} rules, no mistakes")),
            Format::Human => say(&findings.to_string()),
            Format::Json => json(&Checked { ok: findings.is_empty(), rules, findings: &findings }),
            Format::Github => say(findings.github(&name).trim_end()),
        }
        Ok(verdict(findings.is_empty()))
    }

    /// Accepts the files only when they are good otherwise.
    fn manifest(&self, mut bundle: Bundle) -> anyhow::Result<ExitCode> {
        let Some(directory) = &self.directory else {
            anyhow::bail!("name the directory whose manifest is to be written")
        };
        bundle.manifest = None;
        if let Err(findings) = activate(&bundle, 0) {
            say(&findings.to_string());
            return Ok(verdict(false));
        }
        let path = directory.join("manifest.json");
        fs::write(&path, Manifest::of(&bundle).to_json()).map_err(|error| named(&path, error))?;
        say(&format!("wrote {}", path.display()));
        Ok(verdict(true))
    }
}

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    rules: usize,
    findings: &'a Findings,
}

impl Test {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let (_, bundle) = read(self.directory.as_deref())?;
        let (engine, tests) = match usable(&bundle) {
            Ok(usable) => usable,
            Err(findings) => {
                say(&findings.to_string());
                return Ok(verdict(false));
            }
        };
        let report = tests.run(&engine);
        let unpinned = if self.mutate { tests.unpinned(&engine)? } else { Vec::new() };
        if self.json {
            let unpinned: Vec<String> = unpinned.iter().map(ToString::to_string).collect();
            json(&Tested { report: &report, unpinned });
        } else {
            report.findings.iter().for_each(|finding| say(&format!("{finding}\n")));
            unpinned.iter().for_each(|rule| say(&format!("no test notices when rule `{rule}` is removed")));
            say(&format!("{} passed, {} failed", report.passed, report.failed));
        }
        Ok(verdict(report.failed == 0))
    }
}

#[derive(Serialize)]
struct Tested<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unpinned: Vec<String>,
}

impl Explain {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let (_, bundle) = read(self.directory.as_deref())?;
        let (engine, tests) = usable(&bundle)?;
        let stage = tests.stage();
        let principal = stage.workload(&self.workload).map_err(anyhow::Error::msg)?;
        let target = stage.target(&self.target).map_err(anyhow::Error::msg)?;
        let request = match (&self.sql, &self.http) {
            (_, Some(line)) => self.request(line)?,
            (Some(sql), None) => execute(sql, stage.footprint(&self.target, sql)),
            (None, None) => login(stage.database(&self.target)),
        };
        let approvals: BTreeSet<Arc<str>> = self.approvals.iter().map(|group| group.as_str().into()).collect();
        let clock = Clock::at(self.at.unwrap_or_else(Timestamp::now), &stage.zone);
        let explanation =
            explain(&engine, &Question { principal, target, request: &request, clock, approvals: &approvals });
        if self.json {
            json(&explanation)
        } else {
            say(explanation.to_string().trim_end())
        }
        Ok(ExitCode::SUCCESS)
    }

    fn request(&self, line: &str) -> anyhow::Result<Request> {
        let mut headers = BTreeMap::new();
        for field in &self.headers {
            let (name, value) = field.split_once(':').with_context(|| format!("`{field}` is no `name: value`"))?;
            headers.insert(name.to_owned(), value.trim().to_owned());
        }
        Ok(Understood::of_line(line, &headers)?.request())
    }
}

impl Fmt {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let directory = self.directory.clone().unwrap_or_else(|| DIRECTORY.into());
        let mut changed = Vec::new();
        let mut findings = Vec::new();
        for path in rule_files(&directory)? {
            let text = fs::read_to_string(&path).map_err(|error| named(&path, error))?;
            let config = cedar_policy_formatter::Config { line_width: 120, indent_width: 2 };
            match cedar_policy_formatter::policies_str_to_pretty(&text, &config) {
                Ok(pretty) if pretty == text => {}
                Ok(pretty) => changed.push((path, pretty)),
                Err(error) => findings.push(Finding::in_file(path.display().to_string(), format!("{error:#}"))),
            }
        }
        for (path, pretty) in &changed {
            if !self.check {
                fs::write(path, pretty).map_err(|error| named(path, error))?;
            }
            say(&format!("{} {}", if self.check { "would change" } else { "changed" }, path.display()));
        }
        findings.iter().for_each(|finding| say(&finding.to_string()));
        Ok(verdict(findings.is_empty() && (changed.is_empty() || !self.check)))
    }
}

impl Diff {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let before = Engine::compile(&Bundle::read(&self.before)?, 0)?;
        let (after, tests) = usable(&Bundle::read(&self.after)?)?;
        let changes = tests.differences_between(&before, &after);
        if self.json {
            json(&changes);
        } else {
            changes.iter().for_each(|change| say(&change.to_string()));
            say(&format!("{} of {} tests are decided differently", changes.len(), tests.count()));
        }
        Ok(verdict(changes.is_empty()))
    }
}

impl Init {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let directory = &self.directory;
        fs::create_dir_all(directory.join("tests")).map_err(|error| named(directory, error))?;
        for source in Bundle::embedded().sources() {
            let path = directory.join(&source.name);
            let mut file = fs::File::create_new(&path).map_err(|error| named(&path, error))?;
            file.write_all(source.text.as_bytes()).map_err(|error| named(&path, error))?;
            say(&format!("wrote {}", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The bundle that is meant, and its name for messages.
fn read(directory: Option<&Path>) -> anyhow::Result<(String, Bundle)> {
    match directory {
        Some(directory) => Ok((directory.display().to_string(), Bundle::read(directory)?)),
        None if Path::new(DIRECTORY).is_dir() => Ok((DIRECTORY.to_owned(), Bundle::read(Path::new(DIRECTORY))?)),
        None => Ok(("embedded".to_owned(), Bundle::embedded())),
    }
}

fn usable(bundle: &Bundle) -> Result<(Engine, Tests), Findings> {
    Ok((Engine::compile(bundle, 0)?, Tests::read(bundle)?))
}

/// Rules at the top of a directory, and those of its examples.
fn rule_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in [directory.to_owned(), directory.join("examples")] {
        if folder != *directory && !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(|error| named(&folder, error))? {
            let path = entry.map_err(|error| named(&folder, error))?.path();
            if path.extension().is_some_and(|extension| extension == "cedar") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn verdict(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

fn named(path: &Path, error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("failed to use `{}`", path.display()))
}

/// Prints a line; a reader that has gone away is no error.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn json(value: &impl Serialize) {
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
}

#[cfg(test)]
mod tests;
