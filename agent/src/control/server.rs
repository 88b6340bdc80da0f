//! The daemon's end of the control socket.

use std::{io, path::Path, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};

use super::{COMMAND_BYTES_MAX, CONNECTIONS_MAX, Command, Peer, Reply, Role};
use crate::config::Approvers;

/// What the daemon does for its peers.
pub trait Control: Send + Sync + 'static {
    /// Whether a cgroup, by its path below the mount, is a workload's.
    fn governs(&self, cgroup: &Path) -> bool;
    fn approvers(&self) -> &[Approvers];
    /// A governed process has asked for control, and was refused.
    fn turned_away(&self, peer: &Peer);
    /// Whether a daemon of this instance may take over, which would listen on this port; else why not.
    fn hand_over(&self, instance: &str, port: u16) -> Result<(), String>;
    /// Leaves everything to the daemon at the other end of a connection.
    fn leave_to(&self, by: Peer, stream: std::os::unix::net::UnixStream);
    fn obey(&self, command: Command, peer: &Peer) -> impl Future<Output = Reply> + Send;
}

/// Serves commands until the listener fails.
pub async fn serve<C: Control>(listener: UnixListener, control: Arc<C>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, _) = listener.accept().await?;
        // Whoever may ask nothing takes no place from those who may.
        if let Err(refusal) = admit(&stream, control.as_ref()) {
            let _ = stream.try_write(&line_of(&refusal));
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let control = control.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, control.as_ref()).await {
                tracing::debug!(%error, "control connection broke off");
            }
            drop(place);
        });
    }
}

async fn converse<C: Control>(stream: UnixStream, control: &C) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if (&mut stream).take(COMMAND_BYTES_MAX).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        // Read anew for each command: the process may have been enrolled since the last one.
        let peer = Peer::new(pid, credentials.uid());
        let reply = match read(&line, &peer, control) {
            Ok(Command::TakeOver { instance, port }) => match control.hand_over(&instance, port) {
                Ok(()) => {
                    control.leave_to(peer, stream.into_inner().into_std()?);
                    return Ok(());
                }
                Err(error) => refused(&error, "the running daemon goes on as before"),
            },
            Ok(command) => control.obey(command, &peer).await,
            Err(refusal) => *refusal,
        };
        stream.get_mut().write_all(&line_of(&reply)).await?;
    }
}

fn line_of(reply: &Reply) -> Vec<u8> {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Whether the peer may ask anything at all.
fn admit<C: Control>(stream: &UnixStream, control: &C) -> Result<Role, Box<Reply>> {
    let credentials = stream.peer_cred().map_err(|error| Box::new(refused(&error.to_string(), "connect again")))?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
    role_of(&Peer::new(pid, credentials.uid()), control)
}

fn role_of<C: Control>(peer: &Peer, control: &C) -> Result<Role, Box<Reply>> {
    if peer.is_governed(|cgroup| control.governs(cgroup)) {
        control.turned_away(peer);
        return Err(Box::new(refused("a governed process has no control", "ask from outside the workload")));
    }
    peer.role(control.approvers()).ok_or_else(|| {
        let error = format!("`{}` is neither an operator nor an approver here", peer.name);
        Box::new(refused(&error, "run it as root, or as a member of a group under [[approvers]]"))
    })
}

/// The command of a line, where its sender may give it.
fn read<C: Control>(line: &str, peer: &Peer, control: &C) -> Result<Command, Box<Reply>> {
    let role = role_of(peer, control)?;
    match serde_json::from_str::<Command>(line) {
        Ok(command) if role >= command.role() => Ok(command),
        Ok(_) => Err(Box::new(refused("this needs an operator", "run it as root"))),
        Err(error) => {
            let error = format!("this is no command: {error}");
            Err(Box::new(refused(&error, "is the command line of another version?")))
        }
    }
}

fn refused(error: &str, hint: &str) -> Reply {
    Reply::Refused { error: error.to_owned(), hint: Some(hint.to_owned()) }
}
