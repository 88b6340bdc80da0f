//! The daemon logs in with what the workload never sees.

use portcullis_tests::{gate::files_with, place, postgres::PASSWORD};

use super::*;

fn logs_in(setup: &Setup) -> Result<()> {
    let pair = Pair::with(setup)?;
    let shown = pair.psql("select count(*) from customers")?;
    assert_eq!(shown.trim_end(), "5", "{}", pair.gate.log());
    lacks(&pair.gate.log(), PASSWORD)
}

#[test]
fn by_scram_over_tls() -> Result<()> {
    logs_in(&Setup::default())
}

#[test]
fn by_md5() -> Result<()> {
    logs_in(&Setup { user: "app_md5", ..Setup::default() })
}

#[test]
fn by_cleartext_over_tls() -> Result<()> {
    logs_in(&Setup { user: "app_clear", ..Setup::default() })
}

#[test]
fn by_client_certificate() -> Result<()> {
    logs_in(&Setup { user: "app_cert", certificate: true, ..Setup::default() })
}

#[test]
fn a_wrong_credential_is_told_without_the_secret() -> Result<()> {
    let wrong = "otter-tangerine-91";
    let pair = Pair::with(&Setup { password: wrong, ..Setup::default() })?;
    let output = pair.gate.psql(&pair.server, "select 1")?;
    assert!(!output.status.success());
    lacks(&said(&output), wrong)?;
    lacks(&pair.gate.log(), wrong)
}

#[test]
fn a_server_that_is_not_trusted_gets_no_credential() -> Result<()> {
    let pair = Pair::start()?;
    let text = std::fs::read_to_string(pair.gate.configuration())?;
    // Another authority: the gate's own.
    let authority = pair.gate.state().join("ca.pem");
    std::fs::write(&authority, pair.gate.authority()?)?;
    let other = text.replace(&format!("{:?}", pair.server.certificates().authority()), &format!("{authority:?}"));
    assert_ne!(text, other);
    std::fs::write(pair.gate.configuration(), other)?;
    let mut pair = pair;
    pair.gate.stop()?;
    pair.gate.resume()?;
    assert!(!pair.gate.psql(&pair.server, "select 1")?.status.success());
    lacks(&pair.server.log(), "connection authorized: user=app")
}

#[test]
fn the_secret_is_nowhere_that_a_workload_or_a_reader_looks() -> Result<()> {
    let pair = Pair::start()?;
    let shown = said(
        &pair
            .gate
            .workload(&pair.server, ["sh", "-c", "env; cat /proc/$$/environ; psql -c 'table orders'"])
            .output()?,
    );
    lacks(&shown, PASSWORD)?;
    contains(&shown, "bombe")?;
    lacks(&pair.gate.log(), PASSWORD)?;
    assert!(files_with(&pair.gate.state(), PASSWORD)?.is_empty());
    Ok(())
}

#[test]
fn a_server_that_is_down_is_told_and_comes_back() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.server.stop()?;
    let output = pair.gate.psql(&pair.server, "select 1")?;
    assert!(!output.status.success());
    contains(&said(&output), "FATAL")?;
    pair.server.resume()?;
    assert_eq!(pair.psql("select 1")?.trim_end(), "1");
    Ok(())
}

#[test]
fn tls_downstream_is_verified_against_the_local_authority() -> Result<()> {
    let pair = Pair::start()?;
    let authority = pair.gate.place().join("authority.pem");
    std::fs::write(&authority, pair.gate.authority()?)?;
    place::open(&authority, 0o644)?;
    for mode in ["disable", "require", "verify-full"] {
        let mut command = pair.gate.workload(&pair.server, ["psql", "-X", "-t", "-A", "-c", "select 1"]);
        command.env("PGSSLMODE", mode).env("PGSSLROOTCERT", &authority);
        let output = command.output()?;
        assert!(output.status.success(), "{mode}: {}", said(&output));
    }
    Ok(())
}
