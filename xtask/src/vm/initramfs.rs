//! The whole file system of a guest: busybox, our programs with the libraries that they need, and the modules.

use std::{
    collections::BTreeSet,
    fs,
    io::BufWriter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{cpio::Cpio, kernel::Kernel};
use crate::prerequisites;

const INIT: &str = include_str!("init.sh");

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                      agent:x:1000:1000:an ordinary user:/tmp:/bin/sh\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files\n";
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";

/// Directories that programs expect, and their permissions.
const DIRECTORIES: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// A script that a guest runs, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub name: &'static str,
    pub seconds: u32,
    pub script: &'static str,
}

/// Programs of this machine for the guest, without what only a debugger reads.
pub struct Programs {
    /// Path in the guest, and here.
    files: Vec<(String, PathBuf)>,
    libraries: BTreeSet<PathBuf>,
}

impl Programs {
    /// Takes each program to `/usr/bin/NAME`, and the libraries that any of them needs to where it looks for them.
    pub fn gather(wanted: &[(&str, &Path)], scratch: &Path) -> Result<Self> {
        let mut programs = Self { files: Vec::new(), libraries: BTreeSet::new() };
        for (name, program) in wanted {
            programs.libraries.extend(libraries(program)?);
            let stripped = scratch.join(name);
            let strip = Command::new("strip").arg("-o").arg(&stripped).arg(program).status().context("strip")?;
            ensure!(strip.success(), "strip failed on {}", program.display());
            programs.files.push((format!("usr/bin/{name}"), stripped));
        }
        Ok(programs)
    }
}

/// Writes the archive for one kernel; `filter` is of the tests of capture.
pub fn write(file: &Path, kernel: &Kernel, programs: &Programs, steps: &[Step], filter: &str) -> Result<()> {
    let output = fs::File::create(file).with_context(|| format!("making {}", file.display()))?;
    let mut archive = Cpio::new(BufWriter::new(output));
    for (directory, permissions) in DIRECTORIES {
        archive.directory(directory, *permissions)?;
    }
    let busybox = prerequisites::found("busybox").context("busybox is missing")?;
    archive.copy("bin/busybox", &busybox)?;
    archive.link("sbin/modprobe", "/bin/busybox")?;
    archive.file("init", 0o755, INIT.as_bytes())?;
    archive.directory("steps", 0o755)?;
    archive.file("steps/list", 0o644, list(steps).as_bytes())?;
    archive.file("steps/filter", 0o644, filter.as_bytes())?;
    for step in steps {
        archive.file(&format!("steps/{}.sh", step.name), 0o644, step.script.as_bytes())?;
    }
    archive.file("module-names", 0o644, kernel.module_names()?.as_bytes())?;
    for (path, content) in
        [("etc/passwd", PASSWD), ("etc/group", GROUP), ("etc/nsswitch.conf", NSSWITCH), ("etc/hosts", HOSTS)]
    {
        archive.file(path, 0o644, content.as_bytes())?;
    }
    archive.tree("lib", &kernel.modules().join("lib"))?;
    let mut made = BTreeSet::from([PathBuf::from("/lib"), PathBuf::from("/usr")]);
    for library in &programs.libraries {
        parents(&mut archive, library, &mut made)?;
        archive.copy(&library.to_string_lossy(), library)?;
    }
    for (path, program) in &programs.files {
        archive.copy(path, program)?;
    }
    archive.finish()
}

fn list(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("{} {}\n", step.name, step.seconds)).collect()
}

/// Makes the directories above a file that are not there yet.
fn parents(archive: &mut Cpio<impl std::io::Write>, file: &Path, made: &mut BTreeSet<PathBuf>) -> Result<()> {
    let above: Vec<_> = file.ancestors().skip(1).filter(|directory| directory.parent().is_some()).collect();
    for directory in above.into_iter().rev() {
        if made.insert(directory.to_owned()) {
            archive.directory(&directory.to_string_lossy(), 0o755)?;
        }
    }
    Ok(())
}

/// The shared libraries and the loader of a program, by the paths under which it looks for them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).stderr(Stdio::null()).output().context("starting ldd")?;
    // A static program has none, and ldd says so by failing.
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(library).collect())
}

/// Reads `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn library(line: &str) -> Option<PathBuf> {
    let path = line.split_once("=>").map_or(line, |(_, path)| path).split_ascii_whitespace().next()?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_is_a_library_too() {
        let read = |line| library(line).map(|path| path.display().to_string());
        assert_eq!(
            read("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)"),
            Some("/lib/x86_64-linux-gnu/libc.so.6".into())
        );
        assert_eq!(read("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"), Some("/lib64/ld-linux-x86-64.so.2".into()));
        assert_eq!(read("\tlinux-vdso.so.1 (0x00007f)"), None);
    }
}
