//! Sessions as the operator sees them.

use serde_json::Value;

use super::*;

#[test]
fn a_session_says_who_where_and_what() -> Result<()> {
    let pair = Pair::start()?;
    pair.psql("select item from orders where id = 3")?;
    pair.gate.ended_sessions(1, &["--workload", "agent", "--target", "shop"])?;
    let shown = pair.gate.ask(["sessions", "show", "latest"])?;
    for part in ["agent", "shop", "psql"] {
        contains(&shown, part)?;
    }
    let replayed = pair.gate.ask(["sessions", "replay", "latest", "--instant"])?;
    contains(&replayed, "select item from orders")?;
    contains(&replayed, "bombe")
}

#[test]
fn a_changed_record_does_not_verify() -> Result<()> {
    let pair = Pair::start()?;
    pair.psql("select item from orders where id = 3")?;
    pair.gate.ended_sessions(1, &[])?;
    pair.gate.ask(["sessions", "verify", "--all"])?;
    let records = portcullis_tests::gate::files_with(&pair.gate.state().join("records"), "bombe")?;
    let record = records.iter().find(|path| path.extension().is_some_and(|extension| extension == "rec"));
    let record = record.ok_or_else(|| anyhow::anyhow!("no record holds the row: {records:?}"))?;
    let bytes = std::fs::read(record)?;
    let at = bytes.windows(5).position(|window| window == b"bombe").unwrap_or_default();
    let changed = [&bytes[..at], b"bomba", &bytes[at + 5..]].concat();
    std::fs::write(record, changed)?;
    assert!(pair.gate.ask(["sessions", "verify", "--all"]).is_err());
    Ok(())
}

#[test]
fn a_session_can_be_killed() -> Result<()> {
    let pair = Pair::start()?;
    let slow = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 100000) b";
    let mut command = pair.gate.workload(&pair.server, ["psql", "-X", "-c", slow]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()?;
    let running =
        "select count(*) from pg_stat_activity where query like '%generate_series(1, 1000000)%' and usename = 'app'";
    for _ in 0..400 {
        if pair.server.shop(running)? == "1" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let sessions = pair.gate.json(["sessions", "list"])?;
    let id = sessions.pointer("/0/id").and_then(Value::as_str).unwrap_or_default().to_owned();
    pair.gate.ask(["sessions", "kill", &id])?;
    assert!(!child.wait_with_output()?.status.success());
    Ok(())
}

#[test]
fn what_is_no_target_is_refused_and_recorded() -> Result<()> {
    let pair = Pair::start()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo out >&3; cat <&3");
    pair.gate.workload(&pair.server, ["bash", "-c", &script]).output()?;
    assert!(listener.accept().is_err(), "the workload reached what is no target");
    let sessions = pair.gate.ended_sessions(1, &[])?;
    contains(&format!("{sessions:?}"), &port.to_string())
}
