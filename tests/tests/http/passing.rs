//! What is permitted arrives as it was sent, in the clear and through TLS.

use super::*;

#[test]
fn a_page_is_read_in_the_clear_and_through_tls() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("page.html", b"<p>hello</p>\n")?;
    for url in [pair.plain("/page.html"), pair.secure("/page.html?a=1")] {
        assert_eq!(pair.said(&[&url])?, "<p>hello</p>\n", "{url}");
    }
    contains(&pair.server.requests(), "GET /page.html?a=1 - ")
}

#[test]
fn one_connection_carries_one_request_after_the_other() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("a", b"first\n")?;
    pair.server.serve("b", b"second\n")?;
    let (a, b) = (pair.secure("/a"), pair.secure("/b"));
    let output = pair.curl(&["-v", &a, &b, &a]).output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "first\nsecond\nfirst\n");
    contains(&said(&output), "Re-using existing connection")
}

#[test]
fn a_file_is_uploaded_byte_for_byte_with_and_without_a_length() -> Result<()> {
    let pair = Pair::start()?;
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    fs::write(pair.gate.place().join("upload"), &content)?;
    pair.said(&["-T", "upload", &pair.secure("/uploads/whole")])?;
    assert!(pair.server.uploaded("whole").is_some_and(|stored| stored == content), "the upload differs");
    let chunked = ["-T", "upload", "-H", "Transfer-Encoding: chunked", &pair.plain("/uploads/chunked")];
    pair.said(&chunked)?;
    assert!(pair.server.uploaded("chunked").is_some_and(|stored| stored == content), "the chunked upload differs");
    Ok(())
}

#[test]
fn a_head_request_has_a_length_and_no_content() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("a", b"first\n")?;
    let (a, b) = (pair.plain("/a"), pair.plain("/a"));
    let said = pair.said(&["-I", &a, &b])?;
    assert_eq!(said.matches("Content-Length: 6").count(), 2, "{said}");
    Ok(())
}

#[test]
fn other_clients_are_served_as_well() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.serve("a", b"first\n")?;
    let url = pair.secure("/a");
    let wget = pair.gate.run(["wget", "-q", "-O", "-", "--ca-certificate=authority.pem", &url]).output()?;
    contains(&said(&wget), "first")?;
    let script = format!("import requests; print(requests.get({url:?}, verify='authority.pem').text)");
    let requests = pair.gate.run(["/usr/bin/python3", "-c", &script]).output()?;
    contains(&said(&requests), "first")?;
    let script = format!(
        "import urllib.request, ssl; print(urllib.request.urlopen({url:?}, context=ssl.create_default_context(cafile='authority.pem')).read())"
    );
    let urllib = pair.gate.run(["/usr/bin/python3", "-c", &script]).output()?;
    contains(&said(&urllib), "first")
}
