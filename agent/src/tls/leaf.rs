use std::{
    fmt,
    net::IpAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use lru::LruCache;
use parking_lot::Mutex;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::{
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::PrivateKeyDer;

use super::validity;

/// Most certificates that are kept; workloads choose the names that are asked for.
pub const LEAVES_MAX: usize = 1024;

/// How long a certificate is valid. It is replaced after half of that.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 3600);

const CAPACITY: NonZeroUsize = match NonZeroUsize::new(LEAVES_MAX) {
    Some(capacity) => capacity,
    None => NonZeroUsize::MIN,
};

/// Certificates for the names that workloads ask for, made when first wanted.
///
/// All of them have one key, which lives as long as the process and is never stored.
pub struct Leaves {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
    cached: Mutex<LruCache<Name, Leaf>>,
}

/// What a certificate is for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Name {
    host: Option<String>,
    address: IpAddr,
}

struct Leaf {
    certified: Arc<CertifiedKey>,
    stale: Instant,
}

impl Leaves {
    pub fn new(issuer: Issuer<'static, KeyPair>) -> Result<Self, LeafError> {
        let key = KeyPair::generate()?;
        let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| LeafError::Key)?;
        let signing = ring::sign::any_supported_type(&der)?;
        Ok(Self { issuer, key, signing, cached: Mutex::new(LruCache::new(CAPACITY)) })
    }

    fn find_or_mint(&self, name: Name) -> Result<Arc<CertifiedKey>, LeafError> {
        let now = Instant::now();
        if let Some(leaf) = self.cached.lock().get(&name).filter(|leaf| now < leaf.stale) {
            return Ok(leaf.certified.clone());
        }
        let certified = Arc::new(self.mint(&name)?);
        self.cached.lock().put(name, Leaf { certified: certified.clone(), stale: now + LEAF_LIFETIME / 2 });
        Ok(certified)
    }

    fn mint(&self, name: &Name) -> Result<CertifiedKey, LeafError> {
        let common = name.host.clone().unwrap_or_else(|| name.address.to_string());
        let mut parameters = CertificateParams::new(name.host.iter().cloned().collect::<Vec<_>>())?;
        parameters.subject_alt_names.push(SanType::IpAddress(name.address));
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        // A common name is at most 64 characters long (RFC 5280, appendix A.1); the alternative names count.
        parameters.distinguished_name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        validity::from_now(&mut parameters, LEAF_LIFETIME);
        let certificate = parameters.signed_by(&self.key, &self.issuer)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], self.signing.clone()))
    }
}

/// Answers the handshakes of one connection.
pub struct Resolver {
    leaves: Arc<Leaves>,
    destination: IpAddr,
}

impl Resolver {
    pub fn new(leaves: Arc<Leaves>, destination: IpAddr) -> Self {
        Self { leaves, destination: destination.to_canonical() }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().map(str::to_ascii_lowercase);
        match self.leaves.find_or_mint(Name { host, address: self.destination }) {
            Ok(certified) => Some(certified),
            Err(error) => {
                tracing::warn!(%error, destination = %self.destination, "failed to make a certificate");
                None
            }
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("destination", &self.destination).finish_non_exhaustive()
    }
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    #[error("no certificate for that name: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the key cannot sign: {0}")]
    Signing(#[from] rustls::Error),
    #[error("the key cannot be encoded")]
    Key,
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn leaves() -> Leaves {
        Leaves::new(Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap())).unwrap()
    }

    fn name(host: Option<&str>) -> Name {
        Name { host: host.map(str::to_owned), address: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    #[test]
    fn a_leaf_names_host_and_address_and_is_short_lived() {
        let certified = leaves().find_or_mint(name(Some("db.internal"))).unwrap();
        let (_, leaf) = X509Certificate::from_der(&certified.cert[0]).unwrap();
        let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
        assert_eq!(
            names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["DNSName(db.internal)", "IPAddress(7f:00:00:01)"]
        );
        let validity = leaf.validity();
        assert!(validity.is_valid() && !leaf.is_ca());
        let lifetime = u64::try_from((validity.not_after - validity.not_before).unwrap().whole_seconds()).unwrap();
        assert_eq!(lifetime, (LEAF_LIFETIME + validity::CLOCK_SKEW).as_secs());
    }

    #[test]
    fn a_leaf_is_made_once() {
        let leaves = leaves();
        let [first, second] = [(); 2].map(|()| leaves.find_or_mint(name(None)).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn a_workload_that_asks_for_ever_new_names_cannot_grow_the_cache() {
        let leaves = leaves();
        for number in 0..LEAVES_MAX + 10 {
            leaves.find_or_mint(name(Some(&format!("host{number}.internal")))).unwrap();
        }
        assert_eq!(leaves.cached.lock().len(), LEAVES_MAX);
    }

    #[test]
    fn a_name_that_no_certificate_can_have_gives_none() {
        assert!(leaves().find_or_mint(name(Some("d\u{e4}"))).is_err());
    }
}
