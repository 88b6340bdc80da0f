use std::{collections::HashMap, sync::Arc};

use super::Meaning;
use crate::{
    config::{SOCKETS_MAX, UnixSockets, located::Located, mistake::Mistake, raw},
    socket::{self, Keepers},
    target::{Address, SocketPath, Target},
};

/// Names of sockets by which whoever reaches them starts containers, and so is root.
const CONTAINER_ENGINES: [&str; 12] = [
    "docker.sock",
    "dockershim.sock",
    "cri-dockerd.sock",
    "containerd.sock",
    "containerd.sock.ttrpc",
    "podman.sock",
    "crio.sock",
    "buildkitd.sock",
    "io.podman",
    "unix.socket",
    "libvirt-sock",
    "virtqemud-sock",
];

impl Meaning<'_> {
    pub fn unix(&mut self, raw: &raw::UnixSockets, targets: &[Arc<Target>]) -> UnixSockets {
        let mut sockets = UnixSockets::default();
        let mut seen = HashMap::new();
        let listed = raw.allow.iter().map(|raw| (raw, false));
        let engines = raw.allow_container_engines.iter().map(|raw| (raw, true));
        for (raw, is_engine) in listed.chain(engines) {
            let Some(path) = self.allowed(raw, is_engine, targets) else { continue };
            let twice = format!("socket given twice: `{path}`");
            self.unique(&mut seen, path.clone(), &raw.span, twice, "once is enough");
            if is_engine {
                sockets.container_engines.push(path.clone());
            }
            sockets.allowed.push(path);
            if sockets.allowed.len() == SOCKETS_MAX + 1 {
                let what = format!("too many sockets: `{}` is one more than {SOCKETS_MAX}", raw.escape_debug());
                self.mistakes.push(Mistake::new(raw.span.clone(), what).hint("allow fewer"));
            }
        }
        sockets
    }

    fn allowed(&mut self, raw: &Located<String>, is_engine: bool, targets: &[Arc<Target>]) -> Option<SocketPath> {
        let text = raw.strip_prefix("unix:").unwrap_or(raw);
        match SocketPath::parse(text).map_err(|error| malformed(raw, text, &error.to_string())) {
            Ok(path) => match self.refused(raw, &path, is_engine, targets) {
                None => return Some(path),
                Some(mistake) => self.mistakes.push(mistake),
            },
            Err(mistake) => self.mistakes.push(mistake),
        }
        None
    }

    /// Why workloads may not reach a socket past the gate.
    fn refused(
        &self,
        raw: &Located<String>,
        path: &SocketPath,
        is_engine: bool,
        targets: &[Arc<Target>],
    ) -> Option<Mistake> {
        let refuse = |what: String| Mistake::new(raw.span.clone(), what);
        let address = Address::Unix(path.clone());
        let dials = |target: &&Arc<Target>| {
            target.addresses.contains(&address) || target.upstream.as_ref().is_some_and(|upstream| *upstream == address)
        };
        if path.as_path() == self.control {
            let hint = "a workload has no control over its gate";
            return Some(refuse(format!("the daemon's own control socket: `{path}`")).hint(hint));
        }
        if let Some(target) = targets.iter().find(dials) {
            let what = format!("the socket of target `{}`: `{path}`", target.name);
            return Some(refuse(what).hint("workloads reach it through the gate: remove it here"));
        }
        let sockets = |target: &Arc<Target>| target.addresses.iter().any(|address| is_beside(address, path));
        if let Some(target) = targets.iter().find(|target| sockets(target)) {
            let what = format!("a socket in the directory of target `{}`: `{path}`", target.name);
            return Some(
                refuse(what).hint("workloads find the gate's directory there, with the target's sockets alone"),
            );
        }
        let named = path.file_name().to_str().unwrap_or_default();
        match (CONTAINER_ENGINES.contains(&named), is_engine) {
            (true, false) => Some(
                refuse(format!("a container engine's socket: `{path}`"))
                    .expected("a socket that does not make its client root")
                    .hint("whoever reaches it is root on this host; `allow_container_engines` allows it all the same"),
            ),
            (false, _) | (true, true) => exposed(raw, path),
        }
    }
}

/// Whether an address is a socket in the same directory.
fn is_beside(address: &Address, path: &SocketPath) -> bool {
    match address {
        Address::Unix(other) => other.directory() == path.directory(),
        Address::Tcp(_) => false,
    }
}

fn malformed(raw: &Located<String>, text: &str, why: &str) -> Mistake {
    let mistake = Mistake::new(raw.span.clone(), format!("{why}: `{}`", raw.escape_debug()))
        .expected("the path of a Unix socket, such as `/run/nscd/socket`");
    match text.starts_with('@') {
        true => mistake.hint("an abstract socket has no keeper: anyone may listen under its name"),
        false => mistake,
    }
}

/// Somebody else could put a container engine's socket, or a link to it, there.
fn exposed(raw: &Located<String>, path: &SocketPath) -> Option<Mistake> {
    let expected = "a socket in a directory that only root may write to";
    if let Ok(real) = std::fs::read_link(path.as_path()) {
        let what = format!("a symbolic link to `{}`: `{path}`", real.display());
        return Some(Mistake::new(raw.span.clone(), what).expected(expected).hint("write the socket's own path"));
    }
    let exposure = socket::check(path, Keepers::Root).err().filter(|exposure| !exposure.is_missing())?;
    let mistake = Mistake::new(raw.span.clone(), format!("{exposure}")).expected(expected);
    Some(mistake.hint("another socket could be put there, which nobody has allowed"))
}
