//! What capture alone cannot hold is found, and is a reason to refuse.

use std::{fs, os::unix::net::UnixListener};

use serde_json::Value;

use super::{
    actor::{Actor, own_uid},
    rig::{Cgroup, Echo, Host, soon},
};

/// What makes a process risky, beside nothing else.
struct Case {
    risk: &'static str,
    prepare: fn(&mut Actor),
}

const CASES: [Case; 6] = [
    Case { risk: "root", prepare: |actor| said(actor, "become 0 sealed filtered") },
    Case { risk: "capabilities", prepare: |actor| said(actor, &format!("become {} raw sealed filtered", uid())) },
    Case { risk: "system-calls", prepare: |actor| said(actor, &format!("become {} sealed", uid())) },
    Case {
        risk: "descriptors",
        prepare: |actor| {
            said(actor, &format!("socket {}", libc::AF_PACKET));
            said(actor, "become-fit");
        },
    },
    Case {
        risk: "descriptors",
        prepare: |actor| {
            said(actor, "uring");
            said(actor, "become-fit");
        },
    },
    Case { risk: "new-privileges", prepare: |actor| said(actor, &format!("become {}", uid())) },
];

fn said(actor: &mut Actor, question: &str) {
    assert_eq!(actor.ask(question), "done", "{question}");
}

/// A user of nobody's.
fn uid() -> u32 {
    own_uid() + 1_000_000_000
}

fn risks(examined: &Value) -> Vec<String> {
    let findings = examined["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["risk"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_risk_is_refused_by_name_and_leaves_the_process_as_it_was() {
    let (host, echo) = (Host::start(""), Echo::start());
    for Case { risk, prepare } in CASES {
        let cgroup = Cgroup::new("risk");
        let mut actor = Actor::root_in(&cgroup);
        actor.connects(&echo);
        prepare(&mut actor);
        let error = host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "risky"]).unwrap_err();
        assert!(error.contains(&format!("{risk} (")), "{risk}: {error}");
        assert_eq!(actor.ask("say"), "heard", "{risk}: a refusal cuts nothing");
        assert!(!host.is_captured(&cgroup), "{risk}");
        assert!(host.status(&cgroup.path).is_none(), "{risk}");
    }
}

#[test]
fn accepted_risks_are_enrolled_with_and_told() {
    let (host, echo, cgroup) = (Host::start(""), Echo::start(), Cgroup::new("accepted"));
    let mut actor = Actor::root_in(&cgroup);
    let all = ["root", "capabilities", "new-privileges", "helpers", "system-calls"];
    let accept: Vec<&str> = all.iter().flat_map(|risk| ["--accept-risk", *risk]).collect();
    // One too few.
    let most = [&["enrol", "--cgroup", &cgroup.path, "--name", "ci"], &accept[2..]].concat();
    assert!(host.ask(&most).unwrap_err().contains("root (uid 0"));
    let enrolled = host.json(&[&["enrol", "--cgroup", &cgroup.path, "--name", "ci"], &*accept].concat());
    let told = enrolled["accepted"].to_string();
    assert!(told.contains("\"root\"") && told.contains("\"capabilities\""), "{told}");
    let standing = host.status(&cgroup.path).unwrap();
    assert_eq!(standing["closed"], Value::Null);
    assert!(standing["accepted"].to_string().contains("root"), "{standing}");
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
}

#[test]
fn a_helpers_socket_is_found_in_the_process_own_file_system() {
    // Where the kernel has the hook, the capture refuses what nobody allowed.
    let allowed = "[unix]\nallow_container_engines = [\"/run/docker.sock\"]";
    let (host, cgroup, root) = (Host::start(allowed), Cgroup::new("helper"), tempfile::tempdir().unwrap());
    fs::create_dir(root.path().join("run")).unwrap();
    let path = root.path().join("run/docker.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let mode = |mode| portcullis_tests::place::open(&path, mode).unwrap();
    let mut actor = Actor::root_in(&cgroup);
    said(&mut actor, &format!("chroot {}", root.path().display()));
    said(&mut actor, "become-fit");

    mode(0o666);
    let error = host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap_err();
    assert!(error.contains("helpers (/run/docker.sock"), "{error}");
    mode(0o660);
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap();
}

#[test]
fn a_user_shared_with_somebody_outside_is_found() {
    let (host, cgroup) = (Host::start(""), Cgroup::new("shared"));
    let (mut actor, mut outsider) = (Actor::root_in(&cgroup), Actor::outside());
    let uid = uid();
    for actor in [&mut actor, &mut outsider] {
        said(actor, &format!("become {uid} sealed filtered"));
    }
    let error = host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap_err();
    assert!(error.contains(&format!("shared-user (outside, with uid {uid}: {}", outsider.pid())), "{error}");
    drop(outsider);
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap();
}

#[test]
fn a_socket_of_another_cgroup_is_cut_and_must_be_closed() {
    let (host, echo, cgroup) = (Host::start(""), Echo::start(), Cgroup::new("foreign"));
    let mut actor = Actor::outside();
    actor.connects(&echo);
    said(&mut actor, "become-fit");
    cgroup.admit(actor.pid());
    // It notices only when it is asked to say something, and keeps the socket until then.
    let error = host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap_err();
    assert!(error.contains("sockets (descriptor"), "{error}");
    assert!(!host.is_captured(&cgroup), "what is refused is released");
    assert!(actor.ask("say").starts_with("lost"), "it was cut");
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap();
}

#[test]
fn a_listener_of_another_cgroup_is_found_and_one_of_its_own_is_none() {
    let (host, cgroup) = (Host::start(""), Cgroup::new("listener"));
    let mut own = Actor::root_in(&cgroup);
    said(&mut own, "listen");
    said(&mut own, "socket 2");
    said(&mut own, "become-fit");
    let mut other = Actor::outside();
    said(&mut other, "listen");
    said(&mut other, "become-fit");
    cgroup.admit(other.pid());
    let error = host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap_err();
    assert!(error.contains(&format!(": {} (", other.pid())), "{error}");
    assert!(!error.contains(&format!(": {} (", own.pid())), "{error}");
    drop(other);
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap();
}

#[test]
fn a_tree_that_becomes_unfit_is_closed_and_opens_when_it_is_fit_again() {
    let (host, cgroup) = (Host::start(""), Cgroup::new("later"));
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap();
    let actor = Actor::root_in(&cgroup);
    soon("it is closed", || host.status(&cgroup.path).unwrap()["closed"].is_string());
    assert!(host.log().contains("unfit"));
    drop(actor);
    let (examined, fit) = host.examine("ci");
    assert!(fit && risks(&examined).is_empty(), "{examined}");
}

#[test]
fn a_check_finds_the_same_and_touches_nothing() {
    let (host, echo, cgroup) = (Host::start(""), Echo::start(), Cgroup::new("check"));
    let unit = cgroup.child("ci.service");
    let mut actor = Actor::root_in(&unit);
    actor.connects(&echo);
    let output = host.command(&["enrol", "--cgroup", &unit.path, "--check", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let examined: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(risks(&examined[0]).contains(&"root".into()), "{examined}");
    let drop_in = examined[0]["drop_in"].as_str().unwrap();
    for line in ["User=ci", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "SystemCallFilter=@system-service"] {
        assert!(drop_in.lines().any(|written| written == line), "{line} is not in:\n{drop_in}");
    }
    assert_eq!(actor.ask("say"), "heard");
    assert!(host.status(&unit.path).is_none());
}
