//! The accesses of HTTP requests (RFC 9110).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// One request to one endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    pub operation: Operation,
    pub endpoint: Endpoint,
    pub facts: Arc<Facts>,
}

/// What a request does, by its method. The names are those of the policy's actions.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    Get,
    Head,
    Options,
    Post,
    Put,
    Patch,
    Delete,
    Trace,
    /// A tunnel to another place.
    Connect,
    /// Any other method; the request's facts name it.
    Other,
}

impl Operation {
    /// Every operation, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Trace,
        Self::Connect,
        Self::Other,
    ];

    /// The policy's name of this action.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other => "other",
        }
    }

    /// By the method as it stands in the request: methods are told apart by case (RFC 9110, section 9.1).
    pub fn of_method(method: &str) -> Self {
        let named = Self::ALL.into_iter().find(|operation| operation.name() == method);
        // Its name is no method that anybody defined.
        named.unwrap_or(Self::Other)
    }
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const ALL: [Self; 2] = [Self::Http, Self::Https];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of URLs that name none (RFC 9110, section 4.2).
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a request goes, without its query.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    pub scheme: Scheme,
    /// In lower case, without a last dot; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// Normalised, as it is sent: `/v1/orders/7`.
    pub path: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, path } = self;
        write!(f, "{}://", scheme.name())?;
        if host.contains(':') {
            write!(f, "[{host}]")?
        } else {
            f.write_str(host)?
        }
        if *port != scheme.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(path)
    }
}

/// What policy may know of the request that an access is part of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    pub method: String,
    /// By name in lower case; the values of several fields of one name are joined by `, `. Those that hold credentials
    /// are empty.
    pub headers: BTreeMap<String, String>,
    /// The query's fields by name, decoded.
    pub query: BTreeMap<String, BTreeSet<String>>,
    /// Type and subtype in lower case.
    pub content_type: Option<String>,
    /// Bytes of the body, where the request says so beforehand.
    pub content_length: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_told_apart_by_case() {
        assert_eq!(Operation::of_method("DELETE"), Operation::Delete);
        for odd in ["delete", "PURGE", "other", ""] {
            assert_eq!(Operation::of_method(odd), Operation::Other, "{odd}");
        }
    }

    #[test]
    fn an_endpoint_reads_like_a_url() {
        let endpoint = |scheme, host: &str, port| Endpoint { scheme, host: host.into(), port, path: "/v1".into() };
        assert_eq!(endpoint(Scheme::Https, "api.example.com", 443).to_string(), "https://api.example.com/v1");
        assert_eq!(endpoint(Scheme::Http, "api.example.com", 8080).to_string(), "http://api.example.com:8080/v1");
        assert_eq!(endpoint(Scheme::Https, "2001:db8::1", 443).to_string(), "https://[2001:db8::1]/v1");
    }
}
