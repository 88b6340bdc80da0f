//! Trust in the daemon's authority, for one workload: in its view, the host's stores of certificates have one more.
//!
//! Nothing changes on the host. What programs read by default is covered in the jail's mount namespace: bundles, OpenSSL's
//! directories, Java's stores. Programs that bring a list of their own are told by [`variables`].

mod directory;
mod java;
mod name_hash;
mod variables;

use std::{
    collections::BTreeSet,
    fs, io,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    error::{LaunchError, at},
    mount::{Detached, NO_DEVICES, NO_SETUID, READ_ONLY},
};
pub(super) use variables::{variables, warn_of_strangers};

/// Where the files of this module stand inside: in the jail's own `/run`, which the workload may not write to.
const PLACE: &str = "/run/trust";
/// The authority alone, for programs that add it to a list of their own.
const AUTHORITY: &str = "/run/trust/authority.pem";
/// The host's authorities and this one.
const BUNDLE: &str = "/run/trust/bundle.pem";
/// The same as Java reads it.
const JAVA: &str = "/run/trust/java.jks";

/// Most bytes of a bundle of the host's; Mozilla's authorities are a quarter of a mebibyte.
const BUNDLE_MAX: usize = 8 * 1024 * 1024;
/// Most of Java's stores that are covered.
const JAVA_STORES_MAX: usize = 64;

/// Where distributions keep the authorities in one file. The first that is there speaks for the host.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/lib/ssl/cert.pem",
    "/usr/local/ssl/cert.pem",
];

/// Directories of authorities: OpenSSL's, by the hash of a name, and those that p11-kit reads whole.
const DIRECTORIES: &[&str] = &[
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted/pem/directory-hash",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
    "/usr/lib/ssl/certs",
    "/usr/local/ssl/certs",
];

/// Java's stores: what distributions link to, and what each installation has of its own.
const JAVA_STORES: &[&str] = &[
    "/etc/ssl/certs/java/cacerts",
    "/etc/pki/java/cacerts",
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/usr/lib/jvm/*/lib/security/cacerts",
    "/usr/lib/jvm/*/jre/lib/security/cacerts",
    "/usr/java/*/lib/security/cacerts",
    "/opt/*/lib/security/cacerts",
    "/opt/*/*/lib/security/cacerts",
];

/// The authority that a workload is to trust.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    pem: String,
    certificate: CertificateDer<'static>,
}

impl Trust {
    /// That in a certificate of the daemon's, as PEM.
    pub(super) fn of(pem: &str) -> Result<Self, LaunchError> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| LaunchError::Authority)?;
        // Nothing else of what the daemon sent goes into files.
        Ok(Self { pem: format!("{}\n", pem.trim()), certificate })
    }

    /// Covers the stores of this mount namespace, after everything else stands in it.
    pub(super) fn place(&self) -> Result<(), LaunchError> {
        fs::create_dir(PLACE).map_err(at("make", PLACE))?;
        let bundles = bundles();
        let host = bundles.first().map(|(_, pem)| pem.as_slice()).unwrap_or_default();
        write(AUTHORITY, self.pem.as_bytes())?;
        write(BUNDLE, &self.added_to(host))?;
        write(JAVA, &java::store(&certificates(host), &self.certificate))?;
        for path in DIRECTORIES.iter().filter_map(|path| fs::canonicalize(path).ok()).collect::<BTreeSet<_>>() {
            directory::cover(&path, &self.pem, &self.certificate).map_err(at("cover", path))?;
        }
        for (number, (path, pem)) in bundles.iter().enumerate() {
            let file = format!("{PLACE}/bundle-{number}.pem");
            write(&file, &self.added_to(pem))?;
            cover(path, &file).map_err(at("cover", path))?;
        }
        for path in java_stores() {
            cover(&path, JAVA).map_err(at("cover", path))?;
        }
        Ok(())
    }

    fn added_to(&self, bundle: &[u8]) -> Vec<u8> {
        let newline: &[u8] = if bundle.is_empty() || bundle.ends_with(b"\n") { b"" } else { b"\n" };
        [bundle, newline, self.pem.as_bytes()].concat()
    }
}

/// The host's bundles, each once and by its own path. One that cannot be read is none.
fn bundles() -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for path in BUNDLES.iter().filter_map(|path| fs::canonicalize(path).ok()) {
        if found.iter().all(|(other, _)| *other != path)
            && let Ok(pem) = read(&path)
        {
            found.push((path, pem));
        }
    }
    found
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path)?.take(BUNDLE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if read > BUNDLE_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Those of a bundle that can be read.
fn certificates(bundle: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok).collect()
}

/// Each once, by its own path. A link that leads to a file of another name is somebody's trick, or nothing of Java's.
fn java_stores() -> BTreeSet<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("lib/security/cacerts"));
    let listed = JAVA_STORES.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().filter_map(Result::ok);
    let resolved = listed.chain(home).filter_map(|path| fs::canonicalize(path).ok());
    resolved.filter(|path| path.ends_with("cacerts") && path.is_file()).take(JAVA_STORES_MAX).collect()
}

fn write(path: &str, content: &[u8]) -> Result<(), LaunchError> {
    let written = || -> io::Result<()> {
        fs::write(path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o444))
    };
    written().map_err(at("write", path))
}

/// Puts a file over another. The path has no symlinks.
fn cover(path: &Path, file: &str) -> io::Result<()> {
    let mount = Detached::of(Path::new(file))?;
    mount.restrict(READ_ONLY | NO_SETUID | NO_DEVICES)?;
    mount.attach(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn authority(name: &str) -> String {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn a_bundle_keeps_what_it_had() {
        let (host, ours) = (authority("Host"), authority("Portcullis"));
        let trust = Trust::of(&ours).unwrap();
        for before in [host.clone(), host.trim_end().to_owned(), String::new()] {
            let after = trust.added_to(before.as_bytes());
            assert!(after.starts_with(before.as_bytes()));
            let expected = [certificates(before.as_bytes()), vec![trust.certificate.clone()]].concat();
            assert_eq!(certificates(&after), expected);
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_trusted() {
        for text in ["", "certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(Trust::of(text), Err(LaunchError::Authority)), "{text}");
        }
    }
}
