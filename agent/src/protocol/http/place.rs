//! Where the requests of one connection go: to one host of the target, and to no other.

use super::codec::{Host, Location};
use crate::{
    request::http::Scheme,
    target::{Address, OriginalDestination, Target},
};

/// The only host that is meant where a Unix socket was dialled.
const LOCAL: &str = "localhost";

/// What the workload dialled, and what it asked for in doing so.
#[derive(Debug)]
pub struct Place {
    pub scheme: Scheme,
    /// What the workload's TLS asked for (RFC 6066, section 3).
    server_name: Option<String>,
    /// The hosts of the target at the dialled port.
    hosts: Vec<Host>,
    port: Option<u16>,
    /// The host of the first request: the upstream connection is with that one.
    chosen: Option<Host>,
}

/// Why a request does not belong on this connection (RFC 9110, section 15.5.20).
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misdirected {
    #[error("the request is for port {asked}, and port {dialled} was dialled")]
    Port { asked: u16, dialled: u16 },
    #[error("the request is for `{asked}`, and TLS was set up with `{server_name}`")]
    ServerName { asked: String, server_name: String },
    #[error("`{0}` is none of this target's hosts")]
    Foreign(String),
    #[error("the request is for `{asked}`, and this connection is with `{chosen}`")]
    Another { asked: String, chosen: String },
}

impl Place {
    pub fn new(
        target: &Target,
        destination: &OriginalDestination,
        scheme: Scheme,
        server_name: Option<String>,
    ) -> Self {
        let port = destination.port();
        let hosts = target.addresses.iter().filter_map(|address| match address {
            Address::Tcp(place) => (Some(place.port) == port).then(|| Host::parse(place.host.as_bytes()).ok())?,
            Address::Unix(_) => None,
        });
        let hosts = if destination.is_unix() {
            Host::parse(LOCAL.as_bytes()).into_iter().collect()
        } else {
            hosts.collect()
        };
        Self { scheme, server_name, hosts, port, chosen: None }
    }

    /// The port that URLs on this connection mean where they name none.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.port())
    }

    /// Holds a request to the one host: SNI, Host and what was dialled have to agree.
    pub fn admit(&mut self, location: &Location) -> Result<(), Misdirected> {
        let asked = || location.host.to_string();
        if self.port.is_some_and(|dialled| dialled != location.port) {
            return Err(Misdirected::Port { asked: location.port, dialled: self.port() });
        }
        if let Some(server_name) = &self.server_name
            && Host::parse(server_name.as_bytes()).ok().as_ref() != Some(&location.host)
        {
            return Err(Misdirected::ServerName { asked: asked(), server_name: server_name.clone() });
        }
        if !self.hosts.contains(&location.host) {
            return Err(Misdirected::Foreign(asked()));
        }
        match &self.chosen {
            Some(chosen) if *chosen != location.host => {
                return Err(Misdirected::Another { asked: asked(), chosen: chosen.to_string() });
            }
            Some(_) => {}
            None => self.chosen = Some(location.host.clone()),
        }
        Ok(())
    }
}
