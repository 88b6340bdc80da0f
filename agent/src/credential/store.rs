use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    Credential,
    certificate::{CertificateError, ClientCertificate},
    source::{Source, SourceError, read_password},
};

/// The configured credentials, each read when it is first wanted and again when its files have changed.
#[derive(Debug, Default)]
pub struct Store {
    entries: HashMap<Arc<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    source: Source,
    held: Mutex<Option<Held>>,
}

/// A credential, and the files as they were when it was read.
#[derive(Debug)]
struct Held {
    credential: Arc<Credential>,
    stamps: Vec<Stamp>,
}

impl Store {
    /// A store of these credentials. Nothing is read yet.
    pub fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        let entry = |source: Source| (source.name.clone(), Entry { source, held: Mutex::new(None) });
        Self { entries: sources.into_iter().map(entry).collect() }
    }

    /// The credential of that name, as its files are now.
    ///
    /// A file that cannot be read any more, or that others may read by now, is an error: what was read
    /// before is not used on.
    pub fn find(&self, name: &str) -> Result<Arc<Credential>, CredentialError> {
        self.entries.get(name).ok_or_else(|| CredentialError::Unknown { name: name.into() })?.current()
    }

    /// Names of all credentials, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.entries.keys().cloned().collect();
        names.sort();
        names
    }
}

impl Entry {
    fn current(&self) -> Result<Arc<Credential>, CredentialError> {
        let mut held = self.held.lock();
        // Stamped before reading: a change while reading shows at the next use.
        let stamps = self.source.files().map(Stamp::of).collect::<Result<Vec<_>, _>>()?;
        if let Some(held) = held.as_ref().filter(|held| held.stamps == stamps) {
            return Ok(held.credential.clone());
        }
        *held = None;
        let credential = Arc::new(read(&self.source)?);
        *held = Some(Held { credential: credential.clone(), stamps });
        Ok(credential)
    }
}

fn read(source: &Source) -> Result<Credential, CredentialError> {
    Ok(Credential {
        password: source.password.as_deref().map(read_password).transpose()?,
        certificate: source.certificate.as_ref().map(ClientCertificate::read).transpose()?,
        http: source.http.clone(),
        ..Credential::new(source.name.clone(), source.user.clone())
    })
}

/// What changes when a file is written, replaced, or given other permissions.
#[derive(Debug, Eq, PartialEq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, CredentialError> {
        let metadata =
            fs::metadata(path).map_err(|source| CredentialError::Unreadable { path: path.into(), source })?;
        Ok(Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Why there is no credential. Never says anything of its content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("no credential is named `{name}`")]
    Unknown { name: String },
    #[error("cannot read `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Password(#[from] SourceError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}
