//! Files of statements, and what psql says to each of them.

use std::{fmt::Write as _, fs::File, path::Path, process::Command};

use portcullis_tests::{
    place,
    postgres::{self, environment},
};

use super::*;

/// Stands before each statement's answer.
const MARK: &str = "@@ statement";

/// Statements with what was answered through the gate and without it.
pub struct Compared {
    pub statement: String,
    pub governed: String,
    pub direct: String,
}

/// Runs `tests/rigs/FILE` through the gate and then directly, each as one session of psql.
pub fn compare(pair: &Pair, file: &str) -> Result<Vec<Compared>> {
    let statements = statements(&std::fs::read_to_string(place::repository().join("tests/rigs").join(file))?);
    let script = pair.gate.place().join(file);
    std::fs::write(&script, marked(&statements))?;

    let words = ["sh", "-c", "exec psql -X -q -t -A -v VERBOSITY=verbose 2>&1"];
    let governed = answers(pair.gate.workload(&pair.server, words), &script)?;
    let mut direct = Command::new("sh");
    environment(direct.args(&words[1..]), pair.server.port()).env("PGPASSWORD", postgres::PASSWORD);
    let direct = answers(direct, &script)?;

    let count = statements.len();
    ensure!(governed.len() == count && direct.len() == count, "answers are missing: {governed:?}");
    let compared = statements.into_iter().zip(governed).zip(direct);
    Ok(compared.map(|((statement, governed), direct)| Compared { statement, governed, direct }).collect())
}

/// The statements of a text: each ends with a semicolon at the end of a line, or is a line that begins with `\`.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        statement.push_str(line);
        statement.push('\n');
        if line.ends_with(';') || line.starts_with('\\') {
            found.push(std::mem::take(&mut statement));
        }
    }
    found
}

fn marked(statements: &[String]) -> String {
    statements.iter().fold(String::new(), |mut text, statement| {
        let _ = write!(text, "\\echo {MARK}\n{statement}");
        text
    })
}

fn answers(mut psql: Command, script: &Path) -> Result<Vec<String>> {
    let said = said(&psql.stdin(File::open(script)?).output()?);
    Ok(said.split(MARK).skip(1).map(|answer| answer.trim().to_owned()).collect())
}
