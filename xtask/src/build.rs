//! One build of everything, and where its programs are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use portcullis_tests::place;
use serde_json::Value;

use crate::progress::{self, Progress};

/// What an executable is, as cargo names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    pub package: String,
    /// `lib`, `bin`, `test` or `example`.
    pub kind: String,
    pub name: String,
    /// Whether it is a test harness.
    pub test: bool,
    pub executable: PathBuf,
    /// The package's folder, where cargo would run it.
    pub folder: PathBuf,
}

/// Builds the workspace with its tests, all with one set of features, and lists the executables.
pub fn everything() -> Result<Vec<Program>> {
    cargo("building everything with its tests", &["build", "--workspace", "--all-targets"])
}

/// Builds programs of the daemon and of the tests as they are shipped. Always with the same features, so that what one
/// command has built serves the next.
pub fn release(title: &str, programs: &[&str]) -> Result<Vec<Program>> {
    let packages = ["--package", "portcullis", "--package", "portcullis-tests", "--features", "portcullis-tests/relay"];
    cargo(title, &[&["build", "--release"], &packages[..], programs].concat())
}

/// The program of that name, as people run it.
pub fn find<'a>(programs: &'a [Program], name: &str) -> Result<&'a Path> {
    let found = programs.iter().find(|program| !program.test && program.name == name);
    found.map(|program| program.executable.as_path()).with_context(|| format!("the build has no `{name}`"))
}

/// Builds by `cargo ARGUMENTS` behind a progress line, and lists the executables.
///
/// Two pipes are read, because cargo speaks to people on the one and to programs on the other.
pub fn cargo(title: &str, arguments: &[&str]) -> Result<Vec<Program>> {
    let mut command = Command::new("cargo");
    command.args(arguments).arg("--message-format=json-render-diagnostics").current_dir(place::repository());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("cargo's output")?;
    let stderr = child.stderr.take().context("cargo's messages")?;
    let listing = std::thread::spawn(move || std::io::read_to_string(stdout));

    let mut progress = Progress::begin(title);
    let mut said = Vec::new();
    for line in std::io::BufRead::lines(std::io::BufReader::new(stderr)) {
        let line = line?;
        progress.say(&line);
        said.push(line);
    }
    let listing = listing.join().ok().context("reading cargo's output")??;
    if !child.wait()?.success() {
        progress.failed();
        said.iter().filter(|line| !line.trim_start().starts_with("Compiling")).for_each(|line| eprintln!("{line}"));
        bail!("`{}` failed", progress::shown(&command));
    }
    progress.done();
    Ok(listing.lines().filter_map(program).collect())
}

/// Reads one of cargo's messages; `None` when it is not of an executable.
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let manifest = PathBuf::from(text(message.get("manifest_path")?)?);
    let target = message.get("target")?;
    let folder = manifest.parent()?.to_owned();
    Some(Program {
        package: folder.file_name()?.to_str()?.to_owned(),
        kind: text(target.get("kind")?.get(0)?)?,
        name: text(target.get("name")?)?,
        test: message.get("profile")?.get("test")?.as_bool()?,
        executable: text(message.get("executable")?)?.into(),
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executables_are_listed() {
        let artifact = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"kind":["test"],
            "name":"postgres"},"profile":{"test":true},"executable":"/w/target/debug/deps/postgres-1"}"#;
        let found = program(&artifact.replace('\n', "")).unwrap();
        assert_eq!((found.package.as_str(), found.kind.as_str(), found.test), ("tests", "test", true));
        assert_eq!(program(&artifact.replace("\"/w/target/debug/deps/postgres-1\"", "null")), None);
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
