//! Process trees that somebody else started, put under capture by a real daemon: needs root, touches loopback only.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod actor;
mod crowds;
mod patterns;
mod rig;
mod risks;

use std::fs;

use actor::Actor;
use rig::{Cgroup, Echo, Host};

/// Not a test: what this program does when it is started in another role.
#[test]
#[ignore = "plays a role for the other tests"]
fn role() {
    match std::env::var(actor::ROLE).as_deref() {
        Ok("actor") => actor::act(),
        Ok("crowd") => crowds::enrol_children(),
        Ok("bomb") => crowds::fork_without_end(),
        _ => {}
    }
}

#[test]
fn enrolment_cuts_what_is_open_and_captures_what_comes() {
    let (host, echo, cgroup) = (Host::start(""), Echo::start(), Cgroup::new("cut"));
    let mut actor = Actor::fit_in(&cgroup);
    actor.connects(&echo);
    assert_eq!(actor.ask("say"), "heard");

    let enrolled = host.json(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]);
    assert_eq!((&enrolled["cut"], &enrolled["accepted"]), (&1.into(), &serde_json::json!([])));
    assert!(actor.ask("say").starts_with("lost"));
    let met = echo.met();
    for _ in 0..3 {
        assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    }
    assert_eq!(echo.met(), met, "a connect went past the gate");
    assert_eq!(host.status(&cgroup.path).unwrap()["closed"], serde_json::Value::Null);

    host.ask(&["release", "ci"]).unwrap();
    assert_eq!(actor.ask(&format!("reach {}", echo.address)), "heard", "a released tree dials by itself");
    assert!(host.status(&cgroup.path).is_none());
}

#[test]
fn what_is_enrolled_stays_captured_without_the_daemon_and_with_the_next_one() {
    let (mut host, echo, cgroup) = (Host::start(""), Echo::start(), Cgroup::new("stay"));
    let mut actor = Actor::fit_in(&cgroup);
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap();
    host.kill();
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    host.resume();
    let standing = host.status(&cgroup.path).unwrap();
    assert_eq!((&standing["name"], &standing["closed"]), (&"ci".into(), &serde_json::Value::Null));
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    assert_eq!(echo.met(), 0);
    host.ask(&["release", "ci"]).unwrap();
    host.kill();
    host.resume();
    assert!(host.status(&cgroup.path).is_none(), "what was released does not come back");
}

#[test]
fn a_process_among_others_is_moved_with_its_children_and_released_to_where_it_was() {
    let (host, echo, cgroup) = (Host::start(""), Echo::start(), Cgroup::new("moved"));
    let mut sibling = Actor::fit_in(&cgroup);
    let mut actor = Actor::fit_in(&cgroup);
    actor.connects(&echo);
    let child: u32 = actor.ask("child").parse().unwrap();
    let pid = actor.pid().to_string();
    // Its connection was made where it was, and is cut; it keeps the socket until it notices.
    let error = host.ask(&["enrol", "--pid", &pid, "--name", "one"]).unwrap_err();
    assert!(error.contains("sockets (descriptor"), "{error}");
    assert_eq!(rig::cgroup_of(actor.pid()), cgroup.path, "who is refused is put back");
    assert!(actor.ask("say").starts_with("lost"));
    let enrolled = host.json(&["enrol", "--pid", &pid, "--name", "one"]);
    assert_eq!((&enrolled["moved"], &enrolled["cut"]), (&2.into(), &0.into()));
    let place = enrolled["cgroup"].as_str().unwrap().to_owned();
    for pid in [actor.pid(), child] {
        assert_eq!(rig::cgroup_of(pid), place);
    }
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    assert_eq!(sibling.ask(&format!("reach {}", echo.address)), "heard");

    host.ask(&["release", "one"]).unwrap();
    for pid in [actor.pid(), child] {
        assert_eq!(rig::cgroup_of(pid), cgroup.path);
    }
    assert_eq!(actor.ask(&format!("reach {}", echo.address)), "heard");
}

#[test]
fn a_process_alone_in_its_cgroup_is_captured_there() {
    let (host, cgroup) = (Host::start(""), Cgroup::new("alone"));
    let actor = Actor::fit_in(&cgroup);
    let enrolled = host.json(&["enrol", "--pid", &actor.pid().to_string()]);
    assert_eq!((enrolled["cgroup"].as_str(), &enrolled["moved"]), (Some(&*cgroup.path), &0.into()));
}

#[test]
fn a_container_is_found_by_its_id_and_released_when_it_is_gone() {
    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let (host, echo, parent) = (Host::start(""), Echo::start(), Cgroup::new("docker"));
    let cgroup = parent.child(&format!("docker-{ID}.scope"));
    let mut actor = Actor::fit_in(&cgroup);
    host.ask(&["enrol", "--container", &ID[..12], "--name", "box"]).unwrap();
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    drop(actor);
    drop(cgroup);
    rig::soon("it is released", || host.status(&parent.path).is_none() && !host.links("existing-box").exists());
}

#[test]
fn a_cgroup_made_anew_is_captured_and_examined_again() {
    let (host, echo, parent) = (Host::start(""), Echo::start(), Cgroup::new("anew"));
    let cgroup = parent.child("unit.service");
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "unit"]).unwrap();
    let path = cgroup.path.clone();
    drop(cgroup);
    let cgroup = Cgroup::at(&path);
    rig::soon("it is captured again", || host.is_captured(&cgroup));
    // Root, which nobody accepted: the gate closes for it.
    let mut actor = Actor::root_in(&cgroup);
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    assert_eq!(echo.met(), 0);
    let (examined, fit) = host.examine("unit");
    assert!(!fit);
    assert!(examined["closed"].as_str().unwrap().contains("root (uid 0"));
    assert!(examined["drop_in"].as_str().unwrap().contains("unit.service.d/portcullis.conf"));
}

#[test]
fn what_cannot_be_enrolled_says_why() {
    let (host, cgroup) = (Host::start(""), Cgroup::new("why"));
    let inner = cgroup.child("inner");
    host.ask(&["enrol", "--cgroup", &inner.path, "--name", "inner"]).unwrap();
    let mut governed = Actor::fit_in(&inner);
    let pid = governed.pid().to_string();
    let own = format!("/portcullis/{}", host.instance());
    let daemon = format!("{own}/daemon");
    let runs = format!("{own}/workloads");
    for (arguments, said) in [
        (vec!["--cgroup", "/"], "root of all cgroups"),
        (vec!["--cgroup", "/nowhere"], "there is no cgroup /nowhere"),
        (vec!["--cgroup", &own], "holds the daemon itself"),
        (vec!["--cgroup", &daemon], "holds the daemon itself"),
        (vec!["--cgroup", &runs], "made and governed by a daemon of Portcullis"),
        (vec!["--cgroup", &inner.path, "--name", "other"], "captured as `inner`"),
        (vec!["--cgroup", &cgroup.path, "--name", "outer"], "captured as `inner`"),
        (vec!["--cgroup", &inner.path, "--name", "inner"], "another process tree is enrolled as `inner`"),
        (vec!["--pid", "1"], "host's first"),
        (vec!["--pid", "4194999"], "there is no process"),
        (vec!["--pid", &pid], "governed already"),
        (vec!["--container", "docker"], "no container id"),
        (vec!["--container", "ffffffffffff"], "no container's cgroup"),
        (vec!["--unit", "portcullis-test-nowhere"], "no running unit"),
        (vec!["--cgroup", &cgroup.path, "--accept-risk", "everything"], "expected one of root"),
        (vec!["--cgroup", "/x", "--pid", "7"], "cannot be used with"),
        (vec!["--cgroup", &cgroup.path, "--name", "a/b"], "holds something else than letters"),
    ] {
        let error = host.ask(&[&["enrol"], &*arguments].concat()).unwrap_err();
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    let error = host.ask(&["release", "nothing"]).unwrap_err();
    assert!(error.contains("nothing is enrolled as `nothing`"), "{error}");
    // Nobody enrols the shell that asks.
    let home = Cgroup::new("home");
    let mut command = host.command(&["enrol", "--cgroup", &home.path, "--name", "self"]);
    let output = rig::run_in(&home, &mut command);
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds this very command"), "{output:?}");
    assert_eq!(governed.ask("say"), "lost: no connection");
}

#[test]
fn programs_of_others_are_told_and_change_nothing() {
    let (one, other, cgroup) = (Host::start(""), Host::start(""), Cgroup::new("foreign"));
    let (inner, echo) = (cgroup.child("inner"), Echo::start());
    one.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "outer"]).unwrap();
    other.ask(&["enrol", "--cgroup", &inner.path, "--name", "inner"]).unwrap();
    let (examined, _) = other.examine("inner");
    let foreign = examined["foreign_programs"].to_string();
    assert!(foreign.contains("egress: ") && foreign.contains("connect4: "), "{foreign}");
    let mut actor = Actor::fit_in(&inner);
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    assert_eq!(echo.met(), 0);
}

#[test]
fn a_list_that_cannot_be_read_stops_the_daemon_rather_than_releasing_anything() {
    let (mut host, echo, cgroup) = (Host::start(""), Echo::start(), Cgroup::new("broken"));
    let mut actor = Actor::fit_in(&cgroup);
    host.ask(&["enrol", "--cgroup", &cgroup.path, "--name", "ci"]).unwrap();
    host.kill();
    let list = host.state().join("enrolled.json");
    let good = fs::read(&list).unwrap();
    fs::write(&list, "[").unwrap();
    assert!(host.fails_to_start().contains("failed to read which trees are enrolled"));
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    assert_eq!(echo.met(), 0);
    fs::write(&list, good).unwrap();
    host.resume();
}
