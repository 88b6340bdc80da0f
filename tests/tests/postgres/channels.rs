//! Every channel by which a value can leave the server: none carries a planted one, in text or in binary.

use std::{
    fs::{self, File},
    process::Command,
};

use portcullis_tests::{
    binary, client, place,
    postgres::{PASSWORD, environment, succeeded},
    vault,
};
use tempfile::TempDir;

use super::*;

/// A server with the vault, and a gate that lets everything through but its values.
fn vault() -> Result<(TempDir, Pair)> {
    let (policies, server, gate) = vault::start()?;
    Ok((policies, Pair { gate, server }))
}

/// The least number of statements that show a planted value to whoever asks without a gate.
const REVEALING_MIN: usize = 80;

/// A planted value as it may stand in an answer.
struct Planted {
    name: &'static str,
    bytes: Vec<u8>,
}

/// Every planted value as text, in binary, and as text turns bytes into hexadecimal.
fn planted() -> Vec<Planted> {
    let as_hex: String = b"planted".iter().map(|byte| format!("{byte:02x}")).collect();
    let texts = vault::PLANTED.map(|text| Planted { name: text, bytes: text.as_bytes().to_vec() });
    let mut planted = Vec::from(texts);
    let mut add = |name, bytes: &[u8]| planted.push(Planted { name, bytes: bytes.to_vec() });
    add("the bytes of text in hexadecimal", as_hex.as_bytes());
    add("n4 in binary", &536_904_399_i32.to_be_bytes());
    add("n8 in binary", &4_539_578_763_621_486_i64.to_be_bytes());
    add("exact in binary", &[98_u16, 7654, 3210, 1234].map(u16::to_be_bytes).concat());
    add("f8 in binary", &271_828_182_845.5_f64.to_be_bytes());
    add("born in binary", &(-10_520_i32).to_be_bytes());
    add("uid in binary", &[0xc0, 0xff, 0xee, 0x00, 0xde, 0xad]);
    add("host in binary", &[203, 0, 113, 77]);
    add("mac in binary", &[0xca, 0xfe, 0xca, 0xfe, 0x77, 0x77]);
    planted
}

/// Stands between the answers to two scripts; no message of the server holds it.
const NEXT: &str = "next";

/// What a workload hears that speaks one script after the other in one session.
fn heard(pair: &Pair, scripts: &[String]) -> Result<Vec<Vec<u8>>> {
    let directory = pair.gate.place();
    let path = directory.join("script");
    let login = "startup user=app database=shop\nhear\n";
    fs::write(&path, format!("{login}{}", scripts.join(&format!("say {NEXT}\n"))))?;
    let client = client::stage(&binary::example("client-wire")?, &directory)?;
    let mut command = pair.gate.workload(&pair.server, [client]);
    let said = succeeded("client-wire", command.stdin(File::open(path)?).output()?)?;
    said.split(NEXT).map(decoded).collect()
}

/// Lines of hexadecimal digits as the bytes that they are.
fn decoded(lines: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = lines.lines().filter(|line| *line != "closed").flat_map(str::bytes).collect();
    digits.chunks(2).map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?)).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A statement, and how it is asked.
struct Asked<'a> {
    statement: &'a str,
    way: &'static str,
    is_honest: bool,
    script: String,
}

/// One line of the list: asked in text, and where it is one statement, in binary.
fn asked(line: &str) -> Vec<Asked<'_>> {
    let (is_honest, statement) = line.strip_prefix("! ").map_or((false, line), |honest| (true, honest));
    // A session that goes on shows what a statement left behind.
    let after = "query rollback\nhear\nquery select 'done'\nhear\n";
    let script = format!("query {statement}\nhear\n{after}");
    let mut ways = vec![Asked { statement, way: "text", is_honest, script }];
    if !statement.contains("; ") {
        let extended = format!("parse {statement}\nbind binary\ndescribe\nexecute\nsync\nhear\n");
        ways.push(Asked { statement, way: "binary", is_honest, script: format!("{extended}{after}") });
    }
    ways
}

#[test]
fn no_channel_carries_a_planted_value() -> Result<()> {
    let (_policies, pair) = vault()?;
    let planted = planted();
    let statements = fs::read_to_string(place::repository().join("tests/rigs/channels.sql"))?;
    let asked: Vec<_> = statements.lines().filter(|line| !line.starts_with("--")).flat_map(asked).collect();
    let scripts: Vec<_> = asked.iter().map(|asked| asked.script.clone()).collect();
    let answers = heard(&pair, &scripts)?;
    assert_eq!(answers.len(), asked.len());
    let mut complaints = Vec::new();
    for (Asked { statement, way, is_honest, .. }, bytes) in asked.iter().zip(answers) {
        let mut complain = |what: &str| complaints.push(format!("in {way}, {what}: {statement}"));
        let leaked = planted.iter().filter(|planted| holds(&bytes, &planted.bytes));
        leaked.for_each(|planted| complain(planted.name));
        if *is_honest && !holds(&bytes, b"visible-marker") {
            complain(&format!("no answer but {}", String::from_utf8_lossy(&bytes)));
        }
        if !holds(&bytes, b"done") {
            complain("the session ended");
        }
    }
    assert_eq!(complaints.len(), 0, "{}", complaints.join("\n"));
    lacks(&pair.gate.log(), "planted-")?;
    // A list that asks for nothing would prove nothing.
    let mut revealing = 0;
    for Asked { statement, .. } in asked.iter().filter(|asked| asked.way == "text") {
        let said = directly(&pair, statement)?;
        revealing += usize::from(planted.iter().any(|planted| holds(said.as_bytes(), &planted.bytes)));
    }
    ensure!(revealing >= REVEALING_MIN, "only {revealing} statements show a planted value without a gate");
    Ok(())
}

/// What the same role hears without a gate.
fn directly(pair: &Pair, statement: &str) -> Result<String> {
    let mut psql = Command::new("psql");
    environment(&mut psql, pair.server.port()).env("PGPASSWORD", PASSWORD).args(["-X", "-q", "-c", statement]);
    Ok(said(&psql.output()?))
}
