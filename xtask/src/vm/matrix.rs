//! What the guests said, as a table for people and as JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::findings::{Daemon, Findings, Table, Tests};

/// One guest's row.
#[derive(Clone, Debug)]
pub struct Row {
    pub kernel: &'static str,
    pub release: String,
    pub bpf_lsm: bool,
    /// Why there are none, where there are none.
    pub findings: Result<Findings, String>,
}

const COLUMNS: [&str; 7] = ["kernel", "release", "BPF LSM", "missing layers", "daemon", "tests of capture", "attacks"];

/// As Markdown, which people read as well.
pub fn markdown(rows: &[Row]) -> String {
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let width = |column: usize| {
        let titles = COLUMNS.get(column).into_iter().map(|title| title.chars().count());
        cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).chain(titles).max().unwrap_or(0)
    };
    let line = |cells: Vec<String>| {
        let padded = cells.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut table = line(COLUMNS.map(str::to_owned).to_vec());
    table += &line((0..COLUMNS.len()).map(|column| "-".repeat(width(column))).collect());
    cells.iter().for_each(|row| table += &line(row.to_vec()));
    table
}

fn cells(row: &Row) -> [String; 7] {
    let lsm = if row.bpf_lsm { "yes" } else { "no" }.to_owned();
    let (layers, daemon, tests, attacks) = match &row.findings {
        Ok(found) => (layers(found), daemon(&found.daemon), tests(found.tests.as_ref()), attacks(found.table.as_ref())),
        Err(_) => ("the guest failed".to_owned(), String::new(), String::new(), String::new()),
    };
    [row.kernel.to_owned(), row.release.clone(), lsm, layers, daemon, tests, attacks]
}

fn layers(found: &Findings) -> String {
    let names = |list: &[String]| list.join(", ");
    match (found.missing.as_slice(), found.absent.as_slice()) {
        ([], []) => "none".to_owned(),
        ([], absent) => names(absent),
        (missing, _) => format!("**{}**", names(missing)),
    }
}

fn daemon(found: &Daemon) -> String {
    match found {
        Daemon::Proved { escaped, .. } if !escaped.is_empty() => format!("GOT OUT: {}", escaped.join(", ")),
        Daemon::Proved { unknown, .. } if !unknown.is_empty() => format!("NOT KNOWN: {}", unknown.join(", ")),
        Daemon::Proved { held, .. } => format!("{held} of {held} attempts held"),
        Daemon::Refused(_) => "refuses to start".to_owned(),
        Daemon::Silent => "no answer".to_owned(),
    }
}

fn tests(found: Option<&Tests>) -> String {
    match found {
        None => "–".to_owned(),
        Some(tests) if !tests.ended => format!("{} passed, then no end", tests.passed),
        Some(tests) if tests.failed.is_empty() => format!("{} passed", tests.passed),
        Some(tests) => format!("{} passed, FAILED: {}", tests.passed, tests.failed.join(", ")),
    }
}

fn attacks(found: Option<&Table>) -> String {
    match found {
        None => "–".to_owned(),
        Some(table) if !table.ended => "no end".to_owned(),
        Some(table) => {
            let mut text = format!("{} tried, {} leaks", table.attempts, table.leaks.len());
            if !table.allowed.is_empty() {
                let _ = write!(text, " where `allow_missing` names {}", table.allowed.join(", "));
            }
            if !table.open.is_empty() {
                let _ = write!(text, ", {} open as stated", table.open.len());
            }
            if !table.differing.is_empty() {
                let _ = write!(text, ", {} not as claimed", table.differing.len());
            }
            text
        }
    }
}

/// Everything that is known, for programs.
pub fn json(rows: &[Row]) -> Value {
    rows.iter()
        .map(|row| {
            let found = match &row.findings {
                Ok(found) => found.json(),
                Err(why) => json!({ "failure": why }),
            };
            json!({
                "kernel": row.kernel,
                "release": row.release,
                "bpf_lsm": row.bpf_lsm,
                "holds": row.holds(),
                "found": found,
            })
        })
        .collect()
}

impl Row {
    /// Whether the guest did what its kernel promises.
    pub fn holds(&self) -> bool {
        self.findings.as_ref().is_ok_and(Findings::holds)
    }

    /// What a person needs beside the table when something does not hold.
    pub fn complaint(&self) -> Option<String> {
        let why = match &self.findings {
            Ok(found) if found.holds() => return None,
            Ok(found) => found.complaint(),
            Err(why) => why.clone(),
        };
        let lsm = if self.bpf_lsm { "with" } else { "without" };
        Some(format!("{} {lsm} BPF LSM: {why}", self.release))
    }
}
