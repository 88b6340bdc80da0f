use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{crypto::ring, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::source::{CertificateFiles, SourceError, read_secret};

/// A certificate chain and the private key that belongs to it.
#[derive(Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>);

impl ClientCertificate {
    /// Reads the chain and the key, and checks that they belong together.
    pub fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let chain = read_chain(&files.chain)?;
        let pem = read_secret(&files.key)?;
        let unusable = |why: String| CertificateError::Key { path: files.key.clone(), why };
        let key = PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|error| unusable(error.to_string()))?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self(Arc::new(certified)))
    }

    /// The pair as TLS wants it.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let pem = fs::read(path).map_err(|source| CertificateError::Unreadable { path: path.into(), source })?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(CertificateError::Chain { path: path.into(), why: "it holds no `CERTIFICATE` section".into() }),
        Err(error) => Err(CertificateError::Chain { path: path.into(), why: error.to_string() }),
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(…)")
    }
}

/// Why a client certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` is no certificate chain: {why}", path.display())]
    Chain { path: PathBuf, why: String },
    #[error("`{}` is no private key for the certificate: {why}", path.display())]
    Key { path: PathBuf, why: String },
    #[error(transparent)]
    Source(#[from] SourceError),
}
