//! What the daemon does when a person asks.

use std::{
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use tokio::sync::mpsc;

use super::{
    attempts::Attempts,
    audit::Audit,
    doorways::Doorways,
    event::Event,
    namespaces::Namespaces,
    prove::Prover,
    roll::{Roll, Wish},
    unix,
};
use crate::{
    accept::{Closures, Workload, findings::Risk, standings::Standing},
    capture::{Loopback, Tree, canary::Token},
    config::{Approvers, Config},
    connection::Gatehouse,
    control::{
        Command, Control, Enrolled, LiveView, Peer, PolicyStatus, Reply, Status, TargetStatus, TreeStatus,
        WorkloadStatus,
    },
    gate::Denial,
};

/// How long after its enrolment a process may prove its capture.
const PROOF_WINDOW: Duration = Duration::from_secs(30);

/// The daemon as the control socket sees it.
pub struct Daemon {
    pub(super) gatehouse: Arc<Gatehouse>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) roll: Arc<Roll>,
    pub(super) doorways: Arc<Doorways>,
    pub(super) audit: Arc<Audit>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) prover: Arc<Prover>,
    pub(super) config: Config,
    pub(super) started: SystemTime,
    /// Where the gate listens.
    pub(super) port: u16,
    /// Takes the first who asks to take over.
    pub(super) handover: mpsc::UnboundedSender<Asked>,
}

/// Another daemon asks to go on in this one's place.
pub(super) struct Asked {
    pub by: Peer,
    pub stream: UnixStream,
}

impl Daemon {
    pub fn instance(&self) -> String {
        self.config.instance()
    }

    /// Moves the peer into a cgroup of its own under capture.
    async fn enrol(&self, name: Option<String>, jail: bool, peer: &Peer) -> anyhow::Result<Enrolled> {
        // First: in a namespace without the daemon's listeners a workload would be cut off.
        self.namespaces.serve_peer(peer.pid, if jail { Loopback::Private } else { Loopback::Shared }).await?;
        let name = name.unwrap_or_else(|| format!("run-{}", peer.pid));
        anyhow::ensure!(!self.gatehouse.closures.is_closed(&Tree::Runs), Closures::MESSAGE);
        let owner = owner_of(peer);
        let enrolment = self.gatehouse.capture.enrol(&name)?;
        let (id, token) = (enrolment.cgroup_id(), Token::random()?);
        let tree = self.gatehouse.capture.workload(id)?.cgroup;
        self.gatehouse.workloads.enrol(Workload {
            name: name.as_str().into(),
            groups: self.config.workload_defaults.groups.clone(),
            owner: Some(owner.clone()),
            cgroup: tree.clone(),
            cgroup_id: id,
        });
        let Some(uid) = self.gatehouse.workloads.claim_user(id, &self.config.run.uids) else {
            self.gatehouse.workloads.release(id);
            enrolment.release()?;
            anyhow::bail!("every user for workloads is a running workload's\n  hint: widen `uids` under [run]");
        };
        let doorways = match self.doorways.open(id, &tree) {
            Ok(doorways) => doorways,
            Err(error) => {
                self.gatehouse.workloads.release(id);
                enrolment.release()?;
                return Err(error.context("failed to listen on the workload's Unix sockets"));
            }
        };
        self.gatehouse.canary.expect(id, token.clone());
        enrolment.admit(peer.pid).context("failed to move the process into its cgroup")?;
        self.gatehouse.workloads.settle(id);
        tokio::spawn({
            let gatehouse = self.gatehouse.clone();
            async move {
                tokio::time::sleep(PROOF_WINDOW).await;
                gatehouse.canary.forget(id);
            }
        });
        let cgroup = enrolment.directory().display().to_string();
        let (workload, by) = (name.clone(), peer.clone());
        self.audit.note(&Event::Enrolled { workload, cgroup: cgroup.clone(), owner, by });
        let authority = Some(self.gatehouse.authority.pem().to_owned());
        Ok(Enrolled { workload: name, cgroup, token: token.to_hex(), uid: Some(uid), doorways, authority })
    }

    /// Looks again at what capture alone cannot hold.
    async fn examine(&self, workload: Option<String>) -> Reply {
        self.roll.examine_all().await;
        match (self.roll.examined(workload.as_deref()), workload) {
            (workloads, Some(name)) if workloads.is_empty() => refused(anyhow::anyhow!(
                "no process tree is captured as `{name}` where it was\n  hint: what `portcullis run` starts has none of \
                 these risks"
            )),
            (workloads, _) => Reply::Examined { workloads },
        }
    }

    fn kill(&self, id: &str, reason: Option<String>, peer: &Peer) -> Reply {
        let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let denial = Denial {
            message: format!("{} ended this session{because}", peer.name),
            rule: None,
            hint: format!("ask {}", peer.name),
            reference: id.to_owned(),
        };
        match self.gatehouse.live.end(id, &denial) {
            0 => refused(anyhow::anyhow!("no running session begins with `{id}`")),
            ended => Reply::Done { message: format!("ended {ended} session(s)") },
        }
    }

    fn status(&self) -> Status {
        let gatehouse = &self.gatehouse;
        let policy = gatehouse.policy.state();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_unix: unix(self.started),
            instance: self.instance(),
            config: self.config.file.clone(),
            state_dir: self.config.state_dir.clone(),
            listen: gatehouse.listeners.iter().map(ToString::to_string).collect(),
            capture: gatehouse
                .capture
                .verify()
                .map_or_else(|error| format!("BROKEN: {error}"), |()| "attached".to_owned()),
            canary_unix: self.prover.proofs().get(&Tree::Runs).and_then(|proof| proof.proven).map(unix),
            trees: self.trees(),
            policy: PolicyStatus {
                source: policy.origin.name().to_owned(),
                generation: policy.generation,
                rules: gatehouse.policy.current().rules().len(),
                broken: policy.broken.map(|findings| findings.to_string()),
            },
            recorder: gatehouse
                .recorder
                .broken()
                .map_or_else(|| "well".to_owned(), |reason| format!("BROKEN: {reason}")),
            targets: gatehouse.targets.iter().map(target_status).collect(),
            workloads: self.workloads(),
            live_sessions: gatehouse.live.count(),
            pending_approvals: gatehouse.desk.list().len(),
            warnings: self.config.unix.warnings(),
            refusals: gatehouse
                .capture
                .refusals()
                .unwrap_or_default()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        }
    }
}

impl Daemon {
    /// What `portcullis run` started, and what was captured where it was.
    fn workloads(&self) -> Vec<WorkloadStatus> {
        let mut standings = self.gatehouse.standings.list();
        let started = self.gatehouse.workloads.list();
        let mut workloads: Vec<_> =
            started.iter().map(|workload| workload_status(workload, standings.remove(&workload.cgroup))).collect();
        workloads.extend(standings.into_iter().map(|(cgroup, standing)| {
            let (name, cgroup_id) = (standing.workload.clone(), 0);
            let workload = Workload { name, groups: Vec::new(), owner: None, cgroup, cgroup_id };
            workload_status(&workload, Some(standing))
        }));
        workloads
    }

    /// Whether each captured tree is proven, or closed.
    fn trees(&self) -> Vec<TreeStatus> {
        let (proofs, closures) = (self.prover.proofs(), self.gatehouse.closures.list());
        let status = |tree: Tree| TreeStatus {
            closed: closures.get(&tree).map(|closure| closure.reason.to_string()),
            proven_unix: proofs.get(&tree).and_then(|proof| proof.proven).map(unix),
            name: tree.to_string(),
        };
        self.gatehouse.capture.captured().into_iter().map(status).collect()
    }

    /// Writes down what somebody changed, or tried to change.
    fn note_command(&self, command: &Command, reply: &Reply, by: &Peer) {
        if let Some(command) = command.change() {
            let done = !matches!(reply, Reply::Refused { .. });
            self.audit.note(&Event::Command { command, done, by: by.clone() });
        }
    }
}

impl Control for Daemon {
    fn governs(&self, cgroup: &Path) -> bool {
        self.gatehouse.capture.governs(cgroup)
    }

    fn approvers(&self) -> &[Approvers] {
        &self.config.approvers
    }

    fn turned_away(&self, peer: &Peer) {
        self.attempts.tell_control(peer);
    }

    fn hand_over(&self, instance: &str, port: u16) -> Result<(), String> {
        if instance != self.instance() {
            return Err(format!("this is instance `{}`, not `{instance}`", self.instance()));
        }
        if port != 0 && port != self.port {
            return Err(format!(
                "this daemon listens on port {}, and a takeover cannot change that to {port}",
                self.port
            ));
        }
        if self.handover.is_closed() {
            return Err("this daemon is ending".to_owned());
        }
        Ok(())
    }

    fn leave_to(&self, by: Peer, stream: UnixStream) {
        self.audit.note(&Event::Command { command: "take over".to_owned(), done: true, by: by.clone() });
        // Where it is ending meanwhile, the other finds the connection broken off.
        let _ = self.handover.send(Asked { by, stream });
    }

    async fn obey(&self, command: Command, peer: &Peer) -> Reply {
        let reply = self.answer(command.clone(), peer).await;
        self.note_command(&command, &reply, peer);
        reply
    }
}

impl Daemon {
    async fn answer(&self, command: Command, peer: &Peer) -> Reply {
        let desk = &self.gatehouse.desk;
        let approver = peer.approver(&self.config.approvers);
        match command {
            Command::Status => Reply::Status(Box::new(self.status())),
            Command::Metrics => self.metrics().map_or_else(refused, |text| Reply::Metrics { text }),
            Command::Enrol { name, jail } => self.enrol(name, jail, peer).await.map_or_else(refused, Reply::Enrolled),
            Command::Capture { place, name, accept_risks } => {
                let groups = self.config.workload_defaults.groups.clone();
                let wish = Wish { name, groups, accepted: accept_risks, by: peer.clone(), owner: owner_of(peer) };
                self.roll.enrol(place, wish).await.map_or_else(refused, Reply::Captured)
            }
            Command::Release { workload } => {
                self.roll.release(&workload).await.map_or_else(refused, |message| Reply::Done { message })
            }
            Command::Examine { workload } => self.examine(workload).await,
            Command::Preview { place, name } => {
                let preview = self.roll.preview(place, &name).await;
                preview.map_or_else(refused, |examined| Reply::Examined { workloads: vec![examined] })
            }
            Command::Approvals => Reply::Approvals { pending: desk.list() },
            Command::Approve { id, reason } => match desk.approve(&id, &approver, reason) {
                Ok(settled) => Reply::Approved { complete: settled.complete, grant: settled.grant },
                Err(error) => refused(error.into()),
            },
            Command::Deny { id, reason } => match desk.deny(&id, &approver, reason) {
                Ok(()) => Reply::Done { message: format!("denied {id}") },
                Err(error) => refused(error.into()),
            },
            Command::Grants => Reply::Grants { grants: desk.grants() },
            Command::RevokeGrant { id } if desk.revoke(&id) => Reply::Done { message: format!("revoked {id}") },
            Command::RevokeGrant { id } => refused(anyhow::anyhow!("no grant `{id}` stands")),
            Command::LiveSessions => {
                Reply::LiveSessions { sessions: self.gatehouse.live.list().into_iter().map(live_view).collect() }
            }
            Command::KillSession { id, reason } => self.kill(&id, reason, peer),
            // Answered by a handover, before it comes here.
            Command::TakeOver { .. } => refused(anyhow::anyhow!("a takeover has a connection of its own")),
            Command::ReloadPolicy => match self.gatehouse.policy.reload() {
                Ok(generation) => Reply::Done { message: format!("policy generation {generation} is in force") },
                Err(error) => {
                    refused(anyhow::anyhow!("the policy is broken; the last good one stays in force\n{error}"))
                }
            },
        }
    }
}

fn refused(error: anyhow::Error) -> Reply {
    Reply::Refused { error: format!("{error:#}"), hint: None }
}

/// The person behind the process: who logged in, as the kernel's audit knows it, else its user.
fn owner_of(peer: &Peer) -> String {
    let login = std::fs::read_to_string(format!("/proc/{}/loginuid", peer.pid)).ok();
    let uid = login.and_then(|text| text.trim().parse::<u32>().ok()).filter(|uid| *uid != u32::MAX);
    uid.map_or_else(|| peer.name.clone(), |uid| Peer::new(peer.pid, uid).name)
}

fn target_status(target: &Arc<crate::target::Target>) -> TargetStatus {
    TargetStatus {
        name: target.name.to_string(),
        protocol: target.protocol.to_string(),
        addresses: target.addresses.iter().map(ToString::to_string).collect(),
    }
}

fn workload_status(workload: &Workload, standing: Option<Standing>) -> WorkloadStatus {
    let is_accepted = |risk: &Risk| standing.as_ref().is_some_and(|standing| standing.accepted.contains(risk));
    let findings = standing.iter().flat_map(Standing::findings);
    WorkloadStatus {
        accepted: findings.map(|finding| finding.risk).filter(is_accepted).map(|risk| risk.to_string()).collect(),
        closed: standing.as_ref().and_then(Standing::refusal),
        name: workload.name.to_string(),
        cgroup: workload.cgroup.display().to_string(),
        owner: workload.owner.clone(),
    }
}

fn live_view(session: crate::live::LiveSession) -> LiveView {
    LiveView {
        id: session.id,
        workload: session.workload.to_string(),
        target: session.target.to_string(),
        destination: session.destination.to_string(),
        pid: session.pid,
        started_unix: unix(session.started),
    }
}
