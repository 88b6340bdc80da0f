//! A client that sends exactly what it is told, for what no driver would send.
//!
//! It reads one command a line and answers each `read` with the messages that came, one a line:
//!
//! ```text
//! startup user=app database=shop     a startup message        query SQL        simple query
//! parse SQL · bind · describe · execute [N] · sync · flush     extended query, all unnamed; at most N rows
//! call OID          function call    size N T    a header of type T that announces N bytes
//! raw HEX           bytes as they are             read         send all, read until ready or closed
//! bind binary       all results in binary         hear         the same, each message whole and in hexadecimal
//! say TEXT          prints it
//! ```

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// How long to wait for a message before saying `silent`.
const SILENCE: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let host = std::env::var("PGHOST").context("PGHOST")?;
    let stream = TcpStream::connect((host, std::env::var("PGPORT").context("PGPORT")?.parse()?))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut server = BufReader::new(stream);
    let mut pending = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line == "read" || line == "hear" {
            // A refused connection may be closed before all is sent; what it said is still to be read.
            let _ = server.get_mut().write_all(&std::mem::take(&mut pending));
            if line == "hear" { whole(&mut server)? } else { answers(&mut server)? }
        } else if let Some(text) = line.strip_prefix("say ") {
            println!("{text}");
        } else {
            command(&line, &mut pending)?;
        }
    }
    Ok(())
}

/// Appends one command's bytes.
fn command(line: &str, out: &mut Vec<u8>) -> Result<()> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "startup" => {
            let mut body = 196_608_u32.to_be_bytes().to_vec();
            for pair in rest.split(' ') {
                let (name, value) = pair.split_once('=').context("startup wants name=value")?;
                body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
            }
            body.push(0);
            out.extend(length(&body)?);
            out.extend(body);
        }
        "query" => message(out, b'Q', &[rest.as_bytes(), b"\0"])?,
        "parse" => message(out, b'P', &[b"\0", rest.as_bytes(), b"\0\0\0"])?,
        "bind" if rest == "binary" => message(out, b'B', &[b"\0\0\0\0\0\0\0\x01\0\x01"])?,
        "bind" => message(out, b'B', &[b"\0\0\0\0\0\0\0\0"])?,
        "describe" => message(out, b'D', &[b"P\0"])?,
        "execute" => {
            let rows: u32 = if rest.is_empty() { 0 } else { rest.parse()? };
            message(out, b'E', &[b"\0", &rows.to_be_bytes()])?;
        }
        "sync" => message(out, b'S', &[])?,
        "flush" => message(out, b'H', &[])?,
        "call" => message(out, b'F', &[&rest.parse::<u32>()?.to_be_bytes(), &[0; 6]])?,
        "size" => {
            let (size, kind) = rest.split_once(' ').context("size wants a number and a type")?;
            out.extend(kind.bytes().take(1));
            out.extend(size.parse::<u32>()?.to_be_bytes());
        }
        "raw" => {
            for pair in rest.as_bytes().chunks(2) {
                out.push(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
            }
        }
        _ => bail!("unknown command `{word}`"),
    }
    Ok(())
}

fn message(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) -> Result<()> {
    let body = parts.concat();
    out.push(kind);
    out.extend(length(&body)?);
    out.extend(body);
    Ok(())
}

fn length(body: &[u8]) -> Result<[u8; 4]> {
    Ok(u32::try_from(body.len() + 4)?.to_be_bytes())
}

/// Prints messages until the server is ready for a query, or closes, or says nothing.
fn answers(server: &mut impl Read) -> Result<()> {
    loop {
        let mut header = [0; 5];
        match server.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                println!("silent");
                return Ok(());
            }
            Err(_) => {
                println!("closed");
                return Ok(());
            }
        }
        let [kind, a, b, c, d] = header;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes([a, b, c, d]))?.saturating_sub(4)];
        server.read_exact(&mut body)?;
        match kind {
            // What every server says differently.
            b'S' | b'K' | b'R' | b'N' => continue,
            b'E' => println!("E {}", field(&body, b'C')),
            b'C' => println!("C {}", String::from_utf8_lossy(&body).trim_end_matches('\0')),
            b'D' => println!("D {}", printable(body.get(2..).unwrap_or_default())),
            b'Z' => {
                println!("Z {}", printable(&body));
                return Ok(());
            }
            other => println!("{}", char::from(other)),
        }
    }
}

/// Prints whole messages until the server is ready for a query, or closes, or says nothing.
fn whole(server: &mut impl Read) -> Result<()> {
    loop {
        let mut header = [0; 5];
        if server.read_exact(&mut header).is_err() {
            println!("closed");
            return Ok(());
        }
        let [kind, a, b, c, d] = header;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes([a, b, c, d]))?.saturating_sub(4)];
        server.read_exact(&mut body)?;
        let digits: String = header.iter().chain(&body).map(|byte| format!("{byte:02x}")).collect();
        println!("{digits}");
        if kind == b'Z' {
            return Ok(());
        }
    }
}

/// One field of an ErrorResponse.
fn field(body: &[u8], wanted: u8) -> String {
    let fields = body.split(|&byte| byte == 0);
    let found = fields.into_iter().find_map(|field| field.strip_prefix(&[wanted]));
    String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().filter(|byte| byte.is_ascii_graphic()).map(|&byte| char::from(byte)).collect()
}
