use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};

/// What files of ours are called, around the certificate's short fingerprint.
const PREFIX: &str = "portcullis-";
const SUFFIX: &str = ".crt";
/// Bytes of the fingerprint in a file's name.
const SHORT: usize = 8;

/// Most files of a store that are looked at.
const FILES_MAX: usize = 4096;

/// How a distribution keeps the authorities that its programs trust.
#[derive(Debug, Eq, PartialEq)]
struct Kind {
    /// Where an administrator puts certificates, below the root.
    directory: &'static str,
    /// What makes the bundles that programs read, from these and the distribution's own.
    update: &'static str,
}

/// Those of Debian, Ubuntu and Alpine; Red Hat and Fedora; Arch; SUSE.
const KINDS: [Kind; 4] = [
    Kind { directory: "usr/local/share/ca-certificates", update: "update-ca-certificates" },
    Kind { directory: "etc/pki/ca-trust/source/anchors", update: "update-ca-trust" },
    Kind { directory: "etc/ca-certificates/trust-source/anchors", update: "update-ca-trust" },
    Kind { directory: "etc/pki/trust/anchors", update: "update-ca-certificates" },
];

/// The authorities that a system's programs trust: this host's, or those of a system below a directory.
#[derive(Debug)]
pub struct TrustStore {
    kind: &'static Kind,
    root: PathBuf,
}

/// What becomes of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Files that are written or removed; none where all is as it should be.
    pub files: Vec<PathBuf>,
    /// What makes the store read them. Below a directory that is no running system it is left to whoever runs it.
    pub update: &'static str,
    pub updates: bool,
}

impl TrustStore {
    /// That of the system below a directory; `/` is this host.
    pub fn find(root: &Path) -> Result<Self, TrustStoreError> {
        let kind = KINDS.iter().find(|kind| root.join(kind.directory).is_dir());
        kind.map(|kind| Self { kind, root: root.into() }).ok_or_else(|| TrustStoreError::Unknown { root: root.into() })
    }

    /// What [`Self::install`] would do. The update is made again where the file is there already: the last one may have
    /// failed.
    pub fn to_install(&self, pem: &str) -> Result<Change, TrustStoreError> {
        let file = self.file(pem)?;
        Ok(self.change(if self.holds(&file, pem)? { Vec::new() } else { vec![file] }, true))
    }

    /// Adds an authority.
    pub fn install(&self, pem: &str) -> Result<Change, TrustStoreError> {
        let change = self.to_install(pem)?;
        for file in &change.files {
            write(file, pem).map_err(|source| TrustStoreError::Io { path: file.clone(), source })?;
        }
        self.update(change)
    }

    /// What [`Self::remove`] would do with this authority.
    pub fn to_remove(&self, pem: &str) -> Result<Change, TrustStoreError> {
        let file = self.file(pem)?;
        let files = if self.holds(&file, pem)? { vec![file] } else { Vec::new() };
        Ok(self.change(files, false))
    }

    /// What [`Self::remove`] would do with every authority of a daemon's that was ever added.
    pub fn to_remove_all(&self) -> Result<Change, TrustStoreError> {
        let directory = self.directory();
        let unreadable = |source| TrustStoreError::Io { path: directory.clone(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&directory).map_err(unreadable)?.take(FILES_MAX) {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // Named by what is in it, as nobody else's is.
            let named = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
            if named && fs::read_to_string(&path).is_ok_and(|pem| self.file(&pem).is_ok_and(|file| file == path)) {
                files.push(path);
            }
        }
        files.sort();
        Ok(self.change(files, false))
    }

    /// Takes authorities out.
    pub fn remove(&self, change: Change) -> Result<Change, TrustStoreError> {
        for file in &change.files {
            fs::remove_file(file).map_err(|source| TrustStoreError::Io { path: file.clone(), source })?;
        }
        self.update(change)
    }

    /// Whether an authority is there.
    pub fn trusts(&self, pem: &str) -> Result<bool, TrustStoreError> {
        self.holds(&self.file(pem)?, pem)
    }

    fn change(&self, files: Vec<PathBuf>, always: bool) -> Change {
        let updates = self.root == Path::new("/") && (always || !files.is_empty());
        Change { files, update: self.kind.update, updates }
    }

    /// Whether a file holds this certificate and no other; one that is somebody else's is an error.
    fn holds(&self, file: &Path, pem: &str) -> Result<bool, TrustStoreError> {
        match fs::read_to_string(file) {
            Ok(found) if certificate(&found)? == certificate(pem)? => Ok(true),
            Ok(_) => Err(TrustStoreError::Foreign { path: file.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(TrustStoreError::Io { path: file.into(), source }),
        }
    }

    /// Named by the certificate, so that two daemons' authorities stand side by side.
    fn file(&self, pem: &str) -> Result<PathBuf, TrustStoreError> {
        let short = hex::encode(Sha256::digest(certificate(pem)?).get(..SHORT).unwrap_or_default());
        Ok(self.directory().join(format!("{PREFIX}{short}{SUFFIX}")))
    }

    fn directory(&self) -> PathBuf {
        self.root.join(self.kind.directory)
    }

    fn update(&self, change: Change) -> Result<Change, TrustStoreError> {
        if !change.updates {
            return Ok(change);
        }
        let command = self.kind.update;
        let output = Command::new(command).output().map_err(|source| TrustStoreError::Command { command, source })?;
        if output.status.success() {
            return Ok(change);
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(TrustStoreError::Update { command, status: output.status, why })
    }
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, TrustStoreError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| TrustStoreError::NotACertificate)
}

/// Writes a file that everybody may read, whole or not at all.
fn write(file: &Path, pem: &str) -> io::Result<()> {
    // Not yet by a name that the update would read.
    let new = file.with_extension("new");
    fs::write(&new, pem)?;
    fs::set_permissions(&new, Permissions::from_mode(0o644))?;
    fs::rename(&new, file)
}

/// Why a trust store was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TrustStoreError {
    #[error(
        "the system at `{}` keeps its authorities in a place that is not known here\n  hint: `portcullis ca show` prints \
         the certificate",
        root.display()
    )]
    Unknown { root: PathBuf },
    #[error("what was found or to be installed is not a certificate")]
    NotACertificate,
    #[error("`{}` holds another certificate than was put there: it is left as it is", path.display())]
    Foreign { path: PathBuf },
    #[error("cannot change `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot run `{command}`: is the package `ca-certificates` installed?")]
    Command { command: &'static str, source: io::Error },
    #[error("`{command}` failed ({status}), so that programs read what was trusted before: {why}")]
    Update { command: &'static str, status: ExitStatus, why: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system of some kind below a directory.
    fn system(kind: &Kind) -> (tempfile::TempDir, TrustStore) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(kind.directory)).unwrap();
        let store = TrustStore::find(root.path()).unwrap();
        assert_eq!(store.kind, kind);
        (root, store)
    }

    fn authority() -> String {
        rcgen::generate_simple_self_signed(["authority".into()]).unwrap().cert.pem()
    }

    fn files(store: &TrustStore) -> usize {
        fs::read_dir(store.directory()).unwrap().count()
    }

    #[test]
    fn an_authority_comes_and_goes_in_every_kind_of_store() {
        for kind in &KINDS {
            let (_root, store) = system(kind);
            let (pem, other) = (authority(), authority());
            assert!(!store.trusts(&pem).unwrap());
            let change = store.install(&pem).unwrap();
            assert_eq!((change.files.len(), change.updates, change.update), (1, false, kind.update));
            assert!(store.trusts(&pem).unwrap() && !store.trusts(&other).unwrap());
            assert_eq!(store.install(&pem).unwrap().files, Vec::<PathBuf>::new(), "once is enough");

            store.install(&other).unwrap();
            assert_eq!(store.remove(store.to_remove(&pem).unwrap()).unwrap().files, change.files);
            assert!(!store.trusts(&pem).unwrap() && store.trusts(&other).unwrap());
            assert_eq!(store.to_remove(&pem).unwrap().files, Vec::<PathBuf>::new());
        }
    }

    #[test]
    fn what_would_be_done_is_not_done() {
        let (_root, store) = system(&KINDS[0]);
        let pem = authority();
        assert_eq!((store.to_install(&pem).unwrap().files.len(), files(&store)), (1, 0));
        store.install(&pem).unwrap();
        assert_eq!((store.to_remove(&pem).unwrap().files.len(), files(&store)), (1, 1));
        assert_eq!((store.to_remove_all().unwrap().files.len(), files(&store)), (1, 1));
    }

    #[test]
    fn nothing_is_removed_that_was_not_put_there() {
        let (_root, store) = system(&KINDS[1]);
        let (ours, theirs) = (authority(), authority());
        let file = store.install(&ours).unwrap().files.remove(0);
        for name in ["company.crt", "portcullis-company.crt", "portcullis-0011223344556677.crt"] {
            fs::write(store.directory().join(name), &theirs).unwrap();
        }
        let removed = store.remove(store.to_remove_all().unwrap()).unwrap();
        assert_eq!(removed.files, std::slice::from_ref(&file));
        assert_eq!(files(&store), 3);
        fs::write(&file, &theirs).unwrap();
        assert!(matches!(store.to_remove(&ours), Err(TrustStoreError::Foreign { .. })));
        assert!(matches!(store.install(&ours), Err(TrustStoreError::Foreign { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), theirs);
    }

    #[test]
    fn a_system_of_no_known_kind_is_said_to_be_so() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(TrustStore::find(root.path()), Err(TrustStoreError::Unknown { .. })));
    }

    #[test]
    fn what_is_no_certificate_is_not_installed() {
        let (_root, store) = system(&KINDS[0]);
        assert!(matches!(store.install("certificate"), Err(TrustStoreError::NotACertificate)));
        assert_eq!(files(&store), 0);
    }
}
