//! What would close a way out that is open in a captured cgroup.

/// In words, and the layers of the daemon each of which is enough: where one is in force, the way must be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Needs {
    pub what: &'static str,
    pub layers: &'static [&'static str],
}

const LSM: &[&str] = &["lsm"];
/// A layer of the table's own: security hooks on a kernel whose `splice` sends as `sendmsg` does.
pub const LSM_SEES_SPLICES: &str = "lsm that sees splices";

pub const LAUNCHER: Needs = Needs { what: "the launcher, which closes what is inherited, or BPF LSM", layers: LSM };
/// Below Linux 6.5 `splice` and `sendfile` ask no security module.
pub const LAUNCHER_OR_SPLICES: Needs = Needs {
    what: "the launcher, which closes what is inherited, or BPF LSM of Linux 6.5",
    layers: &[LSM_SEES_SPLICES],
};
pub const DOORS: Needs = Needs { what: "the jail, the Unix hooks of Linux 6.7, or BPF LSM", layers: &["unix", "lsm"] };
pub const OWN_USER: Needs = Needs { what: "a user and a PID namespace of its own, or BPF LSM", layers: LSM };
pub const ENROL: Needs = Needs { what: "`portcullis enrol`, which destroys what it finds", layers: LSM };
pub const FAMILIES: Needs = Needs { what: "the jail's list of families, or BPF LSM", layers: LSM };
pub const FRAMES: Needs = Needs { what: "no capabilities, or BPF LSM", layers: LSM };
pub const PRIVILEGE: Needs = Needs { what: "no capabilities", layers: &[] };
pub const CGROUPS: Needs = Needs { what: "a user other than root, or BPF LSM", layers: LSM };
pub const NOT_ROOT: Needs = Needs { what: "a user other than root", layers: &[] };
pub const FILTER: Needs = Needs { what: "the jail's system call filter", layers: &[] };
pub const KEYS: Needs = Needs { what: "the jail's system call filter, or BPF LSM", layers: LSM };
pub const NO_NEW_PRIVILEGES: Needs = Needs { what: "no_new_privs, which the launcher sets, or BPF LSM", layers: LSM };
pub const IPC: Needs = Needs { what: "the jail's IPC namespace", layers: &[] };
pub const D_BUS: Needs = Needs { what: "the jail, which hides D-Bus", layers: &["unix", "lsm"] };
pub const VIEW: Needs = Needs { what: "the jail, which hides what others serve", layers: &[] };
pub const PIPES: Needs = Needs {
    what: "Landlock of Linux 5.19, in which the jail lets nothing outside be written",
    layers: &["Landlock for writing"],
};
pub const PERMISSIONS: Needs =
    Needs { what: "file permissions: a pipe that everybody may write to is a file like any other", layers: &[] };
