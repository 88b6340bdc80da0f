use std::{
    fmt, fs,
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData};
use rustls::{ServerConfig, crypto::ring, server::NoServerSessionStorage};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{
    leaf::{Leaves, Resolver},
    validity,
};
use crate::credential::{SourceError, read_secret};

/// How long a certificate authority serves.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca.key";

/// The local certificate authority: it vouches towards workloads for the servers that the daemon stands for.
///
/// Its key is made on the first start, never leaves the state directory, and only the daemon's user can read
/// it. Whoever trusts the authority trusts this daemon, so it is installed on this host only.
pub struct Authority {
    pem: String,
    certificate: CertificateDer<'static>,
    leaves: Arc<Leaves>,
    /// What every acceptor starts from.
    template: ServerConfig,
}

impl Authority {
    /// Opens the authority in a directory, or makes a new one where the directory does not exist.
    pub fn open(directory: &Path) -> Result<Self, AuthorityError> {
        if !directory.try_exists().map_err(|source| AuthorityError::io(directory, source))? {
            create(directory)?;
        }
        let pem = read_certificate(directory)?;
        let key_path = directory.join(KEY_FILE);
        let key_pem = read_secret(&key_path)?;
        let unusable = |path: &Path, why: &dyn fmt::Display| AuthorityError::unusable(path, why);

        let key = std::str::from_utf8(key_pem.expose()).map_err(|error| unusable(&key_path, &error))?;
        let key = KeyPair::from_pem(key).map_err(|error| unusable(&key_path, &error))?;
        let path = directory.join(CERTIFICATE_FILE);
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable(&path, &error))?;
        check(&certificate, &key, &path)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| unusable(&path, &error))?;
        let leaves = Leaves::new(issuer).map_err(|error| unusable(&path, &error))?;
        Ok(Self { pem, certificate, leaves: Arc::new(leaves), template: template().map_err(AuthorityError::Tls)? })
    }

    /// What answers a workload's handshake for that destination, by the name that the workload asks for.
    ///
    /// `alpn`: the application protocols that are spoken, best first; none: the extension is ignored.
    pub fn acceptor(&self, destination: IpAddr, alpn: &[&str]) -> TlsAcceptor {
        let mut config = self.template.clone();
        config.cert_resolver = Arc::new(Resolver::new(self.leaves.clone(), destination));
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// The authority's certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 over the certificate, in hexadecimal with colons, as `openssl x509 -fingerprint` prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// Reads the certificate alone: what `ca show` and `ca install` need.
pub(super) fn read_certificate(directory: &Path) -> Result<String, AuthorityError> {
    let path = directory.join(CERTIFICATE_FILE);
    fs::read_to_string(&path).map_err(|source| AuthorityError::io(&path, source))
}

fn fingerprint(certificate: &[u8]) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// Whether the pair belongs together and still serves.
fn check(certificate: &CertificateDer<'_>, key: &KeyPair, path: &Path) -> Result<(), AuthorityError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| AuthorityError::unusable(path, &error))?;
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(AuthorityError::unusable(path, &"it belongs to another key"));
    }
    if !parsed.is_ca() {
        return Err(AuthorityError::unusable(path, &"it is not an authority's"));
    }
    if !parsed.validity().is_valid() {
        return Err(AuthorityError::Expired { path: path.into(), until: parsed.validity().not_after.to_string() });
    }
    Ok(())
}

/// Makes key and certificate beside the directory and moves both there at once, so that a crash leaves no half.
fn create(directory: &Path) -> Result<(), AuthorityError> {
    let key = KeyPair::generate().map_err(|error| AuthorityError::unusable(directory, &error))?;
    let certificate = parameters().self_signed(&key).map_err(|error| AuthorityError::unusable(directory, &error))?;

    let mut unique = [0; 8];
    getrandom::fill(&mut unique).map_err(|error| AuthorityError::unusable(directory, &error))?;
    let new = directory.with_extension(format!("new-{}", hex::encode(unique)));
    let written = || -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&new)?;
        write(&new.join(KEY_FILE), 0o600, Zeroizing::new(key.serialize_pem()).as_bytes())?;
        write(&new.join(CERTIFICATE_FILE), 0o644, certificate.pem().as_bytes())?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, directory)
    };
    match written() {
        Ok(()) => Ok(()),
        // Another daemon of the same directory was faster; what it made is used.
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
            fs::remove_dir_all(&new).map_err(|source| AuthorityError::io(&new, source))
        }
        Err(source) => Err(AuthorityError::io(directory, source)),
    }
}

fn parameters() -> CertificateParams {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, format!("Portcullis on {}", host.trim()));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity::from_now(&mut parameters, LIFETIME);
    parameters
}

fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// No session is resumed: the handshake stays on this host, and what it would save is not worth its memory.
fn template() -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Why there is no certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("cannot read or write `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Key(#[from] SourceError),
    #[error("`{}` cannot be used: {why}", path.display())]
    Unusable { path: PathBuf, why: String },
    #[error("`{}` has expired ({until}): remove its directory, restart, and install the new one", path.display())]
    Expired { path: PathBuf, until: String },
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl AuthorityError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    fn unusable(path: &Path, why: &dyn fmt::Display) -> Self {
        Self::Unusable { path: path.into(), why: why.to_string() }
    }
}
