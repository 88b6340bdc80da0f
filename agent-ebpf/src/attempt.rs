//! Refused attempts: counted always, and told to the daemon once per burst.
//!
//! A workload decides how often it is refused. So what it can make the daemon read is bounded: by the burst, by the
//! second, and by the buffer.

use aya_ebpf::{
    bindings::BPF_ANY,
    programs::{SkBuffContext, SockAddrContext, SockContext, SockoptContext},
};
use portcullis_common::{ATTEMPTS_PER_SECOND_MAX, Address, Attempt, BURST_NANOSECONDS, Burst, Origin, Refusal, Tally};

use crate::{
    context,
    maps::{ATTEMPTS, BURSTS, LOST, REFUSALS, SPENT},
    process,
};

/// Refuses what a process does with an address.
#[inline(always)]
pub fn refuse_address(ctx: &SockAddrContext, refusal: Refusal, address: Address, port: u16) -> bool {
    refuse(refusal, context::protocol(ctx), process::origin(ctx, address, port), process::name())
}

/// Refuses a new socket.
#[inline(always)]
pub fn refuse_socket(ctx: &SockContext, protocol: u32) -> bool {
    refuse(Refusal::Socket, protocol, process::maker(ctx), process::name())
}

/// Refuses a socket option.
#[inline(always)]
pub fn refuse_option(ctx: &SockoptContext, level: i32, number: i32) -> bool {
    let (origin, name) = process::setter(ctx, number as u16);
    refuse(Refusal::Option, level as u32, origin, name)
}

/// Refuses a packet, at a time when any process may be running.
#[inline(always)]
pub fn refuse_packet(ctx: &SkBuffContext, refusal: Refusal, protocol: u32, address: Address, port: u16) -> bool {
    refuse(refusal, protocol, process::owner(ctx, address, port), [0; 16])
}

/// Is the answer that refuses.
#[inline(always)]
fn refuse(refusal: Refusal, protocol: u32, origin: Origin, comm: [u8; 16]) -> bool {
    if let Some(count) = REFUSALS.get_ptr_mut(refusal as u32) {
        // SAFETY: an element of this CPU's own array, and a program is not preempted by itself.
        unsafe { *count += 1 };
    }
    if let Some(repeated) = begins_burst(refusal, protocol, &origin) {
        tell(Attempt { origin, comm, refusal: refusal as u32, protocol, repeated });
    }
    false
}

/// How often the burst before was repeated, if this attempt begins one.
#[inline(always)]
fn begins_burst(refusal: Refusal, protocol: u32, origin: &Origin) -> Option<u64> {
    let burst = Burst {
        address: origin.address,
        cgroup_id: origin.cgroup_id,
        pid: origin.pid,
        refusal: refusal as u32,
        protocol,
        port: u32::from(origin.port),
    };
    let now = origin.connected_at;
    let Some(tally) = BURSTS.get_ptr_mut(burst) else {
        let _ = BURSTS.insert(burst, Tally { since: now, count: 0 }, u64::from(BPF_ANY));
        return Some(0);
    };
    // SAFETY: a value of a preallocated map. Two processors may count at once, and one of them in vain.
    unsafe {
        if now.wrapping_sub((*tally).since) < BURST_NANOSECONDS {
            (*tally).count += 1;
            return None;
        }
        let repeated = (*tally).count;
        *tally = Tally { since: now, count: 0 };
        Some(repeated)
    }
}

#[inline(always)]
fn tell(attempt: Attempt) {
    if is_affordable(&attempt.origin)
        && let Some(mut entry) = ATTEMPTS.reserve(0)
    {
        entry.write(attempt);
        entry.submit(0);
    } else if let Some(lost) = LOST.get_ptr_mut(0) {
        // SAFETY: an element of this CPU's own array.
        unsafe { *lost += 1 };
    }
}

/// Whether a cgroup may make the daemon read one more attempt in this second: none takes the room of the others.
#[inline(always)]
fn is_affordable(origin: &Origin) -> bool {
    let now = origin.connected_at;
    let Some(spent) = SPENT.get_ptr_mut(origin.cgroup_id) else {
        return SPENT.insert(origin.cgroup_id, Tally { since: now, count: 1 }, u64::from(BPF_ANY)).is_ok();
    };
    // SAFETY: as in `begins_burst`.
    unsafe {
        if now.wrapping_sub((*spent).since) >= BURST_NANOSECONDS {
            *spent = Tally { since: now, count: 0 };
        }
        (*spent).count += 1;
        (*spent).count <= ATTEMPTS_PER_SECOND_MAX
    }
}
