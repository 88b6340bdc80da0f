//! A process that a test started, and that ends with the test.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::{prctl, signal},
    unistd::Pid,
};

pub use nix::sys::signal::Signal;

/// How long a service may take to answer its first request on a busy machine.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long a service may take to end before it is killed.
const STOP_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A started process in a process group of its own. Dropped, it is asked to end, then killed.
pub struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
    ending: Signal,
}

impl Service {
    /// Starts a command with its output in `log`; `ending` is the signal that asks it to end.
    ///
    /// The kernel kills it when the thread that started it dies, so that an interrupted test run leaves nothing.
    pub fn start(name: &'static str, command: &mut Command, log: &Path, ending: Signal) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log).with_context(|| format!("log of {name}"))?;
        command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // SAFETY: prctl is async-signal-safe, and the closure allocates nothing.
        unsafe {
            command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
        }
        let child = command.spawn().with_context(|| format!("starting {name}: {:?}", command.get_program()))?;
        Ok(Self { name, child, log: log.to_owned(), ending })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that the service has written so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until `ready` says so; fails with the log's end when the service ends first or time runs out.
    pub fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it was ready ({status}):\n{}", self.name, self.tail());
            }
            if begun.elapsed() > READY_MAX {
                bail!("{} was not ready after {READY_MAX:?}:\n{}", self.name, self.tail());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Ends the process as a crash would, and collects it.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to end and waits for it.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = i32::try_from(self.child.id())?;
        signal::kill(Pid::from_raw(pid), self.ending)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > STOP_MAX {
                bail!("{} did not end within {STOP_MAX:?}:\n{}", self.name, self.tail());
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for the end that comes by itself.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() <= STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
        bail!("{} did not end by itself within {STOP_MAX:?}:\n{}", self.name, self.tail())
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.stop().is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // What it started and left behind is in its group.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = signal::killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place;

    fn sleeper(script: &str) -> (Service, tempfile::TempDir) {
        let place = place::temporary().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let service = Service::start("sleeper", &mut command, &place.path().join("log"), Signal::SIGTERM).unwrap();
        (service, place)
    }

    #[test]
    fn a_service_that_ends_early_says_why() {
        let (mut service, _place) = sleeper("echo no such table; exit 3");
        let error = service.wait_until(|| false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such table"), "{error}");
    }

    #[test]
    fn nothing_of_a_dropped_service_is_left() {
        let (mut service, place) = sleeper("sleep 1000 & echo up; wait");
        service.wait_until(|| std::fs::read_to_string(place.path().join("log")).unwrap().contains("up")).unwrap();
        let group = service.pid();
        drop(service);
        // The orphan in the group was killed too; init may take a moment to collect it.
        let alive = || signal::killpg(Pid::from_raw(i32::try_from(group).unwrap()), None).is_ok();
        let begun = Instant::now();
        while alive() && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(POLL);
        }
        assert!(!alive());
    }
}
