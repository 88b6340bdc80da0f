//! The command line's end of the control socket.

use std::{
    env, io,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use super::{Command, Reply};

/// Where the socket is when nobody says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/portcullis/control.sock";
/// Names the socket for the command line.
pub const SOCKET_VARIABLE: &str = "PORTCULLIS_CONTROL";
/// Most bytes of one reply.
const REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why the daemon could not be asked, or would not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no daemon answers at {path}: {source}\n  hint: start it with `portcullis up`, or name its socket with --control"
    )]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("the daemon at {path} broke off: {source}")]
    BrokeOff { path: PathBuf, source: io::Error },
    #[error("the daemon at {path} sent what is no reply: {source}\n  hint: is it of another version?")]
    Foreign { path: PathBuf, source: serde_json::Error },
    #[error("{error}{}", hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default())]
    Refused { error: String, hint: Option<String> },
}

/// Where the daemon listens: `--control`, else `PORTCULLIS_CONTROL`, else the default.
pub fn socket_path(named: Option<&Path>) -> PathBuf {
    match (named, env::var_os(SOCKET_VARIABLE)) {
        (Some(path), _) => path.to_owned(),
        (None, Some(path)) => path.into(),
        (None, None) => DEFAULT_SOCKET.into(),
    }
}

/// A connection to one daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    pub fn connect(path: PathBuf) -> Result<Self, ClientError> {
        match UnixStream::connect(&path) {
            Ok(stream) => Ok(Self { path, stream: BufReader::new(stream) }),
            Err(source) => Err(ClientError::Unreachable { path, source }),
        }
    }

    /// Sends one command and waits for its reply; a refusal is an error.
    pub fn ask(&mut self, command: &Command) -> Result<Reply, ClientError> {
        let line =
            self.exchange(command).map_err(|source| ClientError::BrokeOff { path: self.path.clone(), source })?;
        match serde_json::from_str(&line) {
            Ok(Reply::Refused { error, hint }) => Err(ClientError::Refused { error, hint }),
            Ok(reply) => Ok(reply),
            Err(source) => Err(ClientError::Foreign { path: self.path.clone(), source }),
        }
    }

    fn exchange(&mut self, command: &Command) -> io::Result<String> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        match self.stream.get_mut().write_all(&line) {
            // Whom the daemon refuses it does not hear out: why is there to be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        let mut reply = String::new();
        if self.stream.by_ref().take(REPLY_BYTES_MAX).read_line(&mut reply)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(reply)
    }
}
