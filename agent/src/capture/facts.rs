//! What this kernel and this process allow: the facts that `portcullis doctor` shows.

use std::path::Path;

use caps::{CapSet, Capability};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use serde::Serialize;

use super::{
    BPFFS, Layer,
    cgroup::Hierarchy,
    kernel,
    layer::Scope,
    lsm,
    programs::{Programs, chain},
};

/// One thing that capture needs or gains by.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Fact {
    pub name: String,
    pub present: bool,
    /// Whether capture works without it.
    pub required: bool,
    /// What was found, or why it is missing.
    pub detail: String,
    /// What it is for.
    pub meaning: &'static str,
}

/// Reads everything; loads each program once, attached to nothing.
pub fn facts() -> Vec<Fact> {
    let mut facts = vec![kernel(), cgroup2(), bpffs(), btf()];
    facts.extend(CAPABILITIES.iter().map(|(capability, meaning)| held(*capability, meaning)));
    facts.extend(layers());
    facts
}

fn kernel() -> Fact {
    Fact {
        name: "kernel".into(),
        present: kernel::release() >= kernel::RELEASE_MIN,
        required: true,
        detail: kernel::name(),
        meaning: "Linux 5.15 or newer has every helper that the programs call",
    }
}

fn cgroup2() -> Fact {
    let found = Hierarchy::find();
    Fact {
        name: "cgroup v2".into(),
        present: found.is_ok(),
        required: true,
        detail: found.map_or_else(|error| error.to_string(), |hierarchy| hierarchy.mount().display().to_string()),
        meaning: "workloads are cgroups, and programs are attached to them",
    }
}

fn bpffs() -> Fact {
    let mounted = statfs(BPFFS).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC);
    Fact {
        name: "BPF file system".into(),
        present: mounted,
        required: false,
        detail: if mounted { BPFFS.into() } else { format!("not mounted at {BPFFS}: the daemon mounts it") },
        meaning: "pins keep the guard when the daemon dies",
    }
}

fn btf() -> Fact {
    const BTF: &str = "/sys/kernel/btf/vmlinux";
    let present = Path::new(BTF).exists();
    Fact {
        name: "BTF".into(),
        present,
        required: false,
        detail: if present { BTF.into() } else { format!("no {BTF}") },
        meaning: "types of the kernel, for inspection by bpftool; capture itself needs none",
    }
}

/// What only a jail holds where there are no security hooks.
const LOST_WITHOUT_LSM: &str = "a process that no jail holds uses sockets that it is handed, reaches into other processes \
                                of its user, and as root leaves its cgroup";

/// The programs that no cgroup has, but the whole machine.
fn hooks(programs: &mut Programs) -> Fact {
    let refused = lsm::check(programs.maps()).err();
    Fact {
        name: "layer lsm".into(),
        present: refused.is_none(),
        required: false,
        detail: refused.map_or_else(
            || "every program loads".into(),
            |error| format!("without it, {LOST_WITHOUT_LSM}; boot with `bpf` in `lsm=`: {}", chain(&error)),
        ),
        meaning: "BPF LSM keeps processes that no jail holds, root among them, from sockets and files made outside, from \
                  other processes, and from the guard itself",
    }
}

/// Those that `portcullis run` needs, and the daemon does not.
const OF_RUN: &[Capability] = &[Capability::CAP_SETUID, Capability::CAP_SETPCAP];

const CAPABILITIES: &[(Capability, &str)] = &[
    (Capability::CAP_BPF, "loads programs and maps"),
    (Capability::CAP_NET_ADMIN, "attaches programs to cgroups"),
    (Capability::CAP_PERFMON, "lets programs read the kernel's clock and sockets"),
    (Capability::CAP_SYS_ADMIN, "mounts the BPF file system, enters network namespaces"),
    (Capability::CAP_DAC_READ_SEARCH, "finds a cgroup by its id"),
    (Capability::CAP_SETUID, "`portcullis run` becomes another user"),
    (Capability::CAP_SETPCAP, "`portcullis run` empties the bounding set"),
];

/// The first capability that the daemon needs and this process lacks, and what it is for (capabilities(7)).
pub(super) fn missing_capability() -> Option<(Capability, &'static str)> {
    let holds = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    let implied = |capability| matches!(capability, Capability::CAP_BPF | Capability::CAP_PERFMON);
    let needed = CAPABILITIES.iter().filter(|(capability, _)| !OF_RUN.contains(capability));
    let has = |capability| holds(capability) || (implied(capability) && holds(Capability::CAP_SYS_ADMIN));
    needed.copied().find(|(capability, _)| !has(*capability))
}

fn held(capability: Capability, meaning: &'static str) -> Fact {
    let present = caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    let detail = if present { "held" } else { "not held by this process" };
    Fact { name: capability.to_string(), present, required: true, detail: detail.into(), meaning }
}

/// Whether each layer is there. Those of processes without a jail are needed where there are such processes.
fn layers() -> Vec<Fact> {
    let mut programs = match Programs::load(None) {
        Ok(programs) => programs,
        Err(error) => {
            return vec![Fact {
                name: "programs".into(),
                present: false,
                required: true,
                detail: chain(&error),
                meaning: "the kernel takes the maps that every program needs",
            }];
        }
    };
    let hooks = hooks(&mut programs);
    let fact = |layer: Layer| {
        let missing = programs.missing(layer);
        Fact {
            name: format!("layer {layer}"),
            present: missing.is_none(),
            required: !layer.programs(Scope::Runs).is_empty(),
            detail: match missing {
                None => layer.all_programs().map(|(program, _)| program).collect::<Vec<_>>().join(", "),
                Some(error) => format!("without it, {}; {}: {}", layer.lost(), layer.remedy(), chain(error)),
            },
            meaning: layer.meaning(),
        }
    };
    Layer::ALL.into_iter().map(fact).chain([hooks]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_can_capture() {
        let missing: Vec<_> = facts().into_iter().filter(|fact| fact.required && !fact.present).collect();
        assert_eq!(missing, []);
    }
}
