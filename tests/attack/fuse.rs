//! A file system that a process outside serves: every name that is looked up in it is heard there.
//!
//! Source: `fuse(4)`, `linux/fuse.h`. It has a root directory and nothing in it.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::Result;
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use crate::ear::Ear;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const INIT: u32 = 26;

/// `struct fuse_in_header` and `struct fuse_out_header`.
const ASKED_HEADER: usize = 40;
const ANSWER_HEADER: usize = 16;
/// The protocol's version that is spoken: 7.31 of `struct fuse_init_out`.
const VERSION: [u32; 2] = [7, 31];
const BUFFER: usize = 1024 * 1024 + 4096;

/// A mount that is served until it is dropped.
pub struct Served {
    at: PathBuf,
}

impl Served {
    /// Mounts it; `None` where this kernel has no FUSE.
    pub fn mount(at: &Path, ear: &Arc<Ear>) -> Result<Option<Self>> {
        fs::create_dir(at)?;
        fs::set_permissions(at, fs::Permissions::from_mode(0o755))?;
        let Ok(device) = File::options().read(true).write(true).open("/dev/fuse") else { return Ok(None) };
        let options = format!("fd={},rootmode=40755,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        if mount(Some("served"), at, Some("fuse"), MsFlags::empty(), Some(options.as_str())).is_err() {
            return Ok(None);
        }
        let ear = ear.clone();
        thread::spawn(move || serve(device, &ear));
        Ok(Some(Self { at: at.into() }))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

fn serve(mut device: File, ear: &Ear) {
    let mut bytes = vec![0; BUFFER];
    while let Ok(length) = device.read(&mut bytes) {
        let asked = bytes.get(..length).unwrap_or_default();
        ear.hear("a file system that a process outside serves", asked.get(ASKED_HEADER..).unwrap_or_default());
        let word = |at: usize| asked.get(at..at + 4).and_then(|it| it.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let answer = match word(4) {
            INIT => Ok([&VERSION.map(u32::to_ne_bytes).concat()[..], &[0; 56]].concat()),
            GETATTR => Ok(attributes()),
            LOOKUP => Err(Errno::ENOENT),
            FORGET => continue,
            _ => Err(Errno::ENOSYS),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-(error as i32), Vec::new()),
        };
        let total = (ANSWER_HEADER + body.len()) as u32;
        let unique = asked.get(8..16).unwrap_or_default();
        let whole = [&total.to_ne_bytes()[..], &error.to_ne_bytes(), unique, &body].concat();
        if device.write_all(&whole).is_err() {
            break;
        }
    }
}

/// `struct fuse_attr_out` of a directory that everybody may enter: attributes from 16 bytes on, the mode 60 bytes in.
fn attributes() -> Vec<u8> {
    let mut bytes = vec![0_u8; 104];
    let number = 1_u64.to_ne_bytes();
    let mode = 0o40_755_u32.to_ne_bytes();
    for (at, value) in [(16, &number[..]), (16 + 60, &mode[..]), (16 + 64, &2_u32.to_ne_bytes()[..])] {
        bytes.iter_mut().skip(at).zip(value).for_each(|(place, byte)| *place = *byte);
    }
    bytes
}
