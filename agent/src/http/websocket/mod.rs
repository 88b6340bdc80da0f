//! WebSocket: frames and messages (RFC 6455).
//!
//! No extension is spoken, so that `Sec-WebSocket-Extensions` has to be left out of what a workload offers. What a
//! reader takes may be forwarded as it came.

pub mod frame;
pub mod handshake;
mod reader;
mod utf8;

pub use frame::{Frame, Opcode};
pub use reader::{FrameReader, Kind, Piece, Progress};

/// Longest payload of a control frame (section 5.5).
pub const CONTROL_MAX: usize = 125;

/// Longest head of a frame: two bytes, the long length, and the key.
pub const HEAD_MAX: usize = 14;

/// Why bytes are no WebSocket frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Broken {
    #[error("expected reserved bits that are zero, found {0:#05b}")]
    Reserved(u8),
    #[error("expected a known opcode, found {0:#x}")]
    Opcode(u8),
    #[error("expected a masked frame of a workload")]
    Unmasked,
    #[error("expected a frame of a server that is not masked")]
    Masked,
    #[error("expected a length in its shortest form, below 2^63, found {0}")]
    Length(u64),
    #[error("expected a control frame in one piece of at most {CONTROL_MAX} bytes")]
    Control,
    #[error("expected the rest of a message, found another message")]
    Interrupted,
    #[error("expected a message, found the rest of one")]
    Continuation,
    #[error("expected nothing behind a close frame")]
    AfterClose,
    #[error("expected a close frame without content or with a known code, found {0}")]
    CloseCode(u16),
    #[error("expected text in UTF-8")]
    Text,
}

impl Broken {
    /// The code that a close frame tells it by (section 7.4.1).
    pub const fn code(self) -> u16 {
        match self {
            Self::Text => 1007,
            Self::Reserved(_)
            | Self::Opcode(_)
            | Self::Unmasked
            | Self::Masked
            | Self::Length(_)
            | Self::Control
            | Self::Interrupted
            | Self::Continuation
            | Self::AfterClose
            | Self::CloseCode(_) => 1002,
        }
    }
}
