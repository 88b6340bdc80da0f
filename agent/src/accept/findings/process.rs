//! The privileges of a process, as `/proc/PID/status` tells them (`proc_pid_status(5)`).

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use caps::Capability;

/// A process that was there when it was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) parent: u32,
    /// Real, effective, saved, and that of the file system.
    pub(super) uids: Vec<u32>,
    /// The same of groups, and the supplementary ones.
    pub(super) gids: Vec<u32>,
    /// What it may use, by itself or by the programs that it starts.
    pub(super) capabilities: u64,
    pub(super) no_new_privileges: bool,
    /// Whether a filter of system calls holds it, or strict mode.
    pub(super) is_filtered: bool,
    /// Whether its capabilities count in a user namespace other than this process's only.
    pub(super) in_other_users: bool,
}

/// What lets a process neither leave its cgroup nor send past it. Every other capability, also one that is unknown
/// here, may.
const HARMLESS: [Capability; 8] = [
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_IPC_LOCK,
    Capability::CAP_SYS_NICE,
    Capability::CAP_SYS_TTY_CONFIG,
    Capability::CAP_LEASE,
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_WAKE_ALARM,
    Capability::CAP_BLOCK_SUSPEND,
];

impl Process {
    /// What its threads may do, all together: each has privileges of its own. `None`: it has ended.
    pub(super) fn read(pid: u32) -> io::Result<Option<Self>> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let threads = match fs::read_dir(folder.join("task")) {
            Ok(threads) => threads,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut process: Option<Self> = None;
        for thread in threads {
            let Some(thread) = thread.and_then(|thread| read_thread(pid, &thread.path())).or_else(ended)? else {
                continue;
            };
            process = Some(match process {
                Some(process) => process.and(thread),
                None => thread,
            });
        }
        Ok(process)
    }

    /// What its first thread may do, which says whose it is.
    pub(super) fn read_first(pid: u32) -> io::Result<Option<Self>> {
        read_thread(pid, Path::new(&format!("/proc/{pid}"))).or_else(ended)
    }

    /// What either may do.
    fn and(mut self, other: Self) -> Self {
        self.uids.extend(other.uids);
        self.gids.extend(other.gids);
        // What counts in another user namespace only is not mixed with what counts here.
        if !other.in_other_users {
            self.capabilities = other.capabilities | if self.in_other_users { 0 } else { self.capabilities };
            self.in_other_users = false;
        }
        self.no_new_privileges &= other.no_new_privileges;
        self.is_filtered &= other.is_filtered;
        self
    }

    fn parse(pid: u32, status: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = status.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let numbers = |name: &str| -> Option<Vec<u32>> {
            field(name)?.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
        };
        let set = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
        let (uids, mut gids) = (numbers("Uid")?, numbers("Gid")?);
        gids.extend(numbers("Groups")?);
        (uids.len() == 4).then_some(Self {
            pid,
            // A process names itself: nothing of it may steer a terminal.
            name: field("Name")?.escape_debug().to_string(),
            parent: field("PPid")?.parse().ok()?,
            uids,
            gids,
            capabilities: set("CapPrm")? | set("CapEff")? | set("CapAmb")? | set("CapInh")?,
            no_new_privileges: field("NoNewPrivs")? == "1",
            // Without support for filters the line is missing.
            is_filtered: field("Seccomp").is_some_and(|mode| mode != "0"),
            in_other_users: false,
        })
    }

    pub(super) fn is_root(&self) -> bool {
        self.uids.contains(&0)
    }

    /// The names of the capabilities by which it could get around, without `CAP_`.
    pub(super) fn harmful_capabilities(&self) -> Vec<String> {
        if self.in_other_users {
            return Vec::new();
        }
        let harmless = HARMLESS.iter().fold(0, |set, capability| set | capability.bitmask());
        let harmful = self.capabilities & !harmless;
        let known = caps::all();
        let named = |bit: u32| {
            let name = known.iter().find(|capability| u32::from(capability.index()) == bit);
            name.map_or_else(|| bit.to_string(), |name| name.to_string().trim_start_matches("CAP_").to_owned())
        };
        (0..u64::BITS).filter(|bit| harmful >> bit & 1 == 1).map(named).collect()
    }

    /// Whether permission bits let it write to a file.
    pub(super) fn may_write(&self, file: &fs::Metadata) -> bool {
        let granted = |bit: u32| file.mode() & bit != 0;
        if self.is_root() || self.uids.contains(&file.uid()) && granted(0o200) {
            return true;
        }
        if self.gids.contains(&file.gid()) { granted(0o020) } else { granted(0o002) }
    }
}

fn read_thread(pid: u32, folder: &Path) -> io::Result<Option<Process>> {
    let status = fs::read_to_string(folder.join("status"))?;
    let Some(mut thread) = Process::parse(pid, &status) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is missing in its status"));
    };
    // Of one that has ended in the meantime, what was read above stands.
    thread.in_other_users = match (users(folder), users(Path::new("/proc/self"))) {
        (Ok(of_thread), Ok(own)) => of_thread != own,
        (Err(_), _) | (_, Err(_)) => false,
    };
    Ok(Some(thread))
}

fn ended(error: io::Error) -> io::Result<Option<Process>> {
    if is_gone(&error) { Ok(None) } else { Err(error) }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

/// What tells the user namespace of a process from others.
fn users(folder: &Path) -> io::Result<(u64, u64)> {
    let namespace = fs::metadata(folder.join("ns/user"))?;
    Ok((namespace.dev(), namespace.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tci agent\nUmask:\t0022\nPPid:\t12\nUid:\t1000\t1000\t1000\t1000\n\
                          Gid:\t100\t100\t100\t100\nGroups:\t100 999 \nCapInh:\t0000000000000000\n\
                          CapPrm:\t0000000000000400\nCapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\n\
                          CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    fn parse(status: &str) -> Process {
        Process::parse(7, status).unwrap()
    }

    #[test]
    fn a_status_is_read() {
        let process = parse(STATUS);
        assert_eq!((&*process.name, process.parent), ("ci agent", 12));
        assert_eq!((process.uids, process.gids), (vec![1000; 4], vec![100, 100, 100, 100, 100, 999]));
        assert!(process.no_new_privileges && process.is_filtered);
    }

    #[test]
    fn a_line_that_is_missing_makes_nothing_known() {
        for line in STATUS.lines().filter(|line| !["Umask", "CapBnd", "Seccomp"].iter().any(|at| line.starts_with(at)))
        {
            assert_eq!(Process::parse(7, &STATUS.replace(&format!("{line}\n"), "")), None, "{line}");
        }
        assert!(!parse(&STATUS.replace("Seccomp:\t2\n", "")).is_filtered, "no filter is known of");
    }

    #[test]
    fn every_capability_but_the_harmless_is_named_also_an_unknown_one() {
        let with = |set: &str| parse(&STATUS.replace("CapPrm:\t0000000000000400", &format!("CapPrm:\t{set}")));
        assert_eq!(parse(STATUS).harmful_capabilities(), Vec::<String>::new(), "NET_BIND_SERVICE");
        assert_eq!(with("0000000000003002").harmful_capabilities(), ["DAC_OVERRIDE", "NET_ADMIN", "NET_RAW"]);
        assert_eq!(with("8000000000000000").harmful_capabilities(), ["63"]);
        let elsewhere = Process { in_other_users: true, ..with("0000000000003002") };
        assert!(elsewhere.harmful_capabilities().is_empty(), "of another user namespace");
    }

    #[test]
    fn any_of_four_uids_makes_root() {
        assert!(!parse(STATUS).is_root());
        assert!(parse(&STATUS.replace("Uid:\t1000\t1000\t1000\t1000", "Uid:\t1000\t1000\t0\t1000")).is_root());
    }

    #[test]
    fn what_one_thread_may_do_the_process_may_do() {
        let sealed = parse(STATUS);
        let open = parse(&STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0").replace("Uid:\t1000", "Uid:\t0"));
        for both in [sealed.clone().and(open.clone()), open.and(sealed)] {
            assert!(both.is_root() && !both.no_new_privileges && both.is_filtered);
        }
        let with = |set: &str| parse(&STATUS.replace("CapPrm:\t0000000000000400", &format!("CapPrm:\t{set}")));
        let elsewhere = Process { in_other_users: true, ..with("0000000000001000") };
        for both in [elsewhere.clone().and(with("0000000000002000")), with("0000000000002000").and(elsewhere)] {
            assert_eq!(both.harmful_capabilities(), ["NET_RAW"]);
        }
    }

    #[test]
    fn who_has_ended_is_nobody() {
        assert_eq!(Process::read(u32::MAX).unwrap(), None);
    }
}
