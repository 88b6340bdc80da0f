//! Attempts are events: what a governed process tried and was refused, told once a burst and within a quota.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    audit::Audit,
    event::{Event, Suspect},
    lookups::{Again, Repeated},
    namespaces::Namespaces,
    quota::{Excess, Quotas},
};
use crate::{
    capture::{self, Attempt, Refusal},
    connection::Gatehouse,
    control::Peer,
    dns,
};

/// How often the windows of quotas, and the kernel's count of what it could not tell, are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// What a workload's knock at the control socket counts as, among the kernel's refusals.
const CONTROL: &str = "control";
/// What a name that may not be asked counts as.
const NAME: &str = "name";
/// Whom an attempt is told of when its cgroup is gone.
const UNKNOWN: &str = "(unknown)";

/// Where refused attempts come from.
pub(super) struct Refused {
    /// `None` where the kernel has no ring buffer that tells.
    pub kernel: Option<capture::Attempts>,
    pub lookups: dns::Lookups,
}

/// Writes attempts down, and counts them.
pub struct Attempts {
    gatehouse: Arc<Gatehouse>,
    namespaces: Arc<Namespaces>,
    audit: Arc<Audit>,
    quotas: Mutex<Quotas>,
    /// Apart from the others: ordinary programs ask for many names, and must not hide an attempt behind them.
    names: Mutex<Quotas>,
    answers: Mutex<Repeated>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Attempts {
    pub(super) fn new(gatehouse: Arc<Gatehouse>, namespaces: Arc<Namespaces>, audit: Arc<Audit>) -> Self {
        Self {
            gatehouse,
            namespaces,
            audit,
            quotas: Mutex::default(),
            names: Mutex::default(),
            answers: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Notes what the kernel tells, as it comes.
    pub(super) async fn follow(self: Arc<Self>, mut refused: capture::Attempts) -> anyhow::Result<()> {
        loop {
            self.tell(refused.next().await?);
        }
    }

    /// Notes names that workloads asked and may not.
    pub(super) async fn follow_refusals(
        self: Arc<Self>,
        mut refused: mpsc::Receiver<dns::Lookup>,
    ) -> anyhow::Result<()> {
        while let Some(lookup) = refused.recv().await {
            if self.admit(&self.names, &lookup.workload, NAME) {
                self.audit.note(&event_of(lookup, 0));
            }
        }
        anyhow::bail!("names are not relayed any more")
    }

    /// Notes what workloads asked and were answered: the same once a while, with how often it came again.
    pub(super) async fn follow_answers(
        self: Arc<Self>,
        mut answered: mpsc::Receiver<dns::Lookup>,
    ) -> anyhow::Result<()> {
        while let Some(lookup) = answered.recv().await {
            if self.answers.lock().take(&lookup, Instant::now()) {
                self.audit.note(&event_of(lookup, 0));
            }
        }
        anyhow::bail!("names are not relayed any more")
    }

    /// Tells what quotas and the kernel held back, again and again.
    pub(super) async fn keep_telling(self: Arc<Self>) -> anyhow::Result<()> {
        let mut lost = self.lost()?;
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let now = Instant::now();
            let excess = [self.quotas.lock().end_windows(now), self.names.lock().end_windows(now)].concat();
            for Excess { workload, kind, count } in excess {
                self.audit.note(&Event::MoreAttempts { workload: workload.to_string(), refusal: kind, count });
            }
            let again = self.answers.lock().end_windows(now);
            for Again { lookup, times } in again {
                self.audit.note(&event_of(lookup, times));
            }
            let now = self.lost()?;
            if now > lost {
                self.audit.note(&Event::LostAttempts { count: now - lost });
            }
            lost = now;
        }
    }

    /// Notes that a governed process knocked at the control socket.
    pub(super) fn tell_control(&self, peer: &Peer) {
        let workload = peer.cgroup.as_deref().and_then(|cgroup| self.gatehouse.capture.workload_at(cgroup));
        if self.admit(&self.quotas, &workload.unwrap_or(UNKNOWN.into()), CONTROL) {
            self.audit.note(&Event::ControlRefused { by: peer.clone() });
        }
    }

    /// How many bursts of each kind there were.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().clone()
    }

    fn tell(&self, attempt: Attempt) {
        // Before it captures a tree, this daemon tries in it what must fail.
        if self.is_canarys(&attempt) || attempt.pid == std::process::id() {
            return;
        }
        if attempt.refusal == Refusal::Namespace.name() {
            self.namespaces.note_refused(attempt.pid);
        }
        let capture = &self.gatehouse.capture;
        let (workload, cgroup) = capture.workload(attempt.cgroup_id).map_or_else(
            |_| (UNKNOWN.into(), String::new()),
            |workload| (workload.name, workload.cgroup.display().to_string()),
        );
        if self.admit(&self.quotas, &workload, attempt.refusal) {
            let Attempt { pid, uid, comm, repeated, .. } = attempt;
            self.audit.note(&Event::Attempt {
                workload: workload.to_string(),
                refusal: attempt.refusal,
                protocol: protocol_name(attempt.protocol),
                destination: attempt.destination.to_string(),
                process: Suspect { pid, uid, command: comm, cgroup },
                repeated,
            });
        }
    }

    /// Whether it is of a process that only proves its capture, and tries what must fail.
    fn is_canarys(&self, attempt: &Attempt) -> bool {
        let canary = &self.gatehouse.canary;
        // One that has become its command since is told of as that: better one too many than one too few.
        let still_ours =
            || std::fs::read_link(format!("/proc/{}/exe", attempt.pid)).ok() == std::env::current_exe().ok();
        canary.is_ours(attempt.cgroup_id) || (canary.is_awaited(attempt.cgroup_id) && still_ours())
    }

    /// How many attempts nobody was told of one by one.
    pub(super) fn lost(&self) -> Result<u64, capture::CaptureError> {
        Ok(self.gatehouse.capture.lost_attempts()? + self.gatehouse.dns.untold())
    }

    fn admit(&self, quotas: &Mutex<Quotas>, workload: &Arc<str>, kind: &'static str) -> bool {
        *self.counts.lock().entry(kind).or_default() += 1;
        quotas.lock().take(workload, kind, Instant::now())
    }
}

fn event_of(lookup: dns::Lookup, again: u64) -> Event {
    let dns::Lookup { workload, name, kind, outcome } = lookup;
    let workload = workload.to_string();
    match outcome {
        dns::Outcome::Answered(answer) => Event::NameAnswered { workload, name, kind, answer, again },
        dns::Outcome::Refused(why) => Event::NameRefused { workload, name, kind, why },
    }
}

/// As `/etc/protocols` has it, for those that are met; else its number.
fn protocol_name(protocol: u32) -> String {
    let known = match protocol {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        58 => "ipv6-icmp",
        132 => "sctp",
        136 => "udplite",
        255 => "raw",
        262 => "mptcp",
        other => return other.to_string(),
    };
    known.to_owned()
}
