//! Sandboxes that a workload starts for itself: refused, or captured with what they hold.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use portcullis_tests::postgres;

use super::{Pair, latest_workload, said, tree::Tree};

/// Ways to get another network namespace, or a container.
const STARTS: [&[&str]; 5] = [
    &["unshare", "--net", "echo", "it ran"],
    &["unshare", "--user", "--map-root-user", "--net", "echo", "it ran"],
    &["bwrap", "--unshare-net", "--ro-bind", "/", "/", "echo", "it ran"],
    &["bwrap", "--unshare-user", "--unshare-net", "--ro-bind", "/", "/", "echo", "it ran"],
    &[
        "sh",
        "-c",
        "cd /tmp && echo '{\"ociVersion\": \"1.0.0\"}' > config.json; runc run --bundle . x && echo 'it ran'",
    ],
];

#[test]
fn a_workload_that_was_run_starts_no_container() -> Result<()> {
    let pair = Pair::start()?;
    let jailed = |words: &[&str]| pair.gate.workload(&pair.server, words).output();
    // That nothing but the sandbox is in the way.
    ensure!(said(&jailed(&["sh", "-c", "cd /tmp && echo it ran"])?) == "it ran\n", "nothing runs at all");
    for start in STARTS {
        let output = jailed(start)?;
        ensure!(!said(&output).contains("it ran") && !output.status.success(), "{start:?}: {}", said(&output));
    }
    Ok(())
}

/// A program that is root somewhere in a sandbox of its own is its starter's workload nevertheless.
#[test]
fn a_sandbox_of_an_unprivileged_process_stays_its_starters() -> Result<()> {
    let tree = Tree::new()?;
    let pair = tree.gate()?;
    let place = portcullis_tests::place::temporary()?;
    let ask = place.path().join("ask");
    fs::write(&ask, "until psql -X -t -A -c 'select 1000 + 1' 2> /dev/null; do sleep 0.1; done")?;
    let nobody = "exec timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups";
    for sandbox in [
        "bwrap --unshare-all --uid 0 --ro-bind / / --dev /dev --proc /proc",
        // Its loopback is down until it sets it up, which root of a user namespace may.
        "unshare --user --map-root-user --net sh -c 'ip link set lo up; exec \"$@\"' sh",
    ] {
        let mut shell: Command = tree.shell(&format!("{nobody} {sandbox} sh {}", ask.display()));
        let output = postgres::environment(&mut shell, pair.server.port()).output()?;
        ensure!(said(&output) == "1001\n", "{sandbox}: {}", said(&output));
        ensure!(latest_workload(&pair.gate)? == "tree", "{sandbox}: another workload's");
    }
    Ok(())
}
