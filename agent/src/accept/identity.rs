//! The process behind a connection, read from `/proc` by the identifiers that the kernel kept.

use std::{
    fs::{self, File},
    io::{self, Read},
    num::NonZeroUsize,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use lru::LruCache;
use parking_lot::Mutex;

use super::Workload;
use crate::{
    capture::Origin,
    principal::{ANCESTORS_MAX, Ancestor, COMMAND_LINE_MAX, Principal, Process},
};

/// Hashes of executables that are kept.
const HASHES_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Reads principals, and remembers the hashes of executables.
#[derive(Debug)]
pub struct Identities {
    hashes: Mutex<LruCache<Version, String>>,
}

/// One content of one file: any change of it changes one of these.
#[derive(Debug, Eq, Hash, PartialEq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Default for Identities {
    fn default() -> Self {
        Self { hashes: Mutex::new(LruCache::new(HASHES_MAX)) }
    }
}

impl Identities {
    /// The principal of a connection. Reads files: call it where blocking is allowed.
    pub fn principal(&self, origin: &Origin, workload: &Workload, cgroup: &Path) -> Principal {
        Principal {
            workload: workload.name.clone(),
            groups: workload.groups.clone(),
            owner: workload.owner.clone(),
            process: self.process(origin, cgroup),
        }
    }

    fn process(&self, origin: &Origin, cgroup: &Path) -> Process {
        let folder = PathBuf::from(format!("/proc/{}", origin.pid));
        let mut process = Process {
            pid: origin.pid,
            uid: origin.uid,
            user: user_name(origin.uid),
            executable: None,
            executable_hash: None,
            command_line: Vec::new(),
            parents: Vec::new(),
            cgroup: cgroup.display().to_string(),
            cgroup_id: origin.cgroup_id,
        };
        // A pid that now is another process's says nothing of the one that connected.
        let Some(stat) = Stat::read(&folder).filter(|stat| origin.is_of_process(stat.start_ticks)) else {
            return process;
        };
        process.executable = fs::read_link(folder.join("exe")).ok();
        process.executable_hash = self.hash(&folder.join("exe")).ok();
        process.command_line = command_line(&folder);
        process.parents = parents(stat.parent);
        process
    }

    fn hash(&self, executable: &Path) -> io::Result<String> {
        let file = File::open(executable)?;
        let metadata = file.metadata()?;
        let version = Version {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        if let Some(known) = self.hashes.lock().get(&version) {
            return Ok(known.clone());
        }
        let hash = blake3::Hasher::new().update_reader(file)?.finalize().to_hex().to_string();
        self.hashes.lock().put(version, hash.clone());
        Ok(hash)
    }
}

/// What `/proc/PID/stat` tells (proc_pid_stat(5)).
struct Stat {
    parent: u32,
    start_ticks: u64,
}

impl Stat {
    fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join("stat")).ok()?;
        // The command's name stands in parentheses and may hold anything; fields are counted after it.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Self { parent, start_ticks })
    }
}

fn command_line(folder: &Path) -> Vec<String> {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(folder.join("cmdline")) else { return Vec::new() };
    if file.take(COMMAND_LINE_MAX as u64).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn parents(first: u32) -> Vec<Ancestor> {
    let mut parents = Vec::new();
    let mut pid = first;
    while pid > 0 && parents.len() < ANCESTORS_MAX {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        parents.push(Ancestor { pid, executable: fs::read_link(folder.join("exe")).ok() });
        pid = Stat::read(&folder).map_or(0, |stat| stat.parent);
    }
    parents
}

fn user_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}

/// A process and all that descend from it, as they are now. Whoever's parent has ended descends from nobody here.
pub fn descendants(pid: u32) -> io::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if let Some(stat) = Stat::read(&entry.path()) {
            parents.push((pid, stat.parent));
        }
    }
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(found)
}

/// The place below the cgroup v2 mount of a process of this host.
pub fn cgroup_of(pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}
