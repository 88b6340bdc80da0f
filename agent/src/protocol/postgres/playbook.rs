//! Scripts for sessions in tests: bytes in, outputs out, nothing in between.

use std::{
    collections::{BTreeMap, VecDeque},
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
use crate::{
    credential::{Credential, Secret},
    gate::{Denial, Permit, Verdict},
    mask::{Masker, Method},
    policy::{Obligations, RuleId},
    protocol::{Input, Opening, Output, Session, Side},
    request::Request,
    sql::{Catalogue, Classifier},
    target::{Class, OriginalDestination, Target, Verify},
};

/// The object identifier of `public.customers` in [`catalogue`].
pub const CUSTOMERS: u32 = 16384;

/// What a script answers when the session asks.
pub type Judge = fn(&Request) -> Verdict;

/// A session and everything that it said.
pub struct Playbook {
    session: PostgresSession,
    judge: Judge,
    pub classifier: Arc<Classifier>,
    pub downstream: Vec<u8>,
    pub upstream: Vec<u8>,
    pub asked: Vec<Request>,
    pub surveys: usize,
    pub is_closed: bool,
    /// Whether bytes are cut into pieces of one, as the slowest network would.
    pub is_slow: bool,
    /// Whether questions wait for [`Playbook::answer`].
    pub is_held: bool,
    held: VecDeque<Request>,
}

impl Playbook {
    /// A session that is logged in, with nothing said since.
    pub fn logged_in(judge: Judge) -> Self {
        let mut book = Self::new(judge, Verify::Off);
        book.down(&startup());
        book.up(&write::authentication(0, b""));
        book.up(&write::key_data(7, b"key!"));
        book.up(&write::ready(Status::Idle));
        book.forget();
        book
    }

    /// A session before its first byte.
    pub fn new(judge: Judge, tls: Verify) -> Self {
        Self {
            session: PostgresSession::new(opening(tls)),
            judge,
            classifier: Arc::new(Classifier::new(catalogue())),
            downstream: Vec::new(),
            upstream: Vec::new(),
            asked: Vec::new(),
            surveys: 0,
            is_closed: false,
            is_slow: false,
            is_held: false,
            held: VecDeque::new(),
        }
    }

    /// Bytes of the workload.
    pub fn down(&mut self, bytes: &[u8]) {
        self.bytes(Side::Downstream, bytes);
    }

    /// Bytes of the server.
    pub fn up(&mut self, bytes: &[u8]) {
        self.bytes(Side::Upstream, bytes);
    }

    fn bytes(&mut self, side: Side, bytes: &[u8]) {
        let size = if self.is_slow { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(size) {
            self.input(Input::Bytes(side, Bytes::copy_from_slice(piece)));
        }
    }

    pub fn input(&mut self, input: Input) {
        if self.is_closed {
            return;
        }
        let broken = self.session.handle(input).is_err();
        self.obey();
        self.is_closed |= broken;
    }

    /// Answers the oldest question that is held.
    pub fn answer(&mut self) {
        let request = self.held.pop_front().expect("a held question");
        let verdict = (self.judge)(&request);
        self.input(Input::Verdict(verdict));
    }

    /// Drops what was said so far.
    pub fn forget(&mut self) {
        self.downstream.clear();
        self.upstream.clear();
        self.asked.clear();
    }

    fn obey(&mut self) {
        while let Some(output) = self.session.poll() {
            let answer = match output {
                Output::Send(Side::Downstream, bytes) => {
                    self.downstream.extend_from_slice(&bytes);
                    continue;
                }
                Output::Send(Side::Upstream, bytes) => {
                    self.upstream.extend_from_slice(&bytes);
                    continue;
                }
                Output::Ask(request) => {
                    self.asked.push(request.clone());
                    if self.is_held {
                        self.held.push_back(request);
                        continue;
                    }
                    Input::Verdict((self.judge)(&request))
                }
                Output::Survey { .. } => {
                    self.surveys += 1;
                    Input::Surveyed(Ok(self.classifier.clone()))
                }
                Output::StartTls(side, _) => Input::Secured(side, None),
                Output::Close => {
                    self.is_closed = true;
                    continue;
                }
            };
            if self.session.handle(answer).is_err() {
                self.is_closed = true;
            }
        }
    }
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
    };
    Opening {
        target: Arc::new(target),
        destination: OriginalDestination(SocketAddr::from((Ipv4Addr::LOCALHOST, 5432))),
        credential: Some(Arc::new(Credential::new("app", "app").with_password(Secret::new(b"hunter2".to_vec())))),
        workload: "ci".into(),
        seed: [7; 32],
        cancels: Arc::new(Cancels::default()),
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
    write::startup([(&b"user"[..], &b"ann"[..]), (b"database", b"shop")])
}

/// Permits everything, without obligations.
pub fn permit(_: &Request) -> Verdict {
    Verdict::Forward(Permit::for_playbook(Obligations::default()))
}

/// Permits everything, with the duty to mask.
pub fn permit_masked(_: &Request) -> Verdict {
    let masks = [("email", Method::Partial), ("ssn", Method::Redact), ("credit_card", Method::Last4)];
    let masks = masks.map(|(class, method)| (Class::from(class), method)).into();
    Verdict::Forward(Permit::for_playbook(Obligations { masks, approval: None }))
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
