//! The daemon's end of the control socket.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};

use super::{COMMAND_BYTES_MAX, CONNECTIONS_MAX, Command, Peer, Reply, Role};
use crate::{accept::Workloads, config::Approvers};

/// What the daemon does for its peers.
pub trait Control: Send + Sync + 'static {
    fn workloads(&self) -> &Workloads;
    fn approvers(&self) -> &[Approvers];
    fn obey(&self, command: Command, peer: &Peer) -> impl Future<Output = Reply> + Send;
}

/// Serves commands until the listener fails.
pub async fn serve<C: Control>(listener: UnixListener, control: Arc<C>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, _) = listener.accept().await?;
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
        let reply = answer(&line, &peer, control).await;
        let mut bytes = serde_json::to_vec(&reply)?;
        bytes.push(b'\n');
        stream.get_mut().write_all(&bytes).await?;
    }
}

async fn answer<C: Control>(line: &str, peer: &Peer, control: &C) -> Reply {
    if peer.is_governed(control.workloads()) {
        tracing::warn!(pid = peer.pid, uid = peer.uid, "a governed process asked for control, and was refused");
        return refused("a governed process has no control", "ask from outside the workload");
    }
    let command: Command = match serde_json::from_str(line) {
        Ok(command) => command,
        Err(error) => {
            return refused(&format!("this is no command: {error}"), "is the command line of another version?");
        }
    };
    match peer.role(control.approvers()) {
        Some(role) if role >= command.role() => control.obey(command, peer).await,
        Some(Role::Approver) | Some(Role::Operator) => refused("this needs an operator", "run it as root"),
        None => refused(
            &format!("`{}` is neither an operator nor an approver here", peer.name),
            "run it as root, or as a member of a group under [[approvers]]",
        ),
    }
}

fn refused(error: &str, hint: &str) -> Reply {
    Reply::Refused { error: error.to_owned(), hint: Some(hint.to_owned()) }
}
