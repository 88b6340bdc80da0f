//! Unix sockets, where no jail decides what can be named.

use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    path::PathBuf,
};

use portcullis::capture::Layer;

use crate::rig::{LACKING, Rig, mount};

/// A cgroup of somebody else's, and sockets that stand for helpers outside. Dropping it removes the sockets.
struct Outside {
    rig: Rig,
    cgroup: PathBuf,
    directory: PathBuf,
    stream: UnixListener,
    datagrams: UnixDatagram,
    nameless: UnixListener,
}

impl Outside {
    /// `None` where the kernel has no such hooks, which Linux 6.7 brought.
    fn governed(name: &str) -> Option<Self> {
        if LACKING.contains(&Layer::Unix) {
            eprintln!("this kernel runs no programs on Unix sockets");
            return None;
        }
        Some(Self::new(name))
    }

    fn new(name: &str) -> Self {
        let id = std::process::id();
        let path = format!("/portcullis-test-{id}.slice/{name}.service");
        let cgroup = mount().join(path.strip_prefix('/').unwrap());
        let rig = Rig::start_with(name, Some(path.into()));
        let directory = PathBuf::from(format!("/tmp/portcullis-{name}-{id}"));
        std::fs::create_dir_all(&directory).unwrap();
        let stream = UnixListener::bind(directory.join("stream")).unwrap();
        let datagrams = UnixDatagram::bind(directory.join("datagrams")).unwrap();
        let address = SocketAddr::from_abstract_name(format!("portcullis-{name}-{id}")).unwrap();
        let nameless = UnixListener::bind_addr(&address).unwrap();
        stream.set_nonblocking(true).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        nameless.set_nonblocking(true).unwrap();
        Self { rig, cgroup, directory, stream, datagrams, nameless }
    }

    /// The names as an attempt says them: of the stream socket, of the datagram socket, and the abstract one.
    fn names(&self) -> [String; 3] {
        let abstract_name = self.directory.file_name().unwrap().to_str().unwrap();
        let path = |name| self.directory.join(name).display().to_string();
        [path("stream"), path("datagrams"), format!("@{abstract_name}")]
    }

    fn assert_silent(&self) {
        assert_eq!(self.stream.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(self.datagrams.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(self.nameless.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn a_unix_socket_that_is_not_allowed_hears_nothing() {
    let Some(mut outside) = Outside::governed("unix") else { return };
    let [stream, datagrams, nameless] = outside.names();
    let mut client = outside.rig.client(&outside.cgroup);
    let pid = client.child.id();
    for attempt in [
        format!("unix 1 {stream}"),
        format!("unix 2 {datagrams}"),
        format!("unix-send {datagrams}"),
        format!("unix 1 {nameless}"),
        "unix 1 /no/such/socket".into(),
    ] {
        assert_eq!(client.ask(&attempt), "PermissionDenied", "{attempt}");
    }
    assert_eq!(client.ask("unix-pair"), "possible");
    outside.assert_silent();

    let told = outside.rig.told(3);
    for name in [&stream, &datagrams, &nameless] {
        assert!(told.contains(&format!("unix {name} 0 {pid} 0 role")), "{name}: {told:?}");
    }
}

#[test]
fn an_allowed_name_is_meant_exactly() {
    let Some(mut outside) = Outside::governed("unix-exact") else { return };
    let [stream, datagrams, nameless] = outside.names();
    assert_eq!(outside.rig.ask(&format!("unix {stream} {datagrams} {nameless}")), "allowed");
    let mut client = outside.rig.client(&outside.cgroup);
    for attempt in [
        format!("unix 1 {stream}"),
        // What follows the zero at a path's end is not part of it.
        format!("unix 1 {stream}^rest"),
        format!("unix 2 {datagrams}"),
        format!("unix-send {datagrams}"),
        format!("unix 1 {nameless}"),
    ] {
        assert_eq!(client.ask(&attempt), "possible", "{attempt}");
    }
    outside.stream.accept().unwrap();
    outside.stream.accept().unwrap();
    outside.nameless.accept().unwrap();
    assert_eq!(outside.datagrams.recv(&mut [0; 8]).unwrap(), 3);

    let short = &stream[..stream.len() - 1];
    for attempt in [
        format!("unix 1 {short}"),
        format!("unix 1 {stream}s"),
        format!("unix 1 /tmp/.{}", stream.strip_prefix("/tmp").unwrap()),
        format!("unix 1 .{stream}"),
        // Of an abstract name, what follows counts.
        format!("unix 1 {nameless}^"),
        format!("unix 1 @{stream}"),
        "unix 1 @".into(),
    ] {
        assert_eq!(client.ask(&attempt), "PermissionDenied", "{attempt}");
    }
    outside.assert_silent();

    assert_eq!(outside.rig.ask("unix "), "allowed");
    assert_eq!(client.ask(&format!("unix 1 {stream}")), "PermissionDenied");
    outside.assert_silent();
}

#[test]
fn a_jail_is_left_to_its_mount_namespace() {
    let mut outside = Outside::new("unix-jail");
    let workload = outside.rig.enrol("agent");
    let [stream, ..] = outside.names();
    assert_eq!(outside.rig.attempt(&workload, &format!("unix 1 {stream}")), "possible");
}
