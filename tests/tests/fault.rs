//! Fault injection: the daemon is killed before each system call of its start by which the guard is built. Whatever was
//! attached by then, no workload gets out, and the next start succeeds.
//!
//! By default a sample of the calls is tried; `PORTCULLIS_FAULT_ALL=1` tries each.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use portcullis_tests::{
    binary,
    gate::{Gate, Setup},
    postgres::Postgres,
};
use serde_json::Value;

/// How many deaths are tried unless all are.
const SAMPLE: usize = 24;
/// How long an attempt to get out may take.
const ATTEMPT_SECONDS: u32 = 2;

/// A shell, in a cgroup or free, that tries what it is told.
struct Prisoner {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Prisoner {
    fn start(cgroup: Option<&Path>) -> Result<Self> {
        let enter = cgroup.map_or("true".to_owned(), |cgroup| format!("echo $$ > {}/cgroup.procs", cgroup.display()));
        let script = format!("{enter}; while read -r line; do eval \"$line\"; done");
        let mut command = Command::new("bash");
        let mut child = command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("a shell's input")?;
        let output = BufReader::new(child.stdout.take().context("a shell's output")?);
        let mut prisoner = Self { child, input, output };
        prisoner.tell("")?;
        Ok(prisoner)
    }

    /// Waits until the shell has done what it was told.
    fn tell(&mut self, command: &str) -> Result<()> {
        writeln!(self.input, "{command}\necho done")?;
        let mut line = String::new();
        while line.trim_end() != "done" {
            line.clear();
            ensure!(self.output.read_line(&mut line)? > 0, "the shell ended");
        }
        Ok(())
    }
}

impl Drop for Prisoner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Services of this host that hear whoever gets out.
struct Outside {
    tcp: Vec<TcpListener>,
    udp: UdpSocket,
}

impl Outside {
    fn open() -> Result<Self> {
        let tcp = vec![TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?];
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        tcp.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
        udp.set_nonblocking(true)?;
        Ok(Self { tcp, udp })
    }

    /// What a shell runs to reach them.
    fn attempts(&self) -> Result<String> {
        let mut all = String::new();
        for (kind, address) in self
            .tcp
            .iter()
            .map(|listener| Ok(("tcp", listener.local_addr()?)))
            .chain([Ok(("udp", self.udp.local_addr()?))])
            .collect::<Result<Vec<_>>>()?
        {
            let device = format!("/dev/{kind}/{}/{}", address.ip(), address.port());
            all.push_str(&format!("timeout {ATTEMPT_SECONDS} bash -c 'echo out > {device}' 2> /dev/null; "));
        }
        Ok(all)
    }

    fn heard(&self) -> bool {
        let connected = self.tcp.iter().any(|listener| listener.accept().is_ok());
        let sent = self.udp.recv(&mut [0; 8]).is_ok_and(|_| true);
        connected || sent
    }

    fn ensure_silent(&self, when: &str) -> Result<()> {
        ensure!(!self.heard(), "a workload got out {when}");
        for listener in &self.tcp {
            ensure!(listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{when}");
        }
        Ok(())
    }
}

/// Starts the daemon and kills it before the system call of this number, of those that build the guard. Answers how
/// many calls it made, and whether it became ready before its death.
fn start_and_kill(configuration: &Path, notices: &Path, at: Option<usize>) -> Result<(usize, bool)> {
    let _ = fs::remove_file(notices);
    let ready = UnixDatagram::bind(notices)?;
    ready.set_nonblocking(true)?;
    let mut command = Command::new(binary::portcullis()?);
    command.args(["up", "--config"]).arg(configuration).env("NOTIFY_SOCKET", notices).env("RUST_LOG", "off");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // SAFETY: ptrace(PTRACE_TRACEME) is a bare system call.
    unsafe {
        command.pre_exec(|| ptrace::traceme().map_err(Into::into));
    }
    let child = command.spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let group = Pid::from_raw(-pid.as_raw());
    waitpid(pid, None)?;
    ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_TRACECLONE)?;
    ptrace::syscall(pid, None)?;
    let (mut calls, mut is_ready) = (0, false);
    loop {
        let status = match waitpid(group, Some(WaitPidFlag::__WALL)) {
            Ok(status) => status,
            Err(nix::errno::Errno::ECHILD) => return Ok((calls, is_ready)),
            Err(error) => return Err(error.into()),
        };
        let (thread, deliver) = match status {
            WaitStatus::PtraceSyscall(thread) => {
                if builds_the_guard(thread, pid) {
                    calls += 1;
                    is_ready |= ready.recv(&mut [0; 64]).is_ok();
                    if at == Some(calls) || is_ready {
                        kill(pid, Signal::SIGKILL)?;
                        continue;
                    }
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, _, _) => (thread, None),
            WaitStatus::Stopped(thread, Signal::SIGSTOP | Signal::SIGTRAP) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            _ => continue,
        };
        // A thread that was killed meanwhile is not there to go on.
        let _ = ptrace::syscall(thread, deliver);
    }
}

/// Whether a thread is about to make a call that changes the kernel's state.
fn builds_the_guard(thread: Pid, process: Pid) -> bool {
    let Ok(registers) = ptrace::getregs(thread) else { return false };
    // At its entry, a call's result is this (ptrace(2)).
    if registers.rax.cast_signed() != -i64::from(libc::ENOSYS) {
        return false;
    }
    let writes = |flags: u64| flags.cast_signed() as i32 & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT) != 0;
    match registers.orig_rax.cast_signed() {
        libc::SYS_bpf
        | libc::SYS_mkdir
        | libc::SYS_mkdirat
        | libc::SYS_mount
        | libc::SYS_rename
        | libc::SYS_renameat
        | libc::SYS_renameat2
        | libc::SYS_unlink
        | libc::SYS_unlinkat
        | libc::SYS_rmdir
        | libc::SYS_flock
        | libc::SYS_bind
        | libc::SYS_listen
        | libc::SYS_setns => true,
        libc::SYS_openat => writes(registers.rdx),
        libc::SYS_write => {
            let file = fs::read_link(format!("/proc/{process}/fd/{}", registers.rdi)).unwrap_or_default();
            file.ends_with("cgroup.procs")
        }
        _ => false,
    }
}

/// The directory of this instance's workloads.
fn workloads(gate: &Gate) -> Result<PathBuf> {
    let status = gate.json(["status"])?;
    let instance = status.get("instance").and_then(Value::as_str).context("an instance")?.to_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 ")).context("cgroup v2")?;
    Ok(Path::new(line.split(' ').nth(4).context("its mount")?).join("portcullis").join(instance).join("workloads"))
}

#[test]
fn a_daemon_that_dies_anywhere_in_its_start_leaves_nothing_open() -> Result<()> {
    let server = Postgres::start()?;
    let mut gate = Gate::with(&server, &Setup::default())?;
    let outside = Outside::open()?;
    let attempts = outside.attempts()?;
    let mut free = Prisoner::start(None)?;
    free.tell(&attempts)?;
    ensure!(outside.heard(), "nobody hears even those who are free");
    while outside.heard() {}

    let workloads = workloads(&gate)?;
    let (before, by_hand) = (workloads.join("before-1"), workloads.join("by-hand-1"));
    fs::create_dir(&before)?;
    let mut prisoner = Prisoner::start(Some(&before))?;
    gate.kill()?;
    let notices = gate.state().join("notices");
    let (total, is_ready) = start_and_kill(&gate.configuration(), &notices, None)?;
    ensure!(is_ready, "the daemon did not become ready after {total} calls");
    let step = if env::var_os("PORTCULLIS_FAULT_ALL").is_some() { 1 } else { total.div_ceil(SAMPLE) };
    for at in (1..=total).step_by(step) {
        start_and_kill(&gate.configuration(), &notices, Some(at))?;
        let when = format!("after a death before call {at} of {total}");
        prisoner.tell(&attempts)?;
        outside.ensure_silent(&when)?;
        fs::create_dir_all(&by_hand)?;
        let mut fresh = Prisoner::start(Some(&by_hand))?;
        fresh.tell(&attempts)?;
        outside.ensure_silent(&format!("{when}, from a cgroup made by hand"))?;
    }
    println!("{} deaths before {total} calls tried", total.div_ceil(step));
    drop(prisoner);
    gate.resume()?;
    let output = gate.psql(&server, "select 'well'")?;
    ensure!(output.stdout == b"well\n", "the next daemon lets nothing pass: {output:?}\n{}", gate.log());
    gate.leave()
}
