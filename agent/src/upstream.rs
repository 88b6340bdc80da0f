//! Dialling the target's server: over TCP, then TLS as the target says.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{
    credential::Credential,
    target::{HostPort, OriginalDestination, Target},
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
    #[error("{address} did not accept within {} s", CONNECT_TIMEOUT.as_secs())]
    Slow { address: SocketAddr },
    #[error("TLS cannot be set up: {0}")]
    Setup(Arc<UpstreamTlsError>),
    #[error("the target says `verify = \"off\"`, so there is no TLS to it")]
    NoTls,
    #[error("TLS with the server failed: {0}")]
    Handshake(#[from] HandshakeError),
}

/// TLS towards targets, made once for a target and the credential that it is shown with.
#[derive(Debug, Default)]
pub struct TlsSetups(Mutex<HashMap<Arc<str>, Setup>>);

#[derive(Debug)]
struct Setup {
    credential: Option<Arc<Credential>>,
    tls: Option<UpstreamTls>,
}

impl TlsSetups {
    /// The target's setup; a credential that was read anew makes a new one.
    fn find(
        &self,
        target: &Target,
        credential: Option<&Arc<Credential>>,
    ) -> Result<Option<UpstreamTls>, UpstreamError> {
        let mut setups = self.0.lock();
        if let Some(setup) = setups.get(&target.name)
            && is_same(setup.credential.as_ref(), credential)
        {
            return Ok(setup.tls.clone());
        }
        let made = UpstreamTls::for_target(target, credential.map(AsRef::as_ref));
        let tls = made.map_err(|error| UpstreamError::Setup(Arc::new(error)))?;
        setups.insert(target.name.clone(), Setup { credential: credential.cloned(), tls: tls.clone() });
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
    pub async fn dial(&self) -> Result<TcpStream, UpstreamError> {
        let mut failed = None;
        for address in self.addresses().await? {
            match self.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| UpstreamError::NoAddress { place: place_of(self.destination.0) }))
    }

    /// Lays TLS over a connection to the server; with the channel binding of its certificate.
    pub async fn secure(&self, stream: tls::Stream) -> Result<(tls::Stream, Option<Vec<u8>>), UpstreamError> {
        let setup = self.setups.find(&self.target, self.credential.as_ref())?.ok_or(UpstreamError::NoTls)?;
        Ok(stream.connect(&setup).await?)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, UpstreamError> {
        let Some(place) = &self.target.upstream else { return Ok(vec![self.destination.0]) };
        if let Ok(ip) = place.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, place.port)]);
        }
        let unresolved = |source| UpstreamError::Resolve { place: place.clone(), source };
        let found: Vec<_> =
            lookup_host((place.host.as_str(), place.port)).await.map_err(unresolved)?.take(ADDRESSES_MAX).collect();
        if found.is_empty() { Err(UpstreamError::NoAddress { place: place.clone() }) } else { Ok(found) }
    }

    async fn connect(&self, address: SocketAddr) -> Result<TcpStream, UpstreamError> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if self.listeners.contains(&address) {
            return Err(UpstreamError::Loop { address });
        }
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connected
            .map_err(|_| UpstreamError::Slow { address })?
            .map_err(|source| UpstreamError::Connect { address, source })?;
        // A socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

fn place_of(address: SocketAddr) -> HostPort {
    HostPort { host: address.ip().to_string(), port: address.port() }
}
