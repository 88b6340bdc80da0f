//! Terminals: the caller's, which no command gets, and the one that it gets instead.
//!
//! A command that shared the caller's terminal could read what is typed after it was put into the background, and type
//! for the caller. So it has a pseudoterminal of its own (pty(7)), and the supervisor carries bytes between the two.

use std::{
    io::{self, IsTerminal},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use nix::{
    fcntl::OFlag,
    pty::{Winsize, posix_openpt, unlockpt},
    sys::{
        stat::fstat,
        termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr},
    },
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout, getpgrp, getpid, tcgetpgrp, tcsetpgrp},
};

/// How a terminal is set, and which of input, output and error it is.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    settings: Termios,
    size: Winsize,
    standard: [bool; 3],
}

/// The caller's terminal. Dropped, it is as it was.
#[derive(Debug)]
pub(super) struct Outer {
    manner: Manner,
    raw: bool,
}

impl Outer {
    /// The terminal that is both input and output, while the caller's process group has it.
    ///
    /// In the background, and where input or output is something else (`… | less`), the command gets no terminal: what
    /// is typed may be for others.
    pub(super) fn find() -> Option<Self> {
        let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
        let same = |one: BorrowedFd<'_>, other: BorrowedFd<'_>| match (fstat(one), fstat(other)) {
            (Ok(one), Ok(other)) => one.st_rdev == other.st_rdev,
            _ => false,
        };
        if !(input.is_terminal() && output.is_terminal() && same(input.as_fd(), output.as_fd()) && is_in_foreground()) {
            return None;
        }
        let settings = tcgetattr(&input).ok()?;
        let standard = [true, true, error.is_terminal() && same(input.as_fd(), error.as_fd())];
        Some(Self { manner: Manner { settings, size: size()?, standard }, raw: false })
    }

    pub(super) fn manner(&self) -> &Manner {
        &self.manner
    }

    /// Whether each key is passed on as it is.
    pub(super) fn is_raw(&self) -> bool {
        self.raw
    }

    /// Lets each key be passed on as it is, if this process group has the terminal; signal keys are the inner
    /// terminal's to understand.
    pub(super) fn set_raw(&mut self) {
        if self.raw || !is_in_foreground() {
            return;
        }
        // What the caller, or another program meanwhile, has set is what is given back.
        if let Ok(settings) = tcgetattr(io::stdin()) {
            self.manner.settings = settings;
        }
        let mut raw = self.manner.settings.clone();
        cfmakeraw(&mut raw);
        self.raw = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw).is_ok();
    }

    /// Sets it as it was.
    pub(super) fn restore(&mut self) {
        if std::mem::take(&mut self.raw) {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.manner.settings);
        }
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.restore();
    }
}

/// The command's side of its terminal.
#[derive(Debug)]
pub(super) struct Inner {
    slave: OwnedFd,
    standard: [bool; 3],
}

impl Inner {
    /// Opens a terminal in this jail's `/dev/pts`, as the controlling one of this session; answers the supervisor's
    /// side as well.
    pub(super) fn open(manner: &Manner) -> io::Result<(OwnedFd, Self)> {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        unlockpt(&master)?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: takes flags, and answers a new descriptor that is ours.
        let slave = unsafe {
            match libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) {
                descriptor if descriptor < 0 => return Err(io::Error::last_os_error()),
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        tcsetattr(&slave, SetArg::TCSANOW, &manner.settings)?;
        set_size(slave.as_fd(), &manner.size)?;
        // SAFETY: takes a number.
        if unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((master.into(), Self { slave, standard: manner.standard }))
    }

    /// Takes it as this process's input, output and error, and for its process group.
    pub(super) fn take(&self) -> io::Result<()> {
        tcsetpgrp(&self.slave, getpid())?;
        let [input, output, error] = self.standard;
        if input {
            dup2_stdin(&self.slave)?;
        }
        if output {
            dup2_stdout(&self.slave)?;
        }
        if error {
            dup2_stderr(&self.slave)?;
        }
        Ok(())
    }
}

/// Whether this process group may read from the terminal that is its input.
pub(super) fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// Gives the size of the caller's terminal to the command's, whose processes are told of a change.
pub(super) fn pass_size_on(master: BorrowedFd<'_>) {
    if let Some(size) = size() {
        // Where that fails, the size stays as it was.
        let _ = set_size(master, &size);
    }
}

fn size() -> Option<Winsize> {
    let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: writes one size.
    let answer = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0).then_some(size)
}

fn set_size(terminal: BorrowedFd<'_>, size: &Winsize) -> io::Result<()> {
    // SAFETY: reads one size.
    let answer = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(size)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
