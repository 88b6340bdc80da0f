//! Who listens where a workload's connection is led: the daemon, nobody, or somebody who has taken the dead daemon's port.

use core::{
    ffi::c_void,
    mem::size_of,
    ptr::{addr_of, from_mut},
};

use aya_ebpf::{
    bindings::{
        BPF_F_CURRENT_NETNS, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
    },
    helpers::generated::{bpf_sk_lookup_tcp, bpf_sk_lookup_udp, bpf_sk_release},
};
use portcullis_common::{Address, LISTENER_PRIORITY};

use crate::context::{self, UDP};

/// Who listens at an address of the socket's own network namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    Nobody,
    Daemon,
    Other,
}

/// Looks it up, by the context of a connect, a datagram or a packet. What the daemon listens on has a priority that only root gives to a socket of this namespace.
#[inline(always)]
pub fn at(ctx: *mut c_void, address: &Address, port: u16, protocol: u32) -> Listener {
    let port = port.to_be();
    if context::is_mapped(address) {
        let [_, _, _, word] = context::split(*address);
        let mut tuple = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 { saddr: 0, daddr: word, sport: 0, dport: port };
        lookup(ctx, &mut tuple, protocol)
    } else {
        let words = context::split(*address);
        let mut tuple =
            bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 { saddr: [0; 4], daddr: words, sport: 0, dport: port };
        lookup(ctx, &mut tuple, protocol)
    }
}

#[inline(always)]
fn lookup<T>(ctx: *mut c_void, tuple: &mut T, protocol: u32) -> Listener {
    // SAFETY: a tuple of IPv4 or IPv6, told apart by its length; what is found is read while it is held, and released.
    unsafe {
        let (tuple, length) = (from_mut(tuple).cast(), size_of::<T>() as u32);
        let namespace = BPF_F_CURRENT_NETNS as u64;
        let found = match protocol {
            UDP => bpf_sk_lookup_udp(ctx, tuple, length, namespace, 0),
            _ => bpf_sk_lookup_tcp(ctx, tuple, length, namespace, 0),
        };
        if found.is_null() {
            return Listener::Nobody;
        }
        let priority = addr_of!((*found).priority).read_volatile();
        bpf_sk_release(found.cast());
        if priority == LISTENER_PRIORITY { Listener::Daemon } else { Listener::Other }
    }
}
