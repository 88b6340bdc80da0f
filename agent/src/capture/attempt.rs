//! Attempts that the programs refused, as they happen.
//!
//! Each is told once per burst: the same process, reason and destination within one second. Beyond
//! [`super::ATTEMPTS_PER_SECOND_MAX`] of one cgroup, or where the buffer is full, they are only counted:
//! `Capture::refusals` has every one, `Capture::lost_attempts` those that nobody was told of.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
};

use aya::maps::{MapData, RingBuf};
use portcullis_common::Refusal;
use tokio::io::{Interest, unix::AsyncFd};

use super::UnixName;

/// One burst of refused attempts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// The reason, as in `Capture::refusals`.
    pub refusal: &'static str,
    /// Where it wanted to go, as it was said; of an inbound packet, where it arrived. `[::]:0` where there is no
    /// destination. Of a socket option, the port is the option's number.
    pub destination: SocketAddr,
    /// Of IP, by its number; of a socket option, the option's level; 0 where there is none.
    pub protocol: u32,
    /// 0 where no process is known: packets have none, unless their socket was connected.
    pub pid: u32,
    pub uid: u32,
    /// The process's name when it tried; empty where no process is known.
    pub comm: String,
    pub cgroup_id: u64,
    /// 0 where it is not known.
    pub netns_cookie: u64,
    /// Nanoseconds since boot, sleep included.
    pub at: u64,
    /// The Unix socket that was dialled.
    pub unix: Option<UnixName>,
    /// How often the same was refused in the burst before, without being told.
    pub repeated: u64,
}

impl Attempt {
    fn of(kept: &portcullis_common::Attempt) -> Self {
        let refusal = Refusal::ALL.into_iter().find(|refusal| *refusal as u32 == kept.refusal);
        Self {
            refusal: refusal.map_or("unknown", Refusal::name),
            destination: SocketAddr::new(Ipv6Addr::from(kept.origin.address).to_canonical(), kept.origin.port),
            protocol: kept.protocol,
            pid: kept.origin.pid,
            uid: kept.origin.uid,
            comm: kept.comm.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).filter(|it| *it != '\0').collect(),
            cgroup_id: kept.origin.cgroup_id,
            netns_cookie: kept.origin.netns_cookie,
            at: kept.origin.connected_at,
            unix: UnixName::told(kept.name),
            repeated: kept.repeated,
        }
    }
}

/// Refused attempts, in the order in which they happened; those of the time without a daemon come first.
pub struct Attempts(AsyncFd<RingBuf<MapData>>);

impl Attempts {
    /// Needs the runtime of tokio around it.
    pub(super) fn open(buffer: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the buffer owns its descriptor, always the same, until it is dropped with this.
        unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE) }.map(Self).map_err(io::Error::from)
    }

    /// Waits for the next one. Cancelling it loses none.
    pub async fn next(&mut self) -> io::Result<Attempt> {
        loop {
            if let Some(attempt) = read(self.0.get_mut()) {
                return Ok(attempt);
            }
            let mut ready = self.0.readable_mut().await?;
            // What came between the look above and here has made the descriptor ready again.
            if let Some(attempt) = read(ready.get_inner_mut()) {
                return Ok(attempt);
            }
            ready.clear_ready();
        }
    }
}

/// The next entry; one of another length is another layout's, and there is none of those in a buffer of this layout.
fn read(buffer: &mut RingBuf<MapData>) -> Option<Attempt> {
    loop {
        let entry = buffer.next()?;
        if entry.len() == size_of::<portcullis_common::Attempt>() {
            // SAFETY: as long as the type, which holds integers only; read without regard to alignment.
            let kept = unsafe { entry.as_ptr().cast::<portcullis_common::Attempt>().read_unaligned() };
            return Some(Attempt::of(&kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_text_stays_readable() {
        let origin = portcullis_common::Origin {
            address: [0; 16],
            netns_cookie: 0,
            cgroup_id: 0,
            connected_at: 0,
            pid: 1,
            uid: 2,
            port: 53,
            reserved: [0; 6],
        };
        let comm = *b"a\xffb\n\0\0\0\0\0\0\0\0\0\0\0\0";
        let attempt = Attempt::of(&portcullis_common::Attempt {
            origin,
            comm,
            refusal: 99,
            protocol: 17,
            repeated: 0,
            name: portcullis_common::UnixName::NONE,
        });
        assert_eq!((attempt.comm.as_str(), attempt.refusal), ("ab\n", "unknown"));
    }
}
