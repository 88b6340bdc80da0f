//! TLS on both sides of a connection.
//!
//! Towards the workload the daemon is the server: a local [`Authority`] vouches for every name that a
//! workload asks for. Towards the target it is a client ([`UpstreamTls`]) that verifies the server as the
//! configuration says. [`Stream`] is either side's socket, before and after the handshake.

mod authority;
mod channel_binding;
mod leaf;
mod stream;
mod trust_store;
mod upstream;
mod validity;
mod verifier;

#[cfg(test)]
mod tests;

pub use authority::{Authority, AuthorityError};
pub use channel_binding::channel_binding;
pub use leaf::{LEAF_LIFETIME, LEAVES_MAX};
pub use stream::{HANDSHAKE_TIMEOUT, HandshakeError, Rewind, Stream};
pub use trust_store::{Change, TrustStore, TrustStoreError};
pub use upstream::{UpstreamTls, UpstreamTlsError};
