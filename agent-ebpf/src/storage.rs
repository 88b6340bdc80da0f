//! The origin that a socket carries with it.

use aya_ebpf::{bindings::bpf_sock, helpers::generated::bpf_sk_storage_get};
use portcullis_common::Origin;

use crate::maps::ORIGINS;

/// A socket's origin, made from `initial` where the flags say so; null where there is none.
#[inline(always)]
pub fn of(socket: *mut bpf_sock, initial: *mut Origin, flags: u32) -> *mut Origin {
    let map = core::ptr::from_ref(&ORIGINS).cast_mut();
    // SAFETY: the map, a socket of the context that the verifier knows not to be null, and a value of the map's type
    // or null.
    unsafe { bpf_sk_storage_get(map.cast(), socket.cast(), initial.cast(), u64::from(flags)) }.cast()
}

/// The origin that a socket has.
#[inline(always)]
pub fn origin(socket: *mut bpf_sock) -> Option<Origin> {
    let kept = of(socket, core::ptr::null_mut(), 0);
    if kept.is_null() {
        return None;
    }
    // SAFETY: not null, and of the map's value type.
    Some(unsafe { *kept })
}
