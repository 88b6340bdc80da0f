//! Other processes: a workload may watch, change and signal its own.

use aya_ebpf::programs::LsmContext;

use super::{kernel, member};

/// The first argument is the other `task_struct`.
#[inline(always)]
pub fn may_reach(ctx: &LsmContext) -> bool {
    match member::current() {
        Some(member) => member.owns(kernel::cgroup_of_task(ctx.arg(0))),
        None => true,
    }
}
