//! Files of statements, and what psql says to each of them.

use std::{fmt::Write as _, fs::File, path::Path, process::Command};

use portcullis_tests::{
    place,
    postgres::{self, environment},
};

use super::*;

/// A psql whose rows and errors come in one stream.
const PSQL: [&str; 3] = ["sh", "-c", "exec psql -X -q -t -A -v VERBOSITY=verbose 2>&1"];

/// Stands before each statement's answer.
const MARK: &str = "@@ statement";

/// Statements with what was answered through the gate and without it.
pub struct Compared {
    pub statement: String,
    pub governed: String,
    pub direct: String,
}

/// What psql says to each of these through the gate, rows and errors together, as one session.
pub fn ask(pair: &Pair, statements: &[&str]) -> Result<Vec<String>> {
    let script = pair.gate.place().join("asked.sql");
    let ended: Vec<String> = statements.iter().map(|statement| format!("{statement};\n")).collect();
    std::fs::write(&script, marked(&ended))?;
    let answers = answers(pair.gate.workload(&pair.server, PSQL), &script)?;
    ensure!(answers.len() == statements.len(), "answers are missing: {answers:?}");
    Ok(answers)
}

/// Runs `tests/rigs/FILE` through the gate and then directly, each as one session of psql.
pub fn compare(pair: &Pair, file: &str) -> Result<Vec<Compared>> {
    let statements = statements(&std::fs::read_to_string(place::repository().join("tests/rigs").join(file))?);
    let script = pair.gate.place().join(file);
    std::fs::write(&script, marked(&statements))?;

    let governed = answers(pair.gate.workload(&pair.server, PSQL), &script)?;
    let mut direct = Command::new("sh");
    environment(direct.args(&PSQL[1..]), pair.server.port()).env("PGPASSWORD", postgres::PASSWORD);
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
