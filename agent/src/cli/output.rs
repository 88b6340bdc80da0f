//! How the command line speaks: errors, tables, times and text from outside.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

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
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    table
}

/// Text from outside, with what a terminal would obey made visible.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(' '),
            // Control characters, and those that turn the direction of text.
            character if character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            character => shown.push(character),
        }
    }
    shown
}

/// How long ago, or until when, in the largest fitting unit.
pub fn distance(unix: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    if unix >= now { format!("in {}", span(unix - now)) } else { format!("{} ago", span(now - unix)) }
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
        assert_eq!(plain("a\x1b[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(plain("SELECT 'ü'\n  FROM t"), "SELECT 'ü'   FROM t");
    }
}
