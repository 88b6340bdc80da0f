//! Whom a request names (RFC 9110, section 7.2; RFC 3986, section 3.2.2).
//!
//! | input | reading |
//! |---|---|
//! | `Example.COM`, `example.com.` | `example.com` |
//! | `xn--bcher-kva.example`, `a_b.example` | as they are |
//! | `10.0.3.7` | the address |
//! | `127.1`, `2130706433`, `0x7f.0.0.1`, `0177.0.0.1`, `1.2.3.256`, `1.2.3.4.5`, `a.0x1` | refused: what ends with a number is an address, of four decimal parts |
//! | `[2001:DB8:0::1]` | `[2001:db8::1]` |
//! | `[::ffff:127.0.0.1]`, `[::127.0.0.1]` | refused: another spelling of an IPv4 address |
//! | `[fe80::1%25eth0]`, `[v1.x]`, `::1` | refused |
//! | `user@host`, `a%2eb`, `bücher.example`, `a..b`, `.a`, `-a.b`, an empty one, one with a space | refused |
//! | port `:`, `:0`, `:080`, `:65536`, `:+80` | refused |

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{Excerpt, Found, Malformed};

/// Longest name (RFC 1035, section 2.3.4).
pub const NAME_MAX: usize = 253;

/// Longest label of a name.
pub const LABEL_MAX: usize = 63;

/// Whom a request names, in the one spelling that is judged and sent.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// A name, in lower case and without a last dot.
    Name(String),
    V4(Ipv4Addr),
    /// No IPv4 address in disguise.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads a host as it stands in a URI: an IPv6 address in brackets.
    pub fn read(text: &[u8]) -> Result<Self, Malformed> {
        // A password may stand before it.
        if text.contains(&b'@') {
            return Err(Malformed::Byte { part: "host", expected: "no user before it", found: Found(Some(b'@')) });
        }
        match text {
            [b'[', address @ .., b']'] => ipv6(address).map(Self::V6),
            _ => named(text),
        }
        .ok_or_else(|| {
            let expected = "a name, four decimal parts, or an IPv6 address in brackets";
            Malformed::Text { part: "host", expected, found: text.into() }
        })
    }

    /// Reads a host and the port behind it, if there is one.
    pub fn with_port(text: &[u8]) -> Result<(Self, Option<u16>), Malformed> {
        let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (front, port) = text.split_at_checked(text.len() - digits).unwrap_or_default();
        match front {
            [host @ .., b':'] => Ok((Self::read(host)?, Some(read_port(port)?))),
            _ => Ok((Self::read(text)?, None)),
        }
    }

    /// The spelling of policy and of certificates: an address without brackets.
    pub fn name(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::V4(address) => address.to_string(),
            Self::V6(address) => address.to_string(),
        }
    }

    pub fn matches(&self, pattern: &HostPattern) -> bool {
        match (pattern, self) {
            (HostPattern::Exact(host), _) => self == host,
            (HostPattern::Below(parent), Self::Name(name)) => {
                name.split_once('.').is_some_and(|(_, rest)| rest == parent.as_str())
            }
            (HostPattern::Below(_), Self::V4(_) | Self::V6(_)) => false,
        }
    }
}

/// Writes a host as it stands in a URI.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Hosts that are meant.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum HostPattern {
    Exact(Host),
    /// `*.example.com`: every name of one label more. Neither `example.com` nor `a.b.example.com`.
    Below(String),
}

impl FromStr for HostPattern {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let Some(parent) = text.strip_prefix("*.") else { return Host::read(text.as_bytes()).map(Self::Exact) };
        match Host::read(parent.as_bytes())? {
            Host::Name(name) => Ok(Self::Below(name)),
            Host::V4(_) | Host::V6(_) => {
                let expected = "a name behind `*.`";
                Err(Malformed::Text { part: "host", expected, found: Excerpt::from(text.as_bytes()) })
            }
        }
    }
}

/// A port in decimal, without zeros in front.
fn read_port(digits: &[u8]) -> Result<u16, Malformed> {
    let port = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('0'));
    port.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let expected = "a number of 1 to 65535 without zeros in front";
        Malformed::Text { part: "port", expected, found: digits.into() }
    })
}

fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    // `::` and `::1` are in the range of IPv4-compatible addresses, but are addresses of their own (RFC 4291, 2.5.5.1).
    let is_own = address.is_loopback() || address.is_unspecified();
    (is_own || address.to_ipv4().is_none()).then_some(address)
}

/// A name or an IPv4 address. What ends with a number is an address, as browsers have it.
fn named(text: &[u8]) -> Option<Host> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    if text.len() > NAME_MAX || !text.split(|byte| *byte == b'.').all(is_label) {
        return None;
    }
    let name = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    let last = name.rsplit('.').next()?;
    if is_number(last) { name.parse().ok().map(Host::V4) } else { Some(Host::Name(name)) }
}

/// Letters, digits, hyphens within, and the underscore of service names.
fn is_label(label: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL_MAX).contains(&label.len())
        && label.iter().all(fits)
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x");
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
