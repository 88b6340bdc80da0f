//! Namespaces that a process of a captured cgroup makes for itself, as container runtimes do.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup},
    postgres::{self, Postgres},
};

use super::{Pair, latest_workload, said};

/// Container runtimes are root with all that goes with it: whoever captures them has accepted that.
const ACCEPTED: &str = r#"accept_risks = ["root", "capabilities", "new-privileges", "helpers", "system-calls"]"#;

/// A cgroup that the configuration names, as it would name a unit's. Dropped, it is removed.
pub struct Tree {
    /// Below the mount.
    pub path: String,
    pub directory: PathBuf,
}

impl Tree {
    pub fn new() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = format!("/portcullis-test-{}-{number}", std::process::id());
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
        let directory = Path::new(mount.context("cgroup v2")?).join(path.trim_start_matches('/'));
        fs::create_dir(&directory)?;
        Ok(Self { path, directory })
    }

    /// A gate that governs it, as the workload `tree`.
    pub fn gate(&self) -> Result<Pair> {
        let server = Postgres::start()?;
        let extra = format!("[[workload]]\nname = \"tree\"\ncgroup = {:?}\n{ACCEPTED}", self.path);
        let gate = Gate::with(&server, &Setup { extra, ..Setup::default() })?;
        Ok(Pair { gate, server })
    }

    /// A shell that runs the script inside, as root.
    pub fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        let enter = format!("echo $$ > {}/cgroup.procs; {script}", self.directory.display());
        shell.args(["-c", &enter]);
        shell
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::write(self.directory.join("cgroup.kill"), "1");
        // Who has just been killed takes some moments to leave.
        for _ in 0..100 {
            match remove(&self.directory) {
                Ok(()) => break,
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
        // Container runtimes make the same path in each hierarchy of version 1 that the host has.
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        for hierarchy in hierarchies {
            let _ = remove(&hierarchy.path().join(self.path.trim_start_matches('/')));
        }
        if self.directory.exists() {
            let _ = writeln!(std::io::stderr(), "{} is left", self.directory.display());
        }
    }
}

fn remove(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

/// Asks until it gets an answer; says how it was refused before.
const ASK: &str = "until psql -X -t -A -c \"select 'through'\" 2> refused; do sleep 0.1; done";

#[test]
fn a_namespace_made_inside_is_refused_until_the_daemon_listens_in_it() -> Result<()> {
    let tree = Tree::new()?;
    let pair = tree.gate()?;
    let place = portcullis_tests::place::temporary()?;
    let script =
        format!("cd {}; exec timeout 20 unshare --net sh -c 'ip link set lo up; {ASK}'", place.path().display());
    // The inner shell's quotes are the outer one's.
    let script = script.replace("\"select 'through'\"", "\"select 1000 + 1\"");
    let output = postgres::environment(&mut tree.shell(&script), pair.server.port()).output()?;
    ensure!(said(&output) == "1001\n", "{}", said(&output));
    ensure!(latest_workload(&pair.gate)? == "tree", "another workload's");
    let refused = fs::read_to_string(place.path().join("refused"))?;
    ensure!(refused.is_empty() || refused.contains("not permitted"), "{refused}");
    Ok(())
}

#[test]
fn a_namespace_without_loopback_is_no_way_out_and_is_told() -> Result<()> {
    let tree = Tree::new()?;
    let pair = tree.gate()?;
    let mut shell = tree.shell("exec unshare --net sleep 1000");
    let mut sleeper = shell.stdin(Stdio::null()).spawn()?;
    let told = super::wait_for("a word of it", || Ok(pair.gate.log().contains("loopback interface is down")));
    sleeper.kill()?;
    sleeper.wait()?;
    told
}
