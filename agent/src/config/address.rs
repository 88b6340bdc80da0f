use std::net::{IpAddr, Ipv6Addr};

use crate::target::HostPort;

/// Most characters of a host name (RFC 1035, section 2.3.4, without the root's dot).
const HOST_NAME_MAX: usize = 253;

/// Why a text is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    #[error("unix sockets are not captured yet")]
    Unix,
    #[error("no port")]
    NoPort,
    #[error("not a port from 1 to 65535")]
    Port,
    #[error("an IPv6 address needs brackets in front of its port")]
    Brackets,
    #[error("not a host name or an address")]
    Host,
}

/// Reads `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`. Host names become lower-case, addresses canonical.
pub fn parse(text: &str) -> Result<HostPort, AddressError> {
    if text.starts_with(['/', '@']) {
        return Err(AddressError::Unix);
    }
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
            assert_eq!(parse(text), Ok(HostPort { host: host.into(), port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, error) in [
            ("/var/run/postgresql", AddressError::Unix),
            ("@abstract", AddressError::Unix),
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
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
