//! How the command line speaks: errors, tables, times and text from outside.

use std::{
    cmp::Ordering,
    io::{self, Write},
    time::{Duration, SystemTime},
};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::record::printable::printable;

/// Prints an error with its causes.
pub fn fail(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table without lines, which pipes well.
pub fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    table
}

/// Writes a table: columns two spaces apart, nothing behind the last one.
pub fn write_table(out: &mut dyn Write, table: &mut Table) -> io::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Prints a table.
pub fn print_table(mut table: Table) -> anyhow::Result<()> {
    Ok(write_table(&mut io::stdout().lock(), &mut table)?)
}

/// Text from outside on one line, with what a terminal would obey made visible.
pub fn plain(text: &str) -> String {
    printable(&text.replace(['\n', '\t'], " "))
}

/// How long ago, or until when, in the largest fitting unit.
pub fn distance(unix: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    match unix.cmp(&now) {
        Ordering::Less => format!("{} ago", span(now - unix)),
        Ordering::Equal => "just now".to_owned(),
        Ordering::Greater => format!("in {}", span(unix - now)),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_text_cannot_steer_a_terminal() {
        let shown = plain("a\x1b[2Jb\u{202e}c");
        assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown}");
        assert_eq!(plain("SELECT 'ü'\n  FROM t"), "SELECT 'ü'   FROM t");
    }
}
