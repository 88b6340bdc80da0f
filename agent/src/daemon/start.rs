//! What a daemon begins with.

use std::{
    collections::HashMap,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{inheritance::Inheritance, listeners::Sockets, takeover::Successor};
use crate::{accept::Workload, capture::namespace::NamespaceFile, config::Config};

/// What a daemon begins with: nothing, or what another has left.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub inheritance: Option<Inheritance>,
    /// The other daemon waits for this one.
    pub successor: Option<Successor>,
    /// A handover came to nothing, for this reason.
    pub resumed: Option<String>,
}

impl Start {
    pub(super) fn after_another(config: &Config) -> anyhow::Result<Self> {
        let (successor, inheritance) = Successor::ask(config)?;
        Ok(Self { inheritance: Some(inheritance), successor: Some(successor), resumed: None })
    }

    pub(super) fn again(inheritance: Inheritance, reason: String) -> Self {
        Self { inheritance: Some(inheritance), successor: None, resumed: Some(reason) }
    }
}

/// What a daemon builds on: made anew, or left by another.
pub(super) struct Left {
    pub lock: Option<OwnedFd>,
    pub control: UnixListener,
    pub host: Option<Sockets>,
    pub namespaces: HashMap<NamespaceFile, Sockets>,
    pub doorways: HashMap<PathBuf, UnixListener>,
    pub workloads: Vec<Workload>,
    pub from: Option<u32>,
    /// How many sockets were left.
    pub sockets: usize,
}

impl Left {
    pub(super) fn claim(config: &Config) -> anyhow::Result<Self> {
        let control = claim_socket(&config.control)?;
        let (namespaces, doorways, workloads) = (HashMap::new(), HashMap::new(), Vec::new());
        Ok(Self { lock: None, control, host: None, namespaces, doorways, workloads, from: None, sockets: 0 })
    }

    pub(super) fn of(inheritance: Inheritance) -> Self {
        let sockets = inheritance.sockets();
        let Inheritance { lock, control, host, namespaces, doorways, workloads, from } = inheritance;
        Self { lock: Some(lock), control, host: Some(host), namespaces, doorways, workloads, from: Some(from), sockets }
    }
}

/// Takes the control socket, unless another daemon answers there.
fn claim_socket(path: &Path) -> anyhow::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        anyhow::bail!(
            "another daemon answers at {}\n  hint: stop it, go on in its place with --takeover, or set `control` to another path",
            path.display()
        );
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove the stale socket {}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("failed to listen on {}", path.display()))?;
    // Everyone may ask; what they may do follows from who they are.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
