//! The kernel side: what is attached to the cgroups of workloads, and to the daemon's own.
//!
//! Entry points only; each module holds the rule of one noun. `egress` is the floor: whatever the others miss, it
//! drops. A program answers 1 to let pass and 0 to refuse with `EPERM`.

#![no_std]
#![no_main]

mod attempt;
mod connect;
mod context;
mod egress;
mod flow;
mod ingress;
mod jail;
mod listener;
mod lsm;
mod maps;
mod packet;
mod peer;
mod process;
mod socket;
mod storage;
mod unix;

use aya_ebpf::{
    macros::{cgroup_skb, cgroup_sock, cgroup_sock_addr, cgroup_sockopt, sock_ops},
    programs::{SkBuffContext, SockAddrContext, SockContext, SockOpsContext, SockoptContext},
};

#[cgroup_skb(egress)]
pub fn egress(ctx: SkBuffContext) -> i32 {
    egress::judge(&ctx) as i32
}

#[cgroup_skb(ingress)]
pub fn ingress(ctx: SkBuffContext) -> i32 {
    ingress::judge(&ctx) as i32
}

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    connect::redirect4(&ctx) as i32
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    connect::redirect6(&ctx) as i32
}

#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    peer::restore4(&ctx);
    1
}

#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    peer::restore6(&ctx);
    1
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    connect::redirect4(&ctx) as i32
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    connect::redirect6(&ctx) as i32
}

#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    peer::restore4(&ctx);
    1
}

#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    peer::restore6(&ctx);
    1
}

/// Attached as `BPF_CGROUP_UNIX_CONNECT`, which the section of a program cannot name.
#[cgroup_sock_addr(connect4)]
pub fn unix_connect(ctx: SockAddrContext) -> i32 {
    unix::judge(&ctx) as i32
}

/// Attached as `BPF_CGROUP_UNIX_SENDMSG`.
#[cgroup_sock_addr(sendmsg4)]
pub fn unix_sendmsg(ctx: SockAddrContext) -> i32 {
    unix::judge(&ctx) as i32
}

#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    socket::judge_create(&ctx) as i32
}

#[cgroup_sock_addr(bind4)]
pub fn bind4(ctx: SockAddrContext) -> i32 {
    socket::judge_bind(&ctx) as i32
}

#[cgroup_sock_addr(bind6)]
pub fn bind6(ctx: SockAddrContext) -> i32 {
    socket::judge_bind(&ctx) as i32
}

#[cgroup_sockopt(setsockopt)]
pub fn setsockopt(ctx: SockoptContext) -> i32 {
    socket::judge_option(&ctx) as i32
}

/// On workloads: notes each connection under way.
#[sock_ops]
pub fn flow_out(ctx: SockOpsContext) -> u32 {
    flow::departs(&ctx);
    1
}

/// On the daemon: gives each accepted socket its origin.
#[sock_ops]
pub fn flow_in(ctx: SockOpsContext) -> u32 {
    flow::arrives(&ctx);
    1
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that nothing gets here.
    loop {}
}

/// Socket storage and some helpers are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
