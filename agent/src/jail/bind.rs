//! `--bind PATH[:ro]`: which of the host's files a workload is given.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid};
use thiserror::Error;

use super::{
    Identity,
    idmap::IdMap,
    mount::{Detached, NO_DEVICES, NO_SETUID, READ_ONLY},
};

/// Most binds of one workload.
pub const BINDS_MAX: usize = 64;

/// Why a path is not given to a workload.
#[derive(Debug, Error)]
pub enum BindError {
    #[error("failed to bind {}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{} cannot be bound: {why}\n  hint: bind the project's own directory, such as `--bind .` in it", .path.display()
    )]
    Reserved { path: PathBuf, why: &'static str },
    #[error("{} can be bound for reading only: what is written there rules this host\n  hint: `--bind {}:ro`",
        .0.display(), .0.display())]
    System(PathBuf),
    #[error("{} is neither a file nor a directory", .0.display())]
    NoFile(PathBuf),
    #[error("more than {BINDS_MAX} binds")]
    TooMany,
    #[error(
        "the file system of {} cannot show its files to a user of the workload's own\n  \
         hint: run as the owner with `--user {owner}`, or move the files to ext4, xfs or btrfs", .path.display()
    )]
    Unmappable { path: PathBuf, owner: Uid, source: io::Error },
}

/// Never given, with all that is below: the kernel's and the daemons' meeting places.
const RESERVED_TREES: &[&str] = &["/proc", "/sys", "/dev", "/run"];
/// Never given as a whole.
const RESERVED: &[&str] = &["/", "/tmp", "/var/tmp"];
/// Given for reading only, with all that is below.
const SYSTEM_TREES: &[&str] =
    &["/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr", "/var/spool/cron"];
/// Given as a whole for reading only.
const SYSTEM: &[&str] = &["/home", "/opt", "/root", "/srv", "/var", "/var/lib", "/var/spool", "/mnt", "/media"];

/// One path to give. It is found at the same place inside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bind {
    path: PathBuf,
    read_only: bool,
}

impl Bind {
    /// Reads `PATH` or `PATH:ro`, and resolves it: what a symlink points to is what is given.
    pub fn parse(text: &OsStr) -> Result<Self, BindError> {
        let (path, read_only) = match text.as_bytes().strip_suffix(b":ro") {
            Some(path) => (OsStr::from_bytes(path), true),
            None => (text, false),
        };
        let unreadable = |source| BindError::Unreadable { path: path.into(), source };
        let resolved = fs::canonicalize(path).map_err(unreadable)?;
        let kind = fs::symlink_metadata(&resolved).map_err(unreadable)?.file_type();
        if kind.is_socket() || !(kind.is_dir() || kind.is_file()) {
            return Err(BindError::NoFile(resolved));
        }
        check(resolved, read_only)
    }

    /// Reads all that were named.
    pub fn parse_all(texts: &[OsString]) -> Result<Vec<Self>, BindError> {
        if texts.len() > BINDS_MAX {
            return Err(BindError::TooMany);
        }
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    /// The home of a user of the host, where it is that user's and may be given at all.
    pub(super) fn home(identity: &Identity) -> Option<Self> {
        if identity.is_own() {
            return None;
        }
        let home = fs::canonicalize(identity.home()).ok()?;
        let metadata = fs::symlink_metadata(&home).ok()?;
        let is_own = metadata.is_dir() && metadata.uid() == identity.uid().as_raw();
        if is_own { check(home, false).ok() } else { None }
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Where it is found inside.
    pub(super) fn target(&self) -> &Path {
        &self.path
    }

    /// Makes the mount. With a user of the workload's own, the owner's files are the workload's inside, and what it
    /// writes is the owner's outside.
    ///
    /// What root owns and is given for reading stays root's: it would open what root alone may read.
    pub(super) fn open(&self, identity: &Identity, maps: &mut Vec<IdMap>) -> Result<Detached, BindError> {
        let unreadable = |source| BindError::Unreadable { path: self.path.clone(), source };
        let mount = Detached::of(&self.path).map_err(unreadable)?;
        let read_only = if self.read_only { READ_ONLY } else { 0 };
        mount.restrict(NO_SETUID | NO_DEVICES | read_only).map_err(unreadable)?;
        let metadata = fs::symlink_metadata(&self.path).map_err(unreadable)?;
        let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        if identity.is_own() && !(self.read_only && uid.is_root()) {
            let unmappable = |source| BindError::Unmappable { path: self.path.clone(), owner: uid, source };
            let map = IdMap::find_or_make(maps, (uid, gid), identity).map_err(unmappable)?;
            mount.map_ids(map).map_err(unmappable)?;
        }
        Ok(mount)
    }
}

fn check(path: PathBuf, read_only: bool) -> Result<Bind, BindError> {
    let below = |trees: &[&str]| trees.iter().any(|tree| path.starts_with(tree));
    let is = |paths: &[&str]| paths.iter().any(|one| path == Path::new(one));
    if below(RESERVED_TREES) {
        return Err(BindError::Reserved { path, why: "processes outside meet there" });
    }
    if is(RESERVED) {
        return Err(BindError::Reserved { path, why: "it holds what the jail is to keep away" });
    }
    if !read_only && (below(SYSTEM_TREES) || is(SYSTEM)) {
        return Err(BindError::System(path));
    }
    Ok(Bind { path, read_only })
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    fn parse(text: &str) -> Result<Bind, BindError> {
        Bind::parse(OsStr::new(text))
    }

    #[test]
    fn a_directory_is_given_for_writing_unless_it_says_ro() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let text = path.to_str().unwrap().to_owned();
        assert_eq!(parse(&text).unwrap(), Bind { path: path.clone(), read_only: false });
        assert_eq!(parse(&format!("{text}:ro")).unwrap(), Bind { path, read_only: true });
        assert!(matches!(parse(&format!("{text}/missing")), Err(BindError::Unreadable { .. })));
    }

    #[test]
    fn meeting_places_are_never_given() {
        for text in ["/", "/proc", "/proc/1", "/sys/fs", "/dev", "/run", "/tmp", "/var/tmp", "/run:ro", "/:ro"] {
            assert!(matches!(parse(text), Err(BindError::Reserved { .. })), "{text}");
        }
    }

    #[test]
    fn what_rules_the_host_is_given_for_reading_only() {
        for text in ["/etc", "/etc/passwd", "/usr", "/usr/bin", "/home", "/var", "/root"] {
            assert!(matches!(parse(text), Err(BindError::System(_))), "{text}");
            assert!(parse(&format!("{text}:ro")).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_symlink_does_not_hide_where_it_leads() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        symlink("/etc", &link).unwrap();
        assert!(matches!(parse(link.to_str().unwrap()), Err(BindError::System(path)) if path == Path::new("/etc")));
    }

    #[test]
    fn sockets_and_devices_are_no_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(matches!(parse(path.to_str().unwrap()), Err(BindError::NoFile(_))));
    }
}
