//! The process that the caller started: it stands for the command outside of the jail.
//!
//! It passes signals and the terminal on, stops when the command stops, and ends as the command ended. It has given up
//! what the command has not, as it needs nothing but that.

use std::{io, os::fd::AsFd};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::{
        signal::{SigSet, Signal, raise},
        signalfd::SignalFd,
        wait::waitpid,
    },
    unistd::Pid,
};

use super::{
    channel::{Channel, Ended, News, Order, Whom},
    error::{LaunchError, system},
    relay::Relay,
    terminal::Outer,
};

/// `si_code` of signals that the kernel sends: a terminal's, for example.
const FROM_KERNEL: i32 = 0x80;

/// Stands for the command until it has ended.
pub(super) fn supervise(
    first: Pid,
    channel: Channel,
    signals: &SignalFd,
    terminal: Option<Outer>,
) -> Result<Ended, LaunchError> {
    let mut supervisor = Supervisor { channel, relay: Relay::new(terminal), outcome: None };
    let told = supervisor.tend(signals).map_err(system("tend the jail"));
    // Whatever happens: without its supervisor the jail ends.
    let Supervisor { channel, mut relay, outcome } = supervisor;
    drop(channel);
    while waitpid(first, None) == Err(Errno::EINTR) {}
    relay.finish();
    told?;
    outcome.unwrap_or(Err(LaunchError::Vanished))
}

struct Supervisor {
    channel: Channel,
    relay: Relay,
    outcome: Option<Result<Ended, LaunchError>>,
}

impl Supervisor {
    /// Until the jail's first process is gone.
    fn tend(&mut self, signals: &SignalFd) -> io::Result<()> {
        loop {
            let input = io::stdin();
            let mut ready = self.relay.interest(input.as_fd());
            ready.push(PollFd::new(signals.as_fd(), PollFlags::POLLIN));
            ready.push(PollFd::new(self.channel.as_fd(), PollFlags::POLLIN));
            match poll(&mut ready, self.relay.patience()) {
                Err(Errno::EINTR) => continue,
                answer => answer?,
            };
            let has_news = ready.pop().is_some_and(|channel| channel.any().unwrap_or(false));
            self.pass_signals_on(signals)?;
            self.relay.carry();
            if has_news {
                match self.channel.news()? {
                    Some(news) => self.hear(news)?,
                    None => return Ok(()),
                }
            }
        }
    }

    fn hear(&mut self, news: News) -> io::Result<()> {
        match news {
            News::Terminal(master) => self.relay.begin(master)?,
            News::Stopped => {
                self.relay.rest();
                stop();
                self.go_on();
            }
            // The command may not come to tell that it is none: its first word counts.
            News::Ended(ended) => {
                self.outcome.get_or_insert(Ok(ended));
            }
            News::Failed(status, message) => {
                self.outcome.get_or_insert(Err(LaunchError::Inside { message, status }));
            }
        }
        Ok(())
    }

    fn pass_signals_on(&mut self, signals: &SignalFd) -> io::Result<()> {
        while let Some(info) = signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            let Ok(signal) = Signal::try_from(number) else { continue };
            match signal {
                Signal::SIGCHLD | Signal::SIGTTIN | Signal::SIGTTOU => {}
                Signal::SIGWINCH => self.relay.resize(),
                Signal::SIGCONT => self.go_on(),
                // From a terminal, a signal is for all that it would have reached; from a process, for the command.
                signal => {
                    let whom = if info.ssi_code == FROM_KERNEL || signal == Signal::SIGTSTP {
                        Whom::Group
                    } else {
                        Whom::Command
                    };
                    self.order(Order::Signal(signal, whom));
                }
            }
        }
        Ok(())
    }

    fn go_on(&mut self) {
        self.relay.wake();
        self.order(Order::Continue);
    }

    /// The jail that takes no orders any more is about to say how it ended.
    fn order(&self, order: Order) {
        let _ = self.channel.give(order);
    }
}

/// Stops this process as the terminal would, until it is told to go on. Where no shell could tell it, does nothing.
fn stop() {
    let tstp = SigSet::from(Signal::SIGTSTP);
    // A signal that can be neither let through nor raised stops nobody: the command goes on.
    let _ = tstp.thread_unblock();
    let _ = raise(Signal::SIGTSTP);
    let _ = tstp.thread_block();
}
