//! The pins of one instance: what keeps maps, programs and links alive without the daemon.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use portcullis_common::LAYOUT;

use super::{CaptureError, at, bpf, programs::Programs};

pub(super) struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// Makes the instance's directories, and mounts the BPF file system where it is missing.
    pub(super) fn open(bpffs: &Path, instance: &str) -> Result<Self, CaptureError> {
        mount_if_missing(bpffs).map_err(at("mount the BPF file system at", bpffs))?;
        let pins = Self { directory: bpffs.join("portcullis").join(instance.replace('.', "+")) };
        for directory in [pins.maps(), pins.programs()] {
            make(&directory)?;
        }
        Ok(pins)
    }

    /// Mounts the BPF file system again, where somebody unmounted it under a running daemon, and pins the programs there.
    pub(super) fn renew(&self, programs: &Programs) -> Result<(), CaptureError> {
        let bpffs = self.directory.ancestors().nth(2).unwrap_or(&self.directory);
        if is_mounted(bpffs) {
            return Ok(());
        }
        mount_if_missing(bpffs).map_err(at("mount the BPF file system at", bpffs))?;
        make(&self.programs())?;
        self.keep_programs(programs)
    }

    /// Maps of this layout: a daemon of another leaves them alone.
    pub(super) fn maps(&self) -> PathBuf {
        self.directory.join(format!("maps-{LAYOUT}"))
    }

    fn programs(&self) -> PathBuf {
        self.directory.join("programs")
    }

    /// Where the links of one captured cgroup are.
    pub(super) fn links(&self, name: &str) -> Result<PathBuf, CaptureError> {
        let directory = self.directory.join("links").join(name);
        make(&directory)?;
        Ok(directory)
    }

    /// Pins every program, for systemd's `BPFProgram=` and for whoever inspects them.
    pub(super) fn keep_programs(&self, programs: &Programs) -> Result<(), CaptureError> {
        for program in programs.names() {
            let path = self.programs().join(program);
            let fresh = self.programs().join(format!("{program}+new"));
            remove_if_there(&fresh)?;
            bpf::pin(programs.descriptor(program)?, &fresh).map_err(at("pin a program as", &fresh))?;
            fs::rename(&fresh, &path).map_err(at("replace the pin", &path))?;
        }
        Ok(())
    }

    /// Lets go of cgroups that are no longer configured.
    pub(super) fn release_links_except(&self, configured: &[String]) -> Result<(), CaptureError> {
        let links = self.directory.join("links");
        for entry in fs::read_dir(&links).map_err(at("read", &links))? {
            let entry = entry.map_err(at("read", &links))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("existing-") && !configured.contains(&name) {
                fs::remove_dir_all(entry.path()).map_err(at("remove the pins", entry.path()))?;
            }
        }
        Ok(())
    }

    /// Lets go of one captured cgroup.
    pub(super) fn remove_links(&self, name: &str) -> Result<(), CaptureError> {
        let directory = self.directory.join("links").join(name);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove the pins", directory)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes every pin: what is still attached is let go.
    pub(super) fn remove(&self) -> Result<(), CaptureError> {
        fs::remove_dir_all(&self.directory).map_err(at("remove the pins", &self.directory))
    }
}

fn is_mounted(bpffs: &Path) -> bool {
    statfs(bpffs).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

fn mount_if_missing(bpffs: &Path) -> io::Result<()> {
    if is_mounted(bpffs) {
        return Ok(());
    }
    fs::create_dir_all(bpffs)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("bpf"), bpffs, Some("bpf"), flags, Some("mode=0700"))?)
}

fn make(directory: &Path) -> Result<(), CaptureError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(at("make the directory", directory))
}

fn remove_if_there(path: &Path) -> Result<(), CaptureError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove the pin", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
