use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};

/// Where a distribution keeps the authorities that its programs trust.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrustStore {
    /// Debian, Ubuntu, Alpine: `update-ca-certificates`.
    Debian,
    /// Red Hat, Fedora: `update-ca-trust`.
    RedHat,
}

impl TrustStore {
    /// The host's store.
    pub fn find() -> Result<Self, TrustStoreError> {
        let stores = [Self::Debian, Self::RedHat];
        stores.into_iter().find(|store| store.directory().is_dir()).ok_or(TrustStoreError::Unknown)
    }

    /// Adds an authority, and returns the file that was written.
    pub fn install(self, pem: &str) -> Result<PathBuf, TrustStoreError> {
        let file = self.file(pem)?;
        fs::write(&file, pem).map_err(|source| TrustStoreError::Io { path: file.clone(), source })?;
        self.update()?;
        Ok(file)
    }

    /// Takes an authority out, and returns the file that was removed; `None`: it was not there.
    pub fn remove(self, pem: &str) -> Result<Option<PathBuf>, TrustStoreError> {
        let file = self.file(pem)?;
        match fs::remove_file(&file) {
            Ok(()) => self.update().map(|()| Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TrustStoreError::Io { path: file, source }),
        }
    }

    /// Named by the certificate, so that two daemons' authorities stand side by side.
    fn file(self, pem: &str) -> Result<PathBuf, TrustStoreError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| TrustStoreError::NotACertificate)?;
        let short = hex::encode(Sha256::digest(&certificate).get(..8).unwrap_or_default());
        Ok(self.directory().join(format!("portcullis-{short}.crt")))
    }

    fn directory(self) -> &'static Path {
        Path::new(match self {
            Self::Debian => "/usr/local/share/ca-certificates",
            Self::RedHat => "/etc/pki/ca-trust/source/anchors",
        })
    }

    fn update(self) -> Result<(), TrustStoreError> {
        let mut command = match self {
            Self::Debian => Command::new("update-ca-certificates"),
            Self::RedHat => Command::new("update-ca-trust"),
        };
        let output = command.output().map_err(|source| TrustStoreError::Command { source })?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(TrustStoreError::Update { status: output.status, why })
    }
}

/// Why the host's trust store was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TrustStoreError {
    #[error("this host keeps its authorities in a place that is not known here")]
    Unknown,
    #[error("what was to be installed is not a certificate")]
    NotACertificate,
    #[error("cannot change `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot run the store's update command: is the package `ca-certificates` installed?")]
    Command { source: io::Error },
    #[error("the store's update command failed ({status}): {why}")]
    Update { status: std::process::ExitStatus, why: String },
}
