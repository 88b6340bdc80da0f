//! Programs on security hooks: one set for the whole machine, which minds only processes of governed cgroups.
//!
//! They need `bpf` among the kernel's security modules, and a kernel that runs programs on its functions. Where that is
//! not so, capture does without: what they alone close is then open to processes that no jail holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{
    Btf, Ebpf,
    maps::{HashMap, MapData, MapError},
    pin::PinError,
    programs::{Lsm as Program, links::FdLink},
};
use parking_lot::Mutex;
use portcullis_common::{GOVERNED_LEVEL_MAX, Governed};
use thiserror::Error;

use super::{CaptureError, bpf::Link, btf::BtfError, fields, pins::Pins};

/// Each program, by its name in the object, and its hook.
const HOOKS: [(&str, &str); 14] = [
    ("lsm_socket_create", "socket_create"),
    ("lsm_socket_connect", "socket_connect"),
    ("lsm_socket_sendmsg", "socket_sendmsg"),
    ("lsm_socket_setsockopt", "socket_setsockopt"),
    ("lsm_unix_stream_connect", "unix_stream_connect"),
    ("lsm_unix_may_send", "unix_may_send"),
    ("lsm_file_receive", "file_receive"),
    ("lsm_file_open", "file_open"),
    ("lsm_inode_permission", "inode_permission"),
    ("lsm_sb_umount", "sb_umount"),
    ("lsm_ptrace_access_check", "ptrace_access_check"),
    ("lsm_task_kill", "task_kill"),
    ("lsm_bpf", "bpf"),
    ("lsm_key_alloc", "key_alloc"),
];

/// Where the links are pinned, beside those of cgroups.
const LINKS: &str = "lsm";

/// The initial cgroup namespace, in which paths begin at the hierarchy's root: `PROC_CGROUP_INIT_INO`.
const INITIAL_CGROUP_NAMESPACE: &str = "cgroup:[4026531835]";

/// Why there are no programs on security hooks.
#[derive(Debug, Error)]
pub enum LsmError {
    #[error("`bpf` is not among the kernel's security modules: {0}")]
    Inactive(String),
    #[error("the kernel publishes no types that tell where its fields are")]
    Types(#[source] &'static BtfError),
    #[error("the object has no program `{0}`")]
    MissingProgram(&'static str),
    #[error("the kernel refused `{program}`")]
    Load { program: &'static str, source: Box<aya::programs::ProgramError> },
    #[error("failed to keep the link of `{program}`")]
    Keep { program: &'static str, source: std::io::Error },
    #[error("failed to pin the link of `{program}`")]
    Pin { program: &'static str, source: PinError },
    #[error(transparent)]
    Place(#[from] Box<CaptureError>),
    #[error("failed to use the map `{map}`")]
    Map { map: &'static str, source: MapError },
    #[error("the cgroup {} is {level} levels deep; {GOVERNED_LEVEL_MAX} is the most", .cgroup.display())]
    TooDeep { cgroup: PathBuf, level: usize },
}

/// A cgroup that is governed: its id, and its path below the mount.
pub(super) struct Domain {
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) governed: Governed,
}

/// The attached programs.
pub(super) struct Lsm {
    governed: Mutex<HashMap<MapData, u64, u32>>,
    levels: Mutex<HashMap<MapData, u32, u32>>,
    /// Held open, so that they stay when their pins are removed under a running daemon.
    links: Vec<(&'static str, Link)>,
    directory: PathBuf,
}

impl Lsm {
    /// Attaches every program that [`check`] has loaded, and lets go of those that an earlier daemon left: in between
    /// both refuse.
    ///
    /// Nobody is governed before [`Lsm::govern`], but whom the earlier daemon governed.
    pub(super) fn attach(ebpf: &mut Ebpf, pins: &Pins) -> Result<Self, LsmError> {
        let directory = pins.links(LINKS).map_err(Box::new)?;
        let links = HOOKS
            .into_iter()
            .map(|(name, _)| Ok((name, keep(program(ebpf, name)?, name, &directory)?)))
            .collect::<Result<_, LsmError>>()?;
        let (governed, levels) = (take(ebpf, "GOVERNED")?, take(ebpf, "LEVELS")?);
        Ok(Self { governed: Mutex::new(governed), levels: Mutex::new(levels), links, directory })
    }

    /// Minds these cgroups from now on, and no others.
    pub(super) fn govern(&self, domains: &[Domain]) -> Result<(), LsmError> {
        let mut governed = self.governed.lock();
        let mut levels = 0;
        for domain in domains {
            levels |= bit(&domain.path)?;
            governed.insert(domain.id, domain.governed as u32, 0).map_err(of("GOVERNED"))?;
        }
        // In a namespace of cgroups, how deep a path is says nothing of the hierarchy.
        let initial = fs::read_link("/proc/self/ns/cgroup").is_ok_and(|own| own == Path::new(INITIAL_CGROUP_NAMESPACE));
        let levels = if initial { levels } else { u32::MAX };
        self.levels.lock().insert(0, levels, 0).map_err(of("LEVELS"))?;

        let known: Vec<u64> = governed.keys().collect::<Result<_, _>>().map_err(of("GOVERNED"))?;
        for id in known.into_iter().filter(|id| domains.iter().all(|domain| domain.id != *id)) {
            governed.remove(&id).map_err(of("GOVERNED"))?;
        }
        Ok(())
    }

    /// The first program whose pin is gone, if any is: it would end with the daemon.
    pub(super) fn unpinned(&self) -> Option<&'static str> {
        self.links.iter().map(|(name, _)| *name).find(|name| !self.directory.join(name).exists())
    }

    /// Puts back the pins that are gone; what they pinned has stayed attached.
    pub(super) fn pin_again(&self, pins: &Pins) -> Result<(), LsmError> {
        let directory = pins.links(LINKS).map_err(Box::new)?;
        for (name, link) in &self.links {
            let path = directory.join(name);
            if !path.exists() {
                link.pin(&path).map_err(|source| LsmError::Keep { program: name, source })?;
            }
        }
        Ok(())
    }
}

/// Whether this kernel would take every program; attaches none.
pub(super) fn check(ebpf: &mut Ebpf) -> Result<(), LsmError> {
    fields::places().map_err(LsmError::Types)?;
    check_active()?;
    let types = Btf::from_sys_fs().map_err(|error| refused(LINKS)(error.into()))?;
    for (name, hook) in HOOKS {
        program(ebpf, name)?.load(hook, &types).map_err(refused(name))?;
    }
    Ok(())
}

fn check_active() -> Result<(), LsmError> {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    match modules.trim().split(',').any(|module| module == "bpf") {
        true => Ok(()),
        false => Err(LsmError::Inactive(modules.trim().to_owned())),
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, LsmError> {
    let program = ebpf.program_mut(name).ok_or(LsmError::MissingProgram(name))?;
    program.try_into().map_err(refused(name))
}

/// Attaches one program for good, in the place of an older one: links of functions cannot be updated.
fn keep(program: &mut Program, name: &'static str, links: &Path) -> Result<Link, LsmError> {
    let id = program.attach().map_err(refused(name))?;
    let link = FdLink::from(program.take_link(id).map_err(refused(name))?);
    let (fresh, path) = (links.join(format!("{name}+new")), links.join(name));
    let failed = |source| LsmError::Keep { program: name, source };
    if fresh.exists() {
        fs::remove_file(&fresh).map_err(failed)?;
    }
    link.pin(&fresh).map_err(|source| LsmError::Pin { program: name, source })?;
    let held = Link::open(&fresh).map_err(failed)?;
    fs::rename(&fresh, &path).map_err(failed)?;
    Ok(held)
}

fn refused(program: &'static str) -> impl FnOnce(aya::programs::ProgramError) -> LsmError {
    move |source| LsmError::Load { program, source: Box::new(source) }
}

fn take<K: aya::Pod, V: aya::Pod>(ebpf: &mut Ebpf, map: &'static str) -> Result<HashMap<MapData, K, V>, LsmError> {
    let taken = ebpf.take_map(map).ok_or(LsmError::MissingProgram(map))?;
    HashMap::try_from(taken).map_err(of(map))
}

fn of(map: &'static str) -> impl Fn(MapError) -> LsmError {
    move |source| LsmError::Map { map, source }
}

/// The level of a cgroup, as a bit.
fn bit(path: &Path) -> Result<u32, LsmError> {
    let level = path.strip_prefix("/").unwrap_or(path).components().count();
    match u32::try_from(level) {
        Ok(level @ 1..=GOVERNED_LEVEL_MAX) => Ok(1 << level),
        Ok(_) | Err(_) => Err(LsmError::TooDeep { cgroup: path.into(), level }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_counted_from_the_root() {
        assert_eq!(bit(Path::new("/portcullis/main/workloads")).unwrap(), 1 << 3);
        assert_eq!(bit(Path::new("/ci.slice")).unwrap(), 1 << 1);
        assert!(bit(Path::new("/")).is_err());
        assert!(bit(Path::new(&"/x".repeat(16))).is_err());
    }
}
