//! The gate's sockets: made, and served.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

use super::{datagrams, rest::rest};
use crate::{
    capture::{self, namespace::NamespaceId},
    connection::{self, Gatehouse},
};

/// Where a free port is looked for when none is configured: below those that the kernel hands out.
const LISTEN_PORTS: (u16, u16) = (15001, 15400);

/// Most connections that wait to be accepted on one listener; the kernel's `net.core.somaxconn` may be lower.
const BACKLOG: i32 = 4096;

/// The sockets of one network namespace: on both loopback addresses, all on one port.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub tcp: Vec<std::net::TcpListener>,
    udp: Vec<std::net::UdpSocket>,
}

impl Sockets {
    /// Makes them in the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// Those of `bind`: `AddrInUse` where somebody else has the port. A namespace without IPv6 has the sockets of IPv4
    /// alone: a connect over IPv6 then finds nobody.
    pub(super) fn make(port: u16) -> io::Result<Self> {
        let mut sockets = Self::default();
        sockets.add((Ipv4Addr::LOCALHOST, port).into())?;
        match sockets.add((Ipv6Addr::LOCALHOST, port).into()) {
            Err(error) if !is_without_ipv6(&error) => Err(error),
            Ok(()) | Err(_) => Ok(sockets),
        }
    }

    fn add(&mut self, address: SocketAddr) -> io::Result<()> {
        let (tcp, udp) = (listen(address)?, receive(address)?);
        self.tcp.push(tcp);
        self.udp.push(udp);
        Ok(())
    }

    /// Those that another daemon made, and passed on.
    pub(super) fn of(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut sockets = Self::default();
        for descriptor in descriptors {
            let socket = Socket::from(descriptor);
            // An older daemon may not have.
            capture::claim(&socket)?;
            match socket.r#type()? {
                Type::STREAM => sockets.tcp.push(socket.into()),
                Type::DGRAM => sockets.udp.push(socket.into()),
                _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket that no daemon makes")),
            }
        }
        Ok(sockets)
    }

    /// The same sockets once more.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let tcp = self.tcp.iter().map(std::net::TcpListener::try_clone).collect::<io::Result<_>>()?;
        let udp = self.udp.iter().map(std::net::UdpSocket::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { tcp, udp })
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.tcp.iter().map(AsFd::as_fd).chain(self.udp.iter().map(AsFd::as_fd))
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        let first = self.tcp.first().ok_or(io::ErrorKind::NotFound)?;
        Ok(first.local_addr()?.port())
    }

    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.tcp.iter().map(std::net::TcpListener::local_addr).collect()
    }

    /// Serves them by tasks of the set, which last until it is dropped.
    pub(super) fn serve(self, gatehouse: &Arc<Gatehouse>, tasks: &mut JoinSet<anyhow::Result<()>>) -> io::Result<()> {
        for listener in self.tcp {
            tasks.spawn(accept(TcpListener::from_std(listener)?, gatehouse.clone()));
        }
        for socket in self.udp {
            let namespace = NamespaceId::of_socket(socket.as_fd())?;
            tasks.spawn(datagrams::serve(UdpSocket::from_std(socket)?, namespace, gatehouse.clone()));
        }
        Ok(())
    }
}

/// Says when any user of this host could listen on the port while no daemon does, so that none starts. It would hear
/// nothing of workloads.
pub(super) fn warn_of_squatters(port: u16) {
    const UNPRIVILEGED: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let start = std::fs::read_to_string(UNPRIVILEGED).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if start.is_none_or(|start| u32::from(port) >= start) {
        tracing::warn!(
            port,
            "any user of this host may listen on the gate's port while the daemon is down; \
             and keep it from starting; where there are others, choose a port below 1024 under [listen]"
        );
    }
}

/// Never with `SO_REUSEPORT`: a second listener of somebody else's would get a share of the connections.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A new daemon listens although connections of the last one are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    capture::claim(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// For the datagrams that workloads send to name servers.
fn receive(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    capture::claim(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// The configured port, or the first free one.
pub(super) fn choose_port(port: u16) -> anyhow::Result<u16> {
    if port != 0 {
        return Ok(port);
    }
    let mut ports = LISTEN_PORTS.0..LISTEN_PORTS.1;
    ports.find(|port| Sockets::make(*port).is_ok()).with_context(|| {
        format!("no port from {} to {} is free\n  hint: name one under [listen]", LISTEN_PORTS.0, LISTEN_PORTS.1)
    })
}

/// The gate's sockets on this host's own loopback, where IPv6 must not be missing.
pub(super) fn listen_here(port: u16) -> anyhow::Result<Sockets> {
    let sockets = Sockets::make(port)
        .with_context(|| format!("failed to listen on port {port}\n  hint: name another port under [listen]"))?;
    let addresses: Vec<IpAddr> = sockets.addresses()?.iter().map(SocketAddr::ip).collect();
    anyhow::ensure!(addresses.contains(&Ipv6Addr::LOCALHOST.into()), "failed to listen on ::1: this host has no IPv6");
    Ok(sockets)
}

async fn accept(listener: TcpListener, gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (visit, served) = (gatehouse.live.visit(), gatehouse.clone());
                let serve = |turn| async move {
                    let _visit = visit;
                    connection::serve(stream, turn, served).await;
                };
                gatehouse.places.in_turn(serve).await;
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept");
                rest().await;
            }
        }
    }
}
