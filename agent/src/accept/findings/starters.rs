//! Tools that start processes elsewhere: a container that a workload starts must not be free either.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Finding, Risk};

/// A tool of this host that starts processes for whoever calls it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Starter {
    pub tool: String,
    /// Whether what it starts for this tree leaves the capture.
    pub leaves: bool,
    pub why: String,
}

/// Where tools are, in a process's own file system.
const FOLDERS: [&str; 5] = ["usr/bin", "usr/sbin", "usr/local/bin", "bin", "sbin"];

/// Who really starts what a tool is asked to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// The tool itself, into a cgroup of its choice where it is root, else beside itself.
    Itself,
    /// A service, by the Unix socket that ends so.
    Service(&'static str),
    /// systemd, by D-Bus or its own socket.
    Systemd,
    /// A service that reads a spool, which a setgid program writes.
    Spool,
}

const TOOLS: [(&str, Way); 11] = [
    ("podman", Way::Itself),
    ("runc", Way::Itself),
    ("crun", Way::Itself),
    ("docker", Way::Service("docker.sock")),
    ("nerdctl", Way::Service("containerd.sock")),
    ("ctr", Way::Service("containerd.sock")),
    ("crictl", Way::Service(".sock")),
    ("systemd-run", Way::Systemd),
    ("machinectl", Way::Systemd),
    ("at", Way::Spool),
    ("crontab", Way::Spool),
];

/// The tools that the processes of a tree find, and what comes of them there.
pub fn starters(processes: &[u32], findings: &[Finding]) -> Vec<Starter> {
    let is_there = |tool: &str| {
        let at =
            |pid: &u32, folder: &str| Path::new("/proc").join(pid.to_string()).join("root").join(folder).join(tool);
        // All processes of a tree see the same tools, most often; the first few stand for them.
        let first = processes.iter().take(PROCESSES_MAX);
        first.flat_map(|pid| FOLDERS.map(|folder| at(pid, folder))).any(|path| path.symlink_metadata().is_ok())
    };
    TOOLS.into_iter().filter(|(tool, _)| is_there(tool)).map(|(tool, way)| judge(tool, way, findings)).collect()
}

/// Processes whose file systems are searched for tools.
const PROCESSES_MAX: usize = 8;

fn judge(tool: &str, way: Way, findings: &[Finding]) -> Starter {
    let has = |risk: Risk| findings.iter().any(|finding| finding.risk == risk);
    let reaches =
        |socket: &str| findings.iter().any(|finding| finding.risk == Risk::Helpers && finding.detail.contains(socket));
    let (leaves, why) = match way {
        Way::Itself if has(Risk::Root) => (true, "as root it puts what it starts into another cgroup"),
        Way::Itself if has(Risk::NewPrivileges) => (true, "a setuid program makes it root, which leaves"),
        Way::Itself => (false, "what it starts without root stays in the cgroup of its caller"),
        Way::Service(socket) if reaches(socket) => (true, "the service that it asks starts it outside"),
        Way::Service(_) => (false, "the socket of the service that it asks is out of reach"),
        Way::Systemd if has(Risk::Root) => (true, "systemd starts units for root, outside"),
        Way::Systemd if reaches("bus") || reaches("systemd/private") => (true, "systemd can be asked over D-Bus"),
        Way::Systemd => (false, "neither D-Bus nor systemd's own socket is in reach"),
        Way::Spool if has(Risk::Root) || has(Risk::NewPrivileges) => (true, "its service starts jobs outside"),
        Way::Spool => (false, "without new privileges it cannot write the spool"),
    };
    Starter { tool: tool.to_owned(), leaves, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(way: Way, findings: &[(Risk, &str)]) -> bool {
        let finding = |(risk, detail): &(Risk, &str)| Finding { risk: *risk, detail: (*detail).to_owned() };
        judge("x", way, &findings.iter().map(finding).collect::<Vec<_>>()).leaves
    }

    #[test]
    fn a_tree_without_risks_starts_nothing_outside() {
        for (tool, way) in TOOLS {
            assert!(!leaves(way, &[]), "{tool}");
        }
    }

    #[test]
    fn root_starts_containers_outside_and_a_socket_does_so_for_anybody() {
        assert!(leaves(Way::Itself, &[(Risk::Root, "uid 0")]));
        assert!(leaves(Way::Itself, &[(Risk::NewPrivileges, "")]));
        assert!(leaves(Way::Service("docker.sock"), &[(Risk::Helpers, "/run/docker.sock: 1 (x)")]));
        assert!(!leaves(Way::Service("docker.sock"), &[(Risk::Helpers, "/run/snapd.socket: 1 (x)")]));
        assert!(leaves(Way::Systemd, &[(Risk::Helpers, "/run/dbus/system_bus_socket: 1 (x)")]));
    }
}
