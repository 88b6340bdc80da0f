//! The programs of `agent-ebpf`: loaded, and named for where each belongs.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use aya::{Ebpf, EbpfLoader, include_bytes_aligned, programs::Program};

use super::{CaptureError, bpf::AttachType, kernel};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portcullis.bpf"));

/// A program by its name in the object, and its attach point.
pub(super) type Entry = (&'static str, AttachType);

/// What holds a workload, in the order of attachment: the floor first, so that a load that stops half-way refuses.
pub(super) const WORKLOAD: &[Entry] = &[
    ("egress", AttachType::Egress),
    ("ingress", AttachType::Ingress),
    ("connect4", AttachType::Connect4),
    ("connect6", AttachType::Connect6),
    ("sendmsg4", AttachType::Sendmsg4),
    ("sendmsg6", AttachType::Sendmsg6),
    ("recvmsg4", AttachType::Recvmsg4),
    ("recvmsg6", AttachType::Recvmsg6),
    ("sock_create", AttachType::SockCreate),
    ("bind4", AttachType::Bind4),
    ("bind6", AttachType::Bind6),
    ("setsockopt", AttachType::Setsockopt),
    ("getpeername4", AttachType::Getpeername4),
    ("getpeername6", AttachType::Getpeername6),
    ("flow_out", AttachType::SockOps),
];

/// What the daemon's own cgroup carries.
pub(super) const DAEMON: &[Entry] = &[("flow_in", AttachType::SockOps)];

/// The maps that outlive the daemon.
pub(super) const MAPS: &[&str] = &[
    "SETTINGS",
    "NAMESPACES",
    "ORIGINS",
    "JAILED",
    "FLOWS",
    "DATAGRAMS",
    "REFUSALS",
    "ATTEMPTS",
    "BURSTS",
    "SPENT",
    "LOST",
];

/// Loads every program, with the maps that are pinned in `maps`, or pins new ones there.
pub(super) fn load(maps: &Path) -> Result<Ebpf, CaptureError> {
    let mut ebpf = parse(Some(maps))?;
    for name in all() {
        load_program(&mut ebpf, name)?;
    }
    Ok(ebpf)
}

/// The names of all programs, in the order of attachment.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    WORKLOAD.iter().chain(DAEMON).map(|(name, _)| *name)
}

/// Makes the maps, and prepares the programs. Without a directory nothing is pinned.
pub(super) fn parse(maps: Option<&Path>) -> Result<Ebpf, CaptureError> {
    let mut loader = EbpfLoader::new();
    for (directory, name) in maps.iter().flat_map(|directory| MAPS.iter().map(move |name| (directory, name))) {
        loader.map_pin_path(name, directory.join(name));
    }
    let options_know_process = u8::from(kernel::release() >= kernel::OPTIONS_KNOW_PROCESS);
    loader.override_global("OPTIONS_KNOW_PROCESS", &options_know_process, true);
    Ok(loader.load(OBJECT).map_err(Box::new)?)
}

pub(super) fn load_program(ebpf: &mut Ebpf, name: &'static str) -> Result<(), CaptureError> {
    let program = ebpf.program_mut(name).ok_or(CaptureError::MissingProgram(name))?;
    let loaded = match program {
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSockopt(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => return Err(CaptureError::MissingProgram(name)),
    };
    loaded.map_err(|source| CaptureError::Load { program: name, source: Box::new(source) })
}

/// A loaded program's descriptor.
pub(super) fn descriptor<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<BorrowedFd<'a>, CaptureError> {
    let program = ebpf.program(name).ok_or(CaptureError::MissingProgram(name))?;
    match program.fd() {
        Ok(descriptor) => Ok(descriptor.as_fd()),
        Err(source) => Err(CaptureError::Load { program: name, source: Box::new(source) }),
    }
}

/// A loaded program's id.
pub(super) fn id(ebpf: &Ebpf, name: &'static str) -> Result<u32, CaptureError> {
    let program = ebpf.program(name).ok_or(CaptureError::MissingProgram(name))?;
    match program.info() {
        Ok(info) => Ok(info.id()),
        Err(source) => Err(CaptureError::Load { program: name, source: Box::new(source) }),
    }
}
