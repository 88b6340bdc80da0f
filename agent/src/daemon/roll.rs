//! The roll: process trees that somebody else started, captured by configuration or by command.
//!
//! Each is expected before it is captured, cut from the connections that it held, and examined again and again; until
//! it is found fit, nothing of it passes. Those that a person enrolled are kept in a file, so that the next daemon
//! captures them before it lets go of anything.

mod enrol;
mod list;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use parking_lot::Mutex;

pub(super) use enrol::Wish;
pub(super) use list::List;

use super::{audit::Audit, event::Event};
use crate::{
    accept::{
        findings::{drop_in, examine, starters},
        standings::{Known, Standing, Standings},
    },
    capture::{Existing, find},
    config::{self, Config},
    connection::Gatehouse,
    control::Examined,
};

/// How often every tree is examined again.
pub const EXAMINE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a tree has to close the sockets of other cgroups, once their connections were cut.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is asked in the meantime.
const CLOSE_POLL: Duration = Duration::from_millis(100);

/// Everything that this daemon captures where it is.
pub(super) struct Roll {
    pub(super) gatehouse: Arc<Gatehouse>,
    pub(super) audit: Arc<Audit>,
    pub(super) list: Mutex<List>,
    /// Held while somebody enrols or releases.
    enrolling: tokio::sync::Mutex<()>,
    patterns: Vec<config::Workload>,
}

/// What is captured from the start: the configuration's, those that its patterns match now, and those kept.
pub(super) fn existing(config: &Config, list: &List) -> anyhow::Result<Vec<Existing>> {
    let mut existing: Vec<Existing> = Vec::new();
    for workload in &config.workloads {
        let cgroup = workload.cgroup.display().to_string();
        if find::is_pattern(&cgroup) {
            existing.extend(matching(workload)?);
        } else {
            existing.push(Existing { name: workload.name.to_string(), cgroup });
        }
    }
    let configured: Vec<_> = existing.iter().map(Existing::path).collect();
    for kept in list.trees() {
        let path = kept.path();
        match configured.iter().find(|other| path.starts_with(other) || other.starts_with(&path)) {
            None => existing.push(kept),
            // The configuration has it by now, or a part of it.
            Some(other) => tracing::warn!(
                enrolled = %path.display(),
                configured = %other.display(),
                "the configuration's workload takes the place of an enrolled one"
            ),
        }
    }
    Ok(existing)
}

fn matching(workload: &config::Workload) -> Result<Vec<Existing>, find::FindError> {
    let found = find::matching(&workload.cgroup.display().to_string())?;
    Ok(found.iter().map(|found| Existing::passing(&workload.name, &found.path, found.id)).collect())
}

/// Expects what is captured from the start. Call it before the first connection is accepted.
pub(super) fn expect(config: &Config, list: &List, gatehouse: &Gatehouse) {
    let Gatehouse { capture, standings, workloads, .. } = gatehouse;
    for kept in list.all() {
        workloads.configure(kept.name.as_str().into(), config.workload_defaults.groups.clone());
    }
    for existing in capture.existing() {
        let configured = config.workloads.iter().find(|workload| *workload.name == *existing.workload());
        let kept = || list.find(existing.workload()).map(|kept| kept.accepted.clone());
        let accepted = configured.map(|workload| workload.accepted.clone()).or_else(kept).unwrap_or_default();
        standings.expect(existing.path(), existing.workload().into(), accepted);
    }
    for kept in list.moved() {
        standings.expect(kept.cgroup.clone(), kept.name.as_str().into(), kept.accepted.clone());
    }
}

impl Roll {
    /// What is known of each tree, by its cgroup; of one workload's, or of all.
    pub(super) fn examined(&self, workload: Option<&str>) -> Vec<Examined> {
        let of_workload = |standing: &Standing| workload.is_none_or(|workload| *standing.workload == *workload);
        let standings = self.gatehouse.standings.list().into_iter().filter(|(_, standing)| of_workload(standing));
        standings.map(|(cgroup, standing)| self.told(cgroup, &standing)).collect()
    }

    fn told(&self, cgroup: PathBuf, standing: &Standing) -> Examined {
        let findings = standing.findings();
        let foreign = self.gatehouse.capture.foreign_programs(&cgroup);
        let processes = self.gatehouse.capture.processes(&cgroup).unwrap_or_default();
        Examined {
            workload: standing.workload.to_string(),
            closed: standing.refusal(),
            findings: findings.to_vec(),
            accepted: standing.accepted.clone(),
            foreign_programs: foreign.unwrap_or_else(|error| vec![chain(&error)]),
            drop_in: (!findings.is_empty()).then(|| drop_in(&standing.workload, &cgroup, findings)).flatten(),
            starters: starters(&processes, findings),
            cgroup,
        }
    }

    pub(super) fn new(gatehouse: Arc<Gatehouse>, audit: Arc<Audit>, config: &Config, list: List) -> Self {
        let is_pattern = |workload: &&config::Workload| find::is_pattern(&workload.cgroup.display().to_string());
        let patterns = config.workloads.iter().filter(is_pattern).cloned().collect();
        Self { gatehouse, audit, list: list.into(), enrolling: Default::default(), patterns }
    }

    /// Captures what was made anew, lets go of what is gone, and takes in what a pattern matches by now.
    pub(super) async fn sweep(self: &Arc<Self>) -> anyhow::Result<()> {
        let roll = self.clone();
        let fresh = tokio::task::spawn_blocking(move || roll.sweep_now()).await??;
        for cgroup in fresh {
            self.examine(&cgroup).await;
        }
        Ok(())
    }

    /// Answers the cgroups that have just been captured, below the mount.
    fn sweep_now(&self) -> anyhow::Result<Vec<PathBuf>> {
        let gatehouse = &self.gatehouse;
        let recaptured = gatehouse.capture.recapture()?;
        let mut fresh: Vec<_> = recaptured.iter().map(Existing::path).collect();
        for path in &fresh {
            gatehouse.standings.learn(path, Known::Nothing);
        }
        self.forget_gone()?;
        for workload in &self.patterns {
            for existing in matching(workload)? {
                let path = existing.path();
                if gatehouse.capture.governs(&path) {
                    continue;
                }
                gatehouse.standings.expect(path.clone(), workload.name.clone(), workload.accepted.clone());
                match gatehouse.capture.capture_existing(&existing) {
                    Ok(_) => fresh.push(path),
                    Err(error) => {
                        gatehouse.standings.forget(&path);
                        tracing::error!(
                            cgroup = %path.display(),
                            error = &error as &dyn std::error::Error,
                            "a cgroup that a pattern matches is NOT captured"
                        );
                    }
                }
            }
        }
        Ok(fresh)
    }

    /// Forgets the trees that are captured no more.
    fn forget_gone(&self) -> anyhow::Result<()> {
        let gatehouse = &self.gatehouse;
        let there: BTreeSet<PathBuf> = gatehouse.capture.existing().iter().map(Existing::path).collect();
        for (cgroup, standing) in gatehouse.standings.list() {
            if !there.contains(&cgroup) && gatehouse.capture.cgroup_id(&cgroup).is_none() {
                gatehouse.standings.forget(&cgroup);
                let (workload, path) = (standing.workload.to_string(), cgroup.display().to_string());
                self.list.lock().remove_cgroup(&cgroup)?;
                self.audit.note(&Event::Released { workload, cgroup: path });
            }
        }
        Ok(())
    }

    /// Examines every tree, again and again.
    pub(super) async fn keep_examining(self: Arc<Self>) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(EXAMINE_INTERVAL).await;
            self.examine_all().await;
        }
    }

    pub(super) async fn examine_all(self: &Arc<Self>) {
        for cgroup in self.gatehouse.standings.list().into_keys() {
            self.examine(&cgroup).await;
        }
    }

    /// Cuts a tree from what it holds where that has not been done, looks at it, and opens or closes the gate for it.
    /// Answers its standing, and how many connections were cut; `None` where it was released in the meantime.
    pub(super) async fn examine(self: &Arc<Self>, cgroup: &Path) -> Option<(Standing, usize)> {
        let (roll, path) = (self.clone(), cgroup.to_owned());
        let cut_first = self.gatehouse.standings.find(cgroup)?.must_be_cut();
        let looked = tokio::task::spawn_blocking(move || roll.look_at(&path, cut_first)).await;
        let (known, cut) = match looked {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => (Known::Failed { cut: false, error: chain(&*error) }, 0),
            Err(error) => (Known::Failed { cut: false, error: error.to_string() }, 0),
        };
        self.learn(cgroup, known);
        self.gatehouse.standings.find(cgroup).map(|standing| (standing, cut))
    }

    fn look_at(&self, cgroup: &Path, cut_first: bool) -> anyhow::Result<(Known, usize)> {
        let capture = &self.gatehouse.capture;
        let mut cut = 0;
        if cut_first {
            cut = capture.cut(cgroup)?;
            if cut > 0 {
                self.audit.note(&Event::Cut { cgroup: cgroup.display().to_string(), connections: cut });
            }
            self.wait_until_closed(cgroup);
        }
        let known = match examine(capture, cgroup) {
            Ok(findings) => Known::Findings(findings),
            Err(error) => Known::Failed { cut: true, error: chain(&error) },
        };
        Ok((known, cut))
    }

    /// Most programs close a connection that has ended; until then its socket could dial again.
    fn wait_until_closed(&self, cgroup: &Path) {
        for _ in 0..CLOSE_TIMEOUT.as_millis() / CLOSE_POLL.as_millis() {
            match self.gatehouse.capture.held(cgroup) {
                Ok(held) if !held.is_empty() => std::thread::sleep(CLOSE_POLL),
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn learn(&self, cgroup: &Path, known: Known) {
        let gatehouse = &self.gatehouse;
        let Some((before, now)) = gatehouse.standings.learn(cgroup, known) else { return };
        if before == now {
            return;
        }
        let workload = gatehouse.standings.find(cgroup).map(|standing| standing.workload.to_string());
        let (workload, path) = (workload.unwrap_or_default(), cgroup.display().to_string());
        match now {
            None => self.audit.note(&Event::Fit { workload, cgroup: path }),
            Some(reason) => {
                let of_tree = |of: &str| Path::new(of).starts_with(cgroup);
                let sessions = gatehouse.live.end_where(&Standings::denial(), |session| of_tree(&session.cgroup));
                self.audit.note(&Event::Unfit { workload, cgroup: path, reason, sessions });
            }
        }
    }
}

/// Reads the list of an earlier daemon.
pub(super) fn read(state_dir: &Path) -> anyhow::Result<List> {
    List::read(state_dir).context("failed to read which trees are enrolled\n  hint: without it they would be let go")
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
