//! A daemon and workloads, as processes of this test program in other roles.
//!
//! The test harness starts itself again with [`ROLE`] set, and the ignored test `role` plays the part. So a daemon can
//! be killed, and a workload's process can be moved into its cgroup before it makes a socket.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, sockopt};
use portcullis::capture::{
    self, BPFFS, Capture, CaptureConfig, Existing, Layer, Origin, Tree,
    canary::{self, Canary},
};

pub const ROLE: &str = "PORTCULLIS_TEST_ROLE";
const INSTANCE: &str = "PORTCULLIS_TEST_INSTANCE";
const PORT: &str = "PORTCULLIS_TEST_PORT";
const EXISTING: &str = "PORTCULLIS_TEST_EXISTING";

/// What a role's own lines begin with, among those of the test harness.
const MARK: &str = "~ ";

/// What this kernel lacks of what existing cgroups are promised; that nothing starts then unless it is allowed is seen by
/// the attack table.
pub static LACKING: LazyLock<Vec<Layer>> = LazyLock::new(|| {
    let missing = |layer: &Layer| {
        let name = format!("layer {}", layer.name());
        capture::facts().iter().any(|fact| fact.name == name && !fact.present)
    };
    [Layer::Unix].into_iter().filter(missing).collect()
});

/// The first two numbers of the kernel's release.
pub fn release() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// One instance, its daemon running or not. Dropping it kills and removes everything.
pub struct Rig {
    pub instance: String,
    pub port: u16,
    pub existing: Option<PathBuf>,
    daemon: Option<Role>,
}

impl Rig {
    pub fn start(name: &str) -> Self {
        Self::start_with(name, None)
    }

    /// With a cgroup that somebody else manages, by its path below the mount.
    pub fn start_with(name: &str, existing: Option<PathBuf>) -> Self {
        let instance = format!("test-{name}-{}", std::process::id());
        let mut rig = Self { instance, port: free_port(), existing, daemon: None };
        rig.start_daemon();
        rig
    }

    /// Starts the daemon, again or for the first time, and waits until it serves.
    pub fn start_daemon(&mut self) {
        let mut role = Role::start("daemon", |command| {
            command.env(INSTANCE, &self.instance).env(PORT, self.port.to_string());
            if let Some(cgroup) = &self.existing {
                command.env(EXISTING, cgroup);
            }
        });
        assert_eq!(role.line(), "ready");
        self.daemon = Some(role);
    }

    pub fn kill_daemon(&mut self) {
        let mut role = self.daemon.take().unwrap();
        role.child.kill().unwrap();
        role.child.wait().unwrap();
    }

    /// Asks the daemon.
    pub fn ask(&mut self, question: &str) -> String {
        self.daemon.as_mut().unwrap().ask(question)
    }

    /// The refused attempts that the daemon was told of, once there are as many.
    pub fn told(&mut self, at_least: usize) -> Vec<String> {
        for _ in 0..100 {
            let told = self.ask("told");
            if told.split("; ").filter(|line| !line.is_empty()).count() >= at_least {
                return told.split("; ").map(str::to_owned).collect();
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("told only: {}", self.ask("told"))
    }

    /// Makes a workload, and answers its directory.
    pub fn enrol(&mut self, name: &str) -> PathBuf {
        self.ask(&format!("enrol {name}")).into()
    }

    /// Starts a process, moves it into the workload, and lets it make one attempt.
    pub fn attempt(&self, workload: &Path, what: &str) -> String {
        self.client(workload).ask(what)
    }

    /// A workload's process that makes one attempt after another.
    pub fn client(&self, workload: &Path) -> Role {
        Role::client(workload)
    }

    /// Takes every program but one away from the workloads.
    pub fn keep_only(&self, program: &str) {
        for link in fs::read_dir(self.links().join("workloads")).unwrap().map(|link| link.unwrap()) {
            if link.file_name() != program {
                fs::remove_file(link.path()).unwrap();
            }
        }
    }

    pub fn links(&self) -> PathBuf {
        Path::new(BPFFS).join("portcullis").join(&self.instance).join("links")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.kill_daemon();
        }
        if let Err(error) = capture::remove(&self.instance, Path::new(BPFFS)) {
            eprintln!("failed to remove {}: {error:?}", self.instance);
        }
        if let Some(cgroup) = &self.existing {
            let directory = mount().join(cgroup.strip_prefix("/").unwrap());
            let _ = fs::remove_dir(&directory);
            let _ = fs::remove_dir(directory.parent().unwrap());
        }
    }
}

/// The cgroup v2 mount.
pub fn mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap().split(' ').nth(4).unwrap().into()
}

/// A port of this test's own, below the ephemeral range.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 400) as u16 * 30;
    loop {
        let port = start + TAKEN.fetch_add(1, Ordering::SeqCst);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// This program, to play a role.
pub fn role_command(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "role", "--ignored", "--nocapture"]).env(ROLE, role);
    command
}

/// This program in another role. Dropping it kills it.
pub struct Role {
    pub child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Role {
    pub fn start(role: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = role_command(role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// A process in a cgroup, which it entered before it made a socket.
    pub fn client(cgroup: &Path) -> Self {
        let role = Self::start("client", |_| {});
        fs::write(cgroup.join("cgroup.procs"), role.child.id().to_string()).unwrap();
        role
    }

    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").unwrap();
        self.line()
    }

    /// The next line that the role itself says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the role ended");
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim_end().into();
            }
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers each line of standard input.
pub fn answer_each(mut answer: impl FnMut(&str) -> String) {
    for line in std::io::stdin().lines() {
        say(&answer(&line.unwrap()));
    }
}

fn say(line: &str) {
    println!("{MARK}{line}");
    std::io::stdout().flush().unwrap();
}

/// The daemon: tells each connection its origin, and closes it.
pub fn daemon() {
    let port = env::var(PORT).unwrap().parse().unwrap();
    let existing = env::var(EXISTING).ok().map(|cgroup| Existing { name: "existing".into(), cgroup });
    let config = CaptureConfig {
        instance: env::var(INSTANCE).unwrap(),
        port,
        ipv6: true,
        bpffs: BPFFS.into(),
        existing: existing.into_iter().collect(),
        allow_missing: LACKING.clone(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut capture = Capture::load(&config).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    runtime.spawn({
        let mut attempts = runtime.block_on(async { capture.attempts() }).unwrap().unwrap();
        let told = told.clone();
        async move {
            loop {
                let it = attempts.next().await.unwrap();
                let to = it.unix.map_or(it.destination.to_string(), |name| name.to_string());
                let line = format!("{} {to} {} {} {} {}", it.refusal, it.protocol, it.pid, it.uid, it.comm);
                told.lock().unwrap().push(line);
            }
        }
    });
    let capture = Arc::new(capture);
    let listeners = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
        .map(|address| listen(SocketAddr::new(address, port)));
    let (canary, refused) = (Arc::new(Canary::default()), Arc::new(AtomicU32::new(0)));
    for listener in listeners {
        let (capture, canary, refused, runtime) =
            (capture.clone(), canary.clone(), refused.clone(), runtime.handle().clone());
        thread::spawn(move || {
            for accepted in listener.incoming() {
                let accepted = accepted.unwrap();
                match capture.origin(&accepted) {
                    Ok(origin) if Canary::is_destination(&origin.destination) => {
                        let _context = runtime.enter();
                        accepted.set_nonblocking(true).unwrap();
                        let accepted = tokio::net::TcpStream::from_std(accepted).unwrap();
                        // A canary leaves some of its connections before it hears anything.
                        let _ = runtime.block_on(canary.answer(&origin, accepted.into()));
                    }
                    Ok(origin) => tell(accepted, &capture, &origin),
                    Err(_) => drop(refused.fetch_add(1, Ordering::SeqCst)),
                }
            }
        });
    }
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let (socket, capture) = (UdpSocket::bind((address, port)).unwrap(), capture.clone());
        capture::claim(&socket).unwrap();
        thread::spawn(move || answer_names(&socket, &capture));
    }
    say("ready");
    answer_each(|question| match question.split_once(' ').unwrap_or((question, "")) {
        ("enrol", name) => capture.enrol(name).unwrap().directory().display().to_string(),
        ("prove", _) => {
            let proof = canary::prove(&capture, &canary, &Tree::Runs, role_command("canary").into());
            runtime.block_on(proof).map_or_else(|error| error.to_string(), |()| "proven".into())
        }
        ("verify", _) => capture.verify().map_or_else(|error| error.to_string(), |()| "attached".into()),
        ("reattach", _) => capture.reattach(&Tree::Runs).map_or_else(|error| error.to_string(), |()| "attached".into()),
        ("recapture", _) => capture.recapture().unwrap().len().to_string(),
        ("unix", names) => {
            let names: Vec<_> = names.split_terminator(' ').map(|name| name.parse().unwrap()).collect();
            capture.set_unix_allowed(&names).map_or_else(|error| error.to_string(), |()| "allowed".into())
        }
        ("told", _) => told.lock().unwrap().join("; "),
        ("lost", _) => capture.lost_attempts().unwrap().to_string(),
        ("refused", _) => refused.load(Ordering::SeqCst).to_string(),
        other => panic!("{other:?}"),
    });
}

fn tell(mut accepted: TcpStream, capture: &Capture, origin: &Origin) {
    let workload = capture.workload(origin.cgroup_id).map_or("-".into(), |workload| workload.name);
    let answer = format!("{} {} {} {workload}\n", origin.destination, origin.pid, origin.uid);
    let _ = accepted.write_all(answer.as_bytes());
    // The workload closes first: a port reused from TIME_WAIT is then its own.
    let _ = accepted.shutdown(Shutdown::Write);
    let _ = accepted.read(&mut [0]);
}

/// Listens as the daemon does: the socket is claimed before anybody can be led to it.
fn listen(address: SocketAddr) -> TcpListener {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true).unwrap();
    capture::claim(&socket).unwrap();
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    socket::listen(&socket, Backlog::MAXCONN).unwrap();
    socket.into()
}

/// Answers each DNS message with its identifier and its origin; one without an origin gets no answer.
fn answer_names(socket: &UdpSocket, capture: &Capture) {
    let cookie = namespace_cookie(socket);
    let mut message = [0; 512];
    loop {
        let (length, source) = socket.recv_from(&mut message).unwrap();
        let id = u16::from_be_bytes([message[0], message[1]]);
        if let (2.., Ok(origin)) = (length, capture.datagram_origin(source, cookie, id)) {
            let workload = capture.workload(origin.cgroup_id).map_or("-".into(), |workload| workload.name);
            let answer = format!("{} {} {} {workload}", origin.destination, origin.pid, origin.uid);
            let _ = socket.send_to(&[&message[..2], answer.as_bytes()].concat(), source);
        }
    }
}

/// `SO_NETNS_COOKIE` of `asm-generic/socket.h`.
fn namespace_cookie(socket: &impl AsRawFd) -> u64 {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: writes at most `length` bytes into `cookie`.
    let answer = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, 71, (&raw mut cookie).cast(), &raw mut length)
    };
    assert_eq!(answer, 0);
    cookie
}
