use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use x509_parser::{
    oid_registry as oid,
    prelude::{FromDer, X509Certificate},
    signature_algorithm::SignatureAlgorithm,
};

/// The channel binding `tls-server-end-point` ([RFC 5929, section 4.1]): a hash over the server's certificate, by
/// the hash function of its signature; SHA-256 where that is MD5 or SHA-1.
///
/// `None`: the signature uses no hash function, or none that is known here, so the binding is undefined.
///
/// [RFC 5929, section 4.1]: https://www.rfc-editor.org/rfc/rfc5929#section-4.1
pub fn channel_binding(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let hash = hash_of(&parsed)?;
    Some(digest(hash, certificate).as_ref().to_vec())
}

fn hash_of(certificate: &X509Certificate<'_>) -> Option<&'static Algorithm> {
    let algorithm = &certificate.signature_algorithm;
    if let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(algorithm) {
        return by_digest(parameters.hash_algorithm_oid());
    }
    let signature = &algorithm.algorithm;
    [
        (&oid::OID_PKCS1_MD5WITHRSAENC, &SHA256),
        (&oid::OID_PKCS1_SHA1WITHRSA, &SHA256),
        (&oid::OID_PKCS1_SHA256WITHRSA, &SHA256),
        (&oid::OID_PKCS1_SHA384WITHRSA, &SHA384),
        (&oid::OID_PKCS1_SHA512WITHRSA, &SHA512),
        (&oid::OID_SIG_ECDSA_WITH_SHA256, &SHA256),
        (&oid::OID_SIG_ECDSA_WITH_SHA384, &SHA384),
        (&oid::OID_SIG_ECDSA_WITH_SHA512, &SHA512),
    ]
    .into_iter()
    .find_map(|(known, hash)| (known == signature).then_some(hash))
}

fn by_digest(digest: &x509_parser::der_parser::Oid<'_>) -> Option<&'static Algorithm> {
    [
        (&oid::OID_HASH_SHA1, &SHA256),
        (&oid::OID_NIST_HASH_SHA256, &SHA256),
        (&oid::OID_NIST_HASH_SHA384, &SHA384),
        (&oid::OID_NIST_HASH_SHA512, &SHA512),
    ]
    .into_iter()
    .find_map(|(known, hash)| (known == digest).then_some(hash))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        CertificateParams::new(["db".into()]).unwrap().self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let certificate256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(channel_binding(&certificate256).unwrap(), digest(&SHA256, &certificate256).as_ref());
        let certificate384 = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(channel_binding(&certificate384).unwrap(), digest(&SHA384, &certificate384).as_ref());
    }

    /// A self-signed RSA certificate of openssl's making.
    fn rsa(options: &[&str]) -> Vec<u8> {
        let key = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=db"];
        let made = std::process::Command::new("openssl").args(key).args(["-outform", "DER"]).args(options).output();
        made.unwrap().stdout
    }

    #[test]
    fn weak_hashes_become_sha256_and_pss_says_its_own() {
        let pss = ["-sha384", "-sigopt", "rsa_padding_mode:pss"];
        let cases: [(&[&str], _); 4] =
            [(&["-md5"], &SHA256), (&["-sha1"], &SHA256), (&["-sha512"], &SHA512), (&pss, &SHA384)];
        for (options, hash) in cases {
            let certificate = rsa(options);
            let expected = Some(digest(hash, &certificate).as_ref().to_vec());
            assert_eq!(channel_binding(&certificate), expected, "{options:?}");
        }
    }

    #[test]
    fn a_signature_without_a_hash_gives_no_binding() {
        assert_eq!(channel_binding(&certificate(&rcgen::PKCS_ED25519)), None);
        assert_eq!(channel_binding(b"no certificate"), None);
        assert_eq!(channel_binding(b""), None);
    }
}
