//! What a request asks for, in policy's words.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use super::{EscapedSlash, Location, Malformed, RequestHead};
use crate::request::{
    Footprint, Request, Stage, Standing, Summary,
    http::{Access, Endpoint, Facts, Operation, Scheme},
};

/// Fields that hold what a workload proves its right with: no rule and no record sees more than that they are there.
pub const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// A request that was read: where it goes, and what policy is asked.
#[derive(Debug)]
pub struct Understood {
    pub location: Location,
    summary: Bytes,
    footprint: Arc<Footprint>,
}

impl Understood {
    pub fn new(head: &RequestHead, location: Location) -> Self {
        let endpoint = Endpoint {
            scheme: location.scheme,
            host: location.host.name(),
            port: location.port,
            path: location.path.clone(),
        };
        let method = String::from_utf8_lossy(head.method());
        let summary = match &location.query {
            Some(query) => format!("{method} {endpoint}?{}", query.raw()),
            None => format!("{method} {endpoint}"),
        };
        let operation = Operation::of_method(&method);
        let facts = Arc::new(facts(head, &location));
        let access = Access { operation, endpoint, facts };
        let footprint = Arc::new(Footprint { accesses: vec![access.into()], ..Footprint::default() });
        Self { location, summary: summary.into(), footprint }
    }

    /// Reads a request as people write it: `POST https://api.example.com/v1/orders?dry=1`, and header fields beside it.
    pub fn of_line<'a>(
        line: &str,
        fields: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<Self, Malformed> {
        let expected = "a method and a URL, as `GET https://api.example.com/v1`";
        let wrong = || Malformed::Text { part: "request", expected, found: line.as_bytes().into() };
        let (method, url) = line.split_once(' ').ok_or_else(wrong)?;
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let scheme = Scheme::ALL.into_iter().find(|known| known.name() == scheme).ok_or_else(wrong)?;
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let target = if method == "CONNECT" { host } else { url };
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let (head, _) = RequestHead::read(&text.into())?.ok_or_else(wrong)?;
        let location = Location::of_request(&head, scheme, EscapedSlash::default())?;
        Ok(Self::new(&head, location))
    }

    /// May this be sent?
    pub fn request(&self) -> Request {
        Request {
            summary: Summary(self.summary.clone()),
            arguments: None,
            stage: Stage::Execute,
            footprint: self.footprint.clone(),
            standing: Standing::fresh(),
        }
    }
}

fn facts(head: &RequestHead, location: &Location) -> Facts {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in head.fields().iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = if CREDENTIALS.contains(&name.as_str()) { "".into() } else { String::from_utf8_lossy(value) };
        let joined = headers.entry(name).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(&value);
    }
    let mut query: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, value) in location.query.iter().flat_map(|query| query.fields()) {
        query.entry(name.to_owned()).or_default().insert(value.to_owned());
    }
    let content_type = headers.get("content-type").and_then(|value| value.split(';').next());
    let content_type = content_type.map(|kind| kind.trim().to_ascii_lowercase()).filter(|kind| !kind.is_empty());
    let content_length = headers.get("content-length").and_then(|length| length.parse().ok());
    Facts { method: String::from_utf8_lossy(head.method()).into_owned(), headers, query, content_type, content_length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(line: &str, fields: &[(&str, &str)]) -> (Operation, Endpoint, Facts) {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let understood = Understood::of_line(line, fields.iter().map(|(name, value)| (name, value))).unwrap();
        match &understood.footprint.accesses[..] {
            [crate::request::Access::Http(access)] => {
                (access.operation, access.endpoint.clone(), (*access.facts).clone())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_one_access_to_its_endpoint() {
        let (operation, endpoint, facts) = facts("DELETE https://API.example.com/v1/%6frders/7?a=1&a=2&b", &[]);
        assert_eq!(operation, Operation::Delete);
        assert_eq!(endpoint.to_string(), "https://api.example.com/v1/orders/7");
        let query: Vec<_> = facts.query.into_iter().map(|(name, values)| (name, Vec::from_iter(values))).collect();
        assert_eq!(query, [("a".into(), vec!["1".into(), "2".into()]), ("b".into(), vec!["".to_owned()])]);
    }

    #[test]
    fn fields_are_joined_and_credentials_empty() {
        let fields = [("Accept", "a/b"), ("accept", "c/d"), ("AUTHORIZATION", "Bearer s3cret"), ("X", "1")];
        let (_, _, facts) = facts("GET http://h/", &fields);
        assert_eq!(facts.headers["accept"], "a/b, c/d");
        assert_eq!((facts.headers["authorization"].as_str(), facts.headers["x"].as_str()), ("", "1"));
    }

    #[test]
    fn the_kind_and_length_of_content_are_known_where_they_are_said() {
        let fields = [("Content-Type", "Application/JSON; charset=utf-8"), ("Content-Length", "12")];
        let (_, _, facts) = facts("POST http://h/", &fields);
        assert_eq!((facts.content_type.as_deref(), facts.content_length), (Some("application/json"), Some(12)));
    }

    #[test]
    fn what_is_no_request_is_said_to_be_none() {
        for line in ["", "GET", "GET /v1", "GET ftp://h/", "GET http://h/a/../../b", "GET http://user@h/"] {
            assert!(Understood::of_line(line, []).is_err(), "{line}");
        }
    }
}
