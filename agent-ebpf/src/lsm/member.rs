//! Who is governed, and what belongs to the same workload.

use aya_ebpf::{btf_maps::HashMap, helpers::generated::bpf_get_current_ancestor_cgroup_id, macros::btf_map};
use portcullis_common::{GOVERNED_LEVEL_MAX, GOVERNED_MAX, Governed};

use super::kernel::{self, Place};

/// Governed cgroups by id; the value is a [`Governed`].
#[btf_map]
static GOVERNED: HashMap<u64, u32, GOVERNED_MAX> = HashMap::new();

/// At which levels of the hierarchy there are governed cgroups: a bit each, under key 0.
#[btf_map]
static LEVELS: HashMap<u32, u32, 1> = HashMap::new();

/// The workload of the running process.
#[derive(Clone, Copy)]
pub struct Member {
    /// The id of its cgroup, and its level.
    workload: u64,
    level: u32,
    existing: bool,
}

/// The workload of the running process, if it is governed.
#[inline(always)]
pub fn current() -> Option<Member> {
    let levels = levels();
    if levels == 0 {
        return None;
    }
    let mut level = 1;
    while level <= GOVERNED_LEVEL_MAX {
        if levels & (1 << level) != 0
            && let Some(governed) = governed(ancestor(level))
        {
            return Some(member(level, governed));
        }
        level += 1;
    }
    None
}

#[inline(always)]
fn member(level: u32, governed: u32) -> Member {
    if governed == Governed::Existing as u32 {
        return Member { workload: ancestor(level), level, existing: true };
    }
    match ancestor(level + 1) {
        // Between its admission to the parent and to its own: nobody else's.
        0 => Member { workload: ancestor(level), level, existing: false },
        workload => Member { workload, level: level + 1, existing: false },
    }
}

impl Member {
    /// Whether somebody else started it, so that no jail hides anything from it.
    #[inline(always)]
    pub fn is_existing(&self) -> bool {
        self.existing
    }

    /// Whether a cgroup is the workload's own. What cannot be read is not.
    #[inline(always)]
    pub fn owns(&self, cgroup: Option<Place>) -> bool {
        match cgroup {
            Some(cgroup) => kernel::ancestor(cgroup, self.level) == Some(self.workload),
            None => false,
        }
    }
}

#[inline(always)]
fn levels() -> u32 {
    match LEVELS.get_ptr(0) {
        // SAFETY: a value of a preallocated map.
        Some(levels) => unsafe { *levels },
        None => 0,
    }
}

#[inline(always)]
fn governed(cgroup_id: u64) -> Option<u32> {
    // SAFETY: a value of a preallocated map.
    GOVERNED.get_ptr(cgroup_id).map(|governed| unsafe { *governed })
}

/// Zero below the process's own level.
#[inline(always)]
fn ancestor(level: u32) -> u64 {
    // SAFETY: takes a number.
    unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) }
}
