//! What is looked at again and again: workloads that end, cgroups made anew, names that move.

use std::{fs, path::Path, sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

use tokio::task::JoinSet;

use super::{
    Daemon, attempts::Refused, audit::Audit, doorways::Doorways, event::Event, namespaces::Namespaces, roll::Roll,
    walk::Walk,
};
use crate::{
    accept::Workload,
    config::Config,
    connection::{Gatehouse, announce_policy},
};

/// How often workloads are looked at: whether anybody is left, whether their cgroup still is the same.
pub const TEND_INTERVAL: Duration = Duration::from_millis(500);
/// How often host names of targets are resolved again.
pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);

impl Daemon {
    /// Starts what is done again and again.
    pub(super) fn tend(&self, refused: Refused) -> JoinSet<anyhow::Result<()>> {
        let (gatehouse, audit) = (&self.gatehouse, &self.audit);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow_policy(gatehouse.clone(), audit.clone()));
        tasks.spawn(tend_namespaces(self.namespaces.clone()));
        tasks.spawn(tend_workloads(self.roll.clone()));
        tasks.spawn(tend_doorways(self.doorways.clone()));
        tasks.spawn(self.roll.clone().keep_examining());
        tasks.spawn(refresh_targets(gatehouse.clone()));
        tasks.spawn(self.attempts.clone().keep_telling());
        tasks.spawn(self.attempts.clone().follow_refusals(refused.lookups.refused));
        tasks.spawn(self.attempts.clone().follow_answers(refused.lookups.answered));
        if let Some(kernel) = refused.kernel {
            tasks.spawn(self.attempts.clone().follow(kernel));
        }
        tasks
    }
}

/// Takes over the workloads of an earlier daemon. Who owned them is known only where that daemon has told.
pub(super) fn adopt_workloads(config: &Config, gatehouse: &Gatehouse, told: &[Workload]) -> anyhow::Result<()> {
    for workload in &config.workloads {
        gatehouse.workloads.configure(workload.name.clone(), workload.groups.clone());
    }
    for enrolment in gatehouse.capture.enrolments()? {
        if let Some(told) = told.iter().find(|told| told.cgroup_id == enrolment.cgroup_id()) {
            gatehouse.workloads.enrol(told.clone());
            gatehouse.workloads.settle(enrolment.cgroup_id());
            continue;
        }
        gatehouse.workloads.enrol(Workload {
            name: enrolment.name().clone(),
            groups: config.workload_defaults.groups.clone(),
            owner: None,
            cgroup: gatehouse.capture.workload(enrolment.cgroup_id())?.cgroup,
            cgroup_id: enrolment.cgroup_id(),
        });
        // Nobody else may become the user of one that still runs.
        for uid in users_in(enrolment.directory()).filter(|uid| config.run.uids.contains(uid)) {
            gatehouse.workloads.note_user(enrolment.cgroup_id(), uid);
        }
        gatehouse.workloads.settle(enrolment.cgroup_id());
    }
    Ok(())
}

/// Whose the processes of a cgroup are.
fn users_in(cgroup: &Path) -> impl Iterator<Item = u32> {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let pids: Vec<u32> = processes.lines().filter_map(|line| line.parse().ok()).collect();
    pids.into_iter().filter_map(user_of)
}

/// The real user, proc_pid_status(5). The directory's owner is root where a process shows itself to nobody.
fn user_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().next()?.parse().ok()
}

/// Releases workloads whose last process has ended, and captures others' cgroups that are new or were made anew.
pub(super) async fn tend_workloads(roll: Arc<Roll>) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(TEND_INTERVAL).await;
        release_ended(&roll.gatehouse, &roll.audit)?;
        if let Err(error) = roll.sweep().await {
            tracing::error!(error = format!("{error:#}"), "a configured cgroup is not captured");
        }
    }
}

fn release_ended(gatehouse: &Gatehouse, audit: &Audit) -> anyhow::Result<()> {
    for enrolment in gatehouse.capture.enrolments()? {
        // Those just made are still waiting for their first process.
        if gatehouse.workloads.is_settled(enrolment.cgroup_id()) && !enrolment.is_populated()? {
            enrolment.release()?;
            gatehouse.workloads.release(enrolment.cgroup_id());
            let cgroup = enrolment.directory().display().to_string();
            audit.note(&Event::Released { workload: enrolment.name().to_string(), cgroup });
        }
    }
    Ok(())
}

/// Closes the doorways of workloads that have ended, and opens those of workloads that were captured.
pub(super) async fn tend_doorways(doorways: Arc<Doorways>) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(TEND_INTERVAL).await;
        doorways.close_released();
        if let Err(error) = doorways.follow_captured() {
            tracing::error!(error = format!("{error:#}"), "a workload has not the doorways that it should have");
        }
    }
}

/// Listens in the network namespaces that workloads have come into, and leaves those that they have left.
pub(super) async fn tend_namespaces(namespaces: Arc<Namespaces>) -> anyhow::Result<()> {
    let mut walk = Walk::default();
    let mut turns = tokio::time::interval(TEND_INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Whoever is refused again and again must not keep the walk from going on.
            biased;
            _ = turns.tick() => {}
            Some(pid) = namespaces.next_refused() => {
                namespaces.serve_refused(pid).await;
                continue;
            }
        }
        if let Err(error) = namespaces.step(&mut walk).await {
            tracing::error!(error = format!("{error:#}"), "cannot look for network namespaces of workloads");
        }
    }
}

/// Resolves the targets' host names again.
pub(super) async fn refresh_targets(gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(RESOLVE_INTERVAL).await;
        gatehouse.targets.refresh().await;
    }
}

/// Judges live sessions again when another policy is in force.
pub(super) async fn follow_policy(gatehouse: Arc<Gatehouse>, audit: Arc<Audit>) -> anyhow::Result<()> {
    let mut generations = gatehouse.policy.subscribe();
    while generations.changed().await.is_ok() {
        announce_policy(&gatehouse);
        audit.note(&Event::Policy { generation: gatehouse.policy.current().generation() });
    }
    anyhow::bail!("the policy store has ended")
}
