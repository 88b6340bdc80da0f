//! Packets that arrive: the daemon's answers, and in a jail what its own processes send. Nobody connects or sends into a
//! workload.

use aya_ebpf::programs::SkBuffContext;
use portcullis_common::Refusal;

use crate::{attempt::refuse_packet, jail, packet};

#[inline(always)]
pub fn judge(ctx: &SkBuffContext) -> bool {
    let Some(packet) = packet::parse(ctx) else {
        return jail::holds(ctx) || refuse_packet(ctx, Refusal::Inbound, 0, [0; 16], packet::ethertype(ctx));
    };
    let is_answer = packet::on_loopback(ctx) && packet::is_daemon(&packet.source, packet.source_port, packet.protocol);
    is_answer
        || jail::holds(ctx)
        || refuse_packet(ctx, Refusal::Inbound, packet.protocol, packet.destination, packet.destination_port)
}
