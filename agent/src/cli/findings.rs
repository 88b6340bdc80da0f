//! What capture alone cannot hold of a workload, shown to a person.

use std::process::ExitCode;

use super::output::{json, plain, print_table, table};
use crate::control::{Examined, Reply};

/// Shows what examining has found; a failure where something closes the gate or could.
pub fn show(reply: Reply, as_json: bool) -> anyhow::Result<ExitCode> {
    let Reply::Examined { workloads } = reply else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    if as_json {
        json(&workloads)?;
    } else {
        for (number, workload) in workloads.iter().enumerate() {
            if number > 0 {
                println!();
            }
            one(workload)?;
        }
    }
    let open = workloads.iter().all(|workload| workload.closed.is_none());
    Ok(if open { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(workload: &Examined) -> anyhow::Result<()> {
    println!("{}: {}", workload.workload, workload.cgroup.display());
    match &workload.closed {
        Some(reason) => println!("CLOSED: {}", plain(reason)),
        None if workload.findings.is_empty() => println!("fit: capture holds all of it"),
        None => println!("open: what is left was accepted"),
    }
    if !workload.findings.is_empty() {
        let mut rows = table(["RISK", "", "FOUND", "MEANING"]);
        for finding in &workload.findings {
            let accepted = workload.accepted.contains(&finding.risk);
            rows.add_row([
                finding.risk.name(),
                if accepted { "accepted" } else { "OPEN" },
                &plain(&finding.detail),
                finding.risk.meaning(),
            ]);
        }
        println!();
        print_table(rows)?;
    }
    if !workload.starters.is_empty() {
        let mut rows = table(["TOOL", "WHAT IT STARTS", "WHY"]);
        for starter in &workload.starters {
            let place = if starter.leaves { "LEAVES" } else { "stays" };
            rows.add_row([&starter.tool, place, &starter.why]);
        }
        println!();
        print_table(rows)?;
    }
    for program in &workload.foreign_programs {
        println!("beside the capture: {}", plain(program));
    }
    if let Some(drop_in) = &workload.drop_in {
        println!("\n{}", drop_in.trim_end());
    }
    Ok(())
}
