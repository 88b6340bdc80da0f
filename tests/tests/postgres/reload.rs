//! A policy change reaches live sessions; a broken policy changes nothing.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::Context;
use portcullis_tests::{place, postgres::succeeded, wait};
use tempfile::TempDir;

use super::*;

const CLOSED: &str = "@id(\"closed\")\n@message(\"payments are closed\")\n\
    forbid (principal, action, resource is Sql::Table) when { resource.name == \"payments\" };\n";

/// A copy of the policies that this repository ships, without their examples.
pub fn policies() -> Result<(TempDir, PathBuf)> {
    let place = place::temporary()?;
    let directory = place.path().join("policies");
    std::fs::create_dir(&directory)?;
    for entry in std::fs::read_dir(place::repository().join("policies"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a policy's name")?;
        if name.ends_with(".cedar") || name == "site.cedarschema" {
            std::fs::copy(&path, directory.join(name))?;
        }
    }
    Ok((place, directory))
}

/// A psql that stays, so that its session lives through what happens.
pub struct Live {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Live {
    pub fn start(pair: &Pair) -> Result<Self> {
        // Errors and rows in one stream, each statement followed by a marker.
        let words = ["sh", "-c", "exec psql -X -q -t -A -v VERBOSITY=verbose 2>&1"];
        let mut child = pair.gate.workload(&pair.server, words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("psql's input")?;
        let output = BufReader::new(child.stdout.take().context("psql's output")?);
        Ok(Self { child, input, output })
    }

    /// What one statement gives; the end of the output when the session was ended.
    pub fn ask(&mut self, sql: &str) -> Result<String> {
        writeln!(self.input, "{sql};\n\\echo done")?;
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 || line.trim_end() == "done" {
                return Ok(said);
            }
            said.push_str(&line);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until the answer has what is waited for.
fn until(live: &mut Live, sql: &str, part: &str) -> Result<()> {
    wait::until(&format!("`{sql}` says `{part}`"), || Ok(live.ask(sql)?.contains(part)))
}

fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::write(directory.join(name), text).with_context(|| format!("writing {name}"))
}

#[test]
fn a_new_rule_reaches_a_live_session() -> Result<()> {
    let (_kept, directory) = policies()?;
    let pair = Pair::with(&Setup { policies: Some(directory.clone()), ..Setup::default() })?;
    let mut live = Live::start(&pair)?;
    assert_eq!(live.ask("select count(*) from payments")?, "2\n");
    write(&directory, "closed.cedar", CLOSED)?;
    until(&mut live, "select count(*) from payments", "payments are closed")?;
    assert_eq!(live.ask("select count(*) from orders")?, "4\n");
    std::fs::remove_file(directory.join("closed.cedar"))?;
    until(&mut live, "select count(*) from payments", "2\n")
}

#[test]
fn a_prepared_statement_is_judged_again_after_a_change() -> Result<()> {
    let (_kept, directory) = policies()?;
    let pair = Pair::with(&Setup { policies: Some(directory.clone()), ..Setup::default() })?;
    let mut live = Live::start(&pair)?;
    assert_eq!(live.ask("prepare p as select count(*) from payments")?, "");
    assert_eq!(live.ask("execute p")?, "2\n");
    write(&directory, "closed.cedar", CLOSED)?;
    until(&mut live, "execute p", "payments are closed")
}

#[test]
fn a_broken_policy_keeps_the_last_good_one_and_says_so() -> Result<()> {
    let (_kept, directory) = policies()?;
    let mut pair = Pair::with(&Setup { policies: Some(directory.clone()), ..Setup::default() })?;
    let mut live = Live::start(&pair)?;
    write(&directory, "broken.cedar", "@id(\"broken\") permit (principal, action, resource) when { oops };\n")?;
    wait::until("the log names the broken file", || Ok(pair.gate.log().contains("broken.cedar")))?;
    contains(&said(&pair.gate.command(["status"]).output()?), "broken.cedar")?;
    assert_eq!(live.ask("select count(*) from orders")?, "4\n");
    contains(&live.ask("drop database shop")?, "no-drop-database")?;

    // A restart finds the directory still broken, and the last good bundle in its state.
    drop(live);
    pair.gate.stop()?;
    pair.gate.resume()?;
    contains(&pair.psql("select count(*) from orders; drop database shop")?, "no-drop-database")?;
    succeeded("psql", pair.gate.psql(&pair.server, "select count(*) from orders")?).map(drop)
}

#[test]
fn broken_at_the_very_first_start_denies_all() -> Result<()> {
    let (_kept, directory) = policies()?;
    write(&directory, "baseline.cedar", "permit (principal, action, resource")?;
    let pair = Pair::with(&Setup { policies: Some(directory), ..Setup::default() })?;
    let output = pair.gate.psql(&pair.server, "select 'an answer' from orders")?;
    assert!(!output.status.success());
    lacks(&said(&output), "an answer")?;
    contains(&said(&output), "no usable policy")
}
