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
            Address::Tcp(place) if Some(place.port) == port => host(&place.host),
            Address::Tcp(_) | Address::Unix(_) => None,
        });
        let hosts = if destination.is_unix() { host(LOCAL).into_iter().collect() } else { hosts.collect() };
        Self { scheme, server_name, hosts, port, chosen: None }
    }

    /// Holds a request to the one host: SNI, Host and what was dialled have to agree.
    pub fn admit(&mut self, location: &Location) -> Result<(), Misdirected> {
        let asked = || location.host.to_string();
        if let Some(dialled) = self.port.filter(|dialled| *dialled != location.port) {
            return Err(Misdirected::Port { asked: location.port, dialled });
        }
        if let Some(server_name) = &self.server_name
            && host(server_name).as_ref() != Some(&location.host)
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

/// A host as configurations and handshakes write it: an IPv6 address without brackets.
fn host(name: &str) -> Option<Host> {
    let bracketed = name.contains(':').then(|| format!("[{name}]"));
    Host::read(bracketed.as_deref().unwrap_or(name).as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        http::EscapedSlash,
        target::{HostPort, Verify},
    };

    fn place(server_name: Option<&str>) -> Place {
        let address = |host: &str, port| Address::Tcp(HostPort { host: host.into(), port });
        let target = Target {
            name: "api".into(),
            protocol: "http".into(),
            addresses: vec![address("api.example.com", 443), address("::1", 443), address("other.example.com", 8443)],
            upstream: None,
            tls: Verify::Off,
            credential: None,
            labels: Default::default(),
            classes: Default::default(),
            paths: Default::default(),
        };
        let destination = OriginalDestination::Tcp("10.0.0.1:443".parse().expect("an address"));
        Place::new(&target, &destination, Scheme::Https, server_name.map(str::to_owned))
    }

    fn admit(place: &mut Place, host: &str) -> Result<(), Misdirected> {
        let location = Location::read(b"GET", b"/", host.as_bytes(), Scheme::Https, EscapedSlash::Refused);
        place.admit(&location.expect("a location"))
    }

    #[test]
    fn the_host_is_one_of_the_targets_in_any_spelling() {
        for host in ["api.example.com", "API.example.com.", "api.example.com:443", "[::1]"] {
            assert_eq!(admit(&mut place(None), host), Ok(()), "{host}");
        }
    }

    #[test]
    fn another_host_or_port_is_misdirected() {
        for host in ["evilapi.example.com", "api.example.com.evil.test", "10.0.0.1", "localhost"] {
            assert_eq!(admit(&mut place(None), host), Err(Misdirected::Foreign(host.into())));
        }
        assert_eq!(admit(&mut place(None), "api.example.com:80"), Err(Misdirected::Port { asked: 80, dialled: 443 }));
        let elsewhere = Misdirected::Port { asked: 8443, dialled: 443 };
        assert_eq!(admit(&mut place(None), "other.example.com:8443"), Err(elsewhere));
        assert!(matches!(admit(&mut place(None), "other.example.com"), Err(Misdirected::Foreign(_))));
    }

    #[test]
    fn tls_and_request_have_to_agree() {
        assert_eq!(admit(&mut place(Some("api.example.com")), "api.example.com"), Ok(()));
        assert!(matches!(admit(&mut place(Some("api.example.com")), "[::1]"), Err(Misdirected::ServerName { .. })));
    }

    #[test]
    fn one_connection_is_with_one_host() {
        let mut place = place(None);
        assert_eq!(admit(&mut place, "api.example.com"), Ok(()));
        assert!(matches!(admit(&mut place, "[::1]"), Err(Misdirected::Another { .. })));
        assert_eq!(admit(&mut place, "api.example.com"), Ok(()));
    }
}
