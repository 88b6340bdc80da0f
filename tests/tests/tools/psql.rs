//! psql with every backslash command that reads.

use super::*;

/// Stands before each command's answer, with its number.
const MARK: &str = "@@ command";

/// Commands that are refused, and the access that they lack: what they read may hold passwords, or what other
/// roles have set.
const REFUSED: [(&str, &str); 3] = [
    ("\\deu+", "select on shop/shop/pg_catalog.pg_user_mappings"),
    ("\\drds", "select on shop/shop/pg_catalog.pg_db_role_setting"),
    ("\\dRs+", "select on shop/shop/pg_catalog.pg_subscription"),
];

fn answers(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    // psql names the place of an error, which is another file for each.
    text.split(MARK).skip(1).map(|answer| answer.trim_end().to_owned()).collect()
}

#[test]
fn backslash_commands_answer_as_without_a_gate() -> Result<()> {
    let commands = std::fs::read_to_string(place::repository().join("tests/tools/psql/reads.sql"))?;
    let server = Postgres::start()?;
    let gate = Gate::before(&server)?;
    let script = gate.place().join("reads.sql");
    let numbered = commands.lines().enumerate();
    let marked: String = numbered.map(|(number, command)| format!("\\echo {MARK} {number}\n{command}\n")).collect();
    std::fs::write(&script, marked)?;

    let words = ["sh", "-c", "exec psql -X < reads.sql 2>&1"];
    let governed = answers(&gate.workload(&server, words).output()?);
    let ungoverned = answers(&direct(&server, words)?.current_dir(gate.place()).output()?);
    let commands: Vec<_> = commands.lines().collect();
    ensure!(
        governed.len() == commands.len() && ungoverned.len() == commands.len(),
        "{} and {} answers to {}: {governed:?}",
        governed.len(),
        ungoverned.len(),
        commands.len()
    );

    let mut differing = String::new();
    for ((command, governed), ungoverned) in commands.iter().zip(&governed).zip(&ungoverned) {
        let is_as_expected = match REFUSED.iter().find(|(refused, _)| refused == command) {
            Some((_, access)) => governed.contains("denied: no policy allows agent ") && governed.contains(access),
            None => governed == ungoverned,
        };
        if !is_as_expected {
            differing.push_str(&format!("{command}\ngate:   {governed}\ndirect: {ungoverned}\n"));
        }
    }
    ensure!(differing.is_empty(), "{differing}");
    Ok(())
}

#[test]
fn copying_out_by_psql_is_masked() -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::before(&server)?;
    let script = "\\copy customers to stdout\n\\copy (select name, ssn from customers) to 'out'\n\\! cat out\n";
    let shown = String::from_utf8_lossy(&gate.psql(&server, script)?.stdout).into_owned();
    ensure!(shown.matches("Ada Lovelace").count() == 2 && shown.contains("***-**-4399"), "{shown}");
    ensure!(!shown.contains("536-90") && !shown.contains("ada.lovelace@example.com"), "{shown}");
    Ok(())
}
