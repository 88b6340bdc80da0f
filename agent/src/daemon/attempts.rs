//! Attempts are events: what a governed process tried and was refused, told once a burst and within a quota.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    audit::Audit,
    event::{Event, Suspect},
    quota::{Excess, Quotas},
};
use crate::{capture::Capture, control::Peer};

/// How often the windows of quotas are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// What a workload's knock at the control socket counts as, among the kernel's refusals.
const CONTROL: &str = "control";

/// One refusal, or a burst of the same, as the kernel tells it.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub refusal: &'static str,
    /// An IP protocol's number (IANA).
    pub protocol: u32,
    pub destination: SocketAddr,
    pub process: Suspect,
    pub cgroup_id: u64,
}

/// Writes attempts down, and counts them.
#[derive(Debug)]
pub(super) struct Attempts {
    audit: Arc<Audit>,
    quotas: Mutex<Quotas>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Attempts {
    pub(super) fn new(audit: Arc<Audit>) -> Self {
        Self { audit, quotas: Mutex::default(), counts: Mutex::default() }
    }

    /// Notes a refused attempt.
    pub(super) fn tell(&self, refused: Refused, capture: &Capture) {
        let workload = capture.workload(refused.cgroup_id);
        let (name, cgroup) = workload.map_or_else(
            |_| ("(unknown)".into(), String::new()),
            |workload| (workload.name, workload.cgroup.display().to_string()),
        );
        if self.admit(&name, refused.refusal) {
            self.audit.note(&Event::Attempt {
                workload: name.to_string(),
                refusal: refused.refusal,
                protocol: protocol_name(refused.protocol),
                destination: refused.destination.to_string(),
                process: Suspect { cgroup, ..refused.process },
            });
        }
    }

    /// Notes that a governed process knocked at the control socket.
    pub(super) fn tell_control(&self, peer: &Peer, capture: &Capture) {
        let cgroup = peer.cgroup.as_deref().unwrap_or("".as_ref());
        let name = capture.workload_at(cgroup).map_or("(unknown)".into(), Into::into);
        if self.admit(&name, CONTROL) {
            self.audit.note(&Event::ControlRefused { by: peer.clone() });
        }
    }

    /// How many bursts of each kind there were.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().clone()
    }

    /// Tells what quotas held back, again and again.
    pub(super) async fn keep_telling(&self) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let excess = self.quotas.lock().end_windows(Instant::now());
            for Excess { workload, kind, count } in excess {
                self.audit.note(&Event::MoreAttempts { workload: workload.to_string(), refusal: kind, count });
            }
        }
    }

    fn admit(&self, workload: &Arc<str>, kind: &'static str) -> bool {
        *self.counts.lock().entry(kind).or_default() += 1;
        self.quotas.lock().take(workload, kind, Instant::now())
    }
}

/// As `/etc/protocols` has it, for those that are met; else its number.
fn protocol_name(protocol: u32) -> String {
    let known = match protocol {
        0 => "any",
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
