//! The devices of a jail: those that cannot reach anything.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use super::{
    error::{LaunchError, at},
    mount::{self, Detached},
};

/// Taken from the host's `/dev`, pty(7) and null(4).
const NODES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// Names that programs expect.
const LINKS: &[(&str, &str)] = &[
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// The group of terminals on every distribution, as devpts gives it by convention.
const TTY_GROUP: u32 = 5;

/// The host's nodes, taken before its `/dev` is out of sight.
#[derive(Debug)]
pub(super) struct Devices(Vec<(&'static str, Detached)>);

impl Devices {
    pub(super) fn take() -> Result<Self, LaunchError> {
        let take = |name: &&'static str| {
            let path = Path::new("/dev").join(name);
            Detached::of(&path).map(|node| (*name, node)).map_err(at("take the device", path))
        };
        NODES.iter().map(take).collect::<Result<_, _>>().map(Self)
    }

    /// Makes `/dev`, with terminals of its own.
    pub(super) fn make(&self) -> Result<(), LaunchError> {
        let dev = Path::new("/dev");
        mount::memory(dev, "mode=0755,size=1m").map_err(at("mount", dev))?;
        for (name, node) in &self.0 {
            let path = dev.join(name);
            let placed = fs::File::create(&path).and_then(|_| node.attach(&path));
            placed.map_err(at("place the device", path))?;
        }
        for (name, target) in LINKS {
            symlink(target, dev.join(name)).map_err(at("make the link", dev.join(name)))?;
        }
        terminals(&dev.join("pts")).map_err(at("mount", dev.join("pts")))?;
        let shm = dev.join("shm");
        let mounted = fs::create_dir(&shm).and_then(|()| mount::memory(&shm, "mode=1777,size=25%"));
        mounted.map_err(at("mount", shm))
    }
}

fn terminals(pts: &Path) -> io::Result<()> {
    fs::create_dir(pts)?;
    mount::terminals(pts, &format!("newinstance,ptmxmode=0666,mode=0620,gid={TTY_GROUP}"))
}
