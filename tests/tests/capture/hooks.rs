//! What programs on security hooks hold: a process that is root, keeps every capability, and brings along what it made
//! before it was captured. On a kernel without BPF LSM there is nothing to test.

use std::{
    fs,
    io::{self, IoSliceMut, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrStorage, connect, recvmsg, sendmsg,
};

use crate::rig::{self, Rig, Role};

/// A cgroup of somebody else's, captured, and a root process that entered it after it had made its sockets.
struct Scene {
    rig: Rig,
    subject: Role,
    directory: PathBuf,
    /// Services outside, which must hear nothing.
    tcp: TcpListener,
    udp: UdpSocket,
    helper: UnixListener,
    /// The helper's end of the subject's connection.
    to_subject: UnixStream,
    place: tempfile::TempDir,
}

impl Scene {
    fn set(name: &str) -> Option<Self> {
        let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        if !modules.split(',').any(|module| module.trim() == "bpf") {
            eprintln!("BPF LSM is not active here");
            return None;
        }
        let cgroup = format!("/portcullis-test-{}.slice/{name}.service", std::process::id());
        let directory = rig::mount().join(cgroup.strip_prefix('/').unwrap());
        fs::create_dir_all(&directory).unwrap();
        let place = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let helper = UnixListener::bind(place.path().join("helper")).unwrap();

        let mut subject = Role::start("subject", |_| {});
        for preparation in [
            format!("bring-tcp {}", tcp.local_addr().unwrap()),
            "bring-udp".into(),
            format!("bring-unix {}", place.path().join("helper").display()),
        ] {
            assert_eq!(subject.ask(&preparation), "possible", "{preparation}");
        }
        drop(tcp.accept().unwrap());
        let (to_subject, _) = helper.accept().unwrap();
        for service in [tcp.as_raw_fd(), udp.as_raw_fd(), helper.as_raw_fd()] {
            nix::fcntl::fcntl(
                // SAFETY: open as long as the service.
                unsafe { std::os::fd::BorrowedFd::borrow_raw(service) },
                nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
            )
            .unwrap();
        }
        let rig = Rig::start_with(name, Some(cgroup.into()));
        fs::write(directory.join("cgroup.procs"), subject.child.id().to_string()).unwrap();
        Some(Self { rig, subject, directory, tcp, udp, helper, to_subject, place })
    }

    fn refused(&mut self, attempts: &[String]) {
        for attempt in attempts {
            assert_eq!(self.subject.ask(attempt), "PermissionDenied", "{attempt}");
        }
    }

    fn assert_silent(&self) {
        let nothing = |heard: io::Result<()>| assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        nothing(self.tcp.accept().map(drop));
        nothing(self.helper.accept().map(drop));
        nothing(self.udp.recv(&mut [0; 8]).map(drop));
    }
}

#[test]
fn sockets_that_were_brought_along_say_nothing() {
    let Some(mut scene) = Scene::set("brought") else { return };
    let udp = scene.udp.local_addr().unwrap();
    let tcp = scene.tcp.local_addr().unwrap();
    scene.refused(&["say-tcp".into(), format!("say-udp {udp}"), format!("connect-held {tcp}"), "join-held".into()]);
    scene.assert_silent();
}

#[test]
fn a_socket_that_is_handed_in_does_not_arrive() {
    let Some(mut scene) = Scene::set("handed") else { return };
    let held = TcpStream::connect(scene.tcp.local_addr().unwrap()).unwrap();
    scene.tcp.accept().unwrap();
    let rights = [held.as_raw_fd()];
    let hand = |scene: &Scene, rights: &[i32]| {
        let message = [io::IoSlice::new(b"x")];
        let rights = [ControlMessage::ScmRights(rights)];
        sendmsg::<SockaddrStorage>(scene.to_subject.as_raw_fd(), &message, &rights, MsgFlags::empty(), None).unwrap();
    };
    hand(&scene, &rights);
    assert_eq!(scene.subject.ask("receive"), "no descriptor");
    // An ordinary file does.
    let file = fs::File::open("/proc/self/status").unwrap();
    hand(&scene, &[file.as_raw_fd()]);
    assert_eq!(scene.subject.ask("receive"), "a descriptor");

    let own = std::process::id();
    scene.refused(&[format!("take {own} {}", held.as_raw_fd())]);
}

#[test]
fn nobody_outside_dials_for_a_workload() {
    let Some(mut scene) = Scene::set("helpers") else { return };
    let name = format!("portcullis-test-{}", std::process::id());
    let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let datagrams = UnixDatagram::bind(scene.place.path().join("datagrams")).unwrap();
    let path = |file: &str| scene.place.path().join(file).display().to_string();
    let attempts = [
        format!("unix {}", path("helper")),
        format!("unix-datagram {}", path("datagrams")),
        format!("abstract {name}"),
    ];
    scene.refused(&attempts);
    scene.assert_silent();
    drop((hidden, datagrams));
}

#[test]
fn families_that_capture_does_not_know_are_refused() {
    let Some(mut scene) = Scene::set("families") else { return };
    // AX.25, packet, RDS, TIPC, RxRPC, KCM, vsock, SMC, XDP.
    scene.refused(&[3, 17, 21, 30, 33, 41, 40, 43, 44].map(|family| format!("socket {family} 2 0")));
    // Netfilter and IPsec by netlink.
    scene.refused(&["socket 16 3 12".into(), "socket 16 3 6".into()]);
    for ordinary in ["socket 1 1 0", "socket 16 3 0", "socket 2 1 0", "socket 10 2 0"] {
        assert_eq!(scene.subject.ask(ordinary), "possible", "{ordinary}");
    }
}

#[test]
fn root_does_not_undo_its_capture() {
    let Some(mut scene) = Scene::set("undo") else { return };
    let pins = scene.rig.links();
    let existing = fs::read_dir(&pins).unwrap().map(|entry| entry.unwrap().path());
    let existing = existing.into_iter().find(|path| path.to_string_lossy().contains("existing-")).unwrap();
    let outside = rig::mount().join("cgroup.procs");
    scene.refused(&[
        format!("write {}", outside.display()),
        format!("mkdir {}", scene.directory.join("below").display()),
        format!("unlink {}", existing.join("egress").display()),
        format!("unlink {}", pins.join("lsm/lsm_bpf").display()),
        "unmount /sys/fs/bpf".into(),
        "bpf".into(),
        "write /dev/net/tun".into(),
    ]);
    assert!(existing.join("egress").exists());
    assert_eq!(scene.subject.ask("key"), "Unsupported");
    assert_eq!(scene.rig.ask("verify"), "attached");
}

#[test]
fn hooks_hold_without_their_pins_and_without_the_daemon() {
    let Some(mut scene) = Scene::set("pins") else { return };
    let packets = ["socket 17 3 0".to_owned()];
    let pin = scene.rig.links().join("lsm/lsm_socket_create");
    fs::remove_file(&pin).unwrap();
    // The kernel lets go of a link some moments after its last reference.
    std::thread::sleep(std::time::Duration::from_secs(1));
    scene.refused(&packets);
    assert!(scene.rig.ask("verify").contains("its pin is gone"));
    assert_eq!(scene.rig.ask("reattach"), "attached");
    assert!(pin.exists());
    assert_eq!(scene.rig.ask("verify"), "attached");

    scene.rig.kill_daemon();
    scene.refused(&packets);
    scene.rig.start_daemon();
    scene.refused(&packets);
    assert_eq!(scene.rig.ask("verify"), "attached");
}

#[test]
fn other_processes_are_out_of_reach() {
    let Some(mut scene) = Scene::set("others") else { return };
    let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = other.id();
    scene.refused(&[format!("signal {pid}"), format!("trace {pid}"), format!("write /proc/{pid}/mem")]);
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
    let own = scene.subject.child.id();
    assert_eq!(scene.subject.ask(&format!("signal {own}")), "possible");
}

#[test]
fn whoever_is_not_governed_notices_nothing() {
    let Some(scene) = Scene::set("free") else { return };
    let stream = TcpStream::connect(scene.tcp.local_addr().unwrap()).unwrap();
    (&stream).write_all(b"x").unwrap();
    UnixStream::connect(scene.place.path().join("helper")).unwrap();
    assert!(socket(17, 3, 0).is_ok());
    assert!(fs::File::options().write(true).open(rig::mount().join("cgroup.procs")).is_ok());
}

#[derive(Default)]
struct Held {
    tcp: Option<TcpStream>,
    unconnected: Option<OwnedFd>,
    udp: Option<UdpSocket>,
    unix: Option<UnixStream>,
}

/// The role of the process under test.
pub fn subject() {
    let mut held = Held::default();
    rig::answer_each(|attempt| match make(attempt, &mut held) {
        Ok(answer) => answer,
        Err(error) => format!("{:?}", error.kind()),
    });
}

fn make(attempt: &str, held: &mut Held) -> io::Result<String> {
    let possible = || "possible".to_owned();
    let done = match attempt.split(' ').collect::<Vec<_>>()[..] {
        ["bring-tcp", address] => {
            held.unconnected = Some(socket(libc::AF_INET, libc::SOCK_STREAM, 0)?);
            TcpStream::connect(address).map(|stream| held.tcp = Some(stream))
        }
        ["bring-udp"] => UdpSocket::bind("127.0.0.1:0").map(|socket| held.udp = Some(socket)),
        ["bring-unix", path] => UnixStream::connect(path).map(|stream| held.unix = Some(stream)),
        ["say-tcp"] => held.tcp.as_mut().unwrap().write_all(b"out"),
        ["say-udp", address] => held.udp.as_ref().unwrap().send_to(b"out", address).map(drop),
        ["connect-held", address] => {
            let std::net::SocketAddr::V4(address) = address.parse().unwrap() else { panic!("IPv4 only") };
            Ok(connect(held.unconnected.as_ref().unwrap().as_raw_fd(), &SockaddrIn::from(address))?)
        }
        ["join-held"] => {
            held.udp.as_ref().unwrap().join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 251), &Ipv4Addr::LOCALHOST)
        }
        ["receive"] => return receive(held.unix.as_ref().unwrap()),
        ["take", pid, descriptor] => {
            let process = call(libc::SYS_pidfd_open, [number(pid), 0, 0])?;
            call(libc::SYS_pidfd_getfd, [process, number(descriptor), 0]).map(drop)
        }
        ["unix", path] => UnixStream::connect(path).map(drop),
        ["unix-datagram", path] => UnixDatagram::unbound()?.send_to(b"out", path).map(drop),
        ["abstract", name] => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).map(drop),
        ["socket", family, kind, protocol] => {
            socket(number(family) as i32, number(kind) as i32, number(protocol) as i32).map(drop)
        }
        ["write", path] => fs::File::options().write(true).open(path).map(drop),
        ["mkdir", path] => fs::create_dir(path),
        ["unlink", path] => fs::remove_file(path),
        ["unmount", path] => Ok(nix::mount::umount2(Path::new(path), nix::mount::MntFlags::MNT_DETACH)?),
        // BPF_PROG_GET_NEXT_ID.
        ["bpf"] => call(libc::SYS_bpf, [11, [0_u32; 4].as_mut_ptr() as i64, 16]).map(drop),
        // KEYCTL_JOIN_SESSION_KEYRING.
        ["key"] => call(libc::SYS_keyctl, [1, 0, 0]).map(drop),
        ["signal", pid] => call(libc::SYS_kill, [number(pid), 0, 0]).map(drop),
        ["trace", pid] => call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as i64, number(pid), 0]).map(drop),
        ref other => panic!("{other:?}"),
    };
    done.map(|()| possible())
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

fn call(number: libc::c_long, [a, b, c]: [i64; 3]) -> io::Result<i64> {
    // SAFETY: numbers, and a buffer as long as said.
    let answer = unsafe { libc::syscall(number, a, b, c, 0, 0) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor that is ours.
    unsafe {
        let socket = libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol);
        if socket < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(socket)) }
    }
}

/// Whether a descriptor came with a message.
fn receive(from: &UnixStream) -> io::Result<String> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!(i32);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<SockaddrStorage>(from.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
    let is_descriptor = |part| matches!(part, ControlMessageOwned::ScmRights(rights) if !rights.is_empty());
    let came = match message.cmsgs() {
        Ok(mut parts) => parts.any(is_descriptor),
        // Cut short: the kernel kept what would not be received.
        Err(nix::errno::Errno::ENOBUFS) => false,
        Err(error) => return Err(error.into()),
    };
    Ok(if came { "a descriptor" } else { "no descriptor" }.into())
}
