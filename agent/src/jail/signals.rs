//! Signals as things to read, signalfd(2).

use std::io;

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

/// Those that a supervisor passes on, or acts upon.
const WATCHED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
    // Never acted upon: blocked, so that the terminal is given back from the background too.
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Blocks those of [`WATCHED`], for this process and its children, and reads them.
pub(super) fn watch() -> io::Result<SignalFd> {
    let watched = watched();
    watched.thread_block()?;
    Ok(SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Lets them through again, for a command.
pub(super) fn let_through() -> io::Result<()> {
    Ok(watched().thread_unblock()?)
}

fn watched() -> SigSet {
    WATCHED.iter().copied().collect()
}
