//! Recorded bytes read back for people: requests and answers, their heads and what of their bodies is text.

use bytes::Bytes;

use super::codec::{BodyLength, BodyReader, Malformed, RequestHead, ResponseHead};
use crate::protocol::{Side, Transcript, inbox::Inbox};

/// Most bytes of one body that are shown; the rest is counted.
const BODY_SHOWN_MAX: usize = 4096;

/// Reads one connection.
#[derive(Default)]
pub struct HttpTranscript {
    workload: Reading,
    server: Reading,
    /// Methods of requests whose answers have not been read.
    methods: std::collections::VecDeque<Bytes>,
    /// Set once the bytes made no sense; then only their number is told.
    is_lost: bool,
}

#[derive(Default)]
struct Reading {
    inbox: Inbox,
    body: Option<Body>,
}

/// A body that passes.
struct Body {
    reader: BodyReader,
    shown: Vec<u8>,
    length: u64,
}

impl Transcript for HttpTranscript {
    fn feed(&mut self, from: Side, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.is_lost {
            let reading = match from {
                Side::Downstream => &mut self.workload,
                Side::Upstream => &mut self.server,
            };
            reading.inbox.push(Bytes::copy_from_slice(bytes));
            match self.read(from, &mut lines) {
                Ok(()) => return lines,
                Err(error) => {
                    self.is_lost = true;
                    lines.push(format!("unreadable from here on: {error}"));
                }
            }
        }
        lines.push(format!("{} bytes from {}", bytes.len(), name(from)));
        lines
    }
}

impl HttpTranscript {
    fn read(&mut self, from: Side, lines: &mut Vec<String>) -> Result<(), Malformed> {
        loop {
            let reading = match from {
                Side::Downstream => &mut self.workload,
                Side::Upstream => &mut self.server,
            };
            let unread = reading.inbox.unread().len();
            if unread == 0 {
                return Ok(());
            }
            if let Some(body) = &mut reading.body {
                if !body.read(&mut reading.inbox)? {
                    return Ok(());
                }
                lines.extend(body.described(from));
                reading.body = None;
                continue;
            }
            let arrived = reading.inbox.slice(0..unread);
            let (body, consumed) = match from {
                Side::Downstream => {
                    let Some((head, consumed)) = RequestHead::read(&arrived)? else { return Ok(()) };
                    self.methods.push_back(Bytes::copy_from_slice(head.method()));
                    lines.extend(described(from, head.bytes()));
                    (Body::of(BodyLength::of_request(&head)?, BodyReader::of_request), consumed)
                }
                Side::Upstream => {
                    let Some((head, consumed)) = ResponseHead::read(&arrived)? else { return Ok(()) };
                    lines.extend(described(from, head.bytes()));
                    let is_final = head.status() >= 200;
                    let method = if is_final { self.methods.pop_front() } else { None };
                    let length = BodyLength::of_response(&method.unwrap_or_default(), &head)?;
                    (Body::of(length, BodyReader::of_response), consumed)
                }
            };
            reading.inbox.skip(consumed);
            reading.body = body;
        }
    }
}

impl Body {
    /// `None`: there is none.
    fn of(length: BodyLength, read: fn(BodyLength) -> BodyReader) -> Option<Self> {
        match length {
            BodyLength::None | BodyLength::Exact(0) => None,
            BodyLength::Exact(_) | BodyLength::Chunked | BodyLength::UntilClose => {
                Some(Self { reader: read(length), shown: Vec::new(), length: 0 })
            }
        }
    }

    /// Whether it has ended.
    fn read(&mut self, inbox: &mut Inbox) -> Result<bool, Malformed> {
        while !inbox.unread().is_empty() {
            let progress = self.reader.feed(inbox.unread())?;
            let payload = inbox.slice(progress.payload);
            self.show(&payload);
            inbox.skip(progress.taken);
            if progress.ended {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn show(&mut self, payload: &[u8]) {
        self.length += payload.len() as u64;
        let room = BODY_SHOWN_MAX.saturating_sub(self.shown.len()).min(payload.len());
        self.shown.extend_from_slice(payload.get(..room).unwrap_or_default());
    }

    fn described(&self, from: Side) -> Vec<String> {
        let mark = mark(from);
        let Ok(text) = std::str::from_utf8(&self.shown) else {
            return vec![format!("{mark} {} bytes of content", self.length)];
        };
        let mut lines: Vec<String> = text.lines().map(|line| format!("{mark} {line}")).collect();
        if self.length > self.shown.len() as u64 {
            lines.push(format!("{mark} … {} bytes of content in all", self.length));
        }
        lines
    }
}

fn described(from: Side, head: &[u8]) -> Vec<String> {
    let mark = mark(from);
    String::from_utf8_lossy(head).trim_end().lines().map(|line| format!("{mark} {line}")).collect()
}

const fn mark(side: Side) -> &'static str {
    match side {
        Side::Downstream => ">",
        Side::Upstream => "<",
    }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Downstream => "the workload",
        Side::Upstream => "the server",
    }
}
