//! What a workload's process tries, one line each.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::rig;

/// Longest that an attempt waits: a refusal must be immediate.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn client() {
    rig::answer_each(|attempt| match make(attempt) {
        Ok(answer) => answer,
        Err(error) => format!("{:?}", error.kind()),
    });
}

fn make(attempt: &str) -> io::Result<String> {
    match attempt.split_once(' ').unwrap_or((attempt, "")) {
        ("tcp", address) => tcp(address.parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

/// What the other end says before it closes.
fn tcp(address: SocketAddr) -> io::Result<String> {
    heard(TcpStream::connect_timeout(&address, PATIENCE)?)
}

fn heard(mut stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said.trim_end().into())
}
