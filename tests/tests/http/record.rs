//! What is left to read of a connection.

use super::*;

#[test]
fn a_session_shows_its_requests_its_answers_and_its_decisions() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("page.txt", b"some words\n")?;
    pair.said(&[&pair.secure("/page.txt?q=1"), &pair.secure("/private")])?;
    pair.gate.ended_sessions(1, &[])?;
    let replayed = pair.gate.ask(["sessions", "replay", "latest", "--instant"])?;
    for part in ["GET /page.txt?q=1 HTTP/1.1", "200 OK", "some words", "403 Forbidden", "allow", "read"] {
        contains(&replayed, part)?;
    }
    pair.gate.ask(["sessions", "verify", "latest"])?;
    Ok(())
}
