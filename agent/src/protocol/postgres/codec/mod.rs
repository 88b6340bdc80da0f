//! Framing: where one message ends, and what is in it.
//!
//! Nothing here waits or copies: a decoder is handed what has arrived and says `Ok(None)` while it needs more.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

pub mod backend;
mod fields;
pub mod frontend;

pub mod long_bind;
pub mod write;

pub use crate::protocol::inbox::Inbox;
pub use fields::Fields;

/// Longest startup packet, as the server has it (`MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_MAX: usize = 10_000;

/// Longest message that carries SQL text: Query and Parse.
pub const TEXT_MAX: usize = 1 << 20;

/// Longest Bind that is held whole; longer ones are read as they pass.
pub const BIND_WHOLE_MAX: usize = 1 << 20;

/// Longest of the messages that only name something: Describe, Execute, Close, CopyFail.
pub const NAMING_MAX: usize = 16 << 10;

/// Longest message at all, as the server has it (`PQ_LARGE_MESSAGE_LIMIT`). Only row and COPY data
/// may come near it, and these pass in pieces.
pub const FRAME_MAX: usize = (1 << 30) - 1;

/// Longest message of the server that is held whole, because it must be read or masked.
pub const REPLY_MAX: usize = 16 << 20;

/// Length of a message's head: its type and the length word.
pub const HEAD: usize = 5;

/// Why bytes are no message.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum CodecError {
    #[error("unknown message type {0:#04x}")]
    UnknownType(u8),
    #[error("the length word {length} of message {kind} is not within {min}..={max}")]
    Length { kind: &'static str, length: usize, min: usize, max: usize },
    #[error("message {0} ends before its last field")]
    Short(&'static str),
    #[error("message {0} goes on after its last field")]
    Long(&'static str),
    #[error("message {0} holds a value that the protocol does not know")]
    Value(&'static str),
}

/// The head of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    pub tag: u8,
    /// Bytes of the whole message, its head included.
    pub total: usize,
}

/// Reads the head of the message at the start of `bytes`, unchecked but for the protocol's own bounds.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, CodecError> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(4..=FRAME_MAX).contains(&length) {
        return Err(CodecError::Length { kind: "head", length, min: 4, max: FRAME_MAX });
    }
    Ok(Some(Head { tag, total: length + 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_needs_five_bytes() {
        assert_eq!(head(b"Q\0\0\0"), Ok(None));
        assert_eq!(head(b"Q\0\0\0\x04"), Ok(Some(Head { tag: b'Q', total: 5 })));
    }

    #[test]
    fn absurd_lengths_are_refused() {
        assert!(head(b"Q\0\0\0\x03").is_err());
        assert!(head(b"D\xff\xff\xff\xff").is_err());
        assert!(head(b"D\x7f\xff\xff\xff").is_err());
    }
}
