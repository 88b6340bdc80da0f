//! Containers of podman on runc, in a cgroup that the configuration names.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{latest_workload, pod::Pod, said, tree::Tree};

/// A podman of its own, and a root file system that has nothing but the host's programs.
struct Podman {
    place: TempDir,
}

impl Podman {
    fn new() -> Result<Self> {
        let place = portcullis_tests::place::temporary()?;
        let root = place.path().join("root");
        for folder in ["usr", "proc", "sys", "dev", "tmp", "etc", "run"] {
            fs::create_dir_all(root.join(folder))?;
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            symlink(Path::new("usr").join(link), root.join(link))?;
        }
        Ok(Self { place })
    }

    /// `podman run` of a shell in the tree. Limits are lowered: not every host may raise them.
    fn run(&self, tree: &Tree, network: &str, environment: &[(&str, &str)], script: &str) -> Result<Output> {
        let mut podman = Command::new("timeout");
        podman.args(["60", "podman", "--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none"]);
        for (option, folder) in [("--root", "storage"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            podman.arg(option).arg(self.place.path().join(folder));
        }
        podman.args(["--runtime=runc", "run", "--rm", "--ulimit=nofile=1024:4096", "--ulimit=nproc=4096:8192"]);
        podman.arg(format!("--cgroup-parent={}", tree.path)).arg(format!("--network={network}"));
        for (name, value) in environment {
            podman.arg(format!("--env={name}={value}"));
        }
        podman.arg("--volume=/usr:/usr:ro").arg("--rootfs").arg(self.place.path().join("root"));
        Ok(podman.args(["sh", "-c", script]).output()?)
    }
}

/// What tries to get out of a pod, and to where. Each must fail, or end at the gate.
const ATTEMPTS: &str = r#"
import os, socket
host, device = os.environ["HOST"], os.environ["DEVICE"]

def tcp():
    with socket.create_connection((host, 5432), timeout=20) as stream:
        stream.sendall(b"what is no protocol")
        return stream.recv(1)

def datagram(prepare=lambda _: None):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        prepare(datagrams)
        return datagrams.sendto(b"out", (host, 443))

def by_device(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())

def raw():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).sendto(b"out", (host, 0))

for attempt in (tcp, datagram, lambda: datagram(by_device), raw):
    try:
        print("answer", attempt())
    except OSError as error:
        print(type(error).__name__)
"#;

#[test]
fn a_container_reaches_its_targets_through_the_gate_whatever_its_network() -> Result<()> {
    let (tree, podman, pod) = (Tree::new()?, Podman::new()?, Pod::new()?);
    let pair = tree.gate()?;
    let port = pair.server.port().to_string();
    let environment = [("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGUSER", "app"), ("PGDATABASE", "shop")];
    let psql = "/usr/lib/postgresql/*/bin/psql -X -t -A -c 'select 1000 + 1'";
    for network in ["none", "host", &format!("ns:{}", pod.path().display())] {
        let script = format!("until {psql} 2> /tmp/refused; do cat /tmp/refused; sleep 0.1; done");
        let heard = said(&podman.run(&tree, network, &environment, &script)?);
        ensure!(heard.ends_with("1001\n"), "{network}: {heard}");
        // In a namespace of its own it may have been too early; it was refused then, by the kernel.
        let refusals = heard.lines().filter(|line| line.contains("connection to server"));
        ensure!(refusals.clone().all(|line| line.contains("Operation not permitted")), "{network}: {heard}");
        ensure!(network != "host" || refusals.count() == 0, "{network}: {heard}");
        ensure!(latest_workload(&pair.gate)? == "tree", "{network}: another workload's");
    }
    Ok(())
}

#[test]
fn a_pod_reaches_nobody_around_the_gate() -> Result<()> {
    let (tree, podman, pod) = (Tree::new()?, Podman::new()?, Pod::new()?);
    let pair = tree.gate()?;
    pod.assert_reachable()?;
    let host = pod.host()?.ip().to_string();
    let environment = [("HOST", host.as_str()), ("DEVICE", pod.device()), ("ATTEMPTS", ATTEMPTS)];
    // Once before the daemon listens in it, most likely, and once after.
    let script = "python3 -c \"$ATTEMPTS\"; sleep 2; python3 -c \"$ATTEMPTS\"";
    let heard = said(&podman.run(&tree, &format!("ns:{}", pod.path().display()), &environment, script)?);
    pod.assert_silent()?;
    let outcomes: Vec<_> = heard.lines().collect();
    let (early, late) = outcomes.split_at_checked(4).unwrap_or_default();
    let refused = ["PermissionError"; 3];
    ensure!(early.get(1..) == Some(&refused) && late.get(1..) == Some(&refused), "{heard}");
    // At the gate nobody has declared that address: it is turned away there.
    ensure!(late.first().is_some_and(|tcp| ["ConnectionResetError", "answer b''"].contains(tcp)), "{heard}");
    ensure!(latest_workload(&pair.gate)? == "tree", "another workload's");
    Ok(())
}
