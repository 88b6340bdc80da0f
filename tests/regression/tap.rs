//! Stands between psql and the server: every text that psql sends is classified, run, and compared with what the server
//! says that it did.
//!
//! A text that may run in a transaction runs in one of its own, so that its locks can be looked at before they go.

use std::{
    io::ErrorKind,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use parking_lot::Mutex;
use portcullis::sql::{SessionState, StatementKind, Step};

use crate::{
    claim::Claim,
    findings::{Findings, Text},
    oracle::{self, Observed},
    server::{Message, Server},
    survey::Surveyor,
};

/// How often to look whether psql has ended.
const LOOK: Duration = Duration::from_millis(5);
/// What opens a cancel request instead of a session.
const CANCEL: [u8; 4] = 80_877_102_u32.to_be_bytes();
/// `active_sql_transaction`: the statement cannot run inside a transaction.
const NOT_IN_TRANSACTION: &str = "25001";
/// Statements about transactions, which cannot be given one of their own.
const TRANSACTIONAL: [&str; 11] =
    ["begin", "start", "commit", "end", "abort", "rollback", "savepoint", "release", "prepare", "set", "discard"];

/// Serves psql until it has ended. `\c` opens a second session before it ends the first.
pub struct Tap<'a> {
    pub socket: PathBuf,
    pub shared: &'a Mutex<Shared>,
}

/// What all sessions know and note together.
pub struct Shared {
    pub surveyor: Surveyor,
    pub findings: Findings,
}

impl Tap<'_> {
    /// Serves connections until `is_over` says that psql has ended.
    pub fn serve(&self, listener: &UnixListener, mut is_over: impl FnMut() -> bool) -> Result<()> {
        listener.set_nonblocking(true)?;
        thread::scope(|scope| {
            let mut sessions = Vec::new();
            while !is_over() {
                match listener.accept() {
                    Ok((client, _)) => sessions.push(scope.spawn(|| self.session(client))),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK),
                    Err(error) => return Err(error.into()),
                }
            }
            for session in sessions {
                session.join().map_err(|_| anyhow!("a session panicked"))??;
            }
            Ok(())
        })
    }

    fn session(&self, mut client: UnixStream) -> Result<()> {
        client.set_nonblocking(false)?;
        let first = Message::read_first(&mut client)?;
        let server = Server::dial(&self.socket, &first)?;
        if first.body.starts_with(&CANCEL) {
            return Ok(());
        }
        let mut session = Session { server, client, state: SessionState::default(), seen: Vec::new() };
        if !session.until_ready()? {
            return Ok(());
        }
        while let Some(message) = Message::read(&mut session.client)? {
            match message.tag {
                b'Q' => {
                    if !session.text(message, self.shared)? {
                        return Ok(());
                    }
                }
                b'X' => {
                    session.server.send(&message)?;
                    return Ok(());
                }
                b'S' => {
                    session.server.send(&message)?;
                    if !session.until_ready()? {
                        return Ok(());
                    }
                }
                _ => session.server.send(&message)?,
            }
        }
        Ok(())
    }
}

/// One session of psql's.
struct Session {
    server: Server,
    client: UnixStream,
    state: SessionState,
    /// Relations that earlier texts of the same transaction have locked.
    seen: Vec<u32>,
}

impl Session {
    /// Passes on what the server says until it is ready; false when it has closed.
    fn until_ready(&mut self) -> Result<bool> {
        while let Some(message) = self.server.receive()? {
            message.write(&mut self.client)?;
            if message.tag == b'Z' {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs one text and compares; false when the server has closed.
    fn text(&mut self, query: Message, shared: &Mutex<Shared>) -> Result<bool> {
        let text = Bytes::copy_from_slice(query.body.strip_suffix(&[0]).unwrap_or(&query.body));
        let view = shared.lock().surveyor.view()?;
        // As a session does; where the path cannot be followed, a session's survey decides.
        let path = self.state.path.now().cloned().flatten();
        let classifier = view.classifier.under(&path);
        let classified = classifier.classify(&text, &self.state);
        let claim = Claim { classified, catalogue: classifier.catalogue() };

        let Some(observed) = self.run(&query, &text)? else { return Ok(false) };
        let text = Text { sql: String::from_utf8_lossy(&text).into_owned(), claim: &claim, observed: &observed };
        shared.lock().findings.note(&text, &view.links);
        if observed.error.is_none() {
            claim.classified.statements.iter().for_each(|statement| self.state.apply(statement));
        } else {
            self.state.path.fail();
        }
        if self.server.status == b'I' {
            self.state.path.commit();
        }
        if observed.error.is_none() && !claim.classified.statements.iter().all(|statement| keeps(&statement.kind)) {
            shared.lock().surveyor.forget();
        }
        Ok(true)
    }

    /// Has the server run a text, in a transaction of its own where that can be.
    fn run(&mut self, query: &Message, text: &[u8]) -> Result<Option<Observed>> {
        let before = self.server.status;
        if before != b'E' {
            self.server.ask("set client_min_messages = log")?;
        }
        let wraps = before == b'I' && !is_transactional(text);
        if wraps {
            self.server.ask("begin")?;
        }
        let mut observed = Observed::default();
        let Some(held) = self.exchange(query, &mut observed, wraps)? else { return Ok(None) };
        if wraps && observed.error.as_deref() == Some(NOT_IN_TRANSACTION) {
            self.server.ask("rollback")?;
            observed = Observed::default();
            let Some(held) = self.exchange(query, &mut observed, false)? else { return Ok(None) };
            self.release(held, self.server.status)?;
            return Ok(Some(observed));
        }
        if self.server.status == b'T' {
            observed.look(&mut self.server)?;
        }
        if wraps {
            self.server.ask(if self.server.status == b'E' { "rollback" } else { "commit" })?;
        }
        self.forget_seen(before, &mut observed);
        self.release(held, if wraps { before } else { self.server.status })?;
        Ok(Some(observed))
    }

    /// Locks that were there before the text are not its own.
    fn forget_seen(&mut self, before: u8, observed: &mut Observed) {
        if before == b'T' {
            observed.locked.retain(|oid, _| !self.seen.contains(oid));
        } else {
            self.seen.clear();
        }
        self.seen.extend(observed.locked.keys());
    }

    /// Sends a text and notes what comes back. Gives what psql has not been told yet: all of it while `holds`, unless
    /// the server wants data, and ReadyForQuery always. `None` when the server has closed.
    fn exchange(&mut self, query: &Message, observed: &mut Observed, holds: bool) -> Result<Option<Vec<Message>>> {
        self.server.send(query)?;
        let mut held = Vec::new();
        loop {
            let Some(message) = self.server.receive()? else { return Ok(None) };
            match message.tag {
                b'Z' => {
                    held.push(message);
                    return Ok(Some(held));
                }
                b'N' => {
                    if let Some(tree) = oracle::tree(&message) {
                        observed.read(&tree);
                        continue;
                    }
                }
                b'E' => observed.error = observed.error.take().or_else(|| message.field(b'C')),
                b'C' => observed.completed += 1,
                b'G' | b'W' => {
                    for message in held.drain(..).chain([message]) {
                        message.write(&mut self.client)?;
                    }
                    self.copy_in()?;
                    continue;
                }
                _ => {}
            }
            if holds {
                held.push(message);
            } else {
                message.write(&mut self.client)?;
            }
        }
    }

    /// Passes on data that the client has for the server.
    fn copy_in(&mut self) -> Result<()> {
        loop {
            let message = Message::read(&mut self.client)?.context("psql ended within COPY")?;
            let is_last = matches!(message.tag, b'c' | b'f');
            self.server.send(&message)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Tells psql what was held back, and that the server is ready in the state that psql expects.
    fn release(&mut self, held: Vec<Message>, status: u8) -> Result<()> {
        for message in held {
            let message = if message.tag == b'Z' { Message::new(b'Z', vec![status]) } else { message };
            message.write(&mut self.client)?;
        }
        Ok(())
    }
}

/// Whether a text begins with a statement about transactions or settings.
fn is_transactional(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let word: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    TRANSACTIONAL.contains(&word.as_str())
}

/// Whether a statement leaves the catalogue as it is; of others nobody knows.
fn keeps(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Select
            | StatementKind::Insert
            | StatementKind::Update
            | StatementKind::Delete
            | StatementKind::Merge
            | StatementKind::CopyOut
            | StatementKind::CopyIn
            | StatementKind::Transaction(Step::Begin | Step::Savepoint | Step::RollbackTo | Step::Mode)
            | StatementKind::Prepare { .. }
            | StatementKind::Deallocate { .. }
            | StatementKind::Declare { .. }
            | StatementKind::Fetch { .. }
            | StatementKind::Close { .. }
            | StatementKind::Set
            | StatementKind::Show
    )
}
