//! Sockets that somebody else made: inherited, received, taken, or brought along.

use std::{
    io::{IoSliceMut, Read},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    libc,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};

use super::{Attempt, Entry, needs, tcp};
use crate::{
    ring::{self, Ring},
    scene::{INHERITED_ESTABLISHED, INHERITED_TCP, INHERITED_UDP, Scene},
    sys::{self, At, Refused, Tried, address},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("inherited-tcp", "a TCP socket made outside, not connected yet", |scene| {
        let socket = sys::inherited(INHERITED_TCP).at("inherited")?;
        sys::connect(&socket, &address(scene.far())).at("connect")?;
        sys::send(&socket, scene.marker(), 0).at("send")?;
        sys::linger(socket);
        Ok(())
    })
    .entering(Entry::WithSockets)
    .needs(needs::LAUNCHER),
    Attempt::new("inherited-udp", "a datagram socket made outside", |scene| {
        let socket = sys::inherited(INHERITED_UDP).at("inherited")?;
        sys::send_to(&socket, scene.marker(), &address(scene.far())).at("sendto")
    })
    .entering(Entry::WithSockets)
    .needs(needs::LAUNCHER),
    Attempt::new("inherited-connection", "a connection made outside", |scene| {
        sys::send(&sys::inherited(INHERITED_ESTABLISHED).at("inherited")?, scene.marker(), 0).at("send")
    })
    .entering(Entry::WithSockets)
    .needs(needs::LAUNCHER),
    Attempt::new("inherited-splice", "the same by splice", |scene| {
        tcp::spliced(scene, &sys::inherited(INHERITED_ESTABLISHED).at("inherited")?)
    })
    .entering(Entry::WithSockets)
    .needs(needs::LAUNCHER_OR_SPLICES),
    Attempt::new("inherited-sendfile", "the same by sendfile", |scene| {
        tcp::file_sent(scene, &sys::inherited(INHERITED_ESTABLISHED).at("inherited")?)
    })
    .entering(Entry::WithSockets)
    .needs(needs::LAUNCHER_OR_SPLICES),
    Attempt::new("inherited-write", "the same by write(2)", |scene| {
        sys::write_all(&sys::inherited(INHERITED_ESTABLISHED).at("inherited")?, scene.marker()).at("write")
    })
    .entering(Entry::WithSockets)
    .needs(needs::LAUNCHER),
    Attempt::new("inherited-uring", "the same by io_uring", |scene| {
        let socket = sys::inherited(INHERITED_ESTABLISHED).at("inherited")?;
        let ring = Ring::new(0).at("io_uring_setup")?;
        let entry = ring::Entry::new(ring::SEND, socket.as_raw_fd())
            .address(scene.marker().as_ptr() as u64)
            .length(scene.marker().len() as u32);
        ring.run(entry).at("IORING_OP_SEND").map(drop)
    })
    .entering(Entry::WithSockets)
    .needs(needs::LAUNCHER),
    Attempt::new("inherited-input", "a connection as standard input", |scene| {
        sys::send(&sys::inherited(0).at("inherited")?, scene.marker(), 0).at("send")
    })
    .entering(Entry::WithConnectionAsInput)
    .needs(needs::LAUNCHER),
    Attempt::new("moved-connection", "moved into the cgroup while it holds a connection", |scene| {
        moved(|| outside(libc::SOCK_STREAM, scene), |socket| sys::send(socket, scene.marker(), 0).at("send"))
    })
    .entering(Entry::Moved)
    .needs(needs::ENROL),
    Attempt::new("moved-udp", "moved in while it holds a datagram socket", |scene| {
        let far = address(scene.far());
        moved(
            || sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).at("socket"),
            |socket| sys::send_to(socket, scene.marker(), &far).at("sendto"),
        )
    })
    .entering(Entry::Moved)
    .needs(needs::ENROL),
    Attempt::new("received-connection", "SCM_RIGHTS: a process outside passes a connection", |scene| {
        sys::send(&received(scene)?, scene.marker(), 0).at("send")
    })
    .needs(needs::DOORS),
    Attempt::new("received-splice", "the same, used by splice", |scene| tcp::spliced(scene, &received(scene)?))
        .needs(needs::DOORS),
    Attempt::new("received-again", "a socket of its own that has been through SCM_RIGHTS", |scene| {
        let own = sys::socket(libc::AF_INET, libc::SOCK_STREAM, 0).at("socket")?;
        let (here, there) = UnixStream::pair().at("socketpair")?;
        let parts = [std::io::IoSlice::new(b".")];
        let descriptors = [own.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&descriptors)];
        sendmsg::<()>(here.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).at("sendmsg")?;
        drop(own);
        let back = from(&there)?;
        sys::connect(&back, &address(scene.far())).at("connect")?;
        sys::send(&back, scene.marker(), 0).at("send")?;
        sys::linger(back);
        Ok(())
    }),
    Attempt::new("pidfd-getfd", "pidfd_getfd: a descriptor of a process of the same user", |scene| {
        sys::send(&taken(scene)?, scene.marker(), 0).at("send")
    })
    .needs(needs::OWN_USER),
    Attempt::new("proc-descriptor", "/proc/PID/fd: a pipe of a process of the same user", |scene| {
        let path = format!("/proc/{}/fd/1", scene.victim);
        std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|mut pipe| std::io::Write::write_all(&mut pipe, &[scene.marker(), b"\n"].concat()))
            .at("open")
    })
    .needs(needs::OWN_USER),
];

fn outside(kind: i32, scene: &Scene) -> Result<OwnedFd, Refused> {
    let socket = sys::socket(libc::AF_INET, kind, 0).at("socket")?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    Ok(socket)
}

/// Makes a socket, says so, and uses it when told that the move is done.
fn moved(make: impl FnOnce() -> Result<OwnedFd, Refused>, say: impl FnOnce(&OwnedFd) -> Tried) -> Tried {
    let socket = make()?;
    println!("ready");
    std::io::stdin().read_exact(&mut [0]).at("go-ahead")?;
    say(&socket)
}

fn received(scene: &Scene) -> Result<OwnedFd, Refused> {
    from(&UnixStream::connect(scene.door("pass.sock")).at("connect")?)
}

/// The first descriptor that comes over a Unix socket.
fn from(stream: &UnixStream) -> Result<OwnedFd, Refused> {
    let mut byte = [0; 1];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).at("recvmsg")?;
    for part in message.cmsgs().at("control message")? {
        if let ControlMessageOwned::ScmRights(descriptors) = part
            && let Some(descriptor) = descriptors.first()
        {
            // SAFETY: the kernel has just made it for us.
            return Ok(unsafe { OwnedFd::from_raw_fd(*descriptor) });
        }
    }
    Err(super::absent("SCM_RIGHTS"))
}

fn taken(scene: &Scene) -> Result<OwnedFd, Refused> {
    let process = sys::opening(libc::SYS_pidfd_open, [scene.victim as u64, 0, 0, 0, 0]).at("pidfd_open")?;
    let arguments = [process.as_raw_fd() as u64, scene.victim_descriptor as u64, 0, 0, 0];
    sys::opening(libc::SYS_pidfd_getfd, arguments).at("pidfd_getfd")
}
