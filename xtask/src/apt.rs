//! Packages of other releases, fetched by apt in a directory of its own: nothing is installed, nothing of the
//! machine's own apt is touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::progress;

const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Debian's copy of the keys with which Ubuntu signs.
const UBUNTU_KEYS: &str = "usr/share/keyrings/ubuntu-archive-keyring.gpg";
const UBUNTU_KEYS_PACKAGE: &str = "ubuntu-keyring";

/// apt with lists, cache and sources under one directory.
pub struct Apt {
    directory: PathBuf,
}

/// A distribution's archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Archive {
    Debian,
    Ubuntu,
}

/// A suite, and whether it is in the archive of security updates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Suite {
    pub name: &'static str,
    security: bool,
}

/// What is wanted of an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packages {
    Binary,
    Source,
}

impl Suite {
    pub const fn of(name: &'static str) -> Self {
        Self { name, security: false }
    }

    pub const fn security(name: &'static str) -> Self {
        Self { name, security: true }
    }
}

impl Archive {
    fn uri(self, suite: Suite) -> &'static str {
        match (self, suite.security) {
            (Self::Debian, false) => "http://deb.debian.org/debian",
            (Self::Debian, true) => "http://deb.debian.org/debian-security",
            (Self::Ubuntu, _) => "http://archive.ubuntu.com/ubuntu",
        }
    }
}

impl Apt {
    /// Reads the index of suites. Signatures are checked; dates are not, because an archive of a past release no longer
    /// renews them.
    pub fn of(archive: Archive, suites: &[Suite], wanted: Packages, directory: &Path, title: &str) -> Result<Self> {
        let keys = match archive {
            Archive::Debian => PathBuf::from(DEBIAN_KEYS),
            Archive::Ubuntu => ubuntu_keys(&directory.join("keys"))?,
        };
        let kind = match wanted {
            Packages::Binary => "deb",
            Packages::Source => "deb-src",
        };
        let lines = suites.iter().map(|suite| {
            let (uri, name) = (archive.uri(*suite), suite.name);
            format!("{kind} [arch=amd64 signed-by={}] {uri} {name} main\n", keys.display())
        });
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(part)).with_context(|| format!("making {}", directory.display()))?;
        }
        fs::write(directory.join("sources.list"), lines.collect::<String>())?;
        let apt = Self { directory: directory.to_owned() };
        progress::run(title, apt.command("apt-get").args(["--quiet", "update"]))?;
        Ok(apt)
    }

    /// What a package depends on, by name.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let output = self.command("apt-cache").args(["depends", package]).output().context("starting apt-cache")?;
        if !output.status.success() {
            bail!("the archive has no package `{package}`: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ").map(str::to_owned)).collect())
    }

    pub fn has(&self, package: &str) -> bool {
        self.depends(package).is_ok()
    }

    /// Downloads packages and unpacks them into `tree`; runs no maintainer script.
    pub fn unpack(&self, packages: &[String], tree: &Path) -> Result<()> {
        let arrived = self.directory.join("arrived");
        fs::create_dir_all(&arrived)?;
        let title = format!("fetching {}", packages.join(", "));
        let mut download = self.command("apt-get");
        progress::run(&title, download.args(["--quiet", "download"]).args(packages).current_dir(&arrived))?;
        for package in fs::read_dir(&arrived)? {
            let package = package?.path();
            let title = format!("unpacking {}", package.file_name().unwrap_or_default().to_string_lossy());
            progress::run(&title, Command::new("dpkg-deb").arg("--extract").arg(&package).arg(tree))?;
        }
        fs::remove_dir_all(&arrived).context("removing downloaded packages")
    }

    /// Downloads the files of a source package.
    pub fn source(&self, package: &str, directory: &Path) -> Result<()> {
        let mut download = self.command("apt-get");
        download.args(["--quiet", "source", "--download-only", package]).current_dir(directory);
        progress::run(&format!("fetching the source of {package}"), &mut download)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let own = |part: &str| self.directory.join(part).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", own("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={}", own("lists")),
            "Dir::State::status=/dev/null".to_owned(),
            format!("Dir::Cache={}", own("cache")),
            "Debug::NoLocking=1".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Check-Valid-Until=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// Ubuntu's keys come from Debian's archive, which signs them.
fn ubuntu_keys(directory: &Path) -> Result<PathBuf> {
    let keys = directory.join("tree").join(UBUNTU_KEYS);
    if !keys.exists() {
        let (suites, title) = ([Suite::of("trixie")], "package lists for Ubuntu's keys");
        let apt = Apt::of(Archive::Debian, &suites, Packages::Binary, directory, title)?;
        apt.unpack(&[UBUNTU_KEYS_PACKAGE.to_owned()], &directory.join("tree"))?;
    }
    Ok(keys)
}
