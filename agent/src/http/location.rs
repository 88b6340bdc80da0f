//! Where a request goes: one reading that is judged, and that is sent (RFC 9112, section 3).
//!
//! | target | host | reading |
//! |---|---|---|
//! | `/a?b` | `Host: example.com` | `http://example.com:80/a?b`, sent as `/a?b` |
//! | `/a` | `Host: example.com:8080` | the port is part of it; the scheme's own is left out when it is sent |
//! | `/a` | none, two, or an empty one, in any version | refused: policy judges by it |
//! | `http://example.com/a` | the same host and port | as `/a`; sent so |
//! | `http://example.com/a` | another host or port | refused, though the RFC lets the target win |
//! | `https://example.com/a` where the connection has no TLS, or the other way about | any | refused |
//! | `http://user@example.com/`, `ftp://…`, `http:/a`, `http:///a` | any | refused |
//! | `http://example.com`, `http://example.com?a` | the same | the path is `/` |
//! | `example.com:443` of CONNECT | the same, with or without the port | the tunnel's end; there is no path |
//! | `*` of OPTIONS; `OPTIONS http://example.com` | the same | the server as a whole: the path is `*` |
//! | `*` and `host:port` of other methods; `/a` and `http://…` of CONNECT | any | refused |
//!
//! What hosts, paths and queries may be stands in [`host`](super::host), [`path`](super::path) and
//! [`query`](super::query). HTTP/2's `:scheme`, `:authority` and `:path` mean the same (RFC 9113, section 8.3.1).

use std::fmt::Write as _;

use super::{EscapedSlash, Found, Host, Limit, Malformed, Query, REQUEST_TARGET_MAX, RequestHead, path::normalised};
use crate::request::http::Scheme;

/// Where a request goes, in the one spelling that is judged and sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    pub scheme: Scheme,
    pub host: Host,
    pub port: u16,
    pub form: Form,
    /// Begins with `/`; `*` for the server as a whole; empty for a tunnel.
    pub path: String,
    pub query: Option<Query>,
}

/// What a target is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A path, alone or in an absolute URI.
    Path,
    /// A tunnel's end, of CONNECT.
    Authority,
    /// The server as a whole, of OPTIONS.
    Asterisk,
}

impl Location {
    /// Reads where a request goes that came by a connection of this scheme.
    pub fn of_request(head: &RequestHead, scheme: Scheme, slash: EscapedSlash) -> Result<Self, Malformed> {
        let host = head.fields().value("host")?.ok_or(Malformed::Missing("a field Host"))?;
        Self::read(head.method(), head.target(), host, scheme, slash)
    }

    /// Reads a target and the host that stands beside it.
    pub fn read(
        method: &[u8],
        target: &[u8],
        host: &[u8],
        scheme: Scheme,
        slash: EscapedSlash,
    ) -> Result<Self, Malformed> {
        if target.len() > REQUEST_TARGET_MAX {
            return Err(Malformed::TooLong(Limit::RequestTarget));
        }
        let (host, port) = Host::with_port(host)?;
        let server = Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.port()),
            form: Form::Asterisk,
            path: "*".into(),
            query: None,
        };
        match (method, target) {
            (b"CONNECT", _) => server.tunnel(port, target),
            (b"OPTIONS", b"*") => Ok(server),
            (_, [b'/', ..]) => server.at(target, slash),
            (_, _) => server.absolute(method, target, slash),
        }
    }

    /// The target that is sent. It is the one that came where that was in its one spelling.
    pub fn target(&self) -> String {
        match (self.form, &self.query) {
            (Form::Authority, _) => format!("{}:{}", self.host, self.port),
            (Form::Path | Form::Asterisk, None) => self.path.clone(),
            (Form::Path | Form::Asterisk, Some(query)) => format!("{}?{}", self.path, query.raw()),
        }
    }

    /// The value of `Host` that is sent, and of HTTP/2's `:authority`.
    pub fn authority(&self) -> String {
        let mut authority = self.host.to_string();
        if self.port != self.scheme.port() || self.form == Form::Authority {
            // Writing into a string does not fail.
            let _ = write!(authority, ":{}", self.port);
        }
        authority
    }

    /// The same server, with a path and perhaps a query.
    fn at(self, target: &[u8], slash: EscapedSlash) -> Result<Self, Malformed> {
        let mark = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        let (path, query) = target.split_at_checked(mark).unwrap_or_default();
        let query = query.strip_prefix(b"?").map(Query::read).transpose()?;
        Ok(Self { form: Form::Path, path: normalised(path, slash)?, query, ..self })
    }

    /// What an absolute URI says, which has to be of the same server.
    fn absolute(self, method: &[u8], target: &[u8], slash: EscapedSlash) -> Result<Self, Malformed> {
        let Some(rest) = after_scheme(target, self.scheme) else {
            let expected = "a path, or a URI of the connection's own scheme";
            let found = Found(target.first().copied());
            return Err(Malformed::Byte { part: "request target", expected, found });
        };
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or_default();
        let (host, port) = Host::with_port(authority)?;
        if host != self.host || port.unwrap_or(self.scheme.port()) != self.port {
            return Err(disagreement(&host));
        }
        match target {
            [] if method == b"OPTIONS" => Ok(self),
            [b'/', ..] => self.at(target, slash),
            _ => self.at(&[b"/", target].concat(), slash),
        }
    }

    /// The end of a tunnel, which has to be the same host; beside it the port may be left out.
    fn tunnel(self, beside: Option<u16>, target: &[u8]) -> Result<Self, Malformed> {
        match Host::with_port(target)? {
            (_, None) => Err(Malformed::Missing("a port in the target of CONNECT")),
            (host, Some(port)) if host != self.host || beside.is_some_and(|beside| beside != port) => {
                Err(disagreement(&host))
            }
            (_, Some(port)) => Ok(Self { port, form: Form::Authority, path: String::new(), ..self }),
        }
    }
}

/// What follows on `http://` in a URI of this scheme; schemes have no case (RFC 3986, section 3.1).
fn after_scheme(target: &[u8], scheme: Scheme) -> Option<&[u8]> {
    let (name, rest) = target.split_at_checked(scheme.name().len())?;
    if name.eq_ignore_ascii_case(scheme.name().as_bytes()) { rest.strip_prefix(b"://") } else { None }
}

fn disagreement(host: &Host) -> Malformed {
    let found = host.to_string().as_bytes().into();
    Malformed::Text { part: "request target", expected: "the host and port of the field Host", found }
}

#[cfg(test)]
mod tests;
