//! What honest programs ask passes, and answers as it does without a gate.

use std::{
    fmt::Write as _,
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use portcullis_tests::{
    place,
    postgres::{self, environment},
};

use super::*;

/// Stands before each statement's answer, with its number.
const MARK: &str = "@@ statement";

/// The statements of a file: each ends with a semicolon at the end of a line.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        statement.push_str(line);
        statement.push('\n');
        if line.ends_with(';') {
            found.push(std::mem::take(&mut statement));
        }
    }
    found
}

/// What psql says to each statement, rows and errors in their order.
fn answers(mut psql: Command, script: &Path) -> Result<Vec<String>> {
    let output = psql.stdin(File::open(script)?).stderr(Stdio::piped()).output()?;
    let said = said(&output);
    Ok(said.split(MARK).skip(1).map(|answer| answer.trim_end().to_owned()).collect())
}

#[test]
fn honest_statements_answer_as_without_a_gate() -> Result<()> {
    let pair = Pair::start()?;
    let statements = statements(&std::fs::read_to_string(place::repository().join("tests/rigs/honest.sql"))?);
    let script = pair.gate.place().join("honest.sql");
    let numbered = statements.iter().enumerate().fold(String::new(), |mut text, (number, statement)| {
        let _ = write!(text, "\\echo {MARK} {number}\n{statement}");
        text
    });
    std::fs::write(&script, numbered)?;

    let words = ["sh", "-c", "exec psql -X -q -t -A 2>&1"];
    let governed = answers(pair.gate.workload(&pair.server, words), &script)?;
    let mut direct = Command::new("sh");
    environment(direct.args(&words[1..]), pair.server.port()).env("PGPASSWORD", postgres::PASSWORD);
    let direct = answers(direct, &script)?;

    ensure!(direct.len() == statements.len() && governed.len() == direct.len(), "answers are missing: {governed:?}");
    let differing = statements.iter().zip(governed.iter().zip(&direct)).filter(|(_, (gate, direct))| gate != direct);
    let differing: Vec<_> =
        differing.map(|(statement, (gate, direct))| format!("{statement}gate:   {gate}\ndirect: {direct}\n")).collect();
    ensure!(differing.is_empty(), "{} of {} differ:\n{}", differing.len(), statements.len(), differing.join("\n"));
    Ok(())
}
