//! A daemon without targets, shared by the tests that run at one time.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, Weak},
    thread,
    time::{Duration, Instant},
};

use portcullis_tests::{
    binary, place, port,
    service::{Service, Signal},
};
use tempfile::TempDir;

use crate::attempts;

/// How long something may take that happens at once on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Daemon {
    service: Option<Service>,
    binary: PathBuf,
    directory: TempDir,
}

impl Daemon {
    /// That of the tests that run now, or a new one.
    pub fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        running.upgrade().unwrap_or_else(|| {
            let daemon = Arc::new(Self::start_apart());
            *running = Arc::downgrade(&daemon);
            daemon
        })
    }

    /// A service ends with the thread that started it, so a thread that does nothing else starts this one.
    fn start_apart() -> Self {
        let (send, started) = std::sync::mpsc::channel();
        thread::spawn(move || {
            send.send(Self::start()).unwrap();
            loop {
                thread::park();
            }
        });
        started.recv().unwrap()
    }

    fn start() -> Self {
        let (binary, directory) = (binary::portcullis().unwrap(), place::temporary().unwrap());
        let path = |name: &str| directory.path().join(name);
        let (state, control) = (path("state"), path("control.sock"));
        let port = port::free().unwrap();
        // A range for each process: tests of several worktrees may run at one time.
        let first = 1_000_000_000 + std::process::id() * 128;
        let text = format!(
            "state_dir = {state:?}\ncontrol = {control:?}\n[listen]\nport = {port}\n\
             [run]\nuids = {{ first = {first}, count = 100 }}\n"
        );
        fs::write(path("portcullis.toml"), text).unwrap();
        let mut command = Command::new(&binary);
        command.arg("up").arg("--config").arg(path("portcullis.toml"));
        let mut service = Service::start("portcullis", &mut command, &path("log"), Signal::SIGTERM).unwrap();
        service.wait_until(|| control.exists()).unwrap();
        Self { service: Some(service), binary, directory }
    }

    /// `portcullis run OPTIONS -- WORDS`, from the root directory, with nothing to read.
    pub fn run<S: AsRef<OsStr>>(&self, options: &[&str], words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("PORTCULLIS_CONTROL", self.control()).args(["run", "--name", "jailed"]).args(options);
        command.arg("--").args(words).current_dir("/").stdin(Stdio::null());
        // Where the tests themselves were told to ignore these, or to build elsewhere, the command is not.
        command.env_remove("CARGO_TARGET_DIR");
        // SAFETY: `signal` is safe between fork and exec; the default action replaces no handler that is needed.
        unsafe {
            command.pre_exec(|| {
                for ignored in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
                    libc::signal(ignored, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        command
    }

    /// What a shell in the jail prints.
    pub fn shell(&self, options: &[&str], script: &str) -> Output {
        self.run(options, ["bash", "-c", script]).output().unwrap()
    }

    /// The answers of this program to attempts that it makes in a jail.
    pub fn attempts(&self, options: &[&str], attempts: &[String]) -> Vec<String> {
        let program = env::current_exe().unwrap();
        let bind = format!("{}:ro", program.display());
        let mut options = options.to_vec();
        options.extend(["--bind", &bind]);
        let words =
            [program.as_os_str(), "--ignored".as_ref(), "--exact".as_ref(), "role".as_ref(), "--nocapture".as_ref()];
        let mut command = self.run(&options, words);
        let output = command.env(attempts::VARIABLE, attempts.join("\n")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let answers: Vec<_> =
            said.lines().filter_map(|line| line.strip_prefix(attempts::MARK)).map(Into::into).collect();
        let heard = String::from_utf8_lossy(&output.stderr);
        assert_eq!(answers.len(), attempts.len(), "{said}\n{heard}");
        answers
    }

    /// Fails with each attempt that was answered by something else than one of the errors.
    pub fn assert_refused(&self, options: &[&str], attempts: &[String], errors: &[&str]) {
        for (attempt, answer) in attempts.iter().zip(self.attempts(options, attempts)) {
            assert!(errors.contains(&answer.as_str()), "{attempt}: {answer}");
        }
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("portcullis.toml")
    }

    /// Records, index, authority.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn control(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.service = None;
        let mut down = Command::new(&self.binary);
        down.arg("down").arg("--config").arg(self.directory.path().join("portcullis.toml"));
        // A workload's last process may take a moment to be collected.
        assert!(happens(|| down.output().unwrap().status.success()), "a daemon's capture is left in the kernel");
    }
}

/// Waits until something is so; false when it never is.
pub fn happens(mut it: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !it() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// What a successful command printed.
#[track_caller]
pub fn said(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{error}", output.status);
    out.trim_end().to_owned()
}

/// A directory of a user of the host, which others may not enter, below one that they may not enter either.
pub struct Project {
    place: TempDir,
    pub path: PathBuf,
}

impl Project {
    pub const OWNER: u32 = 65_533;

    pub fn new() -> Self {
        let place = tempfile::Builder::new().prefix("portcullis-jail-").tempdir_in("/var/lib").unwrap();
        let path = place.path().join("home/project");
        fs::create_dir_all(&path).unwrap();
        for closed in [place.path(), &place.path().join("home"), &path] {
            std::os::unix::fs::chown(closed, Some(Self::OWNER), Some(Self::OWNER)).unwrap();
            place::open(closed, 0o700).unwrap();
        }
        Self { place, path }
    }

    pub fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub fn home(&self) -> &Path {
        self.place.path()
    }
}
