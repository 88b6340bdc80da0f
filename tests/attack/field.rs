//! The field: a host and another one at the far end of a wire, both network namespaces of our own.
//!
//! This process's own namespace becomes the host's: the daemon, attackers and helpers are started from it, and nothing
//! that they do to a network reaches the machine.

use std::{
    fs::File,
    io::{self, Read},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};

use crate::{
    ear::{Ear, FENCE},
    netlink,
    scene::{DEVICE, FAR_DEVICE, FAR_V4, FAR_V6, NEAR_V4, NEAR_V6, RESOLVER},
    sniffer, sys,
};

/// Where the far host takes connections that are made before the attempts that use them.
pub const FAR_SERVICE: u16 = 6_999;
const FENCE_PORT: u16 = 6_998;

pub struct Field {
    pub ear: Arc<Ear>,
    far: File,
    fences: AtomicU64,
    /// Outside of every workload, so nobody refuses what it sends.
    fence: UdpSocket,
}

impl Field {
    /// Leaves this machine's network for one of our own. Call it before there are threads.
    pub fn build() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("namespaces of our own")?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        let far = empty_namespace()?;
        netlink::set_up("lo").context("lo")?;
        netlink::add_veth(DEVICE, FAR_DEVICE, far.as_fd()).context("a virtual cable")?;
        settle(DEVICE)?;
        for address in [NEAR_V4.into(), NEAR_V6.into()] {
            netlink::add_address(DEVICE, address, if NEAR_V4 == address { 24 } else { 64 })?;
        }
        netlink::set_up(DEVICE)?;
        netlink::add_default_route(DEVICE)?;
        // Whoever may be pinged may also ping, as on many distributions.
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;

        let ear = Arc::new(Ear::default());
        let field = Self { ear, far, fences: AtomicU64::new(0), fence: UdpSocket::bind((NEAR_V4, 0))? };
        field.on_far_host(furnish)??;
        let sniffer = field.on_far_host(|| sniffer::open(FAR_DEVICE))??;
        let ear = field.ear.clone();
        thread::spawn(move || sniffer::listen(&sniffer, &ear));
        field.serve_far()?;
        field.pass_fence().context("the wire does not carry anything")?;
        Ok(field)
    }

    /// Runs something in the far host's network namespace; sockets made there stay there.
    pub fn on_far_host<T: Send>(&self, make: impl FnOnce() -> T + Send) -> Result<T> {
        let enter = || -> Result<T> {
            setns(&self.far, CloneFlags::CLONE_NEWNET)?;
            Ok(make())
        };
        let made = thread::scope(|scope| scope.spawn(enter).join());
        made.map_err(|_| anyhow::anyhow!("the far host's thread panicked"))?
    }

    /// Gives the far host's network namespace a name in the file system.
    pub fn name_far_host(&self, path: &Path) -> Result<()> {
        File::create(path)?;
        let source = format!("/proc/self/fd/{}", self.far.as_raw_fd());
        Ok(mount(Some(&*source), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
    }

    /// Waits until everything that is on the wire has arrived.
    pub fn pass_fence(&self) -> Result<()> {
        let number = self.fences.fetch_add(1, Ordering::SeqCst) + 1;
        let bytes = [FENCE, &number.to_be_bytes()].concat();
        self.fence.send_to(&bytes, (FAR_V4, FENCE_PORT))?;
        ensure!(self.ear.await_fence(number), "the far end did not hear fence {number}");
        Ok(())
    }

    /// A connection to the far host, whose bytes are heard there.
    pub fn connection(&self) -> Result<TcpStream> {
        TcpStream::connect((FAR_V4, FAR_SERVICE)).context("a connection to the far host")
    }

    fn serve_far(&self) -> Result<()> {
        let listener = self.on_far_host(|| TcpListener::bind((FAR_V4, FAR_SERVICE)))??;
        let ear = self.ear.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let ear = ear.clone();
                thread::spawn(move || hear_all(stream, "a connection made outside", &ear));
            }
        });
        Ok(())
    }
}

/// Reads to the end.
pub fn hear_all(mut stream: impl Read, place: &str, ear: &Ear) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        ear.hear(place, bytes.get(..length).unwrap_or_default());
    }
}

fn empty_namespace() -> Result<File> {
    let made = thread::spawn(|| -> Result<File> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        netlink::set_up("lo")?;
        Ok(File::open("/proc/thread-self/ns/net")?)
    });
    made.join().map_err(|_| anyhow::anyhow!("a namespace's thread panicked"))?
}

/// Sets up the far host, from within.
fn furnish() -> Result<()> {
    settle(FAR_DEVICE)?;
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x18, 2);
    for address in [FAR_V4.into(), RESOLVER.into()] {
        netlink::add_address(FAR_DEVICE, address, 24)?;
    }
    for address in [FAR_V6, link_local] {
        netlink::add_address(FAR_DEVICE, address.into(), 64)?;
    }
    Ok(netlink::set_up(FAR_DEVICE)?)
}

/// Keeps a device from speaking by itself, and from waiting before it speaks.
fn settle(device: &str) -> io::Result<()> {
    for (key, value) in [("accept_dad", "0"), ("router_solicitations", "0"), ("accept_ra", "0")] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{device}/{key}"), value)?;
    }
    Ok(())
}

/// Listeners of one attempt, on both hosts. Dropping them ends them.
pub struct Listeners {
    sockets: Vec<(&'static str, Listening)>,
    ear: Arc<Ear>,
}

enum Listening {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Listeners {
    pub fn open(field: &Field, port: u16) -> Result<Self> {
        let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let far = field.on_far_host(|| connections(any))??;
        let far_udp = field.on_far_host(|| datagrams(any))??;
        let sockets = vec![
            ("a service of the far host", Listening::Tcp(far)),
            ("a datagram service of the far host", Listening::Udp(far_udp)),
            ("a service of this host", Listening::Tcp(connections(any)?)),
            ("a datagram service of this host", Listening::Udp(datagrams(any)?)),
        ];
        Ok(Self { sockets, ear: field.ear.clone() })
    }

    /// Takes whatever has arrived; a connection counts, even one that says nothing.
    pub fn collect(&self) {
        for (place, socket) in &self.sockets {
            match socket {
                Listening::Tcp(listener) => {
                    while listener.accept().is_ok() {
                        self.ear.notice(place);
                    }
                }
                Listening::Udp(socket) => {
                    let mut bytes = [0; 4096];
                    while let Ok((length, _)) = socket.recv_from(&mut bytes) {
                        self.ear.hear(place, bytes.get(..length).unwrap_or_default());
                    }
                }
            }
        }
    }
}

fn connections(on: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(on)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn datagrams(on: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(on)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Calls the attacker's port from the far host and from this one, until it is told to stop.
pub struct Callers {
    stop: Arc<std::sync::atomic::AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Callers {
    pub fn start(field: &Field, port: u16) -> Result<Self> {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let far = field.far.try_clone()?;
        let mut threads = Vec::new();
        for (place, namespace, hosts) in [
            ("a far host that called", Some(far), vec![NEAR_V4.into(), NEAR_V6.into()]),
            ("a process of this host that called", None, vec![std::net::Ipv4Addr::LOCALHOST.into()]),
        ] {
            let (ear, stop) = (field.ear.clone(), stop.clone());
            threads.push(thread::spawn(move || {
                if let Some(namespace) = &namespace
                    && setns(namespace, CloneFlags::CLONE_NEWNET).is_err()
                {
                    return;
                }
                while !stop.load(Ordering::SeqCst) {
                    for host in &hosts {
                        call(SocketAddr::new(*host, port), place, &ear);
                    }
                    thread::sleep(std::time::Duration::from_millis(5));
                }
            }));
        }
        Ok(Self { stop, threads })
    }
}

fn call(address: SocketAddr, place: &str, ear: &Ear) {
    let patience = sys::PATIENCE / 4;
    if let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
        let _ = stream.set_read_timeout(Some(patience));
        hear_all(stream, place, ear);
    }
    let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let _ = UdpSocket::bind(any).and_then(|socket| {
        socket.send_to(b"hello", address)?;
        socket.set_read_timeout(Some(std::time::Duration::from_millis(10)))?;
        let mut bytes = [0; 4096];
        let (length, _) = socket.recv_from(&mut bytes)?;
        ear.hear(place, bytes.get(..length).unwrap_or_default());
        Ok(())
    });
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
