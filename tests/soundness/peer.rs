//! One connection to a server: straight to it, or through the gate as a workload.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::message::{Message, Reply, Script};

/// How long to wait for any byte of an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest message that is taken.
const MESSAGE_MAX: usize = 64 << 20;

/// A connection that is logged in.
pub struct Peer {
    write: Box<dyn Write>,
    read: Receiver<Vec<u8>>,
    unread: Vec<u8>,
    relay: Option<Child>,
}

impl Peer {
    /// The server itself, past the gate, with the rights of `app`.
    pub fn direct(socket: &std::path::Path, database: &str) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
        let mut peer = Self::new(Box::new(stream.try_clone()?), stream, None);
        peer.login("postgres", database)?;
        let reply = peer.ask(&Script::default().query("set session authorization app"))?;
        ensure!(reply.error().is_none(), "the server refused another authorization");
        Ok(peer)
    }

    /// The gate, by a workload's command that relays between its standard streams and the server's address.
    pub fn workload(mut command: Command, database: &str) -> Result<Self> {
        let mut relay = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting a workload")?;
        let write = relay.stdin.take().context("the workload's input")?;
        let read = relay.stdout.take().context("the workload's output")?;
        let mut peer = Self::new(Box::new(write), read, Some(relay));
        peer.login("app", database)?;
        Ok(peer)
    }

    fn new(write: Box<dyn Write>, mut from: impl Read + Send + 'static, relay: Option<Child>) -> Self {
        let (sender, read) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let Some(bytes) = buffer.get(..count) else { break };
                if sender.send(bytes.to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { write, read, unread: Vec::new(), relay }
    }

    fn login(&mut self, user: &str, database: &str) -> Result<()> {
        let reply = self.ask(&Script::startup(user, database))?;
        if let Some(error) = reply.error() {
            bail!("login as {user}: {}", String::from_utf8_lossy(&error.body));
        }
        ensure!(!reply.closed, "the connection was closed at login");
        Ok(())
    }

    /// Sends messages step by step, and reads until everything is answered or the connection has ended.
    pub fn ask(&mut self, script: &Script) -> Result<Reply> {
        let mut reply = Reply::default();
        for step in &script.steps {
            // Who has closed may still have said why.
            let _ = self.write.write_all(step).and_then(|()| self.write.flush());
            loop {
                let Some(message) = self.message()? else {
                    reply.closed = true;
                    return Ok(reply);
                };
                let is_ready = message.tag == b'Z';
                reply.messages.push(message);
                if is_ready {
                    break;
                }
            }
        }
        Ok(reply)
    }

    /// The next message; `None` at the end of the connection.
    fn message(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some((head, rest)) = self.unread.split_first_chunk::<5>() {
                let [tag, length @ ..] = *head;
                let length = (u32::from_be_bytes(length) as usize).saturating_sub(4);
                ensure!(length <= MESSAGE_MAX, "a message of {length} bytes");
                if let Some(body) = rest.get(..length) {
                    let message = Message { tag, body: body.to_vec() };
                    self.unread.drain(..5 + length);
                    return Ok(Some(message));
                }
            }
            match self.read.recv_timeout(SILENCE) {
                Ok(bytes) => self.unread.extend(bytes),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("no answer within {SILENCE:?}"),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Terminate; who has closed already needs no farewell.
        let _ = self.write.write_all(b"X\0\0\0\x04").and_then(|()| self.write.flush());
        if let Some(relay) = &mut self.relay {
            // Its input ends with the writer; then it ends by itself.
            self.write = Box::new(io::sink());
            let _ = relay.wait();
        }
    }
}

/// What the workload runs: copies between the standard streams and the server that libpq's environment names.
pub fn relay() -> Result<()> {
    let host = std::env::var("PGHOST").context("PGHOST")?;
    let stream = TcpStream::connect((host, std::env::var("PGPORT").context("PGPORT")?.parse()?))?;
    stream.set_nodelay(true)?;
    let mut to_server = stream.try_clone()?;
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let (mut from_server, mut out) = (stream, io::stdout());
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from_server.read(&mut buffer) {
        out.write_all(buffer.get(..count).unwrap_or_default())?;
        out.flush()?;
    }
    Ok(())
}
