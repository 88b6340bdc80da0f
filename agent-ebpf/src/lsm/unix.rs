//! Unix sockets of workloads that no mount namespace holds: whoever listens outside may dial for them.

use aya_ebpf::programs::LsmContext;
use portcullis_common::UnixName;

use super::{
    kernel::{self, Place},
    member,
};
use crate::maps::UNIX_ALLOWED;

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
            member.owns(kernel::cgroup_of_sock(other)) || is_allowed(other)
        }
        Some(_) | None => true,
    }
}

/// By the name to which the other is bound, which is not always the one that was dialled: only for sockets that are
/// allowed by either does it matter which hook decides.
#[inline(never)]
fn is_allowed(other: Place) -> bool {
    let mut name = UnixName::NONE;
    kernel::read_unix_name(other, &mut name) && UNIX_ALLOWED.get_ptr(name).is_some()
}
