//! Looks at every process of a tree, and names what its capture does not hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::FileTypeExt,
    path::Path,
};

use super::{Finding, Risk, process::Process};
use crate::{
    accept::identity::cgroup_of,
    capture::{Capture, CaptureError, Held, HeldKind},
};

/// Processes that a finding names; of more, it tells the number.
const NAMED_MAX: usize = 3;

/// Sockets of those who dial or start processes for others, as they are named in the process's own file system.
/// `UID` stands for each of its users.
const HELPERS: [&str; 13] = [
    "run/docker.sock",
    "run/containerd/containerd.sock",
    "run/crio/crio.sock",
    "run/podman/podman.sock",
    "run/buildkit/buildkitd.sock",
    "run/snapd.socket",
    "run/dbus/system_bus_socket",
    "run/systemd/private",
    "run/user/UID/docker.sock",
    "run/user/UID/podman/podman.sock",
    "run/user/UID/systemd/private",
    "run/user/UID/bus",
    "tmp/.X11-unix/X0",
];

/// Why a tree could not be examined. What is not known is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error("failed to read process {pid}")]
    Process { pid: u32, source: io::Error },
    #[error("failed to read the processes of this host")]
    Host(#[source] io::Error),
}

/// The risks of a process tree, by its cgroup's path below the mount. Blocks: call it where that is allowed.
///
/// It is a look at one moment: what a process does afterwards, the next look shows. What processes have sent each other
/// over Unix sockets and have not yet received is not seen.
pub fn examine(capture: &Capture, cgroup: &Path) -> Result<Vec<Finding>, ExamineError> {
    let processes = read(&capture.processes(cgroup)?)?;
    let mut found = privileges(capture, &processes, |path| capture.reaches_unix(cgroup, path))?;
    // A canary of the daemon's own may be among those who hold something.
    let known: BTreeSet<u32> = processes.iter().map(|process| process.pid).collect();
    for held in capture.held(cgroup)?.into_iter().filter(|held| known.contains(&held.pid)) {
        let (risk, detail) = ungoverned(&held);
        found.add(risk, detail, &name_of(&processes, held.pid));
    }
    Ok(found.findings())
}

/// The risks of processes that are in no cgroup of their own yet: what they hold is not looked at.
pub fn examine_family(capture: &Capture, pids: &[u32]) -> Result<Vec<Finding>, ExamineError> {
    Ok(privileges(capture, &read(pids)?, |_| Ok(true))?.findings())
}

/// The processes that are there, but for the daemon's own children.
fn read(pids: &[u32]) -> Result<Vec<Process>, ExamineError> {
    let mut processes = Vec::new();
    for pid in pids.iter().copied() {
        let process = Process::read(pid).map_err(|source| ExamineError::Process { pid, source })?;
        processes.extend(process.filter(|process| process.parent != std::process::id()));
    }
    Ok(processes)
}

/// `reaches` tells whether the capture lets these processes dial a Unix socket.
fn privileges(
    capture: &Capture,
    processes: &[Process],
    reaches: impl Fn(&str) -> Result<bool, CaptureError>,
) -> Result<Found, ExamineError> {
    let mut found = outsiders(capture, processes)?;
    for process in processes {
        look_at(process, &mut found);
        for path in helpers(process).into_iter().map(|path| format!("/{path}")) {
            if reaches(&path)? {
                found.add(Risk::Helpers, path, process);
            }
        }
    }
    Ok(found)
}

fn look_at(process: &Process, found: &mut Found) {
    if process.is_root() {
        found.add(Risk::Root, "uid 0".into(), process);
    }
    let capabilities = process.harmful_capabilities();
    if !capabilities.is_empty() {
        found.add(Risk::Capabilities, capabilities.join(" "), process);
    }
    if !process.no_new_privileges {
        found.add(Risk::NewPrivileges, "no_new_privs is not set".into(), process);
    }
    if !process.is_filtered {
        found.add(Risk::SystemCalls, "no system call filter".into(), process);
    }
}

/// The helpers' sockets that a process may connect to, as far as paths and permissions tell.
fn helpers(process: &Process) -> Vec<String> {
    let root = format!("/proc/{}/root", process.pid);
    let users: BTreeSet<_> = process.uids.iter().collect();
    let paths = HELPERS.iter().flat_map(|path| users.iter().map(|uid| path.replace("UID", &uid.to_string())));
    let reachable = |path: &String| {
        fs::symlink_metadata(Path::new(&root).join(path))
            .is_ok_and(|file| file.file_type().is_socket() && process.may_write(&file))
    };
    paths.collect::<BTreeSet<_>>().into_iter().filter(reachable).collect()
}

/// Processes outside, governed by nobody, that have a user of the tree's. Root is a finding of its own.
fn outsiders(capture: &Capture, processes: &[Process]) -> Result<Found, ExamineError> {
    let members: BTreeSet<u32> = processes.iter().map(|process| process.pid).collect();
    let users: BTreeSet<u32> =
        processes.iter().flat_map(|process| process.uids.clone()).filter(|uid| *uid != 0).collect();
    let mut found = Found::default();
    if users.is_empty() {
        return Ok(found);
    }
    for entry in fs::read_dir("/proc").map_err(ExamineError::Host)? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else { continue };
        if members.contains(&pid) {
            continue;
        }
        let Ok(Some(process)) = Process::read_first(pid) else { continue };
        let Some(uid) = process.uids.iter().find(|uid| users.contains(uid)) else { continue };
        // One that has ended, or has been started in the tree since, is none.
        if cgroup_of(pid).is_some_and(|cgroup| !capture.governs(&cgroup)) {
            found.add(Risk::SharedUser, format!("outside, with uid {uid}"), &process);
        }
    }
    Ok(found)
}

fn ungoverned(held: &Held) -> (Risk, String) {
    let descriptor = held.descriptor;
    match held.what {
        HeldKind::Foreign => (Risk::Sockets, format!("descriptor {descriptor}, made in another cgroup")),
        HeldKind::Unknown => (Risk::Sockets, format!("descriptor {descriptor}, which cannot be looked at")),
        HeldKind::Family(family) => {
            (Risk::Descriptors, format!("descriptor {descriptor}, a socket of family {family}"))
        }
        HeldKind::IoUring => (Risk::Descriptors, format!("descriptor {descriptor}, an io_uring")),
        HeldKind::Bpf => (Risk::Descriptors, format!("descriptor {descriptor}, of BPF")),
        HeldKind::Tunnel => (Risk::Descriptors, format!("descriptor {descriptor}, a tunnel device")),
    }
}

fn name_of(processes: &[Process], pid: u32) -> Process {
    let known = processes.iter().find(|process| process.pid == pid);
    known.cloned().unwrap_or_else(|| Process { pid, ..Process::default() })
}

/// Who has which risk, by what of it.
#[derive(Default)]
struct Found(BTreeMap<Risk, BTreeMap<String, Vec<String>>>);

impl Found {
    fn add(&mut self, risk: Risk, what: String, process: &Process) {
        let who = self.0.entry(risk).or_default().entry(what).or_default();
        who.push(format!("{} ({})", process.pid, process.name));
    }

    fn findings(self) -> Vec<Finding> {
        let finding = |(risk, by_what): (Risk, BTreeMap<String, Vec<String>>)| {
            let rest = by_what.len().saturating_sub(NAMED_MAX);
            let mut told: Vec<_> = by_what.into_iter().take(NAMED_MAX).map(|(what, who)| told(&what, &who)).collect();
            if rest > 0 {
                told.push(format!("and {rest} more"));
            }
            Finding { risk, detail: told.join("; ") }
        };
        self.0.into_iter().map(finding).collect()
    }
}

fn told(what: &str, who: &[String]) -> String {
    let named: Vec<_> = who.iter().take(NAMED_MAX).map(String::as_str).collect();
    match who.len().saturating_sub(NAMED_MAX) {
        0 => format!("{what}: {}", named.join(", ")),
        rest => format!("{what}: {}, and {rest} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_some_and_counts_the_rest() {
        let mut found = Found::default();
        for pid in 1..=5 {
            found.add(Risk::Root, "uid 0".into(), &Process { pid, name: "sh".into(), ..Process::default() });
        }
        let [finding] = &*found.findings() else { panic!("one risk") };
        assert_eq!(finding.detail, "uid 0: 1 (sh), 2 (sh), 3 (sh), and 2 more");
    }

    #[test]
    fn a_process_without_anything_has_every_risk_of_its_own() {
        let mut found = Found::default();
        look_at(&Process { uids: vec![0], ..Process::default() }, &mut found);
        let risks: Vec<_> = found.findings().iter().map(|finding| finding.risk).collect();
        assert_eq!(risks, [Risk::Root, Risk::NewPrivileges, Risk::SystemCalls]);
    }
}
