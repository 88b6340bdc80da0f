//! HTTP/1.1 as bytes: heads, lengths, bodies, where a request goes, and what that touches in policy's words.
//!
//! Nothing here waits, and nothing repairs: a decoder is handed what has arrived, says `Ok(None)` while it needs more,
//! and refuses whatever another reader of the same bytes could understand in another way. What it accepts may be
//! forwarded as it came. HTTP Semantics is RFC 9110, HTTP/1.1 is RFC 9112, URIs are RFC 3986.

pub mod body;
pub mod classify;
pub mod connection;
pub mod fields;
pub mod framing;
pub mod head;
pub mod host;
pub mod location;
mod malformed;
mod names;
pub mod path;
pub mod query;
pub mod websocket;
pub mod write;

pub use body::{BodyReader, Progress};
pub use classify::Understood;
pub use connection::{Connection, Upgrade};
pub use fields::Fields;
pub use framing::BodyLength;
pub use head::{RequestHead, ResponseHead, Version};
pub use host::{Host, HostPattern};
pub use location::{Form, Location};
pub use malformed::{Excerpt, Found, Limit, Malformed};
pub use path::EscapedSlash;
pub use query::Query;

/// Longest head: the first line, all fields, and the empty line.
pub const HEAD_MAX: usize = 64 << 10;

/// Most fields of one head, and most of one trailer section.
pub const FIELDS_MAX: usize = 128;

/// Longest method.
pub const METHOD_MAX: usize = 32;

/// Longest request target.
pub const REQUEST_TARGET_MAX: usize = 16 << 10;

/// Longest line that begins a chunk, its extensions included.
pub const CHUNK_LINE_MAX: usize = 256;

/// Longest trailer section.
pub const TRAILERS_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests;
