//! `cargo xtask demo`: the whole of Portcullis in ten steps, on a real server with an ordinary `psql`.

mod around;
mod readme;
mod stage;

use std::{
    io::{PipeReader, Read, Write},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use portcullis_tests::{
    gate::{Gate, Setup},
    postgres::{self, Postgres, Release, Tls},
};
use serde_json::Value;

use self::stage::Stage;
use crate::{
    build,
    prerequisites::{self, Need},
};

/// Where psql looks when nobody names a port; another one is taken if this machine already uses it.
const PORT: u16 = 5432;
/// Connections of all steps: five of psql, and three that were turned away.
const SESSIONS: usize = 8;
/// How often the second terminal looks for something to approve.
const LOOKS_MAX: u32 = 200;

/// Show what Portcullis does: a real server, an unchanged psql, ten steps.
#[derive(clap::Args)]
pub struct Arguments {}

/// Plays the demo. An error names the step that did not show what it claims.
pub fn run(_: &Arguments) -> Result<bool> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("the demo attaches programs to the kernel\nhint: run it as root");
    }
    prerequisites::install(&[Need::Build, Need::Postgres])?;
    let programs =
        build::cargo("building Portcullis, its eBPF programs included", &["build", "--package", "portcullis"])?;
    let binary = build::find(&programs, "portcullis")?.to_owned();

    let server = Postgres::on(PORT, Release::Debian, Tls::Required)?;
    let gate = Gate::with(&server, &Setup { binary: Some(binary), ..Setup::default() })?;
    let mut play = Play { gate, server, stage: Stage::new(10) };
    play.all().with_context(|| format!("step {} of the demo", play.stage.step()))?;
    readme::check(&play.stage)?;
    let Play { gate, server, stage } = play;
    gate.leave()?;
    drop(server);
    stage.say("\nThat was all of it. Nothing is left running.");
    Ok(true)
}

/// The gate is dropped before the server, whose certificates its configuration names.
struct Play {
    gate: Gate,
    server: Postgres,
    stage: Stage,
}

/// A psql that has been given its input.
struct Psql {
    process: Child,
    output: PipeReader,
}

impl Play {
    fn all(&mut self) -> Result<()> {
        self.opening()?;
        self.masked_read()?;
        self.refused_drop()?;
        self.refused_update()?;
        self.approved_update()?;
        self.denied_update()?;
        self.around()?;
        let session = self.sessions()?;
        self.replay(&session)?;
        self.verify()
    }

    fn opening(&mut self) -> Result<()> {
        self.stage.step_into("A PostgreSQL server with a small shop, and the daemon on its embedded policies");
        let status = self.portcullis(&["status"])?;
        ensure!(!status.is_empty(), "`portcullis status` says nothing");
        self.stage.claim("the daemon is ready: a canary process has been proven captured");
        Ok(())
    }

    fn masked_read(&mut self) -> Result<()> {
        self.stage.step_into("An ordinary psql, no password given: it reads, and personal data comes back masked");
        let shown = self.psql("select name, email, ssn, card from customers order by id")?;
        for secret in ["ada.lovelace@example.com", "536-90-4399", "4111111111111111"] {
            ensure!(!shown.contains(secret), "`{secret}` reached the workload");
        }
        ensure!(shown.contains("Ada Lovelace") && shown.contains("4399") && shown.contains("1111"), "no masked rows");
        let real = self.server.shop("select email, ssn, card from customers where id = 1")?;
        self.stage.claim(&format!("the table itself still says {real}"));
        Ok(())
    }

    fn refused_drop(&mut self) -> Result<()> {
        self.stage.step_into("DROP DATABASE is refused by a rule, in PostgreSQL's own words; the session goes on");
        let shown = self.psql("drop database shop;\nselect 'still here' as session;")?;
        ensure!(shown.contains("ERROR:") && shown.contains("no-drop-database"), "no denial by `no-drop-database`");
        ensure!(shown.contains("still here"), "the session did not survive the denial");
        self.stage.claim("the statement never reached the server");
        ensure!(!self.server.log().to_lowercase().contains("drop database"), "the server's log has the statement");
        Ok(())
    }

    fn refused_update(&mut self) -> Result<()> {
        self.stage.step_into("An UPDATE that forgot its WHERE");
        let shown = self.psql("update orders set status = 'shipped'")?;
        ensure!(shown.contains("no-write-without-where"), "no denial by `no-write-without-where`");
        let untouched = self.server.shop("select count(*) from orders where status = 'new'")?;
        ensure!(untouched == "3", "rows were changed");
        self.stage.claim("three orders are still new");
        Ok(())
    }

    fn approved_update(&mut self) -> Result<()> {
        self.stage
            .step_into("A change of classified rows waits for a person; the second terminal is played by this script");
        let waiting = self.begin("update customers set city = 'Paris' where id = 1")?;
        let request = self.pending()?;
        ensure!(self.server.shop("select city from customers where id = 1")? == "London", "it did not wait");
        self.portcullis(&["approvals", "list"])?;
        self.portcullis(&["approvals", "approve", &request, "--reason", "customer moved, ticket 4711"])?;
        let shown = self.end(waiting)?;
        ensure!(shown.contains("UPDATE 1"), "the approved statement did not proceed");
        ensure!(self.server.shop("select city from customers where id = 1")? == "Paris", "nothing was changed");
        self.stage.claim("held until it was approved, then run");
        Ok(())
    }

    fn denied_update(&mut self) -> Result<()> {
        self.stage.step_into("Another one, which the person does not like");
        let waiting = self.begin("update customers set card = '4242424242424242' where id = 2")?;
        let request = self.pending()?;
        self.portcullis(&["approvals", "deny", &request, "--reason", "never change card numbers by hand"])?;
        let shown = self.end(waiting)?;
        ensure!(shown.contains("ERROR:"), "the denied statement was not refused");
        ensure!(self.server.shop("select right(card, 4) from customers where id = 2")? == "5559", "it was changed");
        self.stage.claim("the reason is in the error, and in the record");
        Ok(())
    }

    fn around(&mut self) -> Result<()> {
        self.stage.step_into("The same process tries to go around the gate");
        around::attempts(&self.gate, &mut self.stage)
    }

    /// Shows the sessions, and returns the one in which something was approved.
    fn sessions(&mut self) -> Result<String> {
        self.stage.step_into("What just happened, from the record");
        let sessions = self.gate.ended_sessions(SESSIONS, &[])?;
        self.portcullis(&["sessions", "list"])?;
        let count = |session: &Value, what: &str| session.get(what).and_then(Value::as_u64).unwrap_or_default();
        let approved =
            sessions.iter().find(|session| count(session, "approvals") > 0 && count(session, "denials") == 0);
        let id = approved.and_then(|session| session.get("id")).and_then(Value::as_str);
        self.stage.claim("every connection is a session, with who, where, and how much was denied");
        id.map(str::to_owned).context("no session with an approval in the list")
    }

    fn replay(&mut self, session: &str) -> Result<()> {
        self.stage.step_into("One of them, replayed");
        let shown = self.portcullis(&["sessions", "replay", session, "--instant"])?;
        ensure!(shown.contains("update customers") && shown.contains("4711"), "statement or approval is missing");
        self.stage.claim("statement, decision, approval and answer, as the workload saw them");
        Ok(())
    }

    fn verify(&mut self) -> Result<()> {
        self.stage.step_into("Has anybody touched the record?");
        self.portcullis(&["sessions", "verify", "--all"])?;
        self.stage.claim("every chain is whole");
        Ok(())
    }

    /// Shows a command of the operator's and what it prints; an error when it fails.
    fn portcullis(&self, arguments: &[&str]) -> Result<String> {
        self.stage.command("portcullis", arguments);
        let output = self.gate.command(arguments).output()?;
        let shown = [&output.stdout[..], &output.stderr[..]].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        self.stage.output(&shown);
        ensure!(output.status.success(), "`portcullis {}` failed", arguments.join(" "));
        Ok(shown)
    }

    /// Shows a workload's psql and what it prints, errors among it.
    fn psql(&self, sql: &str) -> Result<String> {
        self.end(self.begin(sql)?)
    }

    fn begin(&self, sql: &str) -> Result<Psql> {
        let port = self.server.port().to_string();
        let words = ["psql", "-h", "127.0.0.1", "-p", &port, "-U", "app", postgres::DATABASE];
        self.stage.command("portcullis run --name agent --", &words);
        self.stage.typed(sql);
        // One pipe, so that errors stand where they happened.
        let (output, writer) = std::io::pipe()?;
        let mut command: Command = self.gate.command(["run", "--name", "agent", "--"].iter().chain(&words));
        command.current_dir("/").stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
        let mut process = command.spawn()?;
        let mut input = process.stdin.take().context("psql's input")?;
        input.write_all(format!("{sql};\n").as_bytes())?;
        Ok(Psql { process, output })
    }

    fn end(&self, mut psql: Psql) -> Result<String> {
        let mut text = String::new();
        psql.output.read_to_string(&mut text)?;
        psql.process.wait()?;
        self.stage.output(&text);
        Ok(text)
    }

    /// Waits for the one request that wants an approver, and returns its id.
    fn pending(&self) -> Result<String> {
        for _ in 0..LOOKS_MAX {
            let list = self.gate.json(["approvals", "list"])?;
            let first = list.as_array().and_then(|list| list.first()?.get("id")?.as_str().map(str::to_owned));
            if let Some(id) = first {
                return Ok(id);
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("nothing waits for approval")
    }
}
