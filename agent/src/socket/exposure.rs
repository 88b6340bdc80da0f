use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::target::SocketPath;

/// Who may put a socket at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keepers {
    Root,
    /// Root, and the owner of the socket's directory with its group: the server's own user.
    Server,
}

/// Why somebody else than its keepers could answer at a path.
#[derive(Debug, thiserror::Error)]
pub enum Exposure {
    #[error("cannot look at `{}`: {source}", directory.display())]
    Unreadable { directory: PathBuf, source: io::Error },
    #[error("`{}` leads by a symbolic link to `{}`", directory.display(), real.display())]
    Link { directory: PathBuf, real: PathBuf },
    #[error("`{}` is not a directory", .0.display())]
    NoDirectory(PathBuf),
    #[error("everyone may put a socket into `{}`", .0.display())]
    Everyone(PathBuf),
    #[error("the group {group} may put a socket into `{}`", directory.display())]
    Group { directory: PathBuf, group: u32 },
    #[error("the user {owner} may put a socket into `{}`", directory.display())]
    Owner { directory: PathBuf, owner: u32 },
}

impl Exposure {
    /// Whether the directory is not there yet: its server may not have started.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Checks that nobody but the keepers can put a socket, or a symbolic link, at this path.
///
/// # Errors
/// [`Exposure::is_missing`] where the directory is missing, and only root can make it.
pub fn check(path: &SocketPath, keepers: Keepers) -> Result<(), Exposure> {
    let directory = path.directory();
    let unreadable = |source| Exposure::Unreadable { directory: directory.into(), source };
    let real = match fs::canonicalize(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(above) = directory.ancestors().find(|above| above.exists()) {
                above.ancestors().try_for_each(|ancestor| check_directory(ancestor, ancestor == above, None))?;
            }
            return Err(unreadable(error));
        }
        found => found.map_err(unreadable)?,
    };
    if real != directory {
        return Err(Exposure::Link { directory: directory.into(), real });
    }
    let server = match keepers {
        Keepers::Root => None,
        Keepers::Server => Some(fs::symlink_metadata(directory).map_err(unreadable)?.uid()),
    };
    directory.ancestors().try_for_each(|ancestor| check_directory(ancestor, ancestor == directory, server))
}

/// Checks one directory on the way; `last`: the one that holds the socket.
fn check_directory(directory: &Path, last: bool, server: Option<u32>) -> Result<(), Exposure> {
    const STICKY: u32 = 0o1000;
    let found = fs::symlink_metadata(directory)
        .map_err(|source| Exposure::Unreadable { directory: directory.into(), source })?;
    if !found.is_dir() {
        return Err(Exposure::NoDirectory(directory.into()));
    }
    let owner = found.uid();
    if owner != 0 && Some(owner) != server {
        return Err(Exposure::Owner { directory: directory.into(), owner });
    }
    // What others own in a sticky directory nobody else replaces, and what is next on the way has a keeper as owner.
    let fixed = !last && found.mode() & STICKY != 0;
    if found.mode() & 0o002 != 0 && !fixed {
        return Err(Exposure::Everyone(directory.into()));
    }
    let group = found.gid();
    let trusted_group = group == 0 || (last && server.is_some());
    if found.mode() & 0o020 != 0 && !trusted_group && !fixed {
        return Err(Exposure::Group { directory: directory.into(), group });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt, chown, symlink},
    };

    use super::*;

    const SERVER: u32 = 105;

    /// A directory of a server's below the temporary one, which everyone may write to, and which is sticky.
    fn server(mode: u32) -> (tempfile::TempDir, SocketPath) {
        let above = tempfile::tempdir().unwrap();
        fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
        let directory = above.path().join("server");
        fs::create_dir(&directory).unwrap();
        // Without root the owner stays, which is a server's user as well.
        let _ = chown(&directory, Some(SERVER), Some(SERVER));
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        let path = SocketPath::parse(directory.join("s").to_str().unwrap()).unwrap();
        (above, path)
    }

    #[test]
    fn a_servers_own_directory_is_its_own() {
        for mode in [0o755, 0o700, 0o2775] {
            let (_above, path) = server(mode);
            check(&path, Keepers::Server).unwrap_or_else(|exposure| panic!("{mode:o}: {exposure}"));
        }
    }

    #[test]
    fn what_a_server_may_write_is_not_roots_alone() {
        let (_above, path) = server(0o755);
        let exposure = check(&path, Keepers::Root).unwrap_err();
        // Where the tests do not run as root, a directory further up is somebody else's as well.
        assert!(matches!(exposure, Exposure::Owner { .. }), "{exposure}");
    }

    #[test]
    fn a_directory_that_everyone_may_write_to_is_nobodys() {
        for mode in [0o777, 0o1777] {
            let (_above, path) = server(mode);
            assert!(matches!(check(&path, Keepers::Server), Err(Exposure::Everyone(_))), "{mode:o}");
        }
    }

    #[test]
    fn a_link_on_the_way_is_named() {
        let (above, path) = server(0o755);
        let link = above.path().join("link");
        symlink(path.directory(), &link).unwrap();
        let linked = SocketPath::parse(link.join("s").to_str().unwrap()).unwrap();
        assert!(
            matches!(check(&linked, Keepers::Server), Err(Exposure::Link { real, .. }) if real == path.directory())
        );
    }

    #[test]
    fn a_server_that_has_not_started_is_not_exposed_but_missing() {
        let path = SocketPath::parse("/nonexistent/server/s").unwrap();
        assert!(check(&path, Keepers::Server).unwrap_err().is_missing());
        let anyones = SocketPath::parse("/tmp/nonexistent-server/s").unwrap();
        assert!(matches!(check(&anyones, Keepers::Server), Err(Exposure::Everyone(_))), "anyone can make it");
    }
}
