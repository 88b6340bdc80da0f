//! What the guests said, as a table for people and as JSON for programs.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::{Value, json};

use super::{
    findings::{Daemon, Findings, Table, Tests},
    source::Source,
};

/// One guest's row.
#[derive(Clone, Debug)]
pub struct Row {
    pub kernel: &'static str,
    pub release: String,
    pub bpf_lsm: bool,
    /// Why there are none, where there are none.
    pub findings: Result<Findings, String>,
}

type Cells = [String; 7];

const COLUMNS: [&str; 7] = ["kernel", "release", "BPF LSM", "missing layers", "daemon", "tests of capture", "attacks"];

/// As Markdown, which people read as well.
pub fn markdown(rows: &[Row]) -> String {
    aligned(&rows.iter().map(cells).collect::<Vec<_>>())
}

/// A table of an earlier run with the rows of this one, in the order of the sources: each guest is known by its kernel
/// and whether it had BPF LSM.
pub fn renewed(earlier: &str, rows: &[Row]) -> String {
    let mut all: Vec<_> = earlier.lines().filter_map(read).chain(rows.iter().map(cells)).collect();
    // Of several rows of one guest the last is kept.
    let guest = |row: &Cells| (row[0].clone(), row[2].clone());
    let mut known = BTreeSet::new();
    all.reverse();
    all.retain(|row| known.insert(guest(row)));
    let place = |row: &Cells| (Source::ALL.iter().position(|source| source.name == row[0]), row[2] == "no");
    all.sort_by_key(place);
    aligned(&all)
}

/// The cells of a row that names one of the kernels.
fn read(line: &str) -> Option<Cells> {
    let cells: Vec<_> =
        line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(|it| it.trim().to_owned()).collect();
    let cells = Cells::try_from(cells).ok()?;
    Source::ALL.iter().any(|source| source.name == cells[0]).then_some(cells)
}

fn aligned(cells: &[Cells]) -> String {
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

fn cells(row: &Row) -> Cells {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kernel: &'static str, bpf_lsm: bool, release: &str) -> Row {
        Row { kernel, release: release.into(), bpf_lsm, findings: Err("why".into()) }
    }

    #[test]
    fn a_guest_replaces_its_own_row_and_leaves_the_others() {
        let earlier = markdown(&[failed("6.12", true, "6.12.1"), failed("6.12", false, "6.12.1")]);
        let new = [failed("6.1", true, "6.1.9"), failed("6.12", false, "6.12.2")];
        let table = renewed(&earlier, &new);
        let told: Vec<_> = table.lines().filter_map(read).map(|row| (row[1].clone(), row[2].clone())).collect();
        let row = |release: &str, lsm: &str| (release.to_owned(), lsm.to_owned());
        assert_eq!(told, [row("6.1.9", "yes"), row("6.12.1", "yes"), row("6.12.2", "no")]);
        assert_eq!(renewed("No run stands here yet.\n", &new[..1]), markdown(&new[..1]));
    }
}
