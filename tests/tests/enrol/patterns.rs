//! The configuration's cgroups: one, or all that a pattern matches.

use serde_json::Value;

use super::{
    actor::Actor,
    rig::{Cgroup, Echo, Host, soon},
};

fn workload(cgroup: &str, more: &str) -> String {
    format!("[[workload]]\nname = \"pods\"\ncgroup = \"{cgroup}\"\n{more}\n")
}

#[test]
fn what_a_pattern_matches_is_captured_as_it_comes_and_released_as_it_goes() {
    let (parent, echo) = (Cgroup::new("pods"), Echo::start());
    let old = parent.child("a/cri-containerd-1.scope");
    let mut first = Actor::fit_in(&old);
    let host = Host::start(&workload(&format!("{}/**/cri-containerd-*.scope", parent.path), ""));
    assert!(first.ask(&format!("reach {}", echo.address)).starts_with("lost"));

    let new = parent.child("b/cri-containerd-2.scope");
    let other = parent.child("b/crio-3.scope");
    soon("the new one is captured", || host.is_captured(&new));
    assert!(!host.is_captured(&other), "the pattern does not match it");
    let mut second = Actor::fit_in(&new);
    assert!(second.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    assert_eq!(echo.met(), 0);
    assert_eq!(host.status(&new.path).unwrap()["name"], "pods");

    let path = new.path.clone();
    drop((second, new));
    soon("it is released", || host.status(&path).is_none());
}

#[test]
fn a_match_stays_captured_over_a_kill_of_the_daemon() {
    let (parent, echo) = (Cgroup::new("kill"), Echo::start());
    let pod = parent.child("pod-1");
    let mut host = Host::start(&workload(&format!("{}/pod-*", parent.path), ""));
    let mut actor = Actor::fit_in(&pod);
    host.kill();
    for _ in 0..3 {
        assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    }
    host.resume();
    assert!(host.is_captured(&pod));
    assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
    assert_eq!(echo.met(), 0);
}

#[test]
fn a_configured_tree_with_a_risk_is_captured_and_closed_until_it_is_accepted() {
    let (cgroup, echo) = (Cgroup::new("closed"), Echo::start());
    let mut actor = Actor::root_in(&cgroup);
    {
        let host = Host::start(&workload(&cgroup.path, ""));
        let standing = host.status(&cgroup.path).unwrap();
        assert!(standing["closed"].as_str().unwrap().contains("root (uid 0"), "{standing}");
        assert!(host.is_captured(&cgroup), "closed is not open");
        assert!(actor.ask(&format!("reach {}", echo.address)).starts_with("lost"));
        assert!(host.ask(&["release", "pods"]).unwrap_err().contains("captured by the configuration"));
    }
    let accepted = r#"accept_risks = ["root", "capabilities", "new-privileges", "helpers", "system-calls"]"#;
    let host = Host::start(&workload(&cgroup.path, accepted));
    assert_eq!(host.status(&cgroup.path).unwrap()["closed"], Value::Null);
    assert_eq!(echo.met(), 0);
}
