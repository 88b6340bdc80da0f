//! Evidence for `agent/docs/masking.md`: what a long comparison prints, and the figures that it saves when it holds.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{progress, quote::Quote, tally::Tally};

const DOCUMENT: &str = "agent/docs/masking.md";

/// What a run showed.
pub struct Evidence {
    lines: Vec<String>,
    /// None where it does not hold.
    figures: Option<Value>,
}

impl Evidence {
    /// Runs a command that saves its figures at `saved`, and fails when what it looks for is there.
    pub fn gather(title: &str, command: &mut Command, saved: &Path) -> Result<Self> {
        let mut lines = Vec::new();
        let holds = progress::watch(title, command.arg("--save").arg(saved), |line| lines.push(line.to_owned()))?;
        let figures = holds.then(|| fs::read_to_string(saved)).transpose().context("reading the figures")?;
        let figures = figures.map(|text| serde_json::from_str(&text)).transpose().context("the figures")?;
        Ok(Self { lines, figures })
    }

    /// As one test.
    pub fn tally(&self) -> Tally {
        self.lines.iter().for_each(|line| eprintln!("  {line}"));
        let passed = u64::from(self.figures.is_some());
        Tally { passed, failed: 1 - passed }
    }

    /// Shows it, and puts its table into the documentation where that is wanted; false when it does not hold.
    pub fn publish(&self, name: &'static str, write: bool, table: fn(&Value) -> Result<String>) -> Result<bool> {
        self.lines.iter().for_each(|line| println!("{line}"));
        if let (true, Some(figures)) = (write, &self.figures) {
            Quote::of(DOCUMENT, name).write(&table(figures)?)?;
        }
        Ok(self.figures.is_some())
    }
}

/// One figure, as it stands in a table.
pub fn figure<'f>(figures: &'f Value, key: &str) -> Result<&'f Value> {
    figures.get(key).with_context(|| format!("no `{key}` among the figures"))
}

/// Figures with what they count.
pub fn table<const N: usize>(title: &str, rows: [(&str, String); N]) -> String {
    rows.iter()
        .fold(format!("| {title} | |\n|---|--:|\n"), |table, (name, value)| table + &format!("| {name} | {value} |\n"))
}
