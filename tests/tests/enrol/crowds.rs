//! Many of everything: what one workload does without end leaves the daemon and the others as they were.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use nix::{
    sys::{
        resource::{Resource, setrlimit},
        wait::waitpid,
    },
    unistd::{ForkResult, fork},
};
use portcullis_tests::port;
use serde_json::Value;

use super::{
    actor::{Actor, role},
    rig::{Cgroup, Host, run_in, soon},
};

/// How many workloads are enrolled one after another; [`CROWD`] says otherwise.
const WORKLOADS: usize = 2_000;
/// Names another number: 10,000 on a machine with the time for it.
const CROWD: &str = "PORTCULLIS_TEST_CROWD";
const CONTROL: &str = "PORTCULLIS_TEST_CONTROL";
/// How many connections are tried; the daemon holds far fewer of one workload.
const CONNECTIONS: usize = 50_000;
/// What the daemon may grow by over all of them.
const GROWTH_MAX_KIB: u64 = 64 * 1024;

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

#[test]
fn workloads_without_number_leave_nothing_behind() {
    let host = Host::start("");
    let links = host.links("").parent().unwrap().to_owned();
    let (before, pins) = (resident_kib(host.pid()), count(&links));
    let crowd = env::var(CROWD).ok().and_then(|crowd| crowd.parse().ok()).unwrap_or(WORKLOADS);
    let output = role("crowd").env(CONTROL, host.control()).env(CROWD, crowd.to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("~ {crowd} enrolled")), "{said}");
    soon("all are released", || host.whole_status()["workloads"].as_array().unwrap().is_empty());
    assert_eq!(count(&links), pins);
    let grown = resident_kib(host.pid()).saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "the daemon grew by {grown} KiB");
}

/// The role: starts one child after another that enrols itself and ends.
pub fn enrol_children() {
    let (control, crowd) = (env::var(CONTROL).unwrap(), env::var(CROWD).unwrap().parse().unwrap());
    let mut enrolled = 0;
    for number in 0..crowd {
        // SAFETY: no other thread of this program does anything; the child only speaks to the daemon and ends.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let answered = enrol_self(&control, number).is_some();
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(i32::from(!answered)) }
            }
            ForkResult::Parent { child } => {
                enrolled += usize::from(matches!(waitpid(child, None), Ok(nix::sys::wait::WaitStatus::Exited(_, 0))));
            }
        }
    }
    println!("~ {enrolled} enrolled");
}

fn enrol_self(control: &str, number: usize) -> Option<()> {
    let mut stream = UnixStream::connect(control).ok()?;
    writeln!(stream, "{{\"command\":\"enrol\",\"name\":\"crowd-{number}\"}}").ok()?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).ok()?;
    reply.contains("\"enrolled\"").then_some(())
}

#[test]
fn a_fork_bomb_keeps_nobody_else_from_the_gate() {
    let (host, bomb, quiet) = (Host::start(""), Cgroup::new("bomb"), Cgroup::new("quiet"));
    for (cgroup, name) in [(&bomb, "bomb"), (&quiet, "quiet")] {
        host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", name]).unwrap();
    }
    let output = run_in(&bomb, &mut role("bomb"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("~ bounded"), "{output:?}");
    let mut actor = Actor::fit_in(&quiet);
    assert!(host.is_captured(&quiet));
    assert!(actor.ask("reach 192.0.2.7:5432").starts_with("lost"));
    assert_eq!(host.status(&quiet.path).unwrap()["closed"], Value::Null);
}

/// The role: a user that may have few processes starts them until it may have no more, and they all connect.
pub fn fork_without_end() {
    /// Where the kernel has no `pids` controller for it, this is what bounds a user.
    const PROCESSES: u64 = 200;
    let uid = super::actor::own_uid();
    setrlimit(Resource::RLIMIT_NPROC, PROCESSES, PROCESSES).unwrap();
    nix::unistd::setgid(uid.into()).unwrap();
    nix::unistd::setuid(uid.into()).unwrap();
    let mut children = Vec::new();
    loop {
        // SAFETY: no other thread of this program does anything; the child connects and sleeps.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => loop {
                let target = "192.0.2.7:5432".parse().unwrap();
                let _ = TcpStream::connect_timeout(&target, Duration::from_secs(1));
                std::thread::sleep(Duration::from_millis(20));
            },
            Ok(ForkResult::Parent { child }) => children.push(child),
            Err(_) => break,
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    for child in &children {
        let _ = nix::sys::signal::kill(*child, nix::sys::signal::Signal::SIGKILL);
        let _ = waitpid(*child, None);
    }
    assert!(children.len() <= PROCESSES as usize);
    println!("~ bounded {}", children.len());
}

#[test]
fn connections_without_number_leave_places_to_others() {
    let address = format!("127.0.0.1:{}", port::free().unwrap());
    let host = Host::start(&format!(
        "[[target]]\nname = \"shop\"\nprotocol = \"postgres\"\naddress = [\"{address}\"]\ntls = {{ verify = \"off\" }}\n"
    ));
    let (greedy, modest) = (Cgroup::new("greedy"), Cgroup::new("modest"));
    for (cgroup, name) in [(&greedy, "greedy"), (&modest, "modest")] {
        host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", name]).unwrap();
    }
    let script = format!(
        "import resource, socket, sys\n\
         hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n\
         resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))\n\
         host, port = {address:?}.split(':')\n\
         held, made = [], 0\n\
         for _ in range({CONNECTIONS}):\n\
         \x20   try:\n\
         \x20       s = socket.create_connection((host, int(port)), 5); made += 1\n\
         \x20   except OSError:\n\
         \x20       continue\n\
         \x20   held.append(s)\n\
         \x20   if len(held) > 8000: held.pop(4000).close()\n\
         print(made)\n"
    );
    let output = run_in(&greedy, std::process::Command::new("/usr/bin/python3").args(["-c", &script]));
    let made: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{output:?}"));
    assert!(made > 2 * 1024, "the limit was met: {made}");
    assert!(host.log().contains("`greedy` has 1024 connections already"), "{}", host.log());
    assert!(!host.log().contains("cannot accept"), "descriptors ran out");
    let mut actor = Actor::fit_in(&modest);
    assert_eq!(actor.ask(&format!("connect {address}")), "connected");
    assert!(open_files(host.pid()) < 4096);
}

fn open_files(pid: u32) -> usize {
    count(&Path::new("/proc").join(pid.to_string()).join("fd"))
}
