//! PostgreSQL, protocol 3.0 and 3.2. `README.md` beside this file tells how a session goes.

mod cancel;
mod cell;
mod classify;
pub mod codec;
mod comment;
mod conversation;
mod copy;
mod estimate;
mod login;
mod reply;
mod rows;
pub mod scan;
mod seen;
mod session;
mod startup;
mod survey;
mod transcript;
mod words;

#[cfg(test)]
pub(in crate::protocol) mod playbook;
#[cfg(test)]
mod tests;

pub use cancel::Cancels;
pub use comment::UNREADABLE;
pub use estimate::{EstimateError, Planner};
pub use seen::Seen;
pub use session::PostgresSession;
pub use survey::{SurveyError, request_tls, survey};

use crate::protocol::{Detection, Engine, Protocol, wire};

/// This folder's line in the registry.
pub const PROTOCOL: Protocol = Protocol {
    name: "postgres",
    detect,
    // IANA's name for direct TLS, which PostgreSQL 17 introduced.
    alpn: &["postgresql"],
    engine: Engine::Session(|opening| Box::new(PostgresSession::new(opening))),
    transcript: || Box::new(transcript::PostgresTranscript::default()),
};

/// Whether a connection opens as PostgreSQL's do: a length word, then a version or one of the three
/// requests. A TLS handshake says nothing, because every protocol may begin with one.
fn detect(bytes: &[u8]) -> Detection {
    use codec::{STARTUP_MAX, frontend};
    let Some(length) = bytes.first_chunk::<4>() else {
        return if bytes.first().is_none_or(|&byte| byte == 0) { Detection::NeedMore } else { Detection::No };
    };
    if !(8..=STARTUP_MAX).contains(&(u32::from_be_bytes(*length) as usize)) {
        return Detection::No;
    }
    let Some(code) = bytes.get(4..).and_then(|rest| rest.first_chunk::<4>()) else { return Detection::NeedMore };
    match u32::from_be_bytes(*code) {
        frontend::SSL_REQUEST | frontend::GSSENC_REQUEST | frontend::CANCEL_REQUEST => Detection::Yes,
        version if version >> 16 == 3 => Detection::Yes,
        _ => Detection::No,
    }
}
