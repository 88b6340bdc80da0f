//! HTTP/1.1 as a session that forwards what came. `README.md` beside this file tells how a connection goes.

mod conversation;
mod credentials;
mod masking;
mod place;
mod reply;
mod session;
mod transcript;

#[cfg(test)]
pub(in crate::protocol) mod playbook;
#[cfg(test)]
mod tests;

pub use session::HttpSession;

use crate::{
    http as codec,
    protocol::{Detection, Engine, Protocol},
};

/// This folder's line in the registry.
pub const PROTOCOL: Protocol = Protocol {
    name: "http",
    detect,
    alpn: &["http/1.1"],
    engine: Engine::Session(|opening| Box::new(HttpSession::new(opening))),
    transcript: || Box::new(transcript::HttpTranscript::default()),
};

/// Whether a connection opens as HTTP's do: a method in capital letters, a space, and what begins a target. A TLS
/// handshake says nothing, because every protocol may begin with one.
fn detect(bytes: &[u8]) -> Detection {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match (method, bytes.get(method)) {
        (0, Some(_)) => Detection::No,
        (0..=codec::METHOD_MAX, None) => Detection::NeedMore,
        (1..=codec::METHOD_MAX, Some(b' ')) => Detection::Yes,
        _ => Detection::No,
    }
}
