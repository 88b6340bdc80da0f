//! `portcullis approvals` and `portcullis grants`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use super::{
    ask, highlight,
    output::{distance, json, plain, print_table, table},
};
use crate::{
    approval::PendingView,
    control::{Command, Reply},
};

/// Answer requests that wait for a person.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  portcullis approvals list\n  portcullis approvals approve k7f2 --reason 'ticket 4711'"
)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What waits, oldest first
    List {
        #[arg(long)]
        json: bool,
    },
    /// Everything about one request
    Show {
        /// The request's id, or its beginning
        id: String,
        #[arg(long)]
        json: bool,
    },
    /// Let it go on
    Approve {
        id: String,
        /// Stands in the record
        #[arg(long)]
        reason: Option<String>,
    },
    /// Refuse it
    Deny {
        id: String,
        /// Stands in the record, and the workload reads it
        #[arg(long)]
        reason: Option<String>,
    },
}

pub fn run(args: Args, control: PathBuf) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List { json: true } => json(&pending(control)?)?,
        Action::List { json: false } => list(&pending(control)?)?,
        Action::Show { id, json: as_json } => {
            let shown = find(pending(control)?, &id)?;
            if as_json { json(&shown)? } else { show(&shown) }
        }
        Action::Approve { id, reason } => match ask(control, &Command::Approve { id: id.clone(), reason })? {
            Reply::Approved { complete: false, .. } => println!("counted; {id} still needs another group"),
            Reply::Approved { complete: true, grant: Some(grant) } => {
                println!("approved {id}; the grant {} stands {}", grant.id, distance(grant.until_unix));
            }
            _ => println!("approved {id}"),
        },
        Action::Deny { id, reason } => {
            ask(control, &Command::Deny { id: id.clone(), reason })?;
            println!("denied {id}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn pending(control: PathBuf) -> anyhow::Result<Vec<PendingView>> {
    match ask(control, &Command::Approvals)? {
        Reply::Approvals { pending } => Ok(pending),
        _ => anyhow::bail!("the daemon answered something else than was asked"),
    }
}

fn find(pending: Vec<PendingView>, prefix: &str) -> anyhow::Result<PendingView> {
    let mut found = pending.into_iter().filter(|view| view.id.as_str().starts_with(prefix));
    match (found.next(), found.next()) {
        (Some(view), None) => Ok(view),
        (Some(_), Some(_)) => anyhow::bail!("`{prefix}` is not unique\n  hint: write more of the id"),
        (None, _) => {
            anyhow::bail!("no approval request `{prefix}` is pending\n  hint: `portcullis approvals list` shows them")
        }
    }
}

fn list(pending: &[PendingView]) -> anyhow::Result<()> {
    if pending.is_empty() {
        println!("nothing waits for approval");
        return Ok(());
    }
    let mut rows = table(["ID", "WORKLOAD", "TARGET", "NEEDS", "EXPIRES", "STATEMENT"]);
    for view in pending {
        rows.add_row([
            view.id.to_string(),
            plain(&view.workload),
            view.target.clone(),
            needs(view),
            distance(view.expires_unix),
            plain(&view.statement).chars().take(80).collect(),
        ]);
    }
    print_table(rows)
}

fn show(view: &PendingView) {
    let line = |name: &str, value: &str| println!("{name:<11}{value}");
    line("id", view.id.as_str());
    line("rule", &format!("{}: {}", view.rules.join(", "), plain(&view.message)));
    line("needs", &needs(view));
    if !view.approved_by.is_empty() {
        line("approved by", &view.approved_by.join(", "));
    }
    line("asked", &distance(view.asked_unix));
    line("expires", &distance(view.expires_unix));
    line("target", &view.target);
    line("workload", &plain(&view.workload));
    line("owner", view.owner.as_deref().unwrap_or("(unknown)"));
    let executable = view.executable.as_deref().unwrap_or("(gone)");
    line("process", &plain(&format!("{} {executable}: {}", view.pid, view.command_line.join(" "))));
    line("session", &view.session);
    line("touches", &view.accesses.join(", "));
    println!("\n{}", highlight::sql(&view.statement));
}

fn needs(view: &PendingView) -> String {
    view.needs.iter().map(|any| any.join(" or ")).collect::<Vec<_>>().join(" and ")
}

/// Show and revoke standing grants.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis grants list")]
pub struct GrantArgs {
    #[command(subcommand)]
    action: GrantAction,
}

#[derive(Debug, Subcommand)]
enum GrantAction {
    /// The grants that stand
    List {
        #[arg(long)]
        json: bool,
    },
    /// End one before its time
    Revoke { id: String },
}

pub fn grants(args: GrantArgs, control: PathBuf) -> anyhow::Result<ExitCode> {
    match args.action {
        GrantAction::List { json: as_json } => {
            let Reply::Grants { grants } = ask(control, &Command::Grants)? else {
                anyhow::bail!("the daemon answered something else than was asked");
            };
            if as_json {
                json(&grants)?;
            } else if grants.is_empty() {
                println!("no grant stands");
            } else {
                let mut rows = table(["ID", "WORKLOAD", "TARGET", "BY", "ENDS", "STATEMENT"]);
                for grant in grants {
                    rows.add_row([
                        grant.id,
                        plain(&grant.workload),
                        grant.target.to_string(),
                        grant.by.join(", "),
                        distance(grant.until_unix),
                        plain(&grant.statement).chars().take(80).collect(),
                    ]);
                }
                print_table(rows)?;
            }
        }
        GrantAction::Revoke { id } => {
            ask(control, &Command::RevokeGrant { id: id.clone() })?;
            println!("revoked {id}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
