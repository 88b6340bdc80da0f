//! A person at a terminal: a shell outside, on a terminal of the test's, in which `portcullis run` is typed.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::pty::{OpenptyResult, Winsize, openpty};

use crate::rig::{Daemon, PATIENCE, happens};

/// A shell with job control, and the keys and the screen of its terminal.
struct Terminal {
    shell: Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    daemon: Arc<Daemon>,
}

impl Terminal {
    fn open() -> Self {
        let daemon = Daemon::shared();
        let size = Winsize { ws_row: 40, ws_col: 400, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        let shell = shell_on(slave);
        let keys = File::from(master);
        let (send, screen) = channel();
        let mut shown = keys.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = shown.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Self { shell, keys, screen, seen: String::new(), daemon };
        terminal.enter("PS1='out''side> '");
        terminal.expect("outside> ");
        terminal
    }

    /// Types a line.
    fn enter(&mut self, line: &str) {
        self.press(&format!("{line}\n"));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows a text, and forgets everything up to there.
    fn expect(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                let before = self.seen.drain(..at + text.len()).collect();
                return before;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no `{text}` ({error}) in:\n{}", self.seen),
            }
        }
    }

    /// Types `portcullis run … -- COMMAND`.
    fn run(&mut self, command: &str) {
        let run = self.daemon.run::<&str>(&[], []);
        let words: Vec<_> = run.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let control = run.get_envs().find(|(name, _)| *name == "PORTCULLIS_CONTROL").unwrap().1.unwrap();
        let line = format!(
            "PORTCULLIS_CONTROL={} {} {} {command}",
            control.to_string_lossy(),
            run.get_program().to_string_lossy(),
            words.join(" ")
        );
        self.enter(&line);
        self.expect("-- ");
    }

    /// A shell in the jail, which shows that it reads.
    fn run_shell(&mut self) {
        self.run("bash --norc -i");
        self.expect("$ ");
        self.enter("PS1='in''side> '");
        self.expect("inside> ");
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: reads one size.
        assert_eq!(unsafe { libc::ioctl(self.keys.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
    }

    /// Leaves the shell outside, which must have the terminal again.
    fn leave(mut self) {
        // The first may be answered by a warning of jobs.
        self.enter("exit 0");
        let left = happens(|| {
            let _ = self.keys.write_all(b"exit 0\n");
            thread::sleep(Duration::from_millis(200));
            self.shell.try_wait().unwrap().is_some()
        });
        assert!(left, "the shell does not read from its terminal");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn shell_on(slave: OwnedFd) -> Child {
    let mut command = Command::new("bash");
    command.args(["--norc", "--noediting", "-i"]).current_dir("/").env("TERM", "dumb").env("HISTFILE", "");
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    // SAFETY: both calls are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command.spawn().unwrap()
}

#[test]
fn a_shell_in_the_jail_has_job_control() {
    let mut terminal = Terminal::open();
    terminal.run_shell();
    terminal.enter("tty; echo size $(stty size)");
    terminal.expect("/dev/pts/0");
    terminal.expect("size 40 400");
    terminal.expect("inside> ");
    terminal.enter("sh -c 'echo begun; exec cat'");
    terminal.expect("\nbegun");
    terminal.press("\x1a");
    terminal.expect("Stopped");
    terminal.expect("inside> ");
    terminal.enter("fg");
    terminal.enter("typed");
    terminal.expect("\ntyped\r\n");
    terminal.press("\x03");
    terminal.expect("inside> ");
    terminal.enter("echo status $?");
    terminal.expect("status 130");
    terminal.enter("exit 7");
    terminal.expect("outside> ");
    terminal.enter("echo status $?; stty -a | grep -o ' icanon'");
    terminal.expect("status 7");
    terminal.expect(" icanon");
    terminal.leave();
}

#[test]
fn a_window_that_changes_is_seen_inside() {
    let mut terminal = Terminal::open();
    terminal.run_shell();
    terminal.enter("trap 'echo size $(stty size)' WINCH; echo armed");
    terminal.expect("\narmed");
    terminal.resize(33, 333);
    terminal.enter("");
    terminal.expect("size 33 333");
    terminal.enter("exit");
    terminal.expect("outside> ");
    terminal.leave();
}

#[test]
fn a_command_is_stopped_and_goes_on() {
    let mut terminal = Terminal::open();
    terminal.run("bash -c 'echo begun; sleep 2; echo went on; exec cat'");
    terminal.expect("\nbegun");
    terminal.press("\x1a");
    terminal.expect("Stopped");
    terminal.expect("outside> ");
    // The caller's terminal is the caller's again.
    terminal.enter("stty -a | grep -o ' icanon'; echo mine");
    terminal.expect(" icanon");
    terminal.expect("\nmine");
    terminal.enter("fg");
    terminal.expect("\nwent on");
    terminal.enter("hello");
    terminal.expect("hello");
    terminal.expect("\nhello");
    terminal.press("\x04");
    terminal.expect("outside> ");
    terminal.leave();
}

#[test]
fn an_interrupt_ends_the_command_and_its_pipeline() {
    let mut terminal = Terminal::open();
    terminal.run("bash -c 'echo begun; sleep 1000 | sleep 1000' | cat");
    terminal.expect("\nbegun");
    terminal.press("\x03");
    terminal.expect("outside> ");
    terminal.enter("echo status ${PIPESTATUS[*]} done");
    terminal.expect("done");
    terminal.leave();
}

#[test]
fn a_shell_in_the_jail_can_be_suspended() {
    let mut terminal = Terminal::open();
    terminal.run_shell();
    terminal.enter("suspend");
    terminal.expect("Stopped");
    terminal.expect("outside> ");
    terminal.enter("fg");
    terminal.expect("bash --norc -i");
    terminal.enter("echo here again");
    terminal.expect("\nhere again");
    terminal.enter("exit");
    terminal.expect("outside> ");
    terminal.leave();
}

#[test]
fn nothing_in_a_stopped_jail_reads_what_is_typed_outside() {
    let mut terminal = Terminal::open();
    // In the pipeline the terminal is passed on as it is, and a thief waits for keys.
    terminal.run(
        "bash -c '(while read -r line </dev/fd/0; do echo \"stolen: $line\"; done) <&0 & echo begun; sleep 1000' | cat",
    );
    terminal.expect("\nbegun");
    terminal.press("\x1a");
    terminal.expect("Stopped");
    terminal.expect("outside> ");
    terminal.enter("echo my password");
    let shown = terminal.expect("\nmy password");
    assert!(!shown.contains("stolen"), "{shown}");
    terminal.enter("kill -KILL %1; wait");
    terminal.expect("outside> ");
    terminal.leave();
}

#[test]
fn nothing_is_typed_into_a_terminal_from_inside() {
    let mut terminal = Terminal::open();
    let program = std::env::current_exe().unwrap();
    let (exe, variable) = (program.display(), crate::attempts::VARIABLE);
    let daemon = terminal.daemon.clone();
    let bind = format!("{exe}:ro");
    let run = daemon.run::<&str>(&["--bind", &bind], []);
    let words: Vec<_> = run.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let control = run.get_envs().find(|(name, _)| *name == "PORTCULLIS_CONTROL").unwrap().1.unwrap();
    terminal.enter(&format!(
        "{variable}=type-for-the-user PORTCULLIS_CONTROL={} {} {} {exe} --ignored --exact role --nocapture",
        control.to_string_lossy(),
        run.get_program().to_string_lossy(),
        words.join(" ")
    ));
    terminal.expect("~ EPERM");
    terminal.expect("outside> ");
    terminal.leave();
}
