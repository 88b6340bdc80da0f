//! The first process of a jail's pid namespace: it makes the view, starts the command, and collects what is orphaned.
//!
//! When it ends, the kernel kills everything in the namespace; when the supervisor ends, the kernel kills it.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::AsFd, unix::net::UnixListener},
    path::Path,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{Signal, kill, killpg},
        signalfd::SignalFd,
        stat::{Mode, umask},
    },
    unistd::{ForkResult, Pid, chdir, fork, setpgid, setsid},
};

use super::{
    Identity,
    channel::{Channel, Ended, News, Order, Whom},
    confinement, descriptors,
    domain::Writable,
    environment::Environment,
    error::{LaunchError, system},
    launcher, refusal, signals,
    terminal::{Inner, Manner},
    trust,
    view::View,
};

/// What the first process is to do.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub identity: &'a Identity,
    pub view: View,
    pub directory: &'a Path,
    pub environment: &'a Environment,
    pub program: &'a OsStr,
    pub arguments: &'a [OsString],
    /// The terminal that the command's is to be like, where it gets one.
    pub terminal: Option<&'a Manner>,
}

/// Runs in the new pid namespace, and never returns.
pub(super) fn run(task: Task<'_>, channel: &Channel) -> ! {
    let status = match start(&task, channel) {
        Ok(command) => tend(command, task.terminal.is_none(), channel).map_or(1, |()| 0),
        Err(error) => tell_failure(&error, channel),
    };
    // SAFETY: ends this process without running what its parent has registered.
    unsafe { libc::_exit(status) }
}

fn tell_failure(error: &LaunchError, channel: &Channel) -> i32 {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    // Where nobody listens any more, nobody needs to know.
    let _ = channel.tell(&News::Failed(error.exit_status(), format!("{error}{source}")));
    error.exit_status().into()
}

/// Makes the view, gives everything up, and starts the command.
fn start(task: &Task<'_>, channel: &Channel) -> Result<Pid, LaunchError> {
    let mask = umask(Mode::from_bits_truncate(0o022));
    task.view.build(task.identity)?;
    if let Some(trust) = task.view.trust() {
        trust::warn_of_strangers(trust, |name| task.environment.value(name));
    }
    let refusing = refusal::listen()?;
    umask(mask);
    confinement::confine(task.identity, &Writable::Below(task.view.writable()))?;
    confinement::close_to_others()?;
    // After the change of user, which would undo it.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(system("bind the jail to its supervisor"))?;
    let terminal = session(task, channel)?;
    // SAFETY: this process has one thread, so that the child may do what it likes.
    match unsafe { fork() }.map_err(system("start another process"))? {
        ForkResult::Parent { child } => {
            chdir("/").map_err(system("leave the working directory"))?;
            descriptors::let_go(true).map_err(system("let go of input and output"))?;
            // Without it, clients of container daemons find nobody, and say less clearly why.
            let _ = refuse_containers(refusing);
            // Until the end: without a holder, the terminal would hang up while the command still runs.
            std::mem::forget(terminal);
            Ok(child)
        }
        ForkResult::Child => {
            let error = become_command(task, terminal.as_ref());
            let status = tell_failure(&error, channel);
            // SAFETY: ends this process without running what its parent has registered.
            unsafe { libc::_exit(status) }
        }
    }
}

/// In a process for each, which ends with the jail.
fn refuse_containers(listeners: Vec<UnixListener>) -> io::Result<()> {
    for listener in listeners {
        // SAFETY: as above.
        if let ForkResult::Child = unsafe { fork() }? {
            refusal::answer(&listener);
        }
    }
    Ok(())
}

/// Begins a session of the jail's own: the caller's terminal controls nothing in it, and nothing in it takes the
/// caller's terminal.
fn session(task: &Task<'_>, channel: &Channel) -> Result<Option<Inner>, LaunchError> {
    setsid().map_err(system("begin a session"))?;
    let Some(manner) = task.terminal else { return Ok(None) };
    let (ours, inner) = Inner::open(manner).map_err(system("open a terminal"))?;
    channel.tell(&News::Terminal(ours)).map_err(system("pass the terminal on"))?;
    Ok(Some(inner))
}

/// Becomes the command, in a process group of its own, whose parent in the same session makes that it can be stopped.
fn become_command(task: &Task<'_>, terminal: Option<&Inner>) -> LaunchError {
    let prepare = || {
        setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(system("make a process group"))?;
        if let Some(terminal) = terminal {
            terminal.take().map_err(system("take the terminal"))?;
        }
        chdir(task.directory).map_err(|_| LaunchError::WorkingDirectory(task.directory.into()))?;
        signals::let_through().map_err(system("let signals through"))?;
        descriptors::close_others_on_exec()
    };
    match prepare() {
        Ok(()) => {
            let environment = task.environment.without_closed_directories();
            launcher::become_command(task.program, task.arguments, &environment)
        }
        Err(error) => error,
    }
}

/// Carries orders out and collects children until the command has ended, or the supervisor is gone.
fn tend(command: Pid, stop_all: bool, channel: &Channel) -> io::Result<()> {
    let children = signals::watch()?;
    loop {
        let mut ready =
            [PollFd::new(children.as_fd(), PollFlags::POLLIN), PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            answer => answer?,
        };
        let [signalled, ordered] = ready.map(|ready| ready.any().unwrap_or(false));
        if signalled {
            clear(&children)?;
            if let Some(ended) = collect(command, stop_all, channel)? {
                return channel.tell(&News::Ended(ended));
            }
        }
        if ordered {
            match channel.order()? {
                Some(order) => obey(order, command, stop_all),
                None => return Ok(()),
            }
        }
    }
}

fn clear(children: &SignalFd) -> io::Result<()> {
    while children.read_signal()?.is_some() {}
    Ok(())
}

/// Collects every child that has ended, and says how the command did.
fn collect(command: Pid, stop_all: bool, channel: &Channel) -> io::Result<Option<Ended>> {
    while let Some((pid, status)) = wait_any()? {
        if pid != command {
            continue;
        }
        if libc::WIFEXITED(status) {
            return Ok(Some(Ended::Exited(low_bits(libc::WEXITSTATUS(status)))));
        }
        if libc::WIFSIGNALED(status) {
            return Ok(Some(Ended::Killed(low_bits(libc::WTERMSIG(status)))));
        }
        if stop_all {
            // Whoever holds the caller's terminal must not read from it behind the caller's back.
            let _ = kill(EVERYBODY, Signal::SIGSTOP);
        }
        channel.tell(&News::Stopped)?;
    }
    Ok(None)
}

/// A child that has ended or was stopped; `waitpid(2)` as it is, because a signal may be a real-time one.
fn wait_any() -> io::Result<Option<(Pid, libc::c_int)>> {
    let mut status = 0;
    // SAFETY: writes one number.
    match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some((Pid::from_raw(pid), status))),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
            error => Err(error),
        },
    }
}

/// Exit statuses and signals fit into a byte, wait(2).
fn low_bits(number: libc::c_int) -> u8 {
    u8::try_from(number & 0xff).unwrap_or(u8::MAX)
}

/// Every process of the namespace but its first, kill(2).
const EVERYBODY: Pid = Pid::from_raw(-1);

/// Who is signalled may be gone already: then there is nothing to do.
fn obey(order: Order, command: Pid, stop_all: bool) {
    let _ = match order {
        Order::Signal(signal, Whom::Command) => kill(command, signal),
        Order::Signal(signal, Whom::Group) => killpg(command, signal),
        Order::Continue if stop_all => kill(EVERYBODY, Signal::SIGCONT),
        Order::Continue => killpg(command, Signal::SIGCONT),
    };
}
