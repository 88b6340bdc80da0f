//! What a request asks for, in policy's words.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use super::codec::{Location, RequestHead};
use crate::request::{
    Footprint, Request, Stage, Standing, Summary,
    http::{Access, Endpoint, Facts, Operation},
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
