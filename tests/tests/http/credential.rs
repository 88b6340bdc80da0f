//! The gate's credential is added, the workload's own is not sent on, and nobody but the server sees it.

use super::*;
use portcullis_tests::gate::files_with;

#[test]
fn each_way_of_sending_a_secret_replaces_what_the_workload_sent() -> Result<()> {
    let ways = [
        ("http = { scheme = \"bearer\" }", format!("GET Bearer {SECRET}  \n")),
        ("user = \"app\"\nhttp = { scheme = \"basic\" }", "GET Basic YXBwOmdhdGUtaGVsZC1zZWNyZXQtNDcxMQ==  \n".into()),
        ("http = { header = \"X-Api-Key\" }", format!("GET   {SECRET}\n")),
        ("http = { query = \"key\" }", format!("GET  {SECRET} \n")),
    ];
    for (way, seen) in ways {
        let lines =
            format!("credential = \"key\"\n\n[[credential]]\nname = \"key\"\nsource = {{ file = {{secret}} }}\n{way}");
        let pair = Pair::with(&lines)?;
        let own = format!("Authorization: Bearer {PLACEHOLDER}");
        let said = pair.said(&["-H", &own, &pair.secure("/echo?a=1")])?;
        assert_eq!(said, seen, "{way}");
        lacks(&pair.server.requests(), PLACEHOLDER)?;
        lacks(&pair.gate.log(), SECRET)?;
    }
    Ok(())
}

#[test]
fn the_workloads_own_secrets_are_in_no_record() -> Result<()> {
    let pair = Pair::start()?;
    // Not as arguments: the record has the command line of who connects.
    let fields = format!("Authorization: Bearer {PLACEHOLDER}\nCookie: session={PLACEHOLDER}\n");
    fs::write(pair.gate.place().join("fields"), fields)?;
    pair.server.serve("a", b"first\n")?;
    pair.said(&["-H", "@fields", &pair.secure("/a")])?;
    contains(&pair.server.requests(), PLACEHOLDER)?;
    pair.gate.ended_sessions(1, &[])?;
    assert_eq!(files_with(&pair.gate.state(), PLACEHOLDER)?, Vec::<std::path::PathBuf>::new());
    lacks(&pair.gate.log(), PLACEHOLDER)
}

#[test]
fn a_secret_is_not_sent_to_a_server_that_is_not_the_host() -> Result<()> {
    let lines = "credential = \"key\"\n\n[[credential]]\nname = \"key\"\nsource = { file = {secret} }\nhttp = { scheme = \"bearer\" }";
    let pair = Pair::with(lines)?;
    let other = format!("Host: 127.0.0.1:{}", pair.server.secure());
    contains(&pair.said(&["-i", "-H", &other, &pair.secure("/echo")])?, "HTTP/1.1 421 ")?;
    lacks(&pair.server.requests(), SECRET)
}
