//! Security hooks: what no cgroup hook sees, refused to governed processes wherever their sockets come from.
//!
//! Where cgroup programs ask "which cgroup made this socket", these ask "which cgroup is the process in", and so hold
//! what was made outside and handed in. They are for the whole machine and let everyone else pass: who is not governed
//! pays for one look-up. A program answers 0 to let pass and a negative error to refuse.

mod file;
mod kernel;
mod member;
mod socket;
mod task;
mod unix;

use core::ptr::addr_of;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use portcullis_common::Hook;

use crate::attempt::refuse_act;

#[lsm(hook = "socket_create")]
pub fn lsm_socket_create(ctx: LsmContext) -> i32 {
    answer(Hook::SocketCreate, socket::may_create(&ctx))
}

#[lsm(hook = "socket_connect")]
pub fn lsm_socket_connect(ctx: LsmContext) -> i32 {
    answer(Hook::SocketConnect, socket::may_use(&ctx))
}

#[lsm(hook = "socket_sendmsg")]
pub fn lsm_socket_sendmsg(ctx: LsmContext) -> i32 {
    answer(Hook::SocketSendmsg, socket::may_use(&ctx))
}

#[lsm(hook = "socket_setsockopt")]
pub fn lsm_socket_setsockopt(ctx: LsmContext) -> i32 {
    answer(Hook::SocketSetsockopt, socket::may_use(&ctx))
}

#[lsm(hook = "unix_stream_connect")]
pub fn lsm_unix_stream_connect(ctx: LsmContext) -> i32 {
    answer(Hook::UnixStreamConnect, unix::may_connect(&ctx))
}

#[lsm(hook = "unix_may_send")]
pub fn lsm_unix_may_send(ctx: LsmContext) -> i32 {
    answer(Hook::UnixMaySend, unix::may_send(&ctx))
}

#[lsm(hook = "file_receive")]
pub fn lsm_file_receive(ctx: LsmContext) -> i32 {
    answer(Hook::FileReceive, file::may_receive(&ctx))
}

#[lsm(hook = "file_open")]
pub fn lsm_file_open(ctx: LsmContext) -> i32 {
    answer(Hook::FileOpen, file::may_open(&ctx))
}

#[lsm(hook = "inode_permission")]
pub fn lsm_inode_permission(ctx: LsmContext) -> i32 {
    answer(Hook::InodePermission, file::may_access(&ctx))
}

#[lsm(hook = "sb_umount")]
pub fn lsm_sb_umount(ctx: LsmContext) -> i32 {
    answer(Hook::SbUmount, file::may_unmount(&ctx))
}

#[lsm(hook = "ptrace_access_check")]
pub fn lsm_ptrace_access_check(ctx: LsmContext) -> i32 {
    answer(Hook::PtraceAccessCheck, task::may_reach(&ctx))
}

#[lsm(hook = "task_kill")]
pub fn lsm_task_kill(ctx: LsmContext) -> i32 {
    answer(Hook::TaskKill, task::may_reach(&ctx))
}

#[lsm(hook = "bpf")]
pub fn lsm_bpf(_: LsmContext) -> i32 {
    answer(Hook::Bpf, member::current().is_none())
}

/// A key may be had from a program that the kernel starts outside (`request_key(2)`). The answer is that of a kernel
/// without keys, which programs that start others expect.
#[lsm(hook = "key_alloc")]
pub fn lsm_key_alloc(_: LsmContext) -> i32 {
    match member::current().is_none() || refuse_act(Hook::KeyAlloc) {
        true => 0,
        false => constant(&NO_KEYS),
    }
}

static DENIED: i32 = -1;
static NO_KEYS: i32 = -38;

#[inline(always)]
fn answer(hook: Hook, allowed: bool) -> i32 {
    match allowed || refuse_act(hook) {
        true => 0,
        false => constant(&DENIED),
    }
}

/// Reads an error where the compiler cannot compute it: the verifier wants to see a constant in the range of errors.
#[inline(always)]
fn constant(error: &'static i32) -> i32 {
    // SAFETY: a static of this program.
    unsafe { addr_of!(*error).read_volatile() }
}
