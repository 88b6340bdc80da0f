//! Fixtures for PostgreSQL's playbooks: a logged-in session, a catalogue, judges, and the scripts of the laws.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Cancels, PostgresSession,
    codec::{
        backend::{Field, Status},
        write,
    },
};
pub use crate::protocol::playbook::Playbook;
use crate::{
    credential::{Credential, Secret},
    gate::{Denial, Permit, Verdict},
    mask::{Masker, Method},
    policy::{Obligations, RuleId},
    protocol::{
        Opening, Side,
        playbook::{Judge, Script, Step},
    },
    request::Request,
    sql::{Catalogue, Classifier},
    target::{Class, OriginalDestination, Target, Verify},
};

/// The object identifier of `public.customers` in [`catalogue`].
pub const CUSTOMERS: u32 = 16384;

/// A session before its first byte.
pub fn fresh(judge: Judge, tls: Verify) -> Playbook {
    fresh_under(judge, tls, Arc::new(Classifier::new(catalogue())))
}

fn fresh_under(judge: Judge, tls: Verify, classifier: Arc<Classifier>) -> Playbook {
    let session = PostgresSession::new(opening(tls));
    Playbook::new(Box::new(session), judge, classifier)
}

/// A session that is logged in, with nothing said since.
pub fn logged_in(judge: Judge) -> Playbook {
    logged_in_under(judge, Arc::new(Classifier::new(catalogue())))
}

/// The same with a catalogue that others have too.
pub fn logged_in_under(judge: Judge, classifier: Arc<Classifier>) -> Playbook {
    let mut book = fresh_under(permit, Verify::Off, classifier);
    for (side, bytes) in login() {
        match side {
            Side::Downstream => book.down(&bytes),
            Side::Upstream => book.up(&bytes),
        }
    }
    book.forget();
    book.judge = judge;
    book
}

fn login() -> Vec<Step> {
    vec![
        (Side::Downstream, startup()),
        (Side::Upstream, write::authentication(0, b"")),
        (Side::Upstream, write::key_data(7, b"key!")),
        (Side::Upstream, write::ready(Status::Idle)),
    ]
}

/// The conversations that the laws are tried on.
pub fn scripts() -> Vec<Script> {
    let script = |name, steps: Vec<Step>, requests: &[&'static str], secrets: &[&'static str]| Script {
        name,
        login: login(),
        steps,
        requests: requests.to_vec(),
        secrets: secrets.to_vec(),
        masking: permit_masked,
        is_verbatim: true,
        heard: |bytes| bytes,
        classifier: Arc::new(Classifier::new(catalogue())),
    };
    vec![
        script("simple", simple(), &["FROM customers"], &["ann@example.com", "078-05-1120", "4111111111111111"]),
        script("extended", extended(), &["FROM customers"], &["ann@example.com", "078-05-1120"]),
        script("copy in", copy_in(), &["COPY orders"], &[]),
        script("transaction", transaction(), &["INSERT INTO orders", "FROM orders"], &[]),
    ]
}

const ANN: [Option<&[u8]>; 4] =
    [Some(b"1"), Some(b"ann@example.com"), Some(b"078-05-1120"), Some(b"paid with 4111111111111111")];

fn customers() -> Bytes {
    write::row_description(&[
        field("id", CUSTOMERS, 1, 23),
        field("email", CUSTOMERS, 2, 25),
        field("ssn", CUSTOMERS, 3, 25),
        field("note", CUSTOMERS, 4, 25),
    ])
}

fn simple() -> Vec<Step> {
    let answer = [customers(), write::data_row(&ANN), write::data_row(&ANN), write::complete(b"SELECT 2")];
    let noticed = write::notice(b'N', [(b'S', &b"NOTICE"[..]), (b'C', b"00000"), (b'M', b"ann@example.com")]);
    vec![
        (Side::Downstream, write::query(b"SELECT id, email, ssn, note FROM customers")),
        (Side::Upstream, noticed),
        (Side::Upstream, [answer.concat(), write::ready(Status::Idle).to_vec()].concat().into()),
    ]
}

fn extended() -> Vec<Step> {
    let batch = [
        write::parse(b"s1", b"SELECT id, email, ssn, note FROM customers"),
        write::describe_statement(b"s1"),
        write::bind(b"", b"s1", &[Some(b"1")], &[1]),
        write::execute(b""),
        write::bare(b'S'),
    ];
    let answer = [
        write::bare(b'1'),
        Bytes::from_static(b"t\0\0\0\x06\0\0"),
        customers(),
        write::bare(b'2'),
        write::data_row(&ANN),
        write::complete(b"SELECT 1"),
        write::ready(Status::Idle),
    ];
    let close = [write::close_statement(b"s1"), write::bare(b'S')];
    vec![
        (Side::Downstream, batch.concat().into()),
        (Side::Upstream, answer.concat().into()),
        (Side::Downstream, close.concat().into()),
        (Side::Upstream, [write::bare(b'3'), write::ready(Status::Idle)].concat().into()),
    ]
}

fn copy_in() -> Vec<Step> {
    let data = [write::copy_data(b"1\t2\n"), write::copy_data(b"3\t4\n"), write::bare(b'c')];
    vec![
        (Side::Downstream, write::query(b"COPY orders FROM STDIN")),
        (Side::Upstream, write::copy_response(b'G', false, 2)),
        (Side::Downstream, data.concat().into()),
        (Side::Upstream, [write::complete(b"COPY 2"), write::ready(Status::Idle)].concat().into()),
    ]
}

/// Statements whose order in a failed or running transaction matters.
fn transaction() -> Vec<Step> {
    vec![
        (Side::Downstream, write::query(b"INSERT INTO orders VALUES (1, 2)")),
        (Side::Upstream, [write::complete(b"INSERT 0 1"), write::ready(Status::InTransaction)].concat().into()),
        (Side::Downstream, write::query(b"SELECT total FROM orders")),
        (
            Side::Upstream,
            [write::notice(b'E', [(b'C', &b"42P01"[..]), (b'M', b"gone")]), write::ready(Status::Failed)]
                .concat()
                .into(),
        ),
    ]
}

/// What every script's session is opened with.
pub fn opening(tls: Verify) -> Opening {
    let target = Target {
        name: "shop".into(),
        protocol: "postgres".into(),
        addresses: Vec::new(),
        upstream: None,
        tls,
        credential: Some("app".into()),
        labels: BTreeMap::new(),
        classes: BTreeMap::new(),
        paths: Default::default(),
    };
    Opening {
        target: Arc::new(target),
        destination: OriginalDestination::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 5432))),
        credential: Some(Arc::new(Credential::new("app", "app").with_password(Secret::new(b"hunter2".to_vec())))),
        workload: "ci".into(),
        seed: [7; 32],
        cancels: Arc::new(Cancels::default()),
        interrupt: Arc::new(|| {}),
        masker: Arc::new(Masker::new([7; 32])),
    }
}

/// `public.customers (id, email, ssn, note)` and `public.orders (id, total)`.
pub fn catalogue() -> Catalogue {
    let column = |name: &str, class: Option<&str>| (name.to_owned(), class.map(Class::from).into_iter().collect());
    Catalogue::from_tables(
        "shop",
        &["pg_catalog", "public"],
        [
            (
                "public".to_owned(),
                "customers".to_owned(),
                vec![
                    column("id", None),
                    column("email", Some("email")),
                    column("ssn", Some("ssn")),
                    column("note", None),
                ],
            ),
            ("public".to_owned(), "orders".to_owned(), vec![column("id", None), column("total", None)]),
        ],
    )
}

pub fn startup() -> Bytes {
    write::startup(0, [(&b"user"[..], &b"ann"[..]), (b"database", b"shop")])
}

/// Permits everything, without obligations.
pub fn permit(_: &Request) -> Verdict {
    permit_all()
}

pub fn permit_all() -> Verdict {
    Verdict::Forward(Permit::for_playbook(Obligations::default()))
}

/// Permits everything, with the duty to mask.
pub fn permit_masked(_: &Request) -> Verdict {
    let masks = [("email", Method::Partial), ("ssn", Method::Redact), ("credit_card", Method::Last4)];
    let masks = masks.map(|(class, method)| (Class::from(class), method)).into();
    Verdict::Forward(Permit::for_playbook(Obligations { masks, ..Obligations::default() }))
}

/// Refuses whatever says DROP, and permits the rest.
pub fn no_drop(request: &Request) -> Verdict {
    if request.summary.to_string().to_uppercase().contains("DROP") { refuse(request) } else { permit(request) }
}

pub fn refuse(_: &Request) -> Verdict {
    Verdict::Block(Denial {
        message: "not for agents".to_owned(),
        rule: Some(RuleId("no-drop".into())),
        hint: "ask for access".to_owned(),
        reference: "s1/2".to_owned(),
    })
}

pub fn field(name: &str, relation: u32, column: i16, type_oid: u32) -> Field {
    Field { name: name.as_bytes().to_vec(), relation, column, type_oid, is_binary: false }
}

/// The types of the messages in `bytes`.
pub fn tags(bytes: &[u8]) -> String {
    let (mut tags, mut rest) = (String::new(), bytes);
    while let Ok(Some(head)) = super::codec::head(rest) {
        tags.push(char::from(head.tag));
        rest = rest.get(head.total..).unwrap_or_default();
    }
    tags
}
