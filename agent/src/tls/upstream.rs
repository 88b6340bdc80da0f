use std::{
    fmt, fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    client::ResolvesClientCert,
    crypto::ring,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::TlsConnector;

use super::verifier::Verifier;
use crate::{
    credential::Credential,
    target::{Address, Target, Verify},
};

/// How one target's server is met: what it has to prove, and what it is shown.
///
/// Connections that share one resume each other's sessions, so it is made once for a target and its credential.
#[derive(Clone)]
pub struct UpstreamTls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl UpstreamTls {
    /// Where `host` names the one that is meant among those that workloads dial, the server has to be that one.
    ///
    /// `None`: the target is spoken to without TLS.
    pub fn for_target(
        target: &Target,
        host: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<Option<Self>, UpstreamTlsError> {
        let names = names_of(target, host)?;
        let verifier = match &target.tls {
            Verify::Off => return Ok(None),
            Verify::Full { ca: None } => Verifier::new(system_roots()?, Vec::new(), Some(names.clone())),
            Verify::Full { ca: Some(ca) } => {
                let authorities = read_authorities(ca)?;
                Verifier::new(Arc::new(roots(&authorities, ca)?), authorities, Some(names.clone()))
            }
            Verify::Ca { ca } => {
                let authorities = read_authorities(ca)?;
                Verifier::new(Arc::new(roots(&authorities, ca)?), authorities, None)
            }
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match credential.and_then(|credential| credential.certificate.as_ref()) {
            Some(certificate) => builder.with_client_cert_resolver(shown(certificate.certified_key())),
            None => builder.with_no_client_auth(),
        };
        let name = names.iter().find(|name| matches!(name, ServerName::DnsName(_))).or(names.first());
        let name = name.cloned().ok_or_else(|| UpstreamTlsError::NoName { target: target.name.to_string() })?;
        Ok(Some(Self { connector: TlsConnector::from(Arc::new(config)), name }))
    }

    pub(super) fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// The name that is sent to the server.
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The names that the server may have: the host that the daemon dials. Where that is an address only, the host
/// names that workloads dial will do as well; where the daemon dials what workloads do, any of theirs.
fn names_of(target: &Target, host: Option<&str>) -> Result<Vec<ServerName<'static>>, UpstreamTlsError> {
    let dialled = || -> Result<Vec<_>, _> {
        let all = target.addresses.iter().filter_map(|address| match address {
            Address::Tcp(address) => Some(address.host.as_str()),
            Address::Unix(_) => None,
        });
        match host {
            Some(host) => Ok(vec![server_name(host)?]),
            None => all.map(server_name).collect(),
        }
    };
    let upstream = match &target.upstream {
        None => return dialled(),
        Some(Address::Tcp(upstream)) => server_name(&upstream.host)?,
        // There is no TLS to it.
        Some(Address::Unix(_)) => return Ok(Vec::new()),
    };
    if matches!(upstream, ServerName::DnsName(_)) {
        return Ok(vec![upstream]);
    }
    // Not their addresses: certificates for 127.0.0.1 are too common to stand for another host.
    let mut names = dialled()?;
    names.retain(|name| matches!(name, ServerName::DnsName(_)));
    names.insert(0, upstream);
    Ok(names)
}

fn server_name(host: &str) -> Result<ServerName<'static>, UpstreamTlsError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    ServerName::try_from(host.to_owned()).map_err(|_| UpstreamTlsError::Name { host: host.to_owned() })
}

fn shown(certificate: Arc<CertifiedKey>) -> Arc<dyn ResolvesClientCert> {
    Arc::new(SingleCertAndKey::from(certificate))
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, UpstreamTlsError> {
    let pem = fs::read(path).map_err(|source| UpstreamTlsError::Unreadable { path: path.into(), source })?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| UpstreamTlsError::Authorities { path: path.into(), why: error.to_string() })
}

fn roots(authorities: &[CertificateDer<'static>], path: &Path) -> Result<RootCertStore, UpstreamTlsError> {
    let unusable = |why: String| UpstreamTlsError::Authorities { path: path.into(), why };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no `CERTIFICATE` section".into()));
    }
    Ok(roots)
}

/// The authorities that the host trusts, read once.
fn system_roots() -> Result<Arc<RootCertStore>, UpstreamTlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        return Err(UpstreamTlsError::NoSystemRoots);
    }
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
}

/// Why TLS to a target cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamTlsError {
    #[error("cannot read `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` holds no usable authorities: {why}", path.display())]
    Authorities { path: PathBuf, why: String },
    #[error("the host trusts no authorities: install `ca-certificates`, or name a `ca`")]
    NoSystemRoots,
    #[error("not a name that a certificate can have: `{host}`")]
    Name { host: String },
    #[error("target `{target}` has no address")]
    NoName { target: String },
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}
