//! Refused attempts: counted always, and told to the daemon once per burst.
//!
//! A workload decides how often it is refused. So what it can make the daemon read is bounded: by the burst, by the
//! second, and by the buffer.

use core::ptr::addr_of_mut;

use aya_ebpf::{
    bindings::BPF_ANY,
    programs::{SkBuffContext, SockAddrContext, SockContext, SockoptContext},
};
use portcullis_common::{
    ATTEMPTS_PER_SECOND_MAX, Address, Attempt, BURST_NANOSECONDS, Burst, Hook, Origin, Refusal, Tally, UnixName,
};

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

/// Refuses what a process does to something that is no socket of its own.
#[inline(never)]
pub fn refuse_act(hook: Hook) -> bool {
    refuse(Refusal::Hook, hook as u32, process::actor(), process::name())
}

/// Refuses the name of a Unix socket. A function of its own, with a stack frame that is gone when the name is read.
#[inline(never)]
pub fn refuse_name(ctx: &SockAddrContext, name: &UnixName) -> bool {
    // Where there is no address, it tells bursts apart; what is told is the name itself.
    let origin = process::origin(ctx, folded(name), 0);
    answer(Refusal::Unix, 0, &origin, process::name(), Some(name))
}

/// Is the answer that refuses.
#[inline(always)]
fn refuse(refusal: Refusal, protocol: u32, origin: Origin, comm: [u8; 16]) -> bool {
    answer(refusal, protocol, &origin, comm, None)
}

#[inline(always)]
fn answer(refusal: Refusal, protocol: u32, origin: &Origin, comm: [u8; 16], name: Option<&UnixName>) -> bool {
    if let Some(count) = REFUSALS.get_ptr_mut(refusal as u32) {
        // SAFETY: an element of this CPU's own array; where one program interrupts another, one of them counts in vain.
        unsafe { *count += 1 };
    }
    if let Some(repeated) = begins_burst(refusal, protocol, origin) {
        tell(refusal, protocol, origin, comm, repeated, name);
    }
    false
}

/// The words of a name, each added to those before.
#[inline(always)]
fn folded(name: &UnixName) -> Address {
    let mut sum = 0_u64;
    // SAFETY: the type is as long as so many words, aligned for them, and without padding.
    let words = unsafe { &*core::ptr::from_ref(name).cast::<[u64; size_of::<UnixName>() / 8]>() };
    for word in words {
        sum = sum.rotate_left(7) ^ word;
    }
    let s = sum.to_ne_bytes();
    [s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], 0, 0, 0, 0, 0, 0, 0, 0]
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

/// Writes the attempt where it will be read: on the stack of a program there is no room for it.
#[inline(always)]
fn tell(refusal: Refusal, protocol: u32, origin: &Origin, comm: [u8; 16], repeated: u64, name: Option<&UnixName>) {
    if is_affordable(origin)
        && let Some(mut entry) = ATTEMPTS.reserve(0)
    {
        let attempt: *mut Attempt = entry.as_mut_ptr();
        // SAFETY: an entry of this type, and every field of it is written.
        unsafe {
            addr_of_mut!((*attempt).origin).write(*origin);
            addr_of_mut!((*attempt).comm).write(comm);
            addr_of_mut!((*attempt).refusal).write(refusal as u32);
            addr_of_mut!((*attempt).protocol).write(protocol);
            addr_of_mut!((*attempt).repeated).write(repeated);
            match name {
                Some(name) => addr_of_mut!((*attempt).name).write(*name),
                None => addr_of_mut!((*attempt).name).write(UnixName::NONE),
            }
        }
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
