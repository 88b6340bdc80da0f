//! Checks which module may know which, so that the architecture's picture stays true.

mod imports;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use portcullis_tests::place;

/// The daemon's modules, in layers: a module may know those of its own layer and of the layers before it.
const LAYERS: [&[&str]; 10] = [
    &["request", "principal", "target"],
    &["policy", "mask", "sql", "http"],
    &["credential", "record", "approval"],
    &["gate"],
    &["protocol"],
    &["capture", "jail", "config", "detect", "dns", "socket", "tls", "upstream", "accept"],
    &["driver"],
    &["connection", "lanes", "live", "surveys"],
    &["daemon", "control"],
    &["cli"],
];

/// What belongs to one place alone: words, and the paths under `agent/src` that may hold them.
const CONFINED: [(&[&str], &[&str]); 2] =
    [(&["aya::", "aya_log::"], &["capture/"]), (&["rusqlite::"], &["record/", "approval", "control/"])];

/// What a pure module may not touch: sockets, files, tasks, threads, clocks, randomness.
const IMPURE: [&str; 12] = [
    "std::net::Tcp",
    "std::fs",
    "std::thread",
    "std::process::Command",
    "tokio::net",
    "tokio::fs",
    "tokio::spawn",
    "tokio::time",
    "SystemTime::now",
    "Instant::now",
    "getrandom::",
    "std::env",
];

/// Pure paths under `agent/src`, and the files among them that do I/O by design.
const PURE: [&str; 6] = ["request/", "sql/", "http/", "mask/", "gate/", "protocol/"];
const IMPURE_FILES: [&str; 3] = ["protocol/driver", "protocol/mod.rs", "protocol/postgres/survey.rs"];

/// Fails with every line that crosses an edge.
pub fn check() -> Result<()> {
    let source = place::repository().join("agent/src");
    let mut complaints = Vec::new();
    let mut unknown = BTreeSet::new();
    for file in files(&source)? {
        let path = file.strip_prefix(&source)?.to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        complaints.extend(crossings(&path, &text));
        if let Some(module) = module(&path).filter(|module| layer(module).is_none()) {
            unknown.insert(module.to_owned());
        }
    }
    complaints.extend(unknown.iter().map(|module| {
        format!("agent/src/{module}: this module has no layer\n  hint: give it one in xtask/src/edges.rs")
    }));
    if !complaints.is_empty() {
        bail!("modules know what they should not:\n{}", complaints.join("\n"));
    }
    eprintln!("✓ module edges");
    Ok(())
}

/// Complaints about one file; `path` is relative to `agent/src`.
fn crossings(path: &str, text: &str) -> Vec<String> {
    let text = imports::without_tests(text);
    if path.ends_with("tests.rs") || path.contains("/tests/") || path == "protocol/laws.rs" {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: String| complaints.push(format!("agent/src/{path}:{line}: {what}"));

    if let Some((own, rank)) = module(path).and_then(|own| Some((own, layer(own)?))) {
        for import in imports::of(text) {
            if layer(&import.module).is_some_and(|other| other > rank) {
                let other = &import.module;
                complain(import.line, format!("`{own}` must not know `{other}`, which stands after it"));
            }
        }
    }
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        for (words, places) in CONFINED {
            let strayed = words.iter().find(|word| code.contains(**word));
            if let Some(word) = strayed.filter(|_| !places.iter().any(|place| path.starts_with(place))) {
                complain(number, format!("`{word}` belongs to {} alone", places.join(", ")));
            }
        }
        let pure = PURE.iter().any(|at| path.starts_with(at)) && !IMPURE_FILES.iter().any(|at| path.starts_with(at));
        if let Some(word) = IMPURE.iter().find(|word| pure && code.contains(**word)) {
            complain(number, format!("`{word}` in a pure module"));
        }
    }
    complaints
}

/// The module that a file belongs to: `sql` for `sql/lineage.rs`, `gate` for `gate.rs`.
///
/// The driver lives beside the sessions that it drives, but it moves bytes, so it stands after what it moves them on.
fn module(path: &str) -> Option<&str> {
    if path.starts_with("protocol/driver") {
        return Some("driver");
    }
    let first = path.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(module, "lib" | "main")).then_some(module)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crossed_edge_is_named_with_its_line() {
        let found = crossings("sql/lineage.rs", "use crate::target::Class;\nuse crate::gate::Permit;\n");
        assert_eq!(found, ["agent/src/sql/lineage.rs:2: `sql` must not know `gate`, which stands after it"]);
    }

    #[test]
    fn tests_may_know_anything() {
        assert!(crossings("sql/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::gate::Permit;\n}\n").is_empty());
        assert!(crossings("sql/tests.rs", "use crate::gate::Permit;\n").is_empty());
    }

    #[test]
    fn pure_modules_touch_nothing_and_aya_stays_in_capture() {
        assert_eq!(crossings("mask/mod.rs", "fn f() { let now = std::time::Instant::now(); }").len(), 1);
        assert_eq!(crossings("mask/mod.rs", "// Instant::now would be impure").len(), 0);
        assert_eq!(crossings("daemon.rs", "use aya::Ebpf;").len(), 1);
        assert_eq!(crossings("capture/load.rs", "use aya::Ebpf;").len(), 0);
    }
}
