//! The maps that daemon and kernel share, typed.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf, SkStorage},
};
use parking_lot::Mutex;
use portcullis_common::{Address, Flow, Loopback, Refusal, Settings, UNIX_ALLOWED_MAX};

use super::{CaptureError, Origin, namespace::NamespaceId, unix::UnixName};

pub(super) struct Maps {
    settings: Mutex<Array<MapData, Settings>>,
    namespaces: Mutex<HashMap<MapData, u64, u8>>,
    unix_allowed: Mutex<HashMap<MapData, portcullis_common::UnixName, u8>>,
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
            unix_allowed: Mutex::new(take(ebpf, "UNIX_ALLOWED")?),
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

    /// Captures sockets of one more network namespace, on whose loopback the daemon listens. A jail stays one.
    pub(super) fn allow_namespace(&self, namespace: NamespaceId, loopback: Loopback) -> Result<(), CaptureError> {
        let mut namespaces = self.namespaces.lock();
        let known = namespaces.get(&namespace.cookie(), 0).is_ok_and(|known| known == Loopback::Private as u8);
        match namespaces.insert(namespace.cookie(), if known { Loopback::Private } else { loopback } as u8, 0) {
            Err(source) if is_full(&source) => Err(CaptureError::NamespacesFull),
            allowed => allowed.map_err(of("NAMESPACES")),
        }
    }

    /// Refuses every connect in a network namespace from now on.
    pub(super) fn forget_namespace(&self, namespace: NamespaceId) -> Result<(), CaptureError> {
        match self.namespaces.lock().remove(&namespace.cookie()) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(source) => Err(of("NAMESPACES")(source)),
        }
    }

    pub(super) fn forget_namespaces_except(&self, kept: &[NamespaceId]) -> Result<(), CaptureError> {
        let known: Vec<u64> = self.namespaces.lock().keys().collect::<Result<_, _>>().map_err(of("NAMESPACES"))?;
        let gone = known.into_iter().map(NamespaceId::from_cookie).filter(|namespace| !kept.contains(namespace));
        gone.into_iter().try_for_each(|namespace| self.forget_namespace(namespace))
    }

    /// Where connects are sent now; zero: nowhere.
    pub(super) fn listener_port(&self) -> Result<u16, CaptureError> {
        Ok(self.settings.lock().get(&0, 0).map_err(of("SETTINGS"))?.port)
    }

    /// Lets processes without a jail dial these Unix sockets, and no others.
    pub(super) fn set_unix_allowed(&self, names: &[UnixName]) -> Result<(), CaptureError> {
        if names.len() > UNIX_ALLOWED_MAX {
            return Err(CaptureError::TooManyUnixNames(names.len()));
        }
        let mut map = self.unix_allowed.lock();
        let known: Vec<_> = map.keys().collect::<Result<_, _>>().map_err(of("UNIX_ALLOWED"))?;
        for gone in known.into_iter().filter(|known| !names.iter().any(|name| name.kept() == known)) {
            map.remove(&gone).map_err(of("UNIX_ALLOWED"))?;
        }
        names.iter().try_for_each(|name| map.insert(name.kept(), 1, 0).map_err(of("UNIX_ALLOWED")))
    }

    pub(super) fn is_unix_allowed(&self, name: &UnixName) -> Result<bool, CaptureError> {
        match self.unix_allowed.lock().get(name.kept(), 0) {
            Ok(_) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(source) => Err(CaptureError::Map { map: "UNIX_ALLOWED", source }),
        }
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

/// Whether the kernel says that a map holds as many entries as it may (bpf(2)).
fn is_full(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::E2BIG))
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
