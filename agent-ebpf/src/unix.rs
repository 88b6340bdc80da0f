//! Unix sockets, for processes that no mount namespace holds: whoever listens outside may dial for them. What is not
//! allowed by its exact name is refused.

use core::ptr::from_mut;

use aya_ebpf::{
    helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str},
    programs::SockAddrContext,
};
use portcullis_common::{UNIX_PATH_MAX, UnixName};

use crate::{attempt::refuse_name, maps::UNIX_ALLOWED};

/// Offsets in `struct bpf_sock_addr_kern` of `linux/filter.h`, which the context is at run time: the fields of
/// `struct bpf_sock_addr` know no Unix address. Where a kernel has them elsewhere, nothing is read that is allowed.
const ADDRESS: usize = 8;
const ADDRESS_LENGTH: usize = 32;

/// `sun_path` in `struct sockaddr_un`.
const PATH: u64 = 2;

#[inline(always)]
pub fn judge(ctx: &SockAddrContext) -> bool {
    let mut name = UnixName::NONE;
    let is_allowed = read_name(ctx, &mut name) && UNIX_ALLOWED.get_ptr(name).is_some();
    is_allowed || refuse_name(ctx, &name)
}

/// Reads the name as the kernel will: a path to its first zero, an abstract name to its length. A function of its own:
/// both names together with what follows are more than the stack holds.
#[inline(never)]
fn read_name(ctx: &SockAddrContext, name: &mut UnixName) -> bool {
    let kernel = ctx.sock_addr.cast::<u8>();
    let (mut address, mut length) = (0_u64, 0_u64);
    // SAFETY: reads of kernel memory that fail instead of faulting, into variables as long as said.
    let read = unsafe {
        bpf_probe_read_kernel(from_mut(&mut address).cast(), 8, kernel.wrapping_add(ADDRESS).cast())
            | bpf_probe_read_kernel(from_mut(&mut length).cast(), 4, kernel.wrapping_add(ADDRESS_LENGTH).cast())
    };
    // One comparison, so that the verifier sees it; an empty name is none that is allowed.
    let length = length.wrapping_sub(PATH);
    if read != 0 || length > UNIX_PATH_MAX as u64 {
        return false;
    }
    let mut said = UnixName::NONE;
    // SAFETY: as above; the length is checked.
    if unsafe { bpf_probe_read_kernel(from_mut(&mut said).cast(), length as u32, (address + PATH) as *const _) } != 0 {
        return false;
    }
    if said.bytes[0] == 0 {
        *name = UnixName { length: length as u32, ..said };
        return true;
    }
    let room = size_of::<UnixName>() as u32;
    // SAFETY: as above; what was said ends with a zero, for it is shorter than its variable.
    let copied = unsafe { bpf_probe_read_kernel_str(from_mut(name).cast(), room, from_mut(&mut said).cast()) };
    name.length = copied as u32 - 1;
    true
}
