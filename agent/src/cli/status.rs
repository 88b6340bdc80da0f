//! `portcullis status`.

use std::{path::PathBuf, process::ExitCode};

use super::{
    ask,
    output::{distance, json, plain, print_table, table},
};
use crate::control::{Command, Reply, Status};

/// Show what is enforced.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  portcullis status --json | jq .policy.generation\n\nExits with 1 when the policy files are broken, the record fails or a workload is closed."
)]
pub struct Args {
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, control: PathBuf) -> anyhow::Result<ExitCode> {
    let Reply::Status(status) = ask(control, &Command::Status)? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    if args.json {
        json(&status)?
    } else {
        show(&status)?
    }
    let open = status.trees.iter().all(|tree| tree.closed.is_none())
        && status.workloads.iter().all(|workload| workload.closed.is_none());
    let well = status.policy.broken.is_none() && status.recorder == "well" && open;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(status: &Status) -> anyhow::Result<()> {
    let line = |name: &str, value: &str| println!("{name:<11}{value}");
    line("daemon", &format!("{} (pid {}), started {}", status.version, status.pid, distance(status.started_unix)));
    line("listens", &status.listen.join(", "));
    let canary = status.canary_unix.map_or("never proven".to_owned(), |unix| format!("proven {}", distance(unix)));
    line("capture", &format!("{}; {canary}", status.capture));
    for (tree, reason) in status.trees.iter().filter_map(|tree| Some((tree, tree.closed.as_ref()?))) {
        line("", &format!("CLOSED for {}: {reason}", tree.name));
    }
    for (workload, reason) in status.workloads.iter().filter_map(|workload| Some((workload, workload.closed.as_ref()?)))
    {
        line("", &format!("CLOSED for {}: {}", workload.name, plain(reason)));
    }
    let policy = &status.policy;
    line("policy", &format!("{} rules from {}, generation {}", policy.rules, policy.source, policy.generation));
    if let Some(broken) = &policy.broken {
        line("", &format!("the newest files are BROKEN and not in force:\n{broken}"));
    }
    line("record", &format!("{} in {}", status.recorder, status.state_dir.display()));
    line("sessions", &format!("{} live, {} waiting for approval", status.live_sessions, status.pending_approvals));
    let refusals: Vec<_> = status.refusals.iter().map(|(name, count)| format!("{name} {count}")).collect();
    status.warnings.iter().for_each(|warning| line("WARNING", &plain(warning)));
    line("refused", &format!("in the kernel: {}", refusals.join(", ")));
    let mut targets = table(["TARGET", "PROTOCOL", "ADDRESSES"]);
    for target in &status.targets {
        targets.add_row([target.name.clone(), target.protocol.clone(), target.addresses.join(", ")]);
    }
    println!();
    print_table(targets)?;
    let mut workloads = table(["WORKLOAD", "OWNER", "ACCEPTED RISKS", "CGROUP"]);
    for workload in &status.workloads {
        workloads.add_row([
            workload.name.clone(),
            workload.owner.clone().unwrap_or_default(),
            workload.accepted.join(", "),
            workload.cgroup.clone(),
        ]);
    }
    println!();
    print_table(workloads)
}
