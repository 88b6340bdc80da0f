//! What this kernel has for a jail: the facts that `portcullis doctor` shows.

use std::path::Path;

use super::domain;
use crate::capture::Fact;

/// The namespaces of a jail, namespaces(7).
const NAMESPACES: &[(&str, &str)] = &[
    ("net", "a workload's packets reach nothing but the daemon"),
    ("mnt", "sockets, devices and the kernel's file systems are out of a workload's sight"),
    ("pid", "a workload neither sees nor signals other processes"),
    ("ipc", "a workload shares no memory with other processes"),
    ("cgroup", "a workload does not see where its cgroup is"),
    ("user", "files that are bound into a jail belong to the workload there, and to their owner outside"),
];

/// Landlock's version that has scopes for signals and abstract Unix sockets: Linux 6.12.
const SCOPES_ABI: u32 = 6;

/// Reads everything, changes nothing.
pub fn facts() -> Vec<Fact> {
    let mut facts: Vec<_> = NAMESPACES.iter().map(|(name, meaning)| namespace(name, meaning)).collect();
    facts.extend([filter(), landlock(), writing()]);
    facts
}

fn namespace(name: &str, meaning: &'static str) -> Fact {
    let path = format!("/proc/self/ns/{name}");
    let present = Path::new(&path).exists();
    let detail = if present { path } else { format!("no {path}: the kernel was built without") };
    Fact { name: format!("{name} namespace"), present, required: name != "user", detail, meaning }
}

fn filter() -> Fact {
    const ACTIONS: &str = "/proc/sys/kernel/seccomp/actions_avail";
    let actions = std::fs::read_to_string(ACTIONS).unwrap_or_default().trim().to_owned();
    let present = ["errno", "kill_process"].iter().all(|action| actions.split(' ').any(|had| had == *action));
    Fact {
        name: "seccomp".into(),
        present,
        required: true,
        detail: if actions.is_empty() { format!("no {ACTIONS}") } else { actions },
        meaning: "a workload makes no sockets of other kinds, no namespaces, mounts and rings",
    }
}

fn landlock() -> Fact {
    let abi = domain::abi();
    let detail = match abi {
        0 => "not in this kernel, or not in `lsm=` on its command line".to_owned(),
        1..SCOPES_ABI => format!("version {abi}: traces only; signals and abstract sockets are left to the namespaces"),
        _ => format!("version {abi}"),
    };
    Fact {
        name: "Landlock".into(),
        present: abi > 0,
        required: false,
        detail,
        meaning: "a second wall around a workload's tracing, signals and abstract sockets",
    }
}

fn writing() -> Fact {
    let present = domain::holds_writing();
    Fact {
        name: "Landlock for writing".into(),
        present,
        required: false,
        detail: if present { "version 2 or newer" } else { "needs version 2 of Landlock (Linux 5.19)" }.to_owned(),
        meaning: "a workload writes into no named pipe that somebody outside has left for everybody",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_a_jail() {
        let missing: Vec<_> = facts().into_iter().filter(|fact| fact.required && !fact.present).collect();
        assert_eq!(missing, []);
    }
}
