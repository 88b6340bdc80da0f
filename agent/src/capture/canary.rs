//! The proof that capture holds, by a process that tries to get out.
//!
//! A canary is a process just moved into a workload's cgroup. It dials an address that nobody has, and must hear a
//! token from the daemon that no network could know; then it tries what must fail. `portcullis run` is the canary of
//! its own command, between its enrolment and `exec`; the daemon repeats the proof with a child.

mod attempts;

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::Stdio,
    str::FromStr,
    time::Duration,
};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use super::{Capture, CaptureError, Loopback, Origin, Tree};
use crate::target::OriginalDestination;

pub use attempts::{Attempt, attempts, probe};

/// RFC 5737, TEST-NET-1: no host has it.
pub const DESTINATION_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);

/// RFC 3849, documentation.
pub const DESTINATION_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 1);

/// Longest wait for the daemon's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest that a child of [`prove`] may take.
const PROOF_TIMEOUT: Duration = Duration::from_secs(20);

const TOKEN_LENGTH: usize = 32;

/// What the daemon says to a canary, and to nobody else.
#[derive(Clone, Eq, PartialEq)]
pub struct Token([u8; TOKEN_LENGTH]);

impl Token {
    pub fn random() -> Result<Self, CanaryError> {
        let mut bytes = [0; TOKEN_LENGTH];
        getrandom::fill(&mut bytes).map_err(|_| CanaryError::Randomness)?;
        Ok(Self(bytes))
    }

    /// As it goes over a control connection, in hexadecimal.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl FromStr for Token {
    type Err = CanaryError;

    fn from_str(text: &str) -> Result<Self, CanaryError> {
        let mut bytes = [0; TOKEN_LENGTH];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| CanaryError::Token)?;
        Ok(Self(bytes))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why capture is not proven.
#[derive(Debug, Error)]
pub enum CanaryError {
    #[error("failed to draw a random token")]
    Randomness,
    #[error("the token is not {TOKEN_LENGTH} bytes in hexadecimal")]
    Token,
    #[error("no answer of the daemon at {0}")]
    NoAnswer(SocketAddr, #[source] io::Error),
    #[error("something else than the daemon answered at {0}")]
    WrongAnswer(SocketAddr),
    #[error("{0} was possible")]
    Possible(&'static str),
    #[error("failed to prepare the proof")]
    Preparation(#[source] io::Error),
    #[error("the canary did not end within {} s", PROOF_TIMEOUT.as_secs())]
    Timeout,
    #[error("the canary got out: {0}")]
    Escaped(String),
    #[error("the canary failed: {0}")]
    Failed(String),
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

impl CanaryError {
    /// What the child of [`prove`] exits with when it got out.
    pub const ESCAPED: u8 = 3;

    /// Whether something went past the gate, rather than that nothing is known.
    pub fn is_escape(&self) -> bool {
        match self {
            Self::WrongAnswer(_) | Self::Possible(_) | Self::Escaped(_) => true,
            Self::Randomness | Self::Token | Self::NoAnswer(..) | Self::Preparation(_) | Self::Timeout => false,
            Self::Failed(_) | Self::Capture(_) => false,
        }
    }
}

/// Which canaries the daemon expects: the accept loop's half.
#[derive(Debug, Default)]
pub struct Canary {
    expected: Mutex<HashMap<u64, Token>>,
    /// The cgroups of the last canaries that were children of the daemon: nobody else ever was in them.
    sent: Mutex<VecDeque<u64>>,
}

/// Of how many canaries it is remembered that they were ours: what they tried is told moments after they ended.
const SENT_MAX: usize = 1024;

impl Canary {
    /// Whether a connection is a canary's; only [`Canary::answer`] may serve it.
    pub fn is_destination(destination: &OriginalDestination) -> bool {
        [DESTINATION_V4, DESTINATION_V6].map(OriginalDestination::Tcp).contains(destination)
    }

    /// Answers canaries of this cgroup with the token, until [`Canary::forget`].
    pub fn expect(&self, cgroup_id: u64, token: Token) {
        self.expected.lock().insert(cgroup_id, token);
    }

    pub fn forget(&self, cgroup_id: u64) {
        self.expected.lock().remove(&cgroup_id);
    }

    /// Whether a connection comes from a process that is proving its capture.
    pub fn is_expected(&self, origin: &Origin) -> bool {
        self.is_awaited(origin.cgroup_id)
    }

    /// Whether the processes of this cgroup may be proving their capture.
    pub fn is_awaited(&self, cgroup_id: u64) -> bool {
        self.expected.lock().contains_key(&cgroup_id)
    }

    /// Whether this is the cgroup of a canary that the daemon has sent, now or shortly before.
    pub fn is_ours(&self, cgroup_id: u64) -> bool {
        self.sent.lock().contains(&cgroup_id)
    }

    fn note_sent(&self, cgroup_id: u64) {
        let mut sent = self.sent.lock();
        sent.push_back(cgroup_id);
        if sent.len() > SENT_MAX {
            sent.pop_front();
        }
    }

    /// Writes the token that belongs to the origin's cgroup, or nothing, and closes.
    pub async fn answer(&self, origin: &Origin, mut stream: crate::socket::Socket) -> io::Result<()> {
        let token = self.expected.lock().get(&origin.cgroup_id).cloned();
        if let Some(token) = token {
            stream.write_all(&token.0).await?;
        }
        stream.shutdown().await
    }
}

/// Proves the capture of a tree by a child that is enrolled there: `command` must end in [`child`].
///
/// The accept loop must be running. Asks the kernel first whether every program is attached.
pub async fn prove(
    capture: &Capture,
    canary: &Canary,
    tree: &Tree,
    mut command: tokio::process::Command,
) -> Result<(), CanaryError> {
    capture.verify_tree(tree)?;
    let enrolment = capture.enrol_canary(tree)?;
    let token = Token::random()?;
    canary.note_sent(enrolment.cgroup_id());
    canary.expect(enrolment.cgroup_id(), token.clone());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let proof = async {
        let mut child = command.spawn().map_err(CanaryError::Preparation)?;
        let pid = child.id().ok_or_else(|| CanaryError::Preparation(io::ErrorKind::NotFound.into()))?;
        enrolment.admit(pid)?;
        let mut input = child.stdin.take().ok_or_else(|| CanaryError::Preparation(io::ErrorKind::BrokenPipe.into()))?;
        input.write_all(format!("{}\n", token.to_hex()).as_bytes()).await.map_err(CanaryError::Preparation)?;
        let output = child.wait_with_output().await.map_err(CanaryError::Preparation)?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(()),
            Some(code) if code == i32::from(CanaryError::ESCAPED) => Err(CanaryError::Escaped(said)),
            Some(_) | None => Err(CanaryError::Failed(said)),
        }
    };
    let result = tokio::time::timeout(PROOF_TIMEOUT, proof).await.unwrap_or(Err(CanaryError::Timeout));
    canary.forget(enrolment.cgroup_id());
    // A child that hung was killed by now, or is about to be reaped.
    let _ = enrolment.kill();
    tokio::spawn(enrolment.released());
    result
}

/// What the child of [`prove`] does: waits to be admitted, then probes.
pub fn child() -> Result<(), CanaryError> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(CanaryError::Preparation)?;
    probe(&line.trim_end().parse()?, Loopback::Shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_never_shown() {
        let token = Token::random().unwrap();
        assert_eq!(token.to_hex().parse::<Token>().unwrap(), token);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!("ab".parse::<Token>().is_err());
    }
}
