//! Fixtures for HTTP's playbooks: a connection before its first byte, judges, and the scripts of the laws.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    HttpSession,
    codec::{BodyLength, BodyReader, ResponseHead},
};
pub use crate::protocol::playbook::Playbook;
use crate::{
    gate::{Permit, Verdict},
    mask::{Masker, Method},
    policy::Obligations,
    protocol::{
        Opening, Side,
        playbook::{Judge, Script, Step},
        postgres,
    },
    request::Request,
    sql::{Catalogue, Classifier},
    target::{Address, Class, HostPort, OriginalDestination, Target, Verify},
};

/// What every request here is for.
pub const HOST: &str = "api.example.com";

/// A connection to [`HOST`] before its first byte.
pub fn fresh(judge: Judge) -> Playbook {
    Playbook::new(Box::new(HttpSession::new(opening(Verify::Off))), judge, nothing())
}

/// There is no catalogue to read.
fn nothing() -> Arc<Classifier> {
    Arc::new(Classifier::new(Catalogue::default()))
}

pub fn opening(tls: Verify) -> Opening {
    let target = Target {
        name: "api".into(),
        protocol: "http".into(),
        addresses: vec![Address::Tcp(HostPort { host: HOST.into(), port: 80 })],
        tls,
        credential: None,
        ..(*postgres::playbook::opening(Verify::Off).target).clone()
    };
    Opening {
        target: Arc::new(target),
        destination: OriginalDestination::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 80))),
        credential: None,
        masker: Arc::new(Masker::new([7; 32])),
        ..postgres::playbook::opening(Verify::Off)
    }
}

/// A request with these lines after the first, and an end.
pub fn request(line: &str, fields: &[&str], body: &str) -> Bytes {
    let mut text = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n");
    fields.iter().for_each(|field| text.push_str(&format!("{field}\r\n")));
    format!("{text}\r\n{body}").into()
}

/// An answer with a length.
pub fn answer(body: &str) -> Bytes {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into()
}

pub fn permit_masked(_: &Request) -> Verdict {
    let masks = [(Class::from("email"), Method::Partial), (Class::from("credit_card"), Method::Last4)].into();
    Verdict::Forward(Permit::for_playbook(Obligations { masks, ..Obligations::default() }))
}

/// The conversations that the laws are tried on.
pub fn scripts() -> Vec<Script> {
    let script = |name, steps: Vec<Step>, requests: &[&'static str], secrets: &[&'static str]| Script {
        name,
        login: Vec::new(),
        steps,
        requests: requests.to_vec(),
        secrets: secrets.to_vec(),
        masking: permit_masked,
        is_verbatim: true,
        heard,
        classifier: nothing(),
    };
    vec![
        script("reading", reading(), &["/v1/customers", "/v1/orders"], &["ann@example.com", "4111111111111111"]),
        script("uploading", uploading(), &["/v1/files", "a secret plan"], &[]),
    ]
}

/// Answers without their chunks: where one ends follows from how the bytes came.
fn heard(bytes: Vec<u8>) -> Vec<u8> {
    let (mut rest, mut heard) = (Bytes::from(bytes), Vec::new());
    while let Ok(Some((head, taken))) = ResponseHead::read(&rest) {
        heard.extend_from_slice(head.bytes());
        rest = rest.split_off(taken);
        let Ok(length) = BodyLength::of_response(b"GET", &head) else { break };
        if matches!(length, BodyLength::None | BodyLength::Exact(0)) {
            continue;
        }
        let mut body = BodyReader::of_response(length);
        while let Ok(progress) = body.feed(&rest) {
            heard.extend_from_slice(rest.get(progress.payload).unwrap_or_default());
            rest = rest.split_off(progress.taken);
            if progress.ended || progress.taken == 0 {
                break;
            }
        }
    }
    [&heard[..], &rest].concat()
}

fn reading() -> Vec<Step> {
    let customers = r#"[{"email":"ann@example.com","note":"paid with 4111111111111111"}]"#;
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    vec![
        (Side::Downstream, request("GET /v1/customers?q=a", &["Accept: */*"], "")),
        (Side::Upstream, [early.as_bytes(), &answer(customers)].concat().into()),
        (Side::Downstream, request("GET /v1/orders", &[], "")),
        (Side::Upstream, answer("[]")),
    ]
}

fn uploading() -> Vec<Step> {
    let chunks = "d\r\na secret plan\r\n1\r\n!\r\n0\r\n\r\n";
    vec![
        (Side::Downstream, request("PUT /v1/files/1", &["Content-Length: 13"], "a secret plan")),
        (Side::Upstream, "HTTP/1.1 204 No Content\r\n\r\n".into()),
        (Side::Downstream, request("PUT /v1/files/2", &["Transfer-Encoding: chunked"], chunks)),
        (Side::Upstream, "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n".into()),
    ]
}
