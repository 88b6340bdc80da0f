//! Processes outside that would dial for whoever asks, and the ways to ask them.

use std::{fs::File, io::Write, os::fd::AsRawFd};

use nix::libc::{self, AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};

use super::{Attempt, needs};
use crate::{
    ring::{self, Ring},
    scene::Scene,
    sys::{self, At, Tried, unix_address},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("unix-path", "a socket by its path", |scene| stream(scene, &scene.door("helper.sock")))
        .needs(needs::DOORS),
    Attempt::new("unix-docker", "a socket that is named like Docker's", |scene| {
        stream(scene, &scene.door("docker.sock"))
    })
    .needs(needs::DOORS),
    Attempt::new("unix-seqpacket", "a SOCK_SEQPACKET socket by its path", |scene| {
        connected(scene, SOCK_SEQPACKET, &scene.door("helper.seq"))
    })
    .needs(needs::DOORS),
    Attempt::new("unix-datagram", "a datagram to a path", |scene| datagram(scene, &scene.door("helper.dgram")))
        .needs(needs::DOORS),
    Attempt::new("unix-datagram-connect", "a datagram socket connected to a path", |scene| {
        connected(scene, SOCK_DGRAM, &scene.door("helper.dgram"))
    })
    .needs(needs::DOORS),
    Attempt::new("unix-abstract", "a socket by an abstract name", |scene| {
        stream(scene, &scene.abstract_door("stream"))
    })
    .needs(needs::DOORS),
    Attempt::new("unix-abstract-datagram", "a datagram to an abstract name", |scene| {
        datagram(scene, &scene.abstract_door("dgram"))
    })
    .needs(needs::DOORS),
    Attempt::new("unix-uring", "a socket by its path, through io_uring", uring).needs(needs::DOORS),
    Attempt::new("unix-proc-root", "a socket by another process's root directory", |scene| {
        stream(scene, &format!("/proc/{}/root{}", scene.victim, scene.door("helper.sock")))
    })
    .needs(needs::DOORS),
    Attempt::new("unix-relative", "a socket by a path relative to its directory", |scene| {
        std::env::set_current_dir(&scene.directory).at("chdir")?;
        stream(scene, "helper.sock")
    })
    .needs(needs::DOORS),
    Attempt::new("fifo", "a named pipe", |scene| {
        let fifo = scene.door("helper.fifo");
        File::options().write(true).open(fifo).and_then(|mut pipe| pipe.write_all(scene.marker())).at("open")
    })
    .needs(needs::PERMISSIONS)
    .jail_needs(needs::PIPES),
    Attempt::new("served-file", "a name in a file system that a process outside serves", |scene| {
        File::open(format!("{}/{}", scene.served, scene.marker)).at("open").map(drop)
    })
    .needs(needs::VIEW),
    Attempt::new("sysv-queue", "a System V message queue", sysv).needs(needs::IPC),
    Attempt::new("posix-queue", "a POSIX message queue", posix).needs(needs::IPC),
];

fn stream(scene: &Scene, name: &str) -> Tried {
    connected(scene, SOCK_STREAM, name)
}

fn connected(scene: &Scene, kind: i32, name: &str) -> Tried {
    let socket = sys::socket(AF_UNIX, kind, 0).at("socket")?;
    sys::connect(&socket, &unix_address(name)).at("connect")?;
    sys::send(&socket, scene.marker(), 0).at("send")
}

fn datagram(scene: &Scene, name: &str) -> Tried {
    let socket = sys::socket(AF_UNIX, SOCK_DGRAM, 0).at("socket")?;
    sys::send_to(&socket, scene.marker(), &unix_address(name)).at("sendto")
}

fn uring(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_UNIX, SOCK_STREAM, 0).at("socket")?;
    let to = unix_address(&scene.door("helper.sock"));
    let ring = Ring::new(0).at("io_uring_setup")?;
    let entry = ring::Entry::new(ring::CONNECT, socket.as_raw_fd()).address(to.as_ptr() as u64).offset(to.len() as u64);
    ring.run(entry).at("IORING_OP_CONNECT")?;
    sys::send(&socket, scene.marker(), 0).at("send")
}

/// The key of the queue that a process outside reads.
pub fn queue_key(instance: &str) -> i32 {
    instance.bytes().fold(0x0050_0000, |key: i32, byte| key.wrapping_mul(31).wrapping_add(byte.into()))
}

fn sysv(scene: &Scene) -> Tried {
    let queue = sys::call(libc::SYS_msgget, [queue_key(&scene.instance) as u64, 0, 0, 0, 0]).at("msgget")?;
    let message = [&1_i64.to_ne_bytes()[..], scene.marker()].concat();
    let length = scene.marker().len() as u64;
    sys::call(libc::SYS_msgsnd, [queue as u64, message.as_ptr() as u64, length, libc::IPC_NOWAIT as u64, 0])
        .at("msgsnd")
        .map(drop)
}

fn posix(scene: &Scene) -> Tried {
    let name = sys::c_string(&scene.instance).at("name")?;
    let flags = (libc::O_WRONLY | libc::O_NONBLOCK) as u64;
    let queue = sys::opening(libc::SYS_mq_open, [name.as_ptr() as u64, flags, 0, 0, 0]).at("mq_open")?;
    let (bytes, length) = (scene.marker().as_ptr() as u64, scene.marker().len() as u64);
    sys::call(libc::SYS_mq_timedsend, [queue.as_raw_fd() as u64, bytes, length, 0, 0]).at("mq_send").map(drop)
}
