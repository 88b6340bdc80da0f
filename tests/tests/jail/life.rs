//! Beginning and end of a command: environment, exit status, signals, and that nothing of it is left.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::rig::{Daemon, happens, said};

#[test]
fn a_command_ends_as_it_would_outside() {
    let daemon = Daemon::shared();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
        assert_eq!(daemon.shell(&[], script).status.code(), Some(code), "{script}");
    }
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGSEGV, Signal::SIGPIPE] {
        let script = format!("kill -{} $$", signal as i32);
        assert_eq!(daemon.shell(&[], &script).status.signal(), Some(signal as i32), "{signal}");
    }
    assert_eq!(daemon.shell(&[], "kill -35 $$").status.signal(), Some(35), "a real-time signal");
}

#[test]
fn what_cannot_be_run_ends_as_in_a_shell() {
    let daemon = Daemon::shared();
    for (program, code) in [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126), ("/", 126)] {
        let output = daemon.run(&[], [program]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{program}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.starts_with(&format!("error: failed to run `{program}`: ")), "{error}");
    }
}

#[test]
fn the_environment_stays_but_for_what_is_out_of_reach() {
    let daemon = Daemon::shared();
    let script = "echo $KEPT; echo ${SSH_AUTH_SOCK-gone} ${DISPLAY-gone} ${DOCKER_HOST-gone} ${GIVEN-gone}";
    let mut command = daemon.run(&["--env", "GIVEN=value", "--env", "DISPLAY"], ["sh", "-c", script]);
    command.env("KEPT", "kept").env("SSH_AUTH_SOCK", "/run/x").env("DISPLAY", ":1").env("DOCKER_HOST", "unix:///x");
    assert_eq!(said(&command.output().unwrap()), "kept\ngone :1 gone value");
}

#[test]
fn a_signal_to_the_supervisor_reaches_the_command() {
    let daemon = Daemon::shared();
    for (signal, name) in
        [(Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP"), (Signal::SIGINT, "INT"), (Signal::SIGUSR1, "USR1")]
    {
        let script = format!("trap 'echo heard; exit 3' {name}; echo ready; while :; do sleep 0.1; done");
        let (mut child, mut lines) = started(&daemon, &script);
        kill(pid(&child), signal).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "heard");
        assert_eq!(child.wait().unwrap().code(), Some(3));
    }
}

#[test]
fn a_command_that_obeys_a_signal_ends_by_it() {
    let daemon = Daemon::shared();
    let (mut child, _lines) = started(&daemon, "echo ready; exec sleep 1000");
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn nothing_is_left_when_the_command_ends() {
    let daemon = Daemon::shared();
    let mark = mark("ends");
    let script = format!("setsid sleep {mark} & (trap '' HUP TERM; sleep {mark}) & echo started");
    assert_eq!(said(&daemon.shell(&[], &script)), "started");
    assert_eq!(alive(&mark), 0);
}

#[test]
fn nothing_is_left_when_the_supervisor_is_killed() {
    let daemon = Daemon::shared();
    let mark = mark("killed");
    let script = format!("setsid sleep {mark} & echo ready; sleep {mark}");
    let (mut child, _lines) = started(&daemon, &script);
    assert!(happens(|| alive(&mark) == 2));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(happens(|| alive(&mark) == 0));
}

#[test]
fn orphans_are_collected() {
    let daemon = Daemon::shared();
    let script =
        "for i in $(seq 20); do (sleep 0.01 &) ; done; sleep 0.5; grep -l 'State:.Z' /proc/[0-9]*/status | wc -l";
    assert_eq!(said(&daemon.shell(&[], script)), "0");
}

#[test]
fn output_ends_for_its_reader_when_the_command_closes_it() {
    let daemon = Daemon::shared();
    let (mut child, mut lines) = started(&daemon, "echo ready; exec >&- 2>&-; exec sleep 1000");
    assert!(lines.next().is_none(), "somebody else holds the output");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A command whose first line has been heard, and its further lines.
fn started(daemon: &Daemon, script: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = daemon.run(&[], ["bash", "-c", script]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    (child, lines)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// A number of seconds that no other process sleeps.
fn mark(name: &str) -> String {
    format!("100000.{}{}", std::process::id(), name.len())
}

/// How many processes of this host sleep so long.
fn alive(mark: &str) -> usize {
    let sleeps = |folder: &fs::DirEntry| {
        fs::read(folder.path().join("cmdline")).is_ok_and(|line| line == format!("sleep\0{mark}\0").as_bytes())
    };
    fs::read_dir("/proc").unwrap().map(|folder| folder.unwrap()).filter(sleeps).count()
}
