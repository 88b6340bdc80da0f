//! The archive from which a kernel fills its first file system: cpio in the "newc" format, uncompressed.
//!
//! Source: `Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result};

/// What a mode says about the kind of a file, `inode(7)`.
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The name of the last entry.
const TRAILER: &str = "TRAILER!!!";

/// Writes entries; everything belongs to root.
pub struct Cpio<W> {
    output: W,
    inode: u32,
}

impl<W: Write> Cpio<W> {
    pub fn new(output: W) -> Self {
        Self { output, inode: 0 }
    }

    pub fn directory(&mut self, path: &str, permissions: u32) -> Result<()> {
        self.entry(path, DIRECTORY | permissions, &[])
    }

    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> Result<()> {
        self.entry(path, FILE | permissions, content)
    }

    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.entry(path, LINK | 0o777, target.as_bytes())
    }

    /// A file of this machine, with its permissions.
    pub fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        let permissions = fs::metadata(from)?.permissions().mode() & 0o777;
        self.file(path, permissions, &content)
    }

    /// Everything below a directory of this machine, itself included.
    pub fn tree(&mut self, path: &str, from: &Path) -> Result<()> {
        self.directory(path, fs::metadata(from)?.mode() & 0o777)?;
        let mut entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let below = format!("{path}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.tree(&below, &entry.path())?;
            } else if kind.is_symlink() {
                self.link(&below, &fs::read_link(entry.path())?.to_string_lossy())?;
            } else {
                self.copy(&below, &entry.path())?;
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        self.entry(TRAILER, 0, &[])?;
        self.output.flush().context("writing the archive")
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let name = path.trim_start_matches('/');
        let length = u32::try_from(content.len()).with_context(|| format!("{path} is longer than 4 GiB"))?;
        self.inode += 1;
        // Inode, mode, owner, group, links, time, length, device, device of the file itself, name, no checksum.
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let fields = [self.inode, mode, 0, 0, links, 0, length, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        let header = fields.iter().fold("070701".to_owned(), |header, field| header + &format!("{field:08x}"));
        self.aligned(format!("{header}{name}\0").as_bytes())?;
        self.aligned(content)
    }

    /// Header with name, and content, each end on a multiple of four.
    fn aligned(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes)?;
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.output.write_all(&vec![0; padding]).context("writing the archive")
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// busybox, because the guests have it and every machine that boots them.
    #[test]
    fn another_cpio_reads_what_is_written() {
        let mut bytes = Vec::new();
        let mut archive = Cpio::new(&mut bytes);
        archive.directory("etc", 0o755).unwrap();
        archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n").unwrap();
        archive.link("etc/names", "hosts").unwrap();
        archive.file("empty", 0o600, b"").unwrap();
        archive.finish().unwrap();

        let directory = tempfile::tempdir().unwrap();
        let mut reader = Command::new("busybox");
        reader.args(["cpio", "-i", "-d"]).current_dir(&directory).stdin(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut reader) = reader.spawn() else { return };
        reader.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(reader.wait().unwrap().success());
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("etc/names"), "127.0.0.1 localhost\n");
        assert_eq!(fs::read_link(directory.path().join("etc/names")).unwrap(), Path::new("hosts"));
        assert_eq!(fs::metadata(directory.path().join("empty")).unwrap().mode() & 0o777, 0o600);
    }
}
