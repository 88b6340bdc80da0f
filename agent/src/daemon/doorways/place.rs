use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::target::{SOCKET_PATH_MAX, SocketPath};

/// Where every instance keeps what does not outlive the host's run.
const RUNTIME_DIR: &str = "/run/portcullis";

/// Where an instance keeps its doorways.
pub(super) fn of_instance(instance: &str) -> PathBuf {
    Path::new(RUNTIME_DIR).join(instance).join("doorways")
}

/// Takes an instance's doorways away, with the directories that jails may have mounted.
pub fn remove(instance: &str) -> io::Result<()> {
    let directory = Path::new(RUNTIME_DIR).join(instance);
    match fs::remove_dir_all(of_instance(instance)).and_then(|()| fs::remove_dir(directory)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Ok(()),
        removed => removed,
    }
}

/// Where a path that a workload dials is kept in its directory.
pub(super) fn of_socket(directory: &Path, path: &SocketPath) -> PathBuf {
    directory.join(path.as_path().strip_prefix("/").unwrap_or(path.as_path()))
}

/// Every text by which clients dial a path: the kernel compares texts, and `/var/run` leads to `/run`.
pub(super) fn spellings(path: &SocketPath) -> impl Iterator<Item = String> {
    let (plain, old) = (path.to_string(), format!("/var{path}"));
    let has_old = path.as_path().starts_with("/run") && old.len() <= SOCKET_PATH_MAX;
    [Some(plain), has_old.then_some(old)].into_iter().flatten()
}

pub(super) fn make_directory(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("failed to set the mode of {}", path.display()))
}

pub(super) fn remove_directory(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Listens at a path of any length, in the place of what an earlier daemon left there.
pub(super) fn listen(place: &Path) -> io::Result<UnixListener> {
    let (Some(directory), Some(name)) = (place.parent(), place.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // By the open directory: the whole path may be longer than an address can be.
    let directory = fs::File::open(directory)?;
    let listener = UnixListener::bind(Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))?;
    listener.set_nonblocking(true)?;
    // The workload's user is nobody's that could be named here; who connects is asked of the kernel.
    fs::set_permissions(place, Permissions::from_mode(0o666))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_doorway_is_kept_under_the_path_that_is_dialled() {
        let path = SocketPath::parse("/run/postgresql/.s.PGSQL.5432").unwrap();
        let kept = of_socket(Path::new("/run/portcullis/main/doorways/run/7"), &path);
        assert_eq!(kept, Path::new("/run/portcullis/main/doorways/run/7/run/postgresql/.s.PGSQL.5432"));
    }

    #[test]
    fn a_new_daemon_listens_where_the_last_one_did_however_deep() {
        let above = tempfile::tempdir().unwrap();
        let deep = above.path().join("a".repeat(SOCKET_PATH_MAX));
        fs::create_dir(&deep).unwrap();
        let place = deep.join("s");
        drop(listen(&place).unwrap());
        let listener = listen(&place).unwrap();
        let directory = fs::File::open(&deep).unwrap();
        UnixStream::connect(format!("/proc/self/fd/{}/s", directory.as_raw_fd())).unwrap();
        listener.accept().unwrap();
    }
}
