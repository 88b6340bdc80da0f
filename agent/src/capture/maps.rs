//! The maps that daemon and kernel share, typed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf, SkStorage},
};
use parking_lot::Mutex;
use portcullis_common::{Address, Flow, Refusal, Settings};

use super::{CaptureError, Origin};

pub(super) struct Maps {
    settings: Mutex<Array<MapData, Settings>>,
    namespaces: Mutex<HashMap<MapData, u64, u8>>,
    origins: SkStorage<MapData, portcullis_common::Origin>,
    datagrams: HashMap<MapData, Flow, portcullis_common::Origin>,
    refusals: PerCpuArray<MapData, u64>,
    attempts: Option<RingBuf<MapData>>,
    lost: PerCpuArray<MapData, u64>,
}

impl Maps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, CaptureError> {
        Ok(Self {
            settings: Mutex::new(take(ebpf, "SETTINGS")?),
            namespaces: Mutex::new(take(ebpf, "NAMESPACES")?),
            origins: take(ebpf, "ORIGINS")?,
            datagrams: take(ebpf, "DATAGRAMS")?,
            refusals: take(ebpf, "REFUSALS")?,
            attempts: Some(take(ebpf, "ATTEMPTS")?),
            lost: take(ebpf, "LOST")?,
        })
    }

    /// Sends connects to this port from now on.
    pub(super) fn set_listener(&self, port: u16, ipv6: bool) -> Result<(), CaptureError> {
        let settings = Settings { port, ipv6: ipv6.into(), reserved: 0 };
        self.settings.lock().set(0, settings, 0).map_err(of("SETTINGS"))
    }

    /// Captures sockets of this process's network namespace, and of no other: only its loopback leads to the daemon.
    pub(super) fn allow_own_namespace(&self) -> Result<(), CaptureError> {
        let own = namespace_cookie().map_err(CaptureError::Namespace)?;
        let mut namespaces = self.namespaces.lock();
        let known: Vec<u64> = namespaces.keys().collect::<Result<_, _>>().map_err(of("NAMESPACES"))?;
        for other in known.into_iter().filter(|cookie| *cookie != own) {
            namespaces.remove(&other).map_err(of("NAMESPACES"))?;
        }
        namespaces.insert(own, 1, 0).map_err(of("NAMESPACES"))
    }

    pub(super) fn origin(&self, accepted: &impl AsRawFd) -> Result<Origin, CaptureError> {
        match self.origins.get(accepted, 0) {
            Ok(kept) => Ok(Origin::of(&kept)),
            Err(MapError::KeyNotFound) => Err(CaptureError::NoOrigin),
            Err(source) => Err(CaptureError::Map { map: "ORIGINS", source }),
        }
    }

    /// The origin of a DNS message that the daemon received in the network namespace of this cookie.
    pub(super) fn datagram_origin(
        &self,
        source: SocketAddr,
        netns_cookie: u64,
        query: u16,
    ) -> Result<Origin, CaptureError> {
        let flow = Flow { address: octets(source.ip()), netns_cookie, port: source.port().into(), query: query.into() };
        match self.datagrams.get(&flow, 0) {
            Ok(kept) => Ok(Origin::of(&kept)),
            Err(MapError::KeyNotFound) => Err(CaptureError::NoOrigin),
            Err(source) => Err(CaptureError::Map { map: "DATAGRAMS", source }),
        }
    }

    pub(super) fn refusals(&self) -> Result<Vec<(&'static str, u64)>, CaptureError> {
        let count = |refusal: Refusal| {
            let per_cpu = self.refusals.get(&(refusal as u32), 0).map_err(of("REFUSALS"))?;
            Ok((refusal.name(), per_cpu.iter().sum()))
        };
        Refusal::ALL.into_iter().map(count).collect()
    }

    /// `None` on the second call.
    pub(super) fn take_attempts(&mut self) -> Option<RingBuf<MapData>> {
        self.attempts.take()
    }

    pub(super) fn lost_attempts(&self) -> Result<u64, CaptureError> {
        Ok(self.lost.get(&0, 0).map_err(of("LOST"))?.iter().sum())
    }
}

fn take<M: TryFrom<aya::maps::Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, CaptureError> {
    let map = ebpf.take_map(name).ok_or(MapError::InvalidName { name: name.into() }).map_err(of(name))?;
    M::try_from(map).map_err(of(name))
}

fn of(map: &'static str) -> impl FnOnce(MapError) -> CaptureError {
    move |source| CaptureError::Map { map, source }
}

fn octets(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The number by which programs know this process's network namespace.
fn namespace_cookie() -> io::Result<u64> {
    /// `SO_NETNS_COOKIE` of `asm-generic/socket.h`, Linux 5.14.
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: makes a socket that is closed below; then writes at most `length` bytes into `cookie`.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(socket);
        let value = (&raw mut cookie).cast();
        if libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_NETNS_COOKIE, value, &raw mut length) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(cookie)
}
