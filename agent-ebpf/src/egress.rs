//! Packets that leave: the floor under everything else. Only what leads to the daemon, or stays in its jail, leaves a
//! workload's socket.

use aya_ebpf::{bindings::BPF_ANY, programs::SkBuffContext};
use portcullis_common::{Flow, Refusal};

use crate::{
    attempt::refuse_packet,
    context::UDP,
    jail,
    listener::{self, Listener},
    maps::DATAGRAMS,
    packet::{self, Packet},
    storage,
};

#[inline(always)]
pub fn judge(ctx: &SkBuffContext) -> bool {
    let jailed = jail::holds(ctx);
    let Some(packet) = packet::parse(ctx) else {
        return jailed || refuse_packet(ctx, Refusal::Packet, 0, [0; 16], packet::ethertype(ctx));
    };
    let leads_to_daemon =
        packet::on_loopback(ctx) && packet::is_daemon(&packet.destination, packet.destination_port, packet.protocol);
    let allowed = if leads_to_daemon { packet.protocol != UDP || is_heard(ctx, &packet) } else { jailed };
    allowed || refuse_packet(ctx, Refusal::Packet, packet.protocol, packet.destination, packet.destination_port)
}

/// Whether the daemon, and nobody else, would get a datagram: a socket's connect may be older than the daemon's end.
#[inline(always)]
fn is_heard(ctx: &SkBuffContext, packet: &Packet) -> bool {
    let found = listener::at(ctx.skb.skb.cast(), &packet.destination, packet.destination_port, UDP);
    found != Listener::Other && note(ctx, packet)
}

/// Tells the daemon whose datagram this is, and where it wanted to go: there is no connection that could carry it.
#[inline(always)]
fn note(ctx: &SkBuffContext, packet: &Packet) -> bool {
    let socket = packet::socket(ctx);
    if socket.is_null() {
        return false;
    }
    let Some(origin) = storage::origin(socket) else { return false };
    let flow = Flow {
        address: packet.source,
        // The helper is not for packets before Linux 6.15, and a socket never changes its namespace.
        netns_cookie: origin.netns_cookie,
        port: u32::from(packet.source_port),
        query: u32::from(packet.query),
    };
    DATAGRAMS.insert(flow, origin, u64::from(BPF_ANY)).is_ok()
}
