//! What a workload sees of the file system: the host's programs and libraries, its own files, and no meeting place.
//!
//! Taken from the host before the namespace is made ([`View::take`]), built inside of it ([`View::build`]): by then
//! what is needed is held by descriptors, and everything else may go out of sight.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::statfs::{TMPFS_MAGIC, statfs},
};

use super::{
    Identity, Opening,
    accounts::Accounts,
    bind::Bind,
    devices::Devices,
    error::{LaunchError, at, system},
    hidden,
    mount::{self, Detached, NO_DEVICES, NO_SETUID, READ_ONLY},
    trust::Trust,
};

/// The kernel's file systems that programs need: processes and devices, those of the jail's namespaces.
const KERNEL: &[(&str, &str, &str)] = &[("proc", "/proc", ""), ("sysfs", "/sys", "ro")];
/// Where a workload may write what its permissions let it, beside what it is given.
const WRITABLE: [&str; 5] = ["/dev", "/proc", "/run", "/tmp", "/var/tmp"];
/// Directories that are empty in each jail, with what they are mounted with.
const EMPTY: &[(&str, &str)] =
    &[("/run", "mode=0755,size=16m"), ("/tmp", "mode=1777,size=25%"), ("/var/tmp", "mode=1777,size=10%")];
/// Where the resolver's configuration is; often a symlink to `/run`.
const RESOLVER: &str = "/etc/resolv.conf";
/// What stands over a covered socket: a file that nobody may open.
const COVER: &str = "/run/.covered";

/// Everything that the view of one workload is made from.
#[derive(Debug)]
pub(super) struct View {
    devices: Devices,
    /// Mounts and where they go.
    binds: Vec<(PathBuf, Detached)>,
    /// Those of them that are for writing.
    written: Vec<PathBuf>,
    openings: Vec<(PathBuf, Detached)>,
    resolver: Option<(PathBuf, Detached)>,
    sockets: BTreeSet<PathBuf>,
    accounts: Option<Accounts>,
    trust: Option<Trust>,
}

impl View {
    /// Opens what the host gives, while it is in sight.
    pub(super) fn take(
        identity: &Identity,
        binds: &[Bind],
        openings: &[Opening],
        sockets: BTreeSet<PathBuf>,
        trust: Option<Trust>,
    ) -> Result<Self, LaunchError> {
        let mut maps = Vec::new();
        // A user of the host is at home; what was named goes before.
        let home = Bind::home(identity).filter(|home| !binds.iter().any(|bind| bind.target() == home.target()));
        let binds = || binds.iter().chain(&home);
        let written = binds().filter(|bind| !bind.is_read_only()).map(|bind| bind.target().to_owned()).collect();
        let open = |bind: &Bind| Ok((bind.target().to_owned(), bind.open(identity, &mut maps)?));
        let mut binds = binds().map(open).collect::<Result<Vec<_>, LaunchError>>()?;
        // Outer ones first, so that inner ones stand in them.
        binds.sort_by(|(one, _), (other, _)| one.cmp(other));
        let openings = openings.iter().map(opened).collect::<Result<_, _>>()?;
        let accounts = if identity.is_own() { Some(Accounts::read(identity)?) } else { None };
        Ok(Self {
            devices: Devices::take()?,
            binds,
            written,
            openings,
            resolver: resolver()?,
            sockets,
            accounts,
            trust,
        })
    }

    /// Where the workload may write.
    pub(super) fn writable(&self) -> Vec<PathBuf> {
        WRITABLE.iter().map(PathBuf::from).chain(self.written.iter().cloned()).collect()
    }

    /// The authority that the workload trusts beside the host's.
    pub(super) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// Enters namespaces of its own for mounts, System V objects and cgroups, and makes the view there.
    pub(super) fn build(&self, identity: &Identity) -> Result<(), LaunchError> {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP)
            .map_err(system("make a mount namespace"))?;
        mount::keep_apart().map_err(system("keep the mounts apart from the host's"))?;
        hidden::unmount()?;
        // A workload may write nowhere but where it is allowed to: elsewhere it leaves nothing behind.
        mount::restrict_all(NO_SETUID | NO_DEVICES | READ_ONLY).map_err(system("restrict the mounts"))?;
        for (kind, target, options) in KERNEL {
            mount::kernel_file_system(kind, Path::new(target), options).map_err(at("mount", *target))?;
        }
        self.devices.make()?;
        for (path, options) in EMPTY {
            mount::memory(Path::new(path), options).map_err(at("mount", *path))?;
        }
        self.furnish_run(identity)?;
        for (path, bind) in &self.binds {
            place(path, bind, identity).map_err(at("bind", path))?;
        }
        self.cover_sockets()?;
        for (path, opening) in &self.openings {
            match place_over(path, opening) {
                // What does not exist here cannot be dialled either, and is no reason to run nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    eprintln!("warning: {} is not on this host, so no way is opened there", path.display());
                }
                placed => placed.map_err(at("open the way to", path))?,
            }
        }
        // Last: a bind may have brought stores of its own.
        self.trust.as_ref().map_or(Ok(()), Trust::place)
    }

    fn furnish_run(&self, identity: &Identity) -> Result<(), LaunchError> {
        let make = |path: &str| fs::create_dir(path).map_err(at("make", path));
        make("/run/lock")?;
        mount::memory(Path::new("/run/lock"), "mode=1777,size=1m").map_err(at("mount", "/run/lock"))?;
        if identity.is_own() {
            let home = identity.home();
            let options = format!("mode=0700,size=25%,uid={},gid={}", identity.uid(), identity.gid());
            let made = fs::create_dir(home).and_then(|()| mount::memory(home, &options));
            made.map_err(at("make the home", home))?;
        }
        if let Some((path, resolver)) = &self.resolver {
            place_over(path, resolver).map_err(at("place", path))?;
        }
        if let Some(accounts) = &self.accounts {
            accounts.place()?;
        }
        Ok(())
    }

    fn cover_sockets(&self) -> Result<(), LaunchError> {
        let cover = Path::new(COVER);
        let made = fs::File::create(cover).and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o000)));
        made.map_err(at("make", cover))?;
        hidden::cover(&self.sockets, cover)?;
        fs::remove_file(cover).map_err(at("remove", cover))
    }
}

fn opened(opening: &Opening) -> Result<(PathBuf, Detached), LaunchError> {
    let mount = Detached::of(&opening.source).and_then(|mount| {
        // A socket is not written to by dialling it, so that it needs no more.
        mount.restrict(READ_ONLY | NO_SETUID | NO_DEVICES).map(|()| mount)
    });
    Ok((opening.path.clone(), mount.map_err(at("open the socket", &opening.source))?))
}

/// The file that `/etc/resolv.conf` leads to, where that is out of sight inside.
fn resolver() -> Result<Option<(PathBuf, Detached)>, LaunchError> {
    match fs::canonicalize(RESOLVER) {
        Ok(path) if path.starts_with("/run") => {
            let mount = Detached::of(&path).and_then(|mount| mount.restrict(READ_ONLY).map(|()| mount));
            mount.map(|mount| Some((path.clone(), mount))).map_err(at("open", path))
        }
        Ok(_) => Ok(None),
        // Without one, names go to the resolver on the loopback, resolv.conf(5).
        Err(_) => Ok(None),
    }
}

/// Puts a bind where it is on the host. What the workload may not pass on the way is replaced by an empty directory.
fn place(target: &Path, bind: &Detached, identity: &Identity) -> io::Result<()> {
    if identity.is_own() {
        let above: Vec<_> = target.ancestors().skip(1).collect();
        for directory in above.into_iter().rev() {
            let Ok(metadata) = fs::symlink_metadata(directory) else { break };
            if !may_pass(&metadata, identity) {
                mount::memory(directory, "mode=0755,size=1m")?;
            }
        }
    }
    stand(target, bind)?;
    bind.attach(target)
}

fn may_pass(metadata: &fs::Metadata, identity: &Identity) -> bool {
    let own = metadata.uid() == identity.uid().as_raw() && metadata.mode() & 0o100 != 0;
    own || metadata.mode() & 0o001 != 0
}

/// Mounts over what stands at a path or where a symlink in it leads.
fn place_over(target: &Path, mount: &Detached) -> io::Result<()> {
    stand(target, mount)?;
    mount.attach(&fs::canonicalize(target)?)
}

/// Makes something to mount over, where nothing stands: in the jail's own directories, never on the host's.
fn stand(target: &Path, mount: &Detached) -> io::Result<()> {
    if target.exists() {
        return Ok(());
    }
    let existing = target.ancestors().skip(1).find_map(|above| fs::canonicalize(above).ok()).unwrap_or_default();
    if statfs(&existing)?.filesystem_type() != TMPFS_MAGIC {
        return Err(io::ErrorKind::NotFound.into());
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    if mount.is_directory()? { fs::create_dir(target) } else { fs::File::create(target).map(drop) }
}
