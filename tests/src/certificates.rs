//! Certificates of a test authority, made by `openssl`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// A private authority with one server certificate (for `localhost` and both loopback addresses) and one client
/// certificate (for the role `app_cert`), all in one directory.
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Makes them. The keys are ECDSA P-256, valid for ten years, because clusters are cached with them.
    pub fn make(directory: &Path) -> Result<Self> {
        let made = Self { directory: directory.to_owned() };
        made.openssl(&["-subj", "/CN=portcullis test authority", "-keyout", "ca.key", "-out", "ca.pem"])?;
        made.issue("server", "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1")?;
        made.issue("client", "/CN=app_cert", "extendedKeyUsage=clientAuth")?;
        Ok(made)
    }

    /// Those that [`Certificates::make`] left in a directory.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Certificate and key of a name that was issued: `server` or `client`.
    pub fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.directory.join(format!("{name}.pem")), self.directory.join(format!("{name}.key")))
    }

    fn issue(&self, name: &str, subject: &str, extension: &str) -> Result<()> {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"];
        let named = ["-subj", subject, "-addext", extension, "-keyout", &key, "-out", &certificate];
        self.openssl(&[&signed_by[..], &named[..]].concat())
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"])
            .args(arguments)
            .current_dir(&self.directory)
            .output()
            .context("running openssl")?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
