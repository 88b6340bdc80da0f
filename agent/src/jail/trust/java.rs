//! A trust store as every Java reads it, from 8 on: the format JKS, in which certificates need no password.
//!
//! PKCS #12 would need one for them in all but the newest releases. Source: `sun.security.provider.JavaKeyStore` of
//! OpenJDK, which is the format's only definition.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use rustls_pki_types::CertificateDer;

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// An entry that is a certificate which is trusted.
const TRUSTED: u32 = 2;
const KIND: &str = "X.509";

/// What Java's own stores are closed with; whoever asks for no password reads them without.
const PASSWORD: &str = "changeit";
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// A store of the host's authorities and the daemon's.
pub fn store(host: &[CertificateDer<'_>], authority: &CertificateDer<'_>) -> Vec<u8> {
    let names = (0..host.len()).map(|number| format!("host-{number}")).chain(["portcullis".to_owned()]);
    let entries: Vec<_> = names.zip(host.iter().chain([authority])).collect();
    let mut bytes = Vec::new();
    for number in [MAGIC, VERSION, length(entries.len())] {
        bytes.extend(number.to_be_bytes());
    }
    for (name, certificate) in entries {
        bytes.extend(TRUSTED.to_be_bytes());
        text(&mut bytes, &name);
        // Since when, in milliseconds: nothing reads it.
        bytes.extend(0_u64.to_be_bytes());
        text(&mut bytes, KIND);
        bytes.extend(length(certificate.len()).to_be_bytes());
        bytes.extend_from_slice(certificate);
    }
    let digest = digest(&bytes);
    bytes.extend(digest);
    bytes
}

/// Over the password in UTF-16, which here protects nothing but against damage.
fn digest(bytes: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for part in [&password, WHITENER, bytes] {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// A short text of ASCII, with its length in front (`java.io.DataOutput.writeUTF`).
fn text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.bytes().take(length.into()));
}

/// Bundles are far shorter than what this can say.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustls_pki_types::pem::PemObject;

    use super::{super::tests::authority, *};

    #[test]
    fn keytool_reads_the_store_with_its_password_and_without() {
        let pems = [authority("Host"), authority("Portcullis")];
        let [host, ours] = pems.map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("java.jks");
        std::fs::write(&file, store(&[host], &ours)).unwrap();
        for password in [&["-storepass", "changeit"][..], &[]] {
            let list =
                Command::new("keytool").arg("-list").arg("-keystore").arg(&file).args(password).output().unwrap();
            let said = String::from_utf8_lossy(&list.stdout).into_owned();
            assert!(list.status.success(), "{said}");
            assert!(said.contains("host-0") && said.contains("portcullis") && said.contains("2 entries"), "{said}");
        }
        let wrong = Command::new("keytool").args(["-list", "-storepass", "changeme", "-keystore"]).arg(&file).output();
        assert!(!wrong.unwrap().status.success(), "the digest is checked");
    }
}
