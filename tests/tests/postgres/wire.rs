//! What no driver would send.

use std::fs::File;

use portcullis_tests::{binary, client, postgres::succeeded, wait};

use super::*;

/// Speaks a script as a workload; the answers, one message a line.
pub fn speak(pair: &Pair, script: &str) -> Result<String> {
    let directory = pair.gate.place();
    let path = directory.join("script");
    std::fs::write(&path, script)?;
    let client = client::stage(&binary::example("client-wire")?, &directory)?;
    let mut command = pair.gate.workload(&pair.server, [client]);
    succeeded("client-wire", command.stdin(File::open(path)?).output()?)
}

pub const LOGIN: &str = "startup user=app database=shop\nread\n";

#[test]
fn a_pipeline_keeps_its_order() -> Result<()> {
    let pair = Pair::start()?;
    let one = "parse select 1\nbind\nexecute\n";
    let answers = speak(&pair, &format!("{LOGIN}{one}{one}sync\nread\n"))?;
    assert_eq!(answers, "Z I\n1\n2\nD 1\nC SELECT 1\n1\n2\nD 1\nC SELECT 1\nZ I");
    Ok(())
}

#[test]
fn a_denial_in_a_pipeline_skips_to_the_sync() -> Result<()> {
    let pair = Pair::start()?;
    let script = "parse select 1\nbind\nexecute\nparse drop database shop\nbind\nexecute\nparse select 2\nbind\nexecute\nsync\nread\n";
    let answers = speak(&pair, &format!("{LOGIN}{script}query select 3\nread\n"))?;
    assert_eq!(answers, "Z I\n1\n2\nD 1\nC SELECT 1\nE 42501\nZ I\nT\nD 3\nC SELECT 1\nZ I");
    lacks(&pair.server.log().to_lowercase(), "drop database")
}

#[test]
fn a_megabyte_of_nested_comments_is_refused_and_the_session_goes_on() -> Result<()> {
    let pair = Pair::start()?;
    // The server itself takes quadratic time for them.
    let comments = format!("query select 1 {}{}", "/*".repeat(250_000), "*/".repeat(250_000));
    let answers = speak(&pair, &format!("{LOGIN}{comments}\nread\nquery select 2\nread\n"))?;
    assert_eq!(answers, "Z I\nE 42501\nZ I\nT\nD 2\nC SELECT 1\nZ I");
    Ok(())
}

#[test]
fn a_nul_within_a_statement_ends_the_session_and_is_never_sent() -> Result<()> {
    let pair = Pair::start()?;
    // `select 41`, NUL, `drop`, NUL: what is behind the first NUL would be another statement to a careless reader.
    let answers = speak(&pair, &format!("{LOGIN}raw 510000001373656c656374203431{}\nread\n", "0064726f7000"))?;
    contains(&answers, "E 08P01\nclosed")?;
    lacks(&pair.server.log(), "select 41")
}

#[test]
fn an_absurd_length_ends_one_session_and_no_other() -> Result<()> {
    let pair = Pair::start()?;
    for size in ["4294967295", "2147483647", "1073741824", "3", "0"] {
        let answers = speak(&pair, &format!("{LOGIN}size {size} Q\nread\n"))?;
        assert_eq!(answers, "Z I\nE 08P01\nclosed", "size {size}");
    }
    assert_eq!(pair.psql("select 1")?.trim_end(), "1");
    Ok(())
}

#[test]
fn unknown_messages_and_garbage_end_the_session_cleanly() -> Result<()> {
    let pair = Pair::start()?;
    for bytes in ["2100000004", "ff00000005ff", "00000000000000", "70000000087370616d"] {
        let answers = speak(&pair, &format!("{LOGIN}raw {bytes}\nread\n"))?;
        contains(&answers, "closed")?;
    }
    // Instead of a startup message.
    for bytes in ["474554202f20485454502f312e310d0a0d0a", "00000004", "0000ffff", "00000008ffffffff"] {
        contains(&speak(&pair, &format!("raw {bytes}\nread\n"))?, "closed")?;
    }
    assert_eq!(pair.psql("select 1")?.trim_end(), "1");
    Ok(())
}

#[test]
fn a_function_call_is_refused_and_the_session_goes_on() -> Result<()> {
    let pair = Pair::start()?;
    // 2026 is pg_backend_pid().
    let answers = speak(&pair, &format!("{LOGIN}call 2026\nread\nquery select 1\nread\n"))?;
    assert_eq!(answers, "Z I\nE 42501\nZ I\nT\nD 1\nC SELECT 1\nZ I");
    Ok(())
}

#[test]
fn replication_is_refused() -> Result<()> {
    let pair = Pair::start()?;
    for value in ["true", "database", "1"] {
        let answers = speak(&pair, &format!("startup user=app database=shop replication={value}\nread\n"))?;
        contains(&answers, "E ")?;
        contains(&answers, "closed")?;
    }
    Ok(())
}

#[test]
fn a_client_that_leaves_early_leaves_nothing() -> Result<()> {
    let pair = Pair::start()?;
    speak(&pair, "raw 0000\n")?;
    speak(&pair, "startup user=app database=shop\n")?;
    speak(&pair, &format!("{LOGIN}query select pg_sleep(0)\n"))?;
    let backends = || pair.server.shop("select count(*) from pg_stat_activity where usename = 'app'");
    wait::until("no backend outlives its client", || Ok(backends()? == "0"))
}
