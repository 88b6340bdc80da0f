//! `portcullis doctor`, `prove` and the canary's probing half.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;

use super::{
    ask, findings,
    output::{json, plain, print_table, table},
};
use crate::{
    capture::{self, Loopback, canary},
    control::{Client, Command, Reply},
    jail,
};

/// Say what this kernel allows, and what that means.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portcullis doctor\n  portcullis doctor --workload ci-runner\n\nExits with 1 when something that the capture promises is missing."
)]
pub struct Args {
    /// Say what capture alone cannot hold of this workload, and what systemd needs to end it
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, control: PathBuf) -> anyhow::Result<ExitCode> {
    if args.workload.is_some() {
        return findings::show(ask(control, &Command::Examine { workload: args.workload })?, args.json);
    }
    let mut facts = capture::facts();
    facts.extend(jail::facts());
    if args.json {
        json(&facts)?;
    } else {
        let mut rows = table(["", "WHAT", "MEANING"]);
        for fact in &facts {
            rows.add_row([
                if fact.present { "yes" } else { "NO" }.to_owned(),
                fact.name.clone(),
                fact.meaning.to_string(),
            ]);
        }
        print_table(rows)?;
    }
    // Without a daemon the kernel's facts are all there is to say.
    if let Ok(Reply::Status(status)) = ask(control, &Command::Status) {
        status.warnings.iter().for_each(|warning| eprintln!("warning: {}", plain(warning)));
    }
    let whole = facts.iter().all(|fact| fact.present || !fact.required);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Try to get out of a fresh workload, and show what held.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  portcullis prove\n\nExits with 1 when anything got out, or went without an answer."
)]
pub struct ProveArgs {
    #[arg(long)]
    json: bool,
}

pub fn prove(args: ProveArgs, control: PathBuf) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(control)?;
    let Reply::Enrolled(enrolled) = client.ask(&Command::Enrol { name: Some("prove".to_owned()), jail: false })? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    let token = enrolled.token.parse().context("the daemon sent no canary token")?;
    let attempts = canary::attempts(&token, Loopback::Shared);
    if args.json {
        json(&attempts)?;
    } else {
        let mut rows = table(["", "ATTEMPT", "LAYER", "WHAT HAPPENED"]);
        for attempt in &attempts {
            let held = match (attempt.held, attempt.escaped) {
                (true, _) => "held",
                (false, true) => "GOT OUT",
                (false, false) => "NOT KNOWN",
            };
            rows.add_row([held, attempt.name, attempt.layer, &attempt.outcome]);
        }
        print_table(rows)?;
    }
    Ok(if attempts.iter().all(|attempt| attempt.held) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The probing half of the canary: started by the daemon, which moves it into a cgroup under capture.
pub fn canary() -> anyhow::Result<ExitCode> {
    match canary::child() {
        Err(error) if error.is_escape() => {
            eprintln!("{error}");
            Ok(ExitCode::from(canary::CanaryError::ESCAPED))
        }
        done => Ok(done.map(|()| ExitCode::SUCCESS)?),
    }
}
