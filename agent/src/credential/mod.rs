//! Credentials that the daemon holds and workloads never see.
//!
//! A [`Store`] reads them from the files that the configuration names, and reads a file again when
//! it has changed, so that rotation needs no restart.

mod certificate;
mod presentation;
mod scram_keys;
mod secret;
mod source;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use certificate::{CertificateError, ClientCertificate};
pub use presentation::Presentation;
pub use scram_keys::{SCRAM_KEYS_MAX, ScramKeys, SessionKeys};
pub use secret::Secret;
pub use source::{CertificateFiles, SECRET_MAX, Source, SourceError, read_password, read_secret};
pub use store::{CredentialError, Store};

/// What the daemon logs in with upstream.
#[derive(Debug)]
pub struct Credential {
    pub name: Arc<str>,
    /// Empty where there are no users.
    pub user: String,
    /// `None`: the server trusts the certificate or the connection alone.
    pub password: Option<Secret>,
    /// Shown to servers that ask for a certificate during the TLS handshake.
    pub certificate: Option<ClientCertificate>,
    /// Keys that SCRAM derives from [`password`](Self::password): kept, because deriving costs milliseconds.
    pub scram: ScramKeys,
    /// How HTTP servers are shown it.
    pub http: Option<Presentation>,
}

impl Credential {
    /// A credential that has a name and a user only.
    pub fn new(name: impl Into<Arc<str>>, user: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            user: user.into(),
            password: None,
            certificate: None,
            scram: ScramKeys::default(),
            http: None,
        }
    }

    /// The same credential with a password.
    pub fn with_password(self, password: Secret) -> Self {
        Self { password: Some(password), ..self }
    }

    /// The same credential with a client certificate.
    pub fn with_certificate(self, certificate: ClientCertificate) -> Self {
        Self { certificate: Some(certificate), ..self }
    }
}
