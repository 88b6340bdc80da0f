//! Names: whatever server a workload asks, the daemon answers, and only a question reaches the resolver.

use std::process::{Command, Output};

use anyhow::{Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup},
    postgres::Postgres,
};

use super::{Pair, resolver::Resolver, said, wait_for};

/// `asks.py HOW SERVER NAME`: asks by hand, and prints who answered, the code, whether it was cut, and an address.
const ASKS: &str = include_str!("asks.py");

/// The addresses that stand for a server: of this host's stub resolver, of nobody, of the resolver itself.
const SERVERS: [&str; 4] = ["127.0.0.53", "192.0.2.53", "2001:db8::53", "127.0.0.1"];

struct Names {
    pair: Pair,
    resolver: Resolver,
}

impl Names {
    fn start() -> Result<Self> {
        let resolver = Resolver::start()?;
        let server = Postgres::start()?;
        let allowed =
            r#"["db.portcullis.test", "long.portcullis.test", "*.wild.portcullis.test", "rebound.portcullis.test"]"#;
        let extra = format!("[capture]\nresolvers = [\"{}\"]\n[dns]\nallow = {allowed}", resolver.address());
        let gate = Gate::with(&server, &Setup { extra, ..Setup::default() })?;
        Ok(Self { pair: Pair { gate, server }, resolver })
    }

    fn workload(&self, words: &[&str]) -> Command {
        self.pair.gate.workload(&self.pair.server, words)
    }

    fn asks(&self, how: &str, server: &str, name: &str) -> Command {
        self.workload(&["python3", "-c", ASKS, how, server, name])
    }
}

fn heard(output: &Output) -> String {
    said(output).trim_end().to_owned()
}

#[test]
fn any_server_that_is_asked_is_the_daemon_and_seems_to_be_itself() -> Result<()> {
    let names = Names::start()?;
    let own = names.resolver.address().to_string();
    for how in ["unconnected", "connected", "tcp"] {
        for server in SERVERS.iter().copied().chain([own.as_str()]) {
            let answer = heard(&names.asks(how, server, "db.portcullis.test").output()?);
            ensure!(answer == format!("{server} 0 whole 192.0.2.99"), "{how} {server}: {answer}");
        }
    }
    Ok(())
}

#[test]
fn a_program_resolves_names_as_ever() -> Result<()> {
    let names = Names::start()?;
    let resolve = "import socket; print(socket.getaddrinfo('db.portcullis.test', 5432, socket.AF_INET)[0][4][0])";
    let answer = heard(&names.workload(&["python3", "-c", resolve]).output()?);
    ensure!(answer == "192.0.2.99", "{answer}");
    // A long answer does not fit into a datagram, so it comes by TCP.
    let cut = heard(&names.asks("unconnected", "192.0.2.53", "long.portcullis.test").output()?);
    ensure!(cut == "192.0.2.53 0 cut -", "{cut}");
    let whole = heard(&names.asks("tcp", "192.0.2.53", "long.portcullis.test").output()?);
    ensure!(whole == "192.0.2.53 0 whole 192.0.2.99", "{whole}");
    Ok(())
}

#[test]
fn nothing_but_a_question_reaches_the_resolver() -> Result<()> {
    let names = Names::start()?;
    let own = names.resolver.address().to_string();
    for (how, code) in
        [("option", "0 whole 192.0.2.99"), ("update", "4 whole -"), ("two", "1 whole -"), ("trailer", "1 whole -")]
    {
        for server in [own.as_str(), "192.0.2.53"] {
            let answer = heard(&names.asks(how, server, "db.portcullis.test").output()?);
            ensure!(answer == format!("{server} {code}"), "{how} {server}: {answer}");
        }
    }
    for how in ["garbage", "answer"] {
        let silence = heard(&names.asks(how, &own, "db.portcullis.test").output()?);
        ensure!(silence == "silence", "{how}: {silence}");
    }
    // Asks the daemon's own port, from outside every workload.
    let listen = names.pair.gate.json(["status"])?["listen"][0].as_str().unwrap_or_default().to_owned();
    let stranger =
        Command::new("python3").args(["-c", ASKS, "unconnected", &listen, "stranger.portcullis.test"]).output()?;
    ensure!(heard(&stranger) == "silence", "a stranger heard {}", heard(&stranger));

    let messages = names.resolver.messages();
    ensure!(!messages.is_empty(), "the resolver heard nothing at all");
    for message in messages {
        ensure!(!message.windows(6).any(|bytes| bytes == b"stolen"), "{message:?}");
        ensure!(!message.windows(8).any(|bytes| bytes == b"stranger"), "{message:?}");
        // The workload's own number is 7 always.
        ensure!(!message.starts_with(&[0, 7]), "{message:?}");
    }
    Ok(())
}

#[test]
fn a_name_that_nobody_allows_is_heard_by_nobody() -> Result<()> {
    let names = Names::start()?;
    let own = names.resolver.address().to_string();
    for name in ["stolen.example", "stolen.db.portcullis.test", "stolen.stolen.wild.portcullis.test"] {
        for how in ["unconnected", "connected", "tcp", "option"] {
            let answer = heard(&names.asks(how, &own, name).output()?);
            ensure!(answer == format!("{own} 3 whole -"), "{how} {name}: {answer}");
        }
    }
    // The letters' case would be a message too, and is the asker's own again in its answer.
    let answer = heard(&names.asks("unconnected", &own, "dB.PoRtCuLlIs.TeSt").output()?);
    ensure!(answer == format!("{own} 0 whole 192.0.2.99"), "{answer}");
    let answer = heard(&names.asks("unconnected", &own, "one.wild.portcullis.test").output()?);
    ensure!(answer == format!("{own} 0 whole 192.0.2.99"), "{answer}");

    let messages = names.resolver.messages();
    ensure!(messages.len() == 2, "the resolver heard {messages:?}");
    for message in &messages {
        ensure!(!message.windows(6).any(|bytes| bytes == b"stolen"), "{message:?}");
        ensure!(message.iter().skip(12).all(|byte| !byte.is_ascii_uppercase()), "{message:?}");
    }
    wait_for("the host's record has the name", || {
        let record = names.pair.gate.ask(["sessions", "show", "host"])?;
        Ok(record.contains("name refused") && record.contains("stolen.db.portcullis.test"))
    })
}

#[test]
fn a_name_does_not_lead_to_this_host_and_every_lookup_is_recorded() -> Result<()> {
    let names = Names::start()?;
    let own = names.resolver.address().to_string();
    for name in ["rebound.portcullis.test", "rebound.wild.portcullis.test"] {
        for how in ["unconnected", "tcp", "option"] {
            let answer = heard(&names.asks(how, &own, name).output()?);
            ensure!(answer == format!("{own} 0 whole -"), "{how} {name}: {answer}");
        }
    }
    let answer = heard(&names.asks("unconnected", &own, "db.portcullis.test").output()?);
    ensure!(answer == format!("{own} 0 whole 192.0.2.99"), "{answer}");
    wait_for("the host's record has the lookups", || {
        let record = names.pair.gate.ask(["sessions", "show", "host"])?;
        let refused = record.contains("name refused") && record.contains("127.0.0.3 169.254.169.254");
        Ok(refused && record.contains("name answered") && record.contains("192.0.2.99"))
    })
}

#[test]
fn a_search_list_goes_on_to_the_name_that_is_known() -> Result<()> {
    let names = Names::start()?;
    for name in ["db.portcullis.test.corp.example", "db.portcullis.test.corp"] {
        let answer = heard(&names.asks("unconnected", "127.0.0.53", name).output()?);
        ensure!(answer == "127.0.0.53 3 whole -", "{name}: {answer}");
    }
    // A name with enough dots is asked as it is, and what does not exist is an error that programs know.
    let resolve = "import socket\ntry: socket.getaddrinfo('other.portcullis.test', 5432)\n\
        except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)";
    let answer = heard(&names.workload(&["python3", "-c", resolve]).output()?);
    ensure!(answer == "True", "{answer}");
    Ok(())
}
