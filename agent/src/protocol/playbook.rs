//! Scripts for sessions in tests: bytes in, outputs out, nothing in between.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Input, Output, Session, Side};
use crate::{gate::Verdict, request::Request, sql::Classifier};

/// What a script answers when the session asks.
pub type Judge = fn(&Request) -> Verdict;

/// One step of a conversation: who speaks, and what.
pub type Step = (Side, Bytes);

/// A conversation for the laws, beginning before the session's first byte.
pub struct Script {
    pub name: &'static str,
    /// Up to the point where the workload may ask for things.
    pub login: Vec<Step>,
    pub steps: Vec<Step>,
    /// Words of the workload's requests: when every request is refused, none of them leaves.
    pub requests: Vec<&'static str>,
    /// Values that must be masked when the gate says so.
    pub secrets: Vec<&'static str>,
    /// Permits every request with the duty to mask.
    pub masking: Judge,
    /// Whether a permitted conversation passes without any change.
    pub is_verbatim: bool,
    /// What a workload reads in the bytes that it is sent, where the same can be said in several ways.
    pub heard: fn(Vec<u8>) -> Vec<u8>,
    pub classifier: Arc<Classifier>,
}

/// A session and everything that it said.
pub struct Playbook {
    session: Box<dyn Session>,
    pub judge: Judge,
    pub classifier: Arc<Classifier>,
    pub downstream: Vec<u8>,
    pub upstream: Vec<u8>,
    /// What the session put into the record itself.
    pub recorded: Vec<u8>,
    pub asked: Vec<Request>,
    pub surveys: usize,
    /// The time that is running, if any.
    pub alarm: Option<Duration>,
    /// What was sent to the server beside the session; [`Input::Cancelled`] answers it.
    pub cancels: Vec<Bytes>,
    pub is_closed: bool,
    /// Whether questions wait for [`Playbook::answer`].
    pub is_held: bool,
    held: VecDeque<Request>,
}

impl Playbook {
    pub fn new(session: Box<dyn Session>, judge: Judge, classifier: Arc<Classifier>) -> Self {
        Self {
            session,
            judge,
            classifier,
            downstream: Vec::new(),
            upstream: Vec::new(),
            recorded: Vec::new(),
            asked: Vec::new(),
            surveys: 0,
            alarm: None,
            cancels: Vec::new(),
            is_closed: false,
            is_held: false,
            held: VecDeque::new(),
        }
    }

    /// Bytes of the workload.
    pub fn down(&mut self, bytes: &[u8]) {
        self.input(Input::Bytes(Side::Downstream, Bytes::copy_from_slice(bytes)));
    }

    /// Bytes of the server.
    pub fn up(&mut self, bytes: &[u8]) {
        self.input(Input::Bytes(Side::Upstream, Bytes::copy_from_slice(bytes)));
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

    /// Whether the workload is not to be heard for now.
    pub fn is_full(&self) -> bool {
        self.session.is_full()
    }

    /// Drops what was said so far.
    pub fn forget(&mut self) {
        self.downstream.clear();
        self.upstream.clear();
        self.recorded.clear();
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
                Output::Record(bytes) => {
                    self.recorded.extend_from_slice(&bytes);
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
                    let definitions = self.classifier.definitions();
                    definitions.renew(definitions.made());
                    Input::Surveyed(Ok(self.classifier.clone()))
                }
                Output::Alarm(after) => {
                    self.alarm = after;
                    continue;
                }
                Output::Cancel(message) => {
                    self.cancels.push(message);
                    continue;
                }
                Output::AcceptTls(_) => Input::Accepted(None),
                Output::ConnectTls(_) => Input::Connected(None),
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
