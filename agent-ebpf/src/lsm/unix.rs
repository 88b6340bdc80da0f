//! Unix sockets of workloads that no mount namespace holds: whoever listens outside may dial for them.

use aya_ebpf::programs::LsmContext;

use super::{
    kernel::{self, Place},
    member,
};

/// `connect` to a listening `sock`.
#[inline(always)]
pub fn may_connect(ctx: &LsmContext) -> bool {
    may_reach(Some(ctx.arg(1)))
}

/// A datagram to a `socket`.
#[inline(always)]
pub fn may_send(ctx: &LsmContext) -> bool {
    may_reach(kernel::sock(ctx.arg(1)))
}

#[inline(always)]
fn may_reach(other: Option<Place>) -> bool {
    match member::current() {
        Some(member) if member.is_existing() => {
            let Some(other) = other else { return false };
            member.owns(kernel::cgroup_of_sock(other))
        }
        Some(_) | None => true,
    }
}
