//! pgx's own tests, directly and through the gate where policy allows all: each must end the same.

use std::collections::BTreeMap;

use portcullis_tests::{
    cache,
    client::{Client, PGX_SUITE, pgx_program, stage},
};

use super::{wire::open_policies, *};

/// How many packages a short run takes: those that take seconds. All of them with `PORTCULLIS_LONG` set.
const SHORT: usize = 3;

/// Tests that end otherwise through the gate, and why.
const DIFFERENT: [&str; 3] = [
    // The session ends where the server would read strings or letters otherwise than the gate.
    "TestConnSimpleProtocolRefusesNonStandardConformingStrings",
    "TestConnSimpleProtocolRefusesNonUTF8ClientEncoding",
    // An address that is no target is answered by the gate, with a denial.
    "TestConnectFailsWithResolveFailureAndFailedConnectionAttempts",
];

/// What pgx's `testsetup/postgresql_setup.sql` makes, for the role that the gate logs in as.
const SETUP: [&str; 4] = [
    "alter role app superuser",
    "create extension hstore; create extension ltree; create domain uint64 as numeric(20, 0)",
    "create role pgx_md5 superuser login",
    "create role \" tricky, ' } \"\" \\ test user \" superuser login",
];

/// Each test by name, and how it ended.
fn outcomes(output: &Output) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let ends = text.lines().filter_map(|line| line.trim_start().strip_prefix("--- ")?.split_once(": "));
    ends.map(|(end, name)| (lasting(name.split(' ').next().unwrap_or_default()), end.to_owned())).collect()
}

/// A test's name without the number of the temporary directory that it may be named after.
fn lasting(name: &str) -> String {
    match name.split_once("/tmp/") {
        Some((test, directory)) => {
            format!("{test}/tmp/{}", directory.replace(|letter: char| letter.is_ascii_digit(), "0"))
        }
        None => name.to_owned(),
    }
}

fn suite(package: &str) -> Result<()> {
    let server = Postgres::with(Release::Debian, Tls::Offered, &[])?;
    server.superuser("postgres", "create database pgx_test")?;
    SETUP.iter().try_for_each(|sql| server.superuser("pgx_test", sql).map(drop))?;
    let policies = open_policies()?;
    let setup = Setup { policies: Some(policies.path().to_owned()), classes: "", ..Setup::default() };
    let gate = Gate::with(&server, &setup)?;
    let place = gate.place();
    stage(&cache::pgx_suite().join("source"), &place)?;
    let program = stage(&cache::pgx_suite().join("bin").join(pgx_program(package)), &place)?;
    let target =
        format!("host=127.0.0.1 port={} user=app password={PASSWORD} database=pgx_test sslmode=disable", server.port());
    let script = format!("cd source/{package} && exec {} -test.v -test.parallel 2", program.display());
    let words = ["sh", "-c", &script];
    let ungoverned = direct(&server, words)?.env("PGX_TEST_DATABASE", &target).current_dir(&place).output()?;
    let governed = gate.workload(&server, ["env", &format!("PGX_TEST_DATABASE={target}")].iter().chain(&words));
    let governed = { governed }.output()?;

    let (governed_ends, ends) = (outcomes(&governed), outcomes(&ungoverned));
    ensure!(ends.values().any(|end| end == "PASS"), "no test passed: {}", String::from_utf8_lossy(&ungoverned.stdout));
    let differing: Vec<_> = ends
        .iter()
        .filter(|(name, end)| governed_ends.get(*name) != Some(*end) && !DIFFERENT.contains(&name.as_str()))
        .map(|(name, end)| format!("{name}: {end} directly, {:?} through the gate", governed_ends.get(name)))
        .collect();
    let (said, log) = (String::from_utf8_lossy(&governed.stdout), gate.log());
    ensure!(differing.is_empty() && governed_ends.len() == ends.len(), "{differing:#?}\n{said}\n{log}");
    let (passed, passed_directly) = (count(&governed_ends, "PASS"), count(&ends, "PASS"));
    let (failed, skipped) = (count(&ends, "FAIL"), count(&ends, "SKIP"));
    println!("pgx/{package}: {passed} of {passed_directly} pass; directly, {failed} fail and {skipped} are skipped");
    Ok(())
}

fn count(ends: &BTreeMap<String, String>, wanted: &str) -> usize {
    ends.values().filter(|end| *end == wanted).count()
}

#[test]
fn pgx_passes_its_own_tests_as_without_a_gate() -> Result<()> {
    if !Client::Pgx.is_possible() {
        eprintln!("pgx cannot be had on this machine and is left out");
        return Ok(());
    }
    let count = if std::env::var_os("PORTCULLIS_LONG").is_some() { PGX_SUITE.len() } else { SHORT };
    PGX_SUITE.iter().take(count).try_for_each(|package| suite(package).with_context(|| format!("pgx/{package}")))
}

#[test]
fn names_without_a_directory_keep_their_digits() {
    assert_eq!(lasting("TestMode/file='/tmp/TestMode928/001/conf'"), "TestMode/file='/tmp/TestMode000/000/conf'");
    assert_eq!(lasting("TestNumeric/928"), "TestNumeric/928");
}
