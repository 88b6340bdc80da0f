//! The hash of a certificate's subject, by which OpenSSL finds it in a directory.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls_pki_types::CertificateDer;
use x509_parser::{
    asn1_rs::{Any, Tag},
    prelude::{FromDer, RelativeDistinguishedName, X509Certificate},
};

/// What `openssl x509 -subject_hash` prints as hexadecimal: `X509_NAME_hash_ex(3)`, over the name in the form in which
/// OpenSSL compares names. `None`: the name is in an alphabet that nobody uses for authorities any more.
pub fn name_hash(certificate: &CertificateDer<'_>) -> Option<u32> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let canonical = parsed.subject().iter_rdn().map(canonical_part).collect::<Option<Vec<_>>>()?.concat();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &canonical);
    hash.as_ref().first_chunk().copied().map(u32::from_le_bytes)
}

fn canonical_part(part: &RelativeDistinguishedName<'_>) -> Option<Vec<u8>> {
    let attribute = |kind: &[u8], value: &Any<'_>| {
        let value = canonical_value(value)?;
        Some(tlv(Tag::Sequence, &[tlv(Tag::Oid, kind), value].concat()))
    };
    let mut attributes =
        part.iter().map(|one| attribute(one.attr_type().as_bytes(), one.attr_value())).collect::<Option<Vec<_>>>()?;
    // The order of a set's encoding (X.690, section 11.6).
    attributes.sort();
    Some(tlv(Tag::Set, &attributes.concat()))
}

/// Text in UTF-8, in lower case, with one space where there were several and none at the ends.
fn canonical_value(value: &Any<'_>) -> Option<Vec<u8>> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString => {
            let text = std::str::from_utf8(value.data).ok()?;
            let words: Vec<_> = text.split_ascii_whitespace().collect();
            Some(tlv(Tag::Utf8String, words.join(" ").to_ascii_lowercase().as_bytes()))
        }
        _ => None,
    }
}

/// Tag, length and content (X.690, section 8.1).
fn tlv(tag: Tag, content: &[u8]) -> Vec<u8> {
    // Sequences and sets are constructed.
    let constructed = if matches!(tag, Tag::Sequence | Tag::Set) { 0x20 } else { 0 };
    let mut bytes = vec![u8::try_from(tag.0).unwrap_or_default() | constructed];
    match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(length @ 0..0x80), _) => bytes.push(length),
        (Ok(length), _) => bytes.extend([0x81, length]),
        (Err(_), Ok(length)) => bytes.extend([&[0x82][..], &length.to_be_bytes()].concat()),
        // Longer than a certificate's name can be.
        (Err(_), Err(_)) => {}
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustls_pki_types::pem::PemObject;

    use super::{super::tests::authority, *};

    #[test]
    fn openssl_finds_the_authority_by_this_hash() {
        let long = "x".repeat(300);
        for name in ["Portcullis on build-7", "  Two  Spaces ", "ÄÖ ü", &long] {
            let pem = authority(name);
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("ca.pem");
            std::fs::write(&file, &pem).unwrap();
            let openssl = Command::new("openssl").args(["x509", "-noout", "-subject_hash", "-in"]).arg(&file).output();
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let ours = name_hash(&certificate).map(|hash| format!("{hash:08x}")).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(&openssl.unwrap().stdout).trim(), ours, "{name}");
        }
    }
}
