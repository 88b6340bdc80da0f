use std::net::{IpAddr, Ipv6Addr};

use crate::{
    protocol::postgres,
    target::{Address, HostPort, SocketPath, SocketPathError},
};

/// Most characters of a host name (RFC 1035, section 2.3.4, without the root's dot).
const HOST_NAME_MAX: usize = 253;

/// Why a text is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    #[error("an abstract socket is not kept by its name: anyone may take it")]
    Abstract,
    #[error("{0}")]
    Socket(#[from] SocketPathError),
    #[error("no port")]
    NoPort,
    #[error("not a port from 1 to 65535")]
    Port,
    #[error("an IPv6 address needs brackets in front of its port")]
    Brackets,
    #[error("not a host name or an address")]
    Host,
}

/// Port of PostgreSQL's that its clients take when none is named; its sockets are named by it.
const POSTGRES_PORT: u16 = 5432;

/// Reads `host:port`, `192.0.2.1:port`, `[2001:db8::1]:port`, or a Unix socket's path with or without `unix:`.
pub fn parse(text: &str, protocol: &str) -> Result<Address, AddressError> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    if path.starts_with('@') {
        return Err(AddressError::Abstract);
    }
    if path.starts_with('/') || path.len() < text.len() {
        return Ok(Address::Unix(socket(path, protocol)?));
    }
    host_port(text).map(Address::Tcp)
}

/// For PostgreSQL, a directory stands for the socket in it, as it does for its clients (libpq, `host`).
fn socket(path: &str, protocol: &str) -> Result<SocketPath, SocketPathError> {
    if !path.starts_with('/') {
        return Err(SocketPathError::Relative);
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    if protocol == postgres::PROTOCOL.name && !name.starts_with(".s.PGSQL.") {
        return SocketPath::parse(&format!("{}/.s.PGSQL.{POSTGRES_PORT}", path.trim_end_matches('/')));
    }
    SocketPath::parse(path)
}

/// Host names become lower-case, addresses canonical.
fn host_port(text: &str) -> Result<HostPort, AddressError> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(AddressError::Brackets);
    }
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
    if host.starts_with('[') && !host.ends_with(']') {
        return Err(AddressError::NoPort);
    }
    let host = self::host(host).ok_or(AddressError::Host)?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && port > 0 => Ok(HostPort { host, port }),
        _ => Err(AddressError::Port),
    }
}

fn host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Some(address.parse::<Ipv6Addr>().ok()?.to_canonical().to_string());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return address.is_ipv4().then(|| address.to_string());
    }
    is_host_name(text).then(|| text.trim_end_matches('.').to_ascii_lowercase())
}

/// Letters, digits and hyphens in labels (RFC 1123, section 2.1); underscores too, as containers use them.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits only is a mistyped address, not a name (WHATWG URL, "ends in a number").
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= HOST_NAME_MAX && name.split('.').all(label) && !numeric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, host, port) in [
            ("db.internal:5432", "db.internal", 5432),
            ("DB.Internal.:5432", "db.internal", 5432),
            ("10.0.3.7:1", "10.0.3.7", 1),
            ("[2001:DB8::0:1]:65535", "2001:db8::1", 65535),
            ("[::ffff:10.0.3.7]:5432", "10.0.3.7", 5432),
            ("shop_db:5432", "shop_db", 5432),
        ] {
            assert_eq!(parse(text, "postgres"), Ok(Address::Tcp(HostPort { host: host.into(), port })), "{text}");
        }
    }

    #[test]
    fn a_directory_of_postgresqls_stands_for_the_socket_in_it() {
        for (text, protocol, path) in [
            ("/run/postgresql", "postgres", "/run/postgresql/.s.PGSQL.5432"),
            ("unix:/var/run/postgresql/", "postgres", "/run/postgresql/.s.PGSQL.5432"),
            ("/tmp", "postgres", "/tmp/.s.PGSQL.5432"),
            ("/run/postgresql/.s.PGSQL.5433", "postgres", "/run/postgresql/.s.PGSQL.5433"),
            ("/run/mysqld/mysqld.sock", "mysql", "/run/mysqld/mysqld.sock"),
        ] {
            assert_eq!(parse(text, protocol), Ok(Address::Unix(SocketPath::parse(path).unwrap())), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, error) in [
            ("@abstract", AddressError::Abstract),
            ("unix:@abstract", AddressError::Abstract),
            ("unix:", AddressError::Socket(SocketPathError::Relative)),
            ("unix:run/postgresql", AddressError::Socket(SocketPathError::Relative)),
            ("/run/../postgresql", AddressError::Socket(SocketPathError::Dots)),
            ("db.internal", AddressError::NoPort),
            ("[::1]", AddressError::NoPort),
            ("::1", AddressError::Brackets),
            ("2001:db8::1:5432", AddressError::Brackets),
            ("db:", AddressError::Port),
            ("db:0", AddressError::Port),
            ("db:65536", AddressError::Port),
            ("db:+80", AddressError::Port),
            ("db:http", AddressError::Port),
            (":5432", AddressError::Host),
            ("10.0.3.256:5432", AddressError::Host),
            ("-db:5432", AddressError::Host),
            ("d b:5432", AddressError::Host),
            ("dä:5432", AddressError::Host),
            ("[10.0.3.7]:5432", AddressError::Host),
        ] {
            assert_eq!(parse(text, "postgres"), Err(error), "{text}");
        }
    }
}
