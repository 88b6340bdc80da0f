//! The maps, each pinned by the daemon so that it outlives it.

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, SkStorage},
    macros::btf_map,
};
use portcullis_common::{
    ATTEMPTS_BYTES, Attempt, BURSTS_MAX, Burst, DATAGRAMS_MAX, FLOWS_MAX, Flow, NAMESPACES_MAX, Origin, Refusal,
    SPENDERS_MAX, Settings, Tally, UNIX_ALLOWED_MAX, UnixName,
};

#[btf_map]
pub static SETTINGS: Array<Settings, 1> = Array::new();

/// Network namespaces whose sockets may be captured, by cookie; the value is a [`portcullis_common::Loopback`].
#[btf_map]
pub static NAMESPACES: HashMap<u64, u8, NAMESPACES_MAX> = HashMap::new();

/// The Unix sockets that processes without a jail may dial.
#[btf_map]
pub static UNIX_ALLOWED: HashMap<UnixName, u8, UNIX_ALLOWED_MAX> = HashMap::new();

/// Of a workload's socket: where it wanted to go. Of an accepted socket: the same, of its peer.
#[btf_map]
pub static ORIGINS: SkStorage<Origin> = SkStorage::new();

/// Sockets whose network namespace is a jail's.
#[btf_map]
pub static JAILED: SkStorage<u32> = SkStorage::new();

/// Connections under way. Least recently used, because a plain hash filled by refused connects refuses for ever.
#[btf_map]
pub static FLOWS: LruHashMap<Flow, Origin, FLOWS_MAX> = LruHashMap::new();

/// DNS messages on their way to the daemon.
#[btf_map]
pub static DATAGRAMS: LruHashMap<Flow, Origin, DATAGRAMS_MAX> = LruHashMap::new();

/// How often each [`Refusal`] happened.
#[btf_map]
pub static REFUSALS: PerCpuArray<u64, { Refusal::ALL.len() }> = PerCpuArray::new();

/// Refused attempts, for the daemon to read.
#[btf_map]
pub static ATTEMPTS: RingBuf<Attempt, ATTEMPTS_BYTES> = RingBuf::new();

/// Of each burst of refused attempts: when it began, and how many of it were not told.
#[btf_map]
pub static BURSTS: LruHashMap<Burst, Tally, BURSTS_MAX> = LruHashMap::new();

/// Of each cgroup: how many attempts were told in this second.
#[btf_map]
pub static SPENT: LruHashMap<u64, Tally, SPENDERS_MAX> = LruHashMap::new();

/// How many attempts could not be told.
#[btf_map]
pub static LOST: PerCpuArray<u64, 1> = PerCpuArray::new();

/// The daemon's settings. Nothing listens on port 0: a missing entry refuses.
#[inline(always)]
pub fn settings() -> Settings {
    match SETTINGS.get(0) {
        Some(settings) => *settings,
        None => Settings { port: 0, ipv6: 0, reserved: 0 },
    }
}
