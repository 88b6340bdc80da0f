use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Verifies a server's chain, and that its certificate names one of the target's names where that is asked for.
#[derive(Debug)]
pub struct Verifier {
    roots: Arc<RootCertStore>,
    /// Certificates that are trusted as they are: a server's own, where it signed itself.
    pinned: Vec<CertificateDer<'static>>,
    /// `None`: any name will do, because the roots vouch for this server only.
    names: Option<Vec<ServerName<'static>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub fn new(
        roots: Arc<RootCertStore>,
        pinned: Vec<CertificateDer<'static>>,
        names: Option<Vec<ServerName<'static>>>,
    ) -> Self {
        Self { roots, pinned, names, algorithms: ring::default_provider().signature_verification_algorithms }
    }

    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain =
            verify_server_cert_signed_by_trust_anchor(parsed, &self.roots, intermediates, now, self.algorithms.all);
        match chain {
            // Self-signed certificates are mostly made as authorities, which a chain must not end in.
            Err(_) if self.pinned.iter().any(|pinned| pinned == certificate) => valid_at(certificate, now),
            result => result,
        }
    }

    fn verify_name(&self, parsed: &ParsedCertificate<'_>) -> Result<(), Error> {
        let Some(names) = &self.names else { return Ok(()) };
        let mut last = Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        for name in names {
            last = verify_server_name(parsed, name);
            if last.is_ok() {
                break;
            }
        }
        last
    }
}

/// Whether a certificate serves at that time, for one that no chain was built for.
fn valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let invalid = |error| Err(Error::InvalidCertificate(error));
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return invalid(CertificateError::BadEncoding);
    };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        invalid(CertificateError::NotValidYet)
    } else if now > parsed.validity().not_after.timestamp() {
        invalid(CertificateError::Expired)
    } else {
        Ok(())
    }
}

impl ServerCertVerifier for Verifier {
    /// `name` is the one that was sent to the server; which ones it may have is known here already.
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        self.verify_chain(certificate, &parsed, intermediates, now)?;
        self.verify_name(&parsed)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
