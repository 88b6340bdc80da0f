//! Carries bytes between the caller's terminal and the command's.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::read,
};

use super::terminal::{self, Outer};

/// Most bytes that are under way in one direction.
const BUFFER_MAX: usize = 16 * 1024;
/// How often a relay in the background looks whether it has the terminal again, in milliseconds.
const BACKGROUND_POLL: u16 = 500;

/// Both terminals, where there are two.
#[derive(Debug)]
pub(super) struct Relay {
    outer: Option<Outer>,
    /// The supervisor's side of the command's terminal; `None` before it is there, and after it has hung up.
    master: Option<File>,
    /// What was typed and the command has not read.
    typed: Vec<u8>,
    /// Whether the caller's terminal has hung up.
    hung_up: bool,
}

impl Relay {
    pub(super) fn new(outer: Option<Outer>) -> Self {
        Self { outer, master: None, typed: Vec::new(), hung_up: false }
    }

    /// Begins, with the supervisor's side of the command's terminal.
    pub(super) fn begin(&mut self, master: OwnedFd) -> io::Result<()> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        self.master = Some(File::from(master));
        self.wake();
        Ok(())
    }

    /// What to wait for.
    pub(super) fn interest<'a>(&'a self, input: BorrowedFd<'a>) -> Vec<PollFd<'a>> {
        let mut interest = Vec::new();
        if let Some(master) = &self.master {
            let accepts = if self.typed.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            interest.push(PollFd::new(master.as_fd(), PollFlags::POLLIN | accepts));
        }
        if self.listens() {
            interest.push(PollFd::new(input, PollFlags::POLLIN));
        }
        interest
    }

    /// How long to wait.
    pub(super) fn patience(&self) -> PollTimeout {
        if self.is_in_background() { BACKGROUND_POLL.into() } else { PollTimeout::NONE }
    }

    /// Carries what there is, in both directions.
    pub(super) fn carry(&mut self) {
        if self.is_in_background() {
            self.wake();
        }
        self.hear_caller();
        self.tell_command();
        self.show();
    }

    /// The command is stopped: the caller has the terminal as it was.
    pub(super) fn rest(&mut self) {
        self.carry();
        if let Some(outer) = &mut self.outer {
            outer.restore();
        }
    }

    /// The command goes on, in the foreground or not.
    pub(super) fn wake(&mut self) {
        if let (Some(outer), Some(_)) = (&mut self.outer, &self.master) {
            outer.set_raw();
        }
        self.resize();
    }

    /// The caller's terminal may have another size.
    pub(super) fn resize(&self) {
        if let Some(master) = &self.master {
            terminal::pass_size_on(master.as_fd());
        }
    }

    /// The command has ended: shows what is left, gives the caller's terminal back.
    pub(super) fn finish(&mut self) {
        while self.show() {}
        self.outer = None;
    }

    fn is_in_background(&self) -> bool {
        self.master.is_some() && self.outer.as_ref().is_some_and(|outer| !outer.is_raw())
    }

    /// Whether what is typed is for the command, and there is room for it.
    fn listens(&self) -> bool {
        self.outer.as_ref().is_some_and(Outer::is_raw) && self.typed.is_empty() && !self.hung_up
    }

    fn hear_caller(&mut self) {
        let input = io::stdin();
        let mut ready = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        if !self.listens() || !poll(&mut ready, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            return;
        }
        let mut buffer = [0; BUFFER_MAX];
        match read(&input, &mut buffer) {
            Ok(0) | Err(nix::Error::EIO) => self.hung_up = true,
            Ok(length) => self.typed.extend(buffer.iter().take(length)),
            // Asked again at the next turn.
            Err(_) => {}
        }
    }

    fn tell_command(&mut self) {
        let Some(mut master) = self.master.as_ref() else { return };
        match master.write(&self.typed) {
            Ok(written) => drop(self.typed.drain(..written)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.typed.clear(),
        }
    }

    /// Shows one buffer of what the command wrote; answers whether there was any.
    fn show(&mut self) -> bool {
        let Some(mut master) = self.master.as_ref() else { return false };
        let mut buffer = [0; BUFFER_MAX];
        match master.read(&mut buffer) {
            Ok(length @ 1..) => {
                let mut output = io::stdout().lock();
                // A caller that does not look any more does not stop the command.
                let _ = output.write_all(buffer.get(..length).unwrap_or_default()).and_then(|()| output.flush());
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => false,
            // Nobody holds the other side any more.
            Ok(0) | Err(_) => {
                self.master = None;
                false
            }
        }
    }
}
