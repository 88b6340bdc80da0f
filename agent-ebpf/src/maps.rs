//! The maps, each pinned by the daemon so that it outlives it.

use aya_ebpf::{
    EbpfContext,
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, SkStorage},
    macros::btf_map,
};
use aya_log_ebpf::debug;
use portcullis_common::{Address, DATAGRAMS_MAX, FLOWS_MAX, Flow, NAMESPACES_MAX, Origin, Refusal, Settings};

#[btf_map]
pub static SETTINGS: Array<Settings, 1> = Array::new();

/// Network namespaces whose sockets may be captured, by cookie.
#[btf_map]
pub static NAMESPACES: HashMap<u64, u8, NAMESPACES_MAX> = HashMap::new();

/// Of a workload's socket: where it wanted to go. Of an accepted socket: the same, of its peer.
#[btf_map]
pub static ORIGINS: SkStorage<Origin> = SkStorage::new();

/// Connections under way. Least recently used, because a plain hash filled by refused connects refuses for ever.
#[btf_map]
pub static FLOWS: LruHashMap<Flow, Origin, FLOWS_MAX> = LruHashMap::new();

/// DNS messages on their way to the daemon.
#[btf_map]
pub static DATAGRAMS: LruHashMap<Flow, Origin, DATAGRAMS_MAX> = LruHashMap::new();

/// How often each [`Refusal`] happened.
#[btf_map]
pub static REFUSALS: PerCpuArray<u64, { Refusal::ALL.len() }> = PerCpuArray::new();

/// The daemon's settings. Nothing listens on port 0: a missing entry refuses.
#[inline(always)]
pub fn settings() -> Settings {
    match SETTINGS.get(0) {
        Some(settings) => *settings,
        None => Settings { port: 0, ipv6: 0, reserved: 0 },
    }
}

/// Counts and logs a refusal, and is the answer that refuses. The daemon puts the reason's name for its number.
#[inline(always)]
pub fn refuse(ctx: &impl EbpfContext, refusal: Refusal, address: Address, port: u16) -> bool {
    if let Some(count) = REFUSALS.get_ptr_mut(refusal as u32) {
        // SAFETY: an element of this CPU's own array, and a program is not preempted by itself.
        unsafe { *count += 1 };
    }
    debug!(ctx, "{} [{:i}]:{}", refusal as u32, address, port);
    false
}
