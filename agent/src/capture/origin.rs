//! Where an accepted connection wanted to go, and who opened it: as the kernel saw it, never as the bytes say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::target::OriginalDestination;

/// The origin of an accepted connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The address that `connect` would have reached. IPv4-mapped addresses are IPv4, the unspecified address is the
    /// loopback, as the kernel has it.
    pub destination: OriginalDestination,
    /// The process that called `connect`, even where it passed the socket on.
    pub pid: u32,
    pub uid: u32,
    /// The cgroup of that process; `Capture::workload` names it.
    pub cgroup_id: u64,
    /// Zero for Unix sockets, whose paths belong to no network namespace.
    pub netns_cookie: u64,
    /// When it called: nanoseconds since boot, sleep included.
    pub connected_at: u64,
}

impl Origin {
    pub(super) fn of(kept: &portcullis_common::Origin) -> Self {
        Self {
            destination: OriginalDestination::Tcp(SocketAddr::new(dialled(kept.address), kept.port)),
            pid: kept.pid,
            uid: kept.uid,
            cgroup_id: kept.cgroup_id,
            netns_cookie: kept.netns_cookie,
            connected_at: kept.connected_at,
        }
    }

    /// Whether the process that has this pid now, started at `start_time`, is the one that connected.
    ///
    /// `start_time` is the 22nd field of `/proc/PID/stat`, in clock ticks since boot. A process that was there before
    /// the connect and has the connector's pid is the connector: a pid has one owner at a time.
    pub fn is_of_process(&self, start_time: u64) -> bool {
        const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
        // SAFETY: takes a constant, answers a number.
        let ticks_per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
        start_time <= self.connected_at / (NANOSECONDS_PER_SECOND / ticks_per_second)
    }
}

/// The address that a connect to `address` reaches.
fn dialled(address: portcullis_common::Address) -> IpAddr {
    match Ipv6Addr::from(address).to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(address: &str) -> portcullis_common::Origin {
        portcullis_common::Origin {
            address: address.parse::<Ipv6Addr>().unwrap().octets(),
            netns_cookie: 1,
            cgroup_id: 2,
            connected_at: 5_000_000_000,
            pid: 3,
            uid: 4,
            port: 5432,
            reserved: [0; 6],
        }
    }

    #[test]
    fn the_destination_is_the_address_that_is_dialled() {
        for (kept_address, dialled) in [
            ("::ffff:10.0.0.1", "10.0.0.1:5432"),
            ("::ffff:0.0.0.0", "127.0.0.1:5432"),
            ("::", "[::1]:5432"),
            ("::1", "[::1]:5432"),
            ("2001:db8::1", "[2001:db8::1]:5432"),
        ] {
            assert_eq!(Origin::of(&kept(kept_address)).destination.to_string(), dialled);
        }
    }

    #[test]
    fn a_process_that_started_later_is_another() {
        let origin = Origin::of(&kept("::1"));
        // SAFETY: takes a constant, answers a number.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
        assert!(origin.is_of_process(5 * ticks));
        assert!(!origin.is_of_process(5 * ticks + 1));
    }
}
