//! Answers are masked by path and by what they hold, whatever they are packed in.

use super::*;

const CLASSES: &str = "[target.classes]\n\"/customers/*/id\" = \"ssn\"\n";
const CUSTOMERS: &[u8] =
    br#"{"customers":[{"id":"078-05-1120x","name":"Ann","mail":"ann@example.com"},{"id":4711,"name":"Bo"}],"total":2}"#;

#[test]
fn a_json_answer_is_masked_by_path_and_by_content() -> Result<()> {
    let pair = Pair::with(CLASSES)?;
    pair.server.serve("masked.json", CUSTOMERS)?;
    let said = pair.said(&[&pair.secure("/masked.json")])?;
    for part in ["\"name\":\"Ann\"", "\"total\":2", "[redacted]"] {
        contains(&said, part)?;
    }
    for part in ["078-05", "4711", "ann@example.com"] {
        lacks(&said, part)?;
    }
    // It is the mask that hides it: elsewhere nobody asked for one.
    pair.server.serve("open.json", CUSTOMERS)?;
    assert_eq!(pair.said(&[&pair.secure("/open.json")])?.as_bytes(), CUSTOMERS);
    Ok(())
}

#[test]
fn a_packed_answer_is_masked_as_well() -> Result<()> {
    let pair = Pair::with(CLASSES)?;
    let rows: String = (0..2000).map(|row| format!("{{\"id\":\"078-05-{row:04}x\",\"n\":{row}}},")).collect();
    pair.server.serve("masked.json", format!("{{\"customers\":[{rows}{{}}]}}").as_bytes())?;
    let url = pair.secure("/masked.json");
    contains(
        &pair.said(&["-s", "-o", "/dev/null", "-D", "-", "--compressed", &url])?.to_lowercase(),
        "content-encoding: gzip",
    )?;
    let said = pair.said(&["--compressed", &url])?;
    contains(&said, "\"n\":1999")?;
    lacks(&said, "078-05")
}

#[test]
fn what_cannot_be_masked_does_not_arrive_and_is_in_no_record() -> Result<()> {
    let pair = Pair::with(CLASSES)?;
    pair.server.serve("masked.txt", b"write to ann@example.com about 078-05-1120x")?;
    let said = pair.said(&["-i", &pair.secure("/masked.txt")])?;
    contains(&said, "HTTP/1.1 502 ")?;
    contains(&said, "bodies of type `text/plain` have no paths")?;
    pair.gate.ended_sessions(1, &[])?;
    assert_eq!(
        portcullis_tests::gate::files_with(&pair.gate.state(), "078-05-1120x")?,
        Vec::<std::path::PathBuf>::new()
    );
    Ok(())
}
