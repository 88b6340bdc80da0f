//! Dialling the target's server: over TCP, then TLS as the target says, or at its Unix socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};

use crate::{
    credential::Credential,
    socket::{self, Exposure, Keepers, Socket},
    target::{Address, HostPort, OriginalDestination, SocketPath, Target},
    tls::{self, HandshakeError, UpstreamTls, UpstreamTlsError},
};

/// For one address to accept the connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 8;

/// Why there is no connection to a server.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("cannot resolve {place}: {source}")]
    Resolve { place: HostPort, source: io::Error },
    #[error("{place} has no address")]
    NoAddress { place: HostPort },
    #[error("{address} is the gate itself")]
    Loop { address: SocketAddr },
    #[error("cannot connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("the gate itself listens at {path}")]
    LoopAt { path: SocketPath },
    #[error("cannot connect to {path}: {source}")]
    ConnectAt { path: SocketPath, source: io::Error },
    #[error("{path} did not accept within {} s", CONNECT_TIMEOUT.as_secs())]
    SlowAt { path: SocketPath },
    #[error("the server at {path} cannot be told from others: {exposure}")]
    Exposed { path: SocketPath, exposure: Exposure },
    #[error("{address} did not accept within {} s", CONNECT_TIMEOUT.as_secs())]
    Slow { address: SocketAddr },
    #[error("TLS cannot be set up: {0}")]
    Setup(Arc<UpstreamTlsError>),
    #[error("the target says `verify = \"off\"`, so there is no TLS to it")]
    NoTls,
    #[error("TLS with the server failed: {0}")]
    Handshake(#[from] HandshakeError),
}

/// Most setups that are kept: workloads choose which of a target's hosts they ask.
pub const SETUPS_MAX: NonZeroUsize = match NonZeroUsize::new(1024) {
    Some(most) => most,
    None => NonZeroUsize::MIN,
};

/// TLS towards targets, made once for a target, the host that is meant and the credential that it is shown with.
#[derive(Debug)]
pub struct TlsSetups(Mutex<LruCache<Server, Setup>>);

/// Who is met.
#[derive(Debug, Eq, Hash, PartialEq)]
struct Server {
    target: Arc<str>,
    host: Option<Arc<str>>,
}

#[derive(Debug)]
struct Setup {
    credential: Option<Arc<Credential>>,
    tls: Option<UpstreamTls>,
}

impl Default for TlsSetups {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(SETUPS_MAX)))
    }
}

impl TlsSetups {
    /// The target's setup; a credential that was read anew makes a new one.
    fn find(
        &self,
        target: &Target,
        host: Option<&str>,
        credential: Option<&Arc<Credential>>,
    ) -> Result<Option<UpstreamTls>, UpstreamError> {
        let mut setups = self.0.lock();
        let server = Server { target: target.name.clone(), host: host.map(Arc::from) };
        if let Some(setup) = setups.get(&server)
            && is_same(setup.credential.as_ref(), credential)
        {
            return Ok(setup.tls.clone());
        }
        let made = UpstreamTls::for_target(target, host, credential.map(AsRef::as_ref));
        let tls = made.map_err(|error| UpstreamError::Setup(Arc::new(error)))?;
        setups.put(server, Setup { credential: credential.cloned(), tls: tls.clone() });
        Ok(tls)
    }
}

fn is_same(one: Option<&Arc<Credential>>, other: Option<&Arc<Credential>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// One connection's way to its server.
#[derive(Debug)]
pub struct Dialler {
    pub target: Arc<Target>,
    pub destination: OriginalDestination,
    pub credential: Option<Arc<Credential>>,
    /// The daemon's own listeners, which are never dialled.
    pub listeners: Vec<SocketAddr>,
    pub setups: Arc<TlsSetups>,
}

impl Dialler {
    /// Connects to the target's upstream, or to where the workload wanted to go.
    pub async fn dial(&self) -> Result<Socket, UpstreamError> {
        match (&self.target.upstream, &self.destination) {
            (Some(Address::Unix(path)), _) | (None, OriginalDestination::Unix(path)) => connect_at(path).await,
            (Some(Address::Tcp(place)), _) => self.dial_host(place).await,
            (None, OriginalDestination::Tcp(address)) => self.connect(*address).await,
        }
    }

    /// Connects to the first address of a host that accepts.
    async fn dial_host(&self, place: &HostPort) -> Result<Socket, UpstreamError> {
        let mut failed = UpstreamError::NoAddress { place: place.clone() };
        for address in addresses(place).await? {
            match self.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Lays TLS over a connection to the server, which has to be `host` where one is named; with the channel binding of
    /// its certificate.
    pub async fn secure(
        &self,
        stream: tls::Stream,
        host: Option<&str>,
    ) -> Result<(tls::Stream, Option<Vec<u8>>), UpstreamError> {
        let setup = self.setups.find(&self.target, host, self.credential.as_ref())?.ok_or(UpstreamError::NoTls)?;
        Ok(stream.connect(&setup).await?)
    }

    async fn connect(&self, address: SocketAddr) -> Result<Socket, UpstreamError> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if self.listeners.contains(&address) {
            return Err(UpstreamError::Loop { address });
        }
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connected
            .map_err(|_| UpstreamError::Slow { address })?
            .map_err(|source| UpstreamError::Connect { address, source })?;
        let socket = Socket::from(stream);
        socket.hurry();
        Ok(socket)
    }
}

async fn addresses(place: &HostPort) -> Result<Vec<SocketAddr>, UpstreamError> {
    if let Ok(ip) = place.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, place.port)]);
    }
    let unresolved = |source| UpstreamError::Resolve { place: place.clone(), source };
    Ok(lookup_host((place.host.as_str(), place.port)).await.map_err(unresolved)?.take(ADDRESSES_MAX).collect())
}

/// Connects to a server's Unix socket, where none but the server's user could have put another one: what answers there
/// is shown the credential.
async fn connect_at(path: &SocketPath) -> Result<Socket, UpstreamError> {
    socket::check(path, Keepers::Server).map_err(|exposure| UpstreamError::Exposed { path: path.clone(), exposure })?;
    let failed = |source| UpstreamError::ConnectAt { path: path.clone(), source };
    let connected = timeout(CONNECT_TIMEOUT, UnixStream::connect(path.as_path())).await;
    let stream = connected.map_err(|_| UpstreamError::SlowAt { path: path.clone() })?.map_err(failed)?;
    let listener = stream.peer_cred().map_err(failed)?.pid().and_then(|pid| u32::try_from(pid).ok());
    if listener == Some(std::process::id()) {
        return Err(UpstreamError::LoopAt { path: path.clone() });
    }
    Ok(stream.into())
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn the_gate_does_not_dial_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = SocketPath::parse(directory.path().join("s").to_str().unwrap()).unwrap();
        let _listener = UnixListener::bind(path.as_path()).unwrap();
        assert!(matches!(connect_at(&path).await, Err(UpstreamError::LoopAt { .. })));
    }

    #[tokio::test]
    async fn a_socket_that_anyone_could_have_made_is_not_dialled() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        let path = SocketPath::parse(directory.path().join("s").to_str().unwrap()).unwrap();
        let listener = UnixListener::bind(path.as_path()).unwrap();
        assert!(matches!(connect_at(&path).await, Err(UpstreamError::Exposed { .. })));
        let heard = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(heard.is_err(), "it was dialled");
    }
}
