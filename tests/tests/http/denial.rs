//! What is refused: told as a problem document, never seen by the server, and no end to the connection.

use super::*;

#[test]
fn a_refused_request_never_reaches_the_server() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("private", b"not for you\n")?;
    let said = pair.said(&["-i", &pair.secure("/private")])?;
    for part in ["403 Forbidden", "application/problem+json", "no policy allows agent GET", "\"retry\":false"] {
        contains(&said, part)?;
    }
    lacks(&said, "not for you")?;
    lacks(&pair.server.requests(), "private")
}

#[test]
fn a_refused_upload_leaves_no_byte_and_a_usable_connection() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("a", b"first\n")?;
    let (private, page) = (pair.plain("/uploads/private.txt"), pair.plain("/a"));
    // Without `Expect`, the body is sent before the answer is known.
    let refused = ["-H", "Expect:", "-X", "PUT", "-d", "a secret plan", &private, "--next", "-sS", "-v", &page];
    let said = pair.said(&refused)?;
    contains(&said, "\"rule\":\"no-private-upload\"")?;
    contains(&said, "files of agent may not be private")?;
    contains(&said, "first")?;
    contains(&said, "Re-using existing connection")?;
    assert_eq!(pair.server.uploaded("private.txt"), None);
    lacks(&pair.server.requests(), "private")
}

#[test]
fn the_path_that_is_judged_is_the_path_that_is_sent() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("private", b"not for you\n")?;
    for path in
        ["/%70rivate", "/x/../private", "/x/%2e%2e/private", "/./private", "//private", "/private;x", "/%2fprivate"]
    {
        let said = pair.said(&["-i", "--path-as-is", &pair.plain(path)])?;
        lacks(&said, "not for you")?;
        ensure!(said.contains("HTTP/1.1 403") || said.contains("HTTP/1.1 400"), "{path}: {said}");
    }
    assert_eq!(pair.server.requests(), "");
    Ok(())
}

#[test]
fn a_request_for_another_host_is_misdirected() -> Result<()> {
    let pair = Pair::start()?;
    for host in ["internal.example.com", "127.0.0.1", "127.0.0.1:1", "localhost"] {
        let said = pair.said(&["-i", "-H", &format!("Host: {host}"), &pair.plain("/echo")])?;
        contains(&said, "HTTP/1.1 421 ")?;
    }
    let other =
        pair.said(&["-i", "-H", &format!("Host: 127.0.0.1:{}", pair.server.secure()), &pair.secure("/echo")])?;
    contains(&other, "HTTP/1.1 421 ")?;
    assert_eq!(pair.server.requests(), "");
    Ok(())
}

#[test]
fn a_tunnel_is_refused() -> Result<()> {
    let pair = Pair::start()?;
    let proxy = pair.plain("");
    let said = pair.said(&["-v", "-p", "-x", &proxy, &proxy])?;
    lacks(&said, "200 Connection")?;
    assert_eq!(pair.server.requests(), "");
    Ok(())
}

#[test]
fn an_approval_holds_the_request_with_its_connection() -> Result<()> {
    let pair = Pair::start()?;
    fs::write(pair.gate.place().join("upload"), b"content")?;
    let url = pair.secure("/uploads/waits");
    pair.said(&["-T", "upload", &url])?;
    let waiting = pair.curl(&["-i", "-X", "DELETE", &url]).stdout(std::process::Stdio::piped()).spawn()?;
    let mut id = String::new();
    for _ in 0..400 {
        let listed = pair.gate.json(["approvals", "list"])?;
        if let Some(found) = listed.get(0).and_then(|first| first.get("id")).and_then(|id| id.as_str()) {
            id = found.to_owned();
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(pair.server.uploaded("waits").is_some(), "deleted before anybody agreed");
    let shown = pair.gate.ask(["approvals", "show", &id])?;
    contains(&shown, "DELETE https://localhost")?;
    pair.gate.ask(["approvals", "approve", &id])?;
    let answered = String::from_utf8_lossy(&waiting.wait_with_output()?.stdout).into_owned();
    contains(&answered, "HTTP/1.1 204")?;
    assert_eq!(pair.server.uploaded("waits"), None);
    Ok(())
}
