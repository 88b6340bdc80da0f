//! A daemon, cgroups of nobody's, and a server that must not be reached.

use std::{
    cell::RefCell,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use portcullis_tests::{
    binary, place, port,
    service::{Service, Signal},
};
use serde_json::Value;
use tempfile::TempDir;

/// How often something is looked at before it counts as not to come.
const LOOKS_MAX: u32 = 400;

/// A daemon with a configuration, a state and a control socket of its own.
pub struct Host {
    service: Option<Service>,
    binary: PathBuf,
    directory: TempDir,
}

impl Host {
    /// With these lines at the end of its configuration.
    pub fn start(extra: &str) -> Self {
        let mut host =
            Self { service: None, binary: binary::portcullis().unwrap(), directory: place::temporary().unwrap() };
        let (state, control, listen) = (host.state(), host.path("control.sock"), port::free().unwrap());
        let text = format!("state_dir = {state:?}\ncontrol = {control:?}\n[listen]\nport = {listen}\n{extra}\n");
        fs::write(host.path("portcullis.toml"), text).unwrap();
        host.resume();
        host
    }

    pub fn resume(&mut self) {
        let mut service = Service::start("portcullis", &mut self.up(), &self.path("log"), Signal::SIGTERM).unwrap();
        service
            .wait_until(|| matches!(self.command(&["status"]).output().unwrap().status.code(), Some(0 | 1)))
            .unwrap();
        self.service = Some(service);
    }

    fn up(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--config").arg(self.path("portcullis.toml"));
        command
    }

    /// What a daemon says that does not start.
    pub fn fails_to_start(&self) -> String {
        let output = self.up().output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn kill(&mut self) {
        self.service.take().unwrap().kill().unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.service.as_ref().unwrap().pid()
    }

    pub fn control(&self) -> PathBuf {
        self.path("control.sock")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("PORTCULLIS_CONTROL", self.control());
        command
    }

    pub fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let answer =
            self.ask(&[arguments, &["--json"]].concat()).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        serde_json::from_str(&answer).unwrap()
    }

    /// What `status` says, which exits with 1 where a workload is closed.
    pub fn whole_status(&self) -> Value {
        serde_json::from_slice(&self.command(&["status", "--json"]).output().unwrap().stdout).unwrap()
    }

    /// Its line about the workload in a cgroup, or below it.
    pub fn status(&self, cgroup: &str) -> Option<Value> {
        let workloads = self.whole_status()["workloads"].as_array().unwrap().clone();
        workloads.into_iter().find(|workload| Path::new(workload["cgroup"].as_str().unwrap()).starts_with(cgroup))
    }

    /// What `doctor --workload` says of the first tree, and whether it is fit.
    pub fn examine(&self, workload: &str) -> (Value, bool) {
        let output = self.command(&["doctor", "--workload", workload, "--json"]).output().unwrap();
        let examined: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (examined[0].clone(), output.status.success())
    }

    pub fn instance(&self) -> String {
        self.whole_status()["instance"].as_str().unwrap().to_owned()
    }

    /// Where the links of a captured cgroup are pinned.
    pub fn links(&self, name: &str) -> PathBuf {
        Path::new("/sys/fs/bpf/portcullis").join(self.instance()).join("links").join(name)
    }

    /// Whether a fresh socket of a process in a cgroup is refused what only the capture refuses.
    pub fn is_captured(&self, cgroup: &Cgroup) -> bool {
        let script =
            "import socket\ntry:\n socket.socket().setsockopt(1, 36, 0)\nexcept PermissionError:\n print('captured')";
        let output = run_in(cgroup, Command::new("/usr/bin/python3").args(["-c", script]));
        output.stdout == b"captured\n"
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.stop();
        }
        let configuration = self.path("portcullis.toml");
        let down = self.command(&["down", "--config", configuration.to_str().unwrap()]).output();
        if !down.as_ref().is_ok_and(|down| down.status.success()) {
            eprintln!("a capture is left: {down:?}");
        }
        // The daemon makes anew what it captures and somebody removes.
        for directory in DROPPED.take() {
            remove(&directory);
        }
    }
}

thread_local! {
    /// Directories of this test's cgroups that were removed while a daemon may have captured them.
    static DROPPED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// A cgroup that nobody governs. Dropping it ends its processes and removes it.
pub struct Cgroup {
    /// Below the mount.
    pub path: String,
    directory: PathBuf,
}

impl Cgroup {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        Self::at(&format!("/portcullis-test-{}-{number}-{name}", std::process::id()))
    }

    pub fn at(path: &str) -> Self {
        let directory = mount().join(path.trim_start_matches('/'));
        fs::create_dir_all(&directory).unwrap();
        Self { path: path.to_owned(), directory }
    }

    pub fn child(&self, name: &str) -> Self {
        Self::at(&format!("{}/{name}", self.path))
    }

    pub fn admit(&self, pid: u32) {
        fs::write(self.directory.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.directory.join("cgroup.kill"), "1");
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.directory.clone()));
        for _ in 0..LOOKS_MAX {
            remove(&self.directory);
            if !self.directory.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} is left", self.directory.display());
    }
}

fn remove(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(directory);
}

/// The cgroup v2 mount.
pub fn mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap().split(' ').nth(4).unwrap().into()
}

pub fn cgroup_of(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}

/// Runs a command in a cgroup from its first instruction on.
pub fn run_in(cgroup: &Cgroup, command: &mut Command) -> Output {
    let procs = cgroup.directory.join("cgroup.procs");
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
        .arg(procs)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.output().unwrap()
}

/// Waits, not without end, until something is so.
pub fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS_MAX {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("not in time: {what}");
}

/// A server that sends back what it is sent, and counts who came.
pub struct Echo {
    pub address: SocketAddr,
    met: Arc<AtomicUsize>,
}

impl Echo {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, met) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        thread::spawn({
            let met = met.clone();
            move || {
                for connection in listener.incoming() {
                    met.fetch_add(1, Ordering::SeqCst);
                    thread::spawn(move || echo(connection.unwrap()));
                }
            }
        });
        Self { address, met }
    }

    /// How many connections it has taken.
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }
}

fn echo(mut connection: TcpStream) {
    let mut byte = [0];
    while let Ok(1) = connection.read(&mut byte) {
        if connection.write_all(&byte).is_err() {
            return;
        }
    }
}
