//! A takeover: a new daemon steps into the place of the running one, and nothing that connects is refused meanwhile.
//!
//! ```text
//! new                                    old
//!  checks configuration and policy
//!  ── takeover ───────────────────────▶  stops accepting: connections wait in the backlogs
//!                                        drains its sessions, closes the record
//!  ◀── sockets, lock, workloads ───────
//!  replaces the programs by link update,
//!  opens the record, proves, serves
//!  ── READY ──────────────────────────▶
//!  ◀── GO ─────────────────────────────  ends
//! ```
//!
//! A new daemon that dies before `READY` gives everything back: the old one still holds it, and starts again with it. One
//! that takes longer than [`CONFIRM_TIMEOUT`] hears [`NO`] and ends. Where both die, the kernel's programs refuse.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{DRAIN_TIMEOUT, inheritance::Inheritance, ready};
use crate::{
    config::Config,
    control::{Command, Peer},
    policy,
};

/// How long the new daemon may take from what it receives to its first proof.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the new daemon waits for the old one to drain and close.
const HANDOVER_TIMEOUT: Duration = DRAIN_TIMEOUT.saturating_mul(6);

/// How long a new daemon that does not serve may take to end.
const GONE_TIMEOUT: Duration = Duration::from_secs(10);

const READY: u8 = b'R';
const GO: u8 = b'G';
const NO: u8 = b'N';

/// The new daemon's end of a takeover.
#[derive(Debug)]
pub(super) struct Successor(UnixStream);

impl Successor {
    /// Asks the running daemon for everything that it has.
    ///
    /// # Errors
    /// When the new policy is broken, nobody answers, or the running daemon refuses: it then goes on as before.
    pub(super) fn ask(config: &Config) -> anyhow::Result<(Self, Inheritance)> {
        check_policy(config)?;
        let mut stream = UnixStream::connect(&config.control).with_context(|| {
            let path = config.control.display();
            format!("no daemon runs at {path} to take over from\n  hint: start it without --takeover")
        })?;
        stream.set_read_timeout(Some(HANDOVER_TIMEOUT))?;
        let command = Command::TakeOver { instance: config.instance(), port: config.listen.port };
        let mut line = serde_json::to_vec(&command)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let inheritance = Inheritance::receive(&stream)?;
        Ok((Self(stream), inheritance))
    }

    /// Says that this daemon serves, and waits to be the only one.
    pub(super) fn confirm(mut self) -> anyhow::Result<()> {
        // Where the old daemon is dead by now, nobody reads this, and the instance is ours.
        let _ = self.0.write_all(&[READY]);
        let mut answer = [0];
        match self.0.read(&mut answer) {
            Ok(1..) if answer == [NO] => {
                bail!("it took longer than {} s, so the old daemon goes on", CONFIRM_TIMEOUT.as_secs())
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error).context("the old daemon neither ends nor goes on"),
        }
    }
}

/// The old daemon's end of a takeover, after everything of its own has ended.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub successor: Peer,
    pub stream: UnixStream,
    pub inheritance: Inheritance,
}

/// What became of a handover.
#[derive(Debug)]
pub(super) enum Handed {
    /// The new daemon serves.
    Over,
    /// It does not, and will not; everything is as it was.
    Back { inheritance: Box<Inheritance>, reason: String },
}

impl Predecessor {
    /// Hands everything over, and waits until the new daemon serves or has given up.
    pub(super) fn hand_over(self) -> Handed {
        match self.converse() {
            Ok(()) => {
                ready::tell_main_pid(self.successor.pid);
                tracing::info!(to = self.successor.pid, "handed over");
                Handed::Over
            }
            Err(error) => {
                // What it has opened of the record ends with it.
                wait_until_gone(self.successor.pid);
                Handed::Back { reason: format!("{error:#}"), inheritance: Box::new(self.inheritance) }
            }
        }
    }

    fn converse(&self) -> anyhow::Result<()> {
        let mut stream = &self.stream;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(CONFIRM_TIMEOUT))?;
        stream.set_read_timeout(Some(CONFIRM_TIMEOUT))?;
        self.inheritance.send(stream).context("the new daemon took not everything")?;
        let mut answer = [0];
        match stream.read(&mut answer) {
            Ok(1..) if answer == [READY] => Ok(stream.write_all(&[GO])?),
            Ok(0) => bail!("the new daemon ended before it served"),
            Ok(_) => bail!("the new daemon answered something else than that it serves"),
            Err(error) => {
                // It must not serve any more when this daemon does.
                let _ = stream.write_all(&[NO]);
                Err(error).with_context(|| format!("the new daemon served not within {} s", CONFIRM_TIMEOUT.as_secs()))
            }
        }
    }
}

/// Waits for the end of a process, for at most [`GONE_TIMEOUT`].
fn wait_until_gone(pid: u32) {
    // A process that nobody has collected yet has no descriptors any more, and no executable.
    let process = Path::new("/proc").join(pid.to_string()).join("exe");
    let begun = Instant::now();
    while fs::read_link(&process).is_ok() && begun.elapsed() < GONE_TIMEOUT {
        thread::sleep(Duration::from_millis(20));
    }
}

/// A policy that the running daemon would not put in force is none to begin with.
fn check_policy(config: &Config) -> anyhow::Result<()> {
    let settings = policy::Settings { directory: config.policy.directory.clone(), state_dir: config.state_dir.clone() };
    match policy::Store::open(settings).state().broken {
        Some(findings) => bail!("the policy is broken, so nothing is taken over\n{findings}"),
        None => Ok(()),
    }
}
