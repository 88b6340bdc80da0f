//! A network namespace as a pod has it: loopback, and a virtual cable to a host that must hear nothing.

use std::{
    fs::File,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU8, Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

/// The pod's namespace and the host at the other end of its cable. Dropping it takes both away.
pub struct Pod {
    near: String,
    far: String,
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Pod {
    /// The addresses are of RFC 2544's network, for tests.
    pub fn new() -> Result<Self> {
        static MADE: AtomicU8 = AtomicU8::new(1);
        let name = format!("pcp{}n{}", std::process::id() % 100_000, MADE.fetch_add(1, Ordering::Relaxed));
        let (near, far) = (format!("{name}a"), format!("{name}b"));
        for namespace in [&near, &far] {
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-netns {namespace} link set lo up"))?;
        }
        ip(&format!("-netns {near} link add {near} type veth peer name {far} netns {far}"))?;
        for (namespace, address) in [(&near, "198.18.0.1"), (&far, "198.18.0.2")] {
            ip(&format!("-netns {namespace} address add {address}/24 dev {namespace}"))?;
            ip(&format!("-netns {namespace} link set {namespace} up"))?;
        }
        let (tcp, udp) = inside(&far, || {
            let host = Ipv4Addr::new(198, 18, 0, 2);
            Ok((TcpListener::bind((host, 5432))?, UdpSocket::bind((host, 53))?))
        })?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        Ok(Self { near, far, tcp, udp })
    }

    /// What `podman run --network=ns:PATH` takes.
    pub fn path(&self) -> PathBuf {
        format!("/run/netns/{}", self.near).into()
    }

    /// The end of the cable that is in the pod.
    pub fn device(&self) -> &str {
        &self.near
    }

    pub fn host(&self) -> Result<SocketAddr> {
        Ok(self.tcp.local_addr()?)
    }

    /// That who is not captured gets through: or silence would mean nothing.
    pub fn assert_reachable(&self) -> Result<()> {
        let (tcp, udp) = (self.tcp.local_addr()?, self.udp.local_addr()?);
        inside(&self.near, || {
            TcpStream::connect(tcp)?;
            UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", udp)
        })?;
        self.tcp.accept()?;
        self.udp.recv(&mut [0; 8])?;
        Ok(())
    }

    pub fn assert_silent(&self) -> Result<()> {
        let (connection, datagram) = (self.tcp.accept(), self.udp.recv(&mut [0; 8]));
        ensure!(
            connection.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
            "{connection:?} got out"
        );
        ensure!(datagram.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{datagram:?} got out");
        Ok(())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // With the last of a cable's namespaces the cable goes.
        for namespace in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).status();
        }
    }
}

fn inside<T: Send>(namespace: &str, make: impl FnOnce() -> std::io::Result<T> + Send) -> Result<T> {
    let entrance = File::open(format!("/run/netns/{namespace}"))?;
    let visit = || -> Result<T> {
        setns(entrance, CloneFlags::CLONE_NEWNET)?;
        Ok(make()?)
    };
    thread::scope(|scope| scope.spawn(visit).join()).ok().context("a visitor panicked")?
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
