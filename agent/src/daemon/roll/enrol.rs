//! Enrolment by command, and its end.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use super::{
    Roll, chain,
    list::{self, Kept},
};
use crate::{
    accept::{
        Workload,
        findings::{Risk, examine, examine_family, unaccepted},
        identity::{cgroup_of, descendants},
        standings::{Known, Standing},
    },
    capture::{CaptureError, Enrolment, Existing},
    control::{Captured, Examined, Peer, Place},
    daemon::event::Event,
    gate::Denial,
};

/// Passes over the descendants of a process that is moved: those that it starts in the meantime start in the new place.
const MOVE_PASSES_MAX: usize = 64;

/// What somebody wants under capture.
pub(in crate::daemon) struct Wish {
    pub name: String,
    pub groups: Vec<Arc<str>>,
    pub accepted: Vec<Risk>,
    pub by: Peer,
    /// The person behind the command.
    pub owner: String,
}

impl Roll {
    /// Puts processes of somebody else's under capture. A refusal leaves them as they were, but for connections that
    /// were cut.
    pub(in crate::daemon) async fn enrol(self: &Arc<Self>, place: Place, wish: Wish) -> anyhow::Result<Captured> {
        let _one_at_a_time = self.enrolling.lock().await;
        self.check_name(&wish.name)?;
        match place {
            Place::Cgroup { path, lasting } => self.enrol_cgroup(path, lasting, wish).await,
            Place::Process { pid } => self.enrol_process(pid, wish).await,
        }
    }

    fn check_name(&self, name: &str) -> anyhow::Result<()> {
        let taken = self.gatehouse.standings.list().values().any(|standing| *standing.workload == *name)
            || self.gatehouse.capture.existing().iter().any(|existing| existing.workload() == name);
        anyhow::ensure!(!taken, "another process tree is enrolled as `{name}`\n  hint: name it with --name");
        Ok(())
    }

    async fn enrol_cgroup(self: &Arc<Self>, path: PathBuf, lasting: bool, wish: Wish) -> anyhow::Result<Captured> {
        let plain = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
        anyhow::ensure!(path.is_absolute() && plain, "no path of a cgroup below the mount: `{}`", path.display());
        anyhow::ensure!(path.parent().is_some(), CaptureError::HierarchyRoot);
        let holds = |pid: u32| cgroup_of(pid).is_some_and(|cgroup| cgroup.starts_with(&path));
        anyhow::ensure!(!holds(wish.by.pid), "{} holds this very command, and the shell around it", path.display());
        anyhow::ensure!(!holds(1), "{} holds the host's first process, and would cut the host off", path.display());

        let capture = &self.gatehouse.capture;
        let existing = Existing { name: wish.name.clone(), cgroup: path.display().to_string() };
        capture.check_existing(&existing)?;
        self.check_before(&path, &wish.accepted).await?;
        let id = capture.cgroup_id(&path).with_context(|| format!("there is no cgroup {}", path.display()))?;
        let (existing, how) = match lasting {
            true => (existing, list::Place::Lasting),
            false => (Existing::passing(&wish.name, &path, id), list::Place::Passing { cgroup_id: id }),
        };
        let kept = Kept { name: wish.name.clone(), cgroup: path.clone(), place: how, accepted: wish.accepted.clone() };
        self.list.lock().add(kept).context("failed to write down what is enrolled")?;
        self.gatehouse.standings.expect(path.clone(), wish.name.as_str().into(), wish.accepted.clone());
        self.gatehouse.workloads.configure(wish.name.as_str().into(), wish.groups.clone());
        if let Err(error) = capture.capture_existing(&existing) {
            self.forget(&path)?;
            return Err(error.into());
        }
        let (standing, cut) = self.settle(&path).await?;
        if let Some(reason) = standing.refusal() {
            capture.release_existing(&existing.name)?;
            self.forget(&path)?;
            anyhow::bail!(refusal(&reason));
        }
        self.tell(&path, &wish, (0, cut), &standing)
    }

    /// Refuses what would be refused afterwards, as far as that shows before anything is touched.
    async fn check_before(self: &Arc<Self>, path: &Path, accepted: &[Risk]) -> anyhow::Result<()> {
        let (roll, cgroup) = (self.clone(), path.to_owned());
        let findings = tokio::task::spawn_blocking(move || examine(&roll.gatehouse.capture, &cgroup)).await??;
        // What is connected is cut, and may then be closed.
        match unaccepted(&findings, &[accepted, &[Risk::Sockets]].concat()) {
            Some(open) => anyhow::bail!(refusal(&format!("capture alone cannot hold it: {open}"))),
            None => Ok(()),
        }
    }

    async fn enrol_process(self: &Arc<Self>, pid: u32, wish: Wish) -> anyhow::Result<Captured> {
        anyhow::ensure!(pid > 1, "process {pid} is the host's first: it would cut the host off");
        let cgroup = cgroup_of(pid).with_context(|| format!("there is no process {pid}"))?;
        let capture = &self.gatehouse.capture;
        anyhow::ensure!(!capture.governs(&cgroup), "process {pid} is governed already, in {}", cgroup.display());
        let family = descendants(pid)?;
        anyhow::ensure!(!family.contains(&wish.by.pid), "process {pid} started this very command");
        anyhow::ensure!(!family.contains(&std::process::id()), "process {pid} started the daemon");
        // A cgroup of its own is better than a move: its sockets are that cgroup's.
        match self.is_alone(&cgroup, &family) {
            true => self.enrol_cgroup(cgroup, false, wish).await,
            false => {
                self.check_family(family, &wish.accepted).await?;
                self.enrol_moved(pid, cgroup, wish).await
            }
        }
    }

    /// Whether nobody else is in a cgroup that is not the root of all.
    fn is_alone(&self, cgroup: &Path, family: &[u32]) -> bool {
        let members = self.gatehouse.capture.processes(cgroup);
        cgroup.parent().is_some() && members.is_ok_and(|members| members.iter().all(|pid| family.contains(pid)))
    }

    async fn check_family(self: &Arc<Self>, family: Vec<u32>, accepted: &[Risk]) -> anyhow::Result<()> {
        let roll = self.clone();
        let examined = tokio::task::spawn_blocking(move || examine_family(&roll.gatehouse.capture, &family));
        match unaccepted(&examined.await??, accepted) {
            Some(open) => anyhow::bail!(refusal(&format!("capture alone cannot hold it: {open}"))),
            None => Ok(()),
        }
    }

    /// What enrolling would find, without touching anything.
    pub(in crate::daemon) async fn preview(self: &Arc<Self>, place: Place, name: &str) -> anyhow::Result<Examined> {
        let (cgroup, family) = match place {
            Place::Cgroup { path, .. } => (path, None),
            Place::Process { pid } => {
                let cgroup = cgroup_of(pid).with_context(|| format!("there is no process {pid}"))?;
                let family = descendants(pid)?;
                let alone = self.is_alone(&cgroup, &family);
                (cgroup, (!alone).then_some(family))
            }
        };
        let (roll, path) = (self.clone(), cgroup.clone());
        let examined = tokio::task::spawn_blocking(move || match family {
            Some(family) => examine_family(&roll.gatehouse.capture, &family),
            None => examine(&roll.gatehouse.capture, &path),
        });
        let known = Known::Findings(examined.await??);
        Ok(self.told(cgroup, &Standing { workload: name.into(), accepted: Vec::new(), known }))
    }

    async fn enrol_moved(self: &Arc<Self>, pid: u32, from: PathBuf, wish: Wish) -> anyhow::Result<Captured> {
        let capture = &self.gatehouse.capture;
        let enrolment = capture.enrol(&wish.name)?;
        let (id, path) = (enrolment.cgroup_id(), capture.workload(enrolment.cgroup_id())?.cgroup);
        let kept = Kept {
            name: wish.name.clone(),
            cgroup: path.clone(),
            place: list::Place::Moved { from: from.clone() },
            accepted: wish.accepted.clone(),
        };
        if let Err(error) = self.list.lock().add(kept) {
            enrolment.release()?;
            return Err(error).context("failed to write down what is enrolled");
        }
        self.gatehouse.standings.expect(path.clone(), wish.name.as_str().into(), wish.accepted.clone());
        self.gatehouse.workloads.enrol(Workload {
            name: wish.name.as_str().into(),
            groups: wish.groups.clone(),
            owner: Some(wish.owner.clone()),
            cgroup: path.clone(),
            cgroup_id: id,
        });
        let moved = admit(&enrolment, pid);
        self.gatehouse.workloads.settle(id);
        let moved = match moved {
            Ok(moved) => moved,
            Err(error) => {
                self.put_back(&path, &from)?;
                return Err(error);
            }
        };
        let (standing, cut) = self.settle(&path).await?;
        if let Some(reason) = standing.refusal() {
            self.put_back(&path, &from)?;
            anyhow::bail!(refusal(&reason));
        }
        self.tell(&path, &wish, (moved, cut), &standing)
    }

    /// Moves processes back to where they came from, and forgets that they were elsewhere.
    fn put_back(&self, path: &Path, from: &Path) -> anyhow::Result<()> {
        self.gatehouse.capture.put_back(path, from)?;
        // The cgroup, empty by now, is removed as any workload's.
        self.forget(path)
    }

    /// Cuts and examines what has just been captured.
    async fn settle(self: &Arc<Self>, path: &Path) -> anyhow::Result<(Standing, usize)> {
        self.examine(path).await.context("it was released in the meantime")
    }

    fn tell(
        &self,
        path: &Path,
        wish: &Wish,
        (moved, cut): (usize, usize),
        standing: &Standing,
    ) -> anyhow::Result<Captured> {
        let (workload, cgroup) = (wish.name.clone(), path.display().to_string());
        let (owner, by) = (wish.owner.clone(), wish.by.clone());
        self.audit.note(&Event::Enrolled { workload: workload.clone(), cgroup, owner, by });
        let accepted = standing.findings().to_vec();
        Ok(Captured { workload, cgroup: path.into(), moved, cut, accepted })
    }

    fn forget(&self, path: &Path) -> anyhow::Result<()> {
        self.gatehouse.standings.forget(path);
        Ok(self.list.lock().remove_cgroup(path)?)
    }

    /// Lets go of what was enrolled by command; its sessions end.
    pub(in crate::daemon) async fn release(&self, name: &str) -> anyhow::Result<String> {
        let _one_at_a_time = self.enrolling.lock().await;
        let Some(kept) = self.list.lock().find(name).cloned() else {
            let known = self.gatehouse.standings.list().values().any(|standing| *standing.workload == *name);
            match known {
                true => anyhow::bail!("`{name}` is captured by the configuration\n  hint: take it out of the file"),
                false => anyhow::bail!("nothing is enrolled as `{name}`\n  hint: `portcullis status` lists what is"),
            }
        };
        let denial = Denial {
            message: "this workload is released from the gate".to_owned(),
            rule: None,
            hint: "connect again".to_owned(),
            reference: String::new(),
        };
        self.gatehouse.live.end_where(&denial, |session| Path::new(&session.cgroup).starts_with(&kept.cgroup));
        match (&kept.place, kept.existing()) {
            (list::Place::Moved { from }, _) => self.put_back(&kept.cgroup, from)?,
            (list::Place::Lasting | list::Place::Passing { .. }, Some(existing)) => {
                self.gatehouse.capture.release_existing(&existing.name)?;
                self.forget(&kept.cgroup)?;
            }
            (list::Place::Lasting | list::Place::Passing { .. }, None) => {}
        }
        let cgroup = kept.cgroup.display().to_string();
        self.audit.note(&Event::Released { workload: kept.name, cgroup: cgroup.clone() });
        Ok(format!("released {name}: nothing in {cgroup} is governed any more"))
    }
}

/// Moves a process and its descendants in, until nobody is left outside.
fn admit(enrolment: &Enrolment, pid: u32) -> anyhow::Result<usize> {
    let mut moved = Vec::new();
    for _ in 0..MOVE_PASSES_MAX {
        let mut rest = descendants(pid)?;
        rest.retain(|pid| !moved.contains(pid));
        if rest.is_empty() {
            return Ok(moved.len());
        }
        for pid in rest {
            match enrolment.admit(pid) {
                Ok(()) => {}
                // It has ended.
                Err(_) if cgroup_of(pid).is_none() => {}
                Err(error) => anyhow::bail!("failed to move process {pid}: {}", chain(&error)),
            }
            moved.push(pid);
        }
    }
    anyhow::bail!("process {pid} starts others faster than they can be moved")
}

fn refusal(reason: &str) -> String {
    format!(
        "not enrolled: {reason}\n  hint: the same command with --check prints what systemd needs to end this; \
         --accept-risk NAME accepts one of them"
    )
}
