//! Whom the daemon asks.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::{PORT, RESOLVERS_MAX};

/// Most bytes of `resolv.conf`.
const FILE_MAX: usize = 64 * 1024;

/// The resolvers, in the order in which they are asked.
#[derive(Debug)]
pub enum Resolvers {
    /// Those of the configuration.
    Fixed(Vec<SocketAddr>),
    /// Those that this host asks itself.
    Host(HostFile),
}

/// `resolv.conf`, read again when it has changed.
#[derive(Debug)]
pub struct HostFile {
    path: PathBuf,
    read: Mutex<(Option<Version>, Vec<SocketAddr>)>,
}

/// What tells one content of a file from the next: programs replace the file or write it anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Version {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Resolvers {
    pub fn fixed(addresses: &[IpAddr]) -> Self {
        Self::Fixed(addresses.iter().take(RESOLVERS_MAX).map(|address| SocketAddr::new(*address, PORT)).collect())
    }

    /// Those of `/etc/resolv.conf`.
    pub fn host() -> Self {
        Self::of_file("/etc/resolv.conf".into())
    }

    fn of_file(path: PathBuf) -> Self {
        Self::Host(HostFile { path, read: Mutex::default() })
    }

    /// Whom to ask now.
    pub fn list(&self) -> Vec<SocketAddr> {
        match self {
            Self::Fixed(addresses) => addresses.clone(),
            Self::Host(file) => file.list(),
        }
    }
}

impl HostFile {
    fn list(&self) -> Vec<SocketAddr> {
        let mut read = self.read.lock();
        let version = version(&self.path).ok();
        if version != read.0 || version.is_none() {
            let addresses = fs::read(&self.path).map(|bytes| servers(&bytes)).unwrap_or_default();
            tracing::debug!(file = %self.path.display(), ?addresses, "resolvers read");
            *read = (version, addresses);
        }
        read.1.clone()
    }
}

fn version(path: &Path) -> io::Result<Version> {
    let metadata = fs::metadata(path)?;
    Ok(Version { inode: metadata.ino(), length: metadata.len(), changed: (metadata.ctime(), metadata.ctime_nsec()) })
}

/// The `nameserver` lines (resolv.conf(5)). An address with a zone, `fe80::1%eth0`, is left out.
fn servers(bytes: &[u8]) -> Vec<SocketAddr> {
    let text = String::from_utf8_lossy(bytes.get(..FILE_MAX).unwrap_or(bytes));
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok())?
    });
    named.take(RESOLVERS_MAX).map(|address| SocketAddr::new(address, PORT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| SocketAddr::new(address.parse().unwrap(), PORT)).collect()
    }

    #[test]
    fn name_servers_are_read_as_libc_reads_them() {
        let text = b"# nameserver 192.0.2.9\nnameserver\t192.0.2.1 \nsearch example\nnameservers 192.0.2.2\n\
            nameserver fe80::1%eth0\nnameserver x\nnameserver\nnameserver 2001:db8::1\xff\nnameserver ::1";
        assert_eq!(servers(text), addresses(&["192.0.2.1", "::1"]));
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_missing_one_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let resolvers = Resolvers::of_file(path.clone());
        assert_eq!(resolvers.list(), []);
        fs::write(&path, "nameserver 192.0.2.1").unwrap();
        assert_eq!(resolvers.list(), addresses(&["192.0.2.1"]));
        fs::write(&path, "nameserver 192.0.2.22").unwrap();
        assert_eq!(resolvers.list(), addresses(&["192.0.2.22"]));
        fs::remove_file(&path).unwrap();
        assert_eq!(resolvers.list(), []);
    }
}
