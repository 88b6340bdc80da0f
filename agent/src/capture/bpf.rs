//! The `bpf(2)` commands that aya does not offer: links of every cgroup attach type, alike, and their update in place.
//!
//! Source: `include/uapi/linux/bpf.h`, <https://docs.kernel.org/userspace-api/ebpf/syscall.html>.

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// Where in a cgroup a program is attached: `enum bpf_attach_type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub(super) enum AttachType {
    Ingress = 0,
    Egress = 1,
    SockCreate = 2,
    SockOps = 3,
    Bind4 = 8,
    Bind6 = 9,
    Connect4 = 10,
    Connect6 = 11,
    Sendmsg4 = 14,
    Sendmsg6 = 15,
    Recvmsg4 = 19,
    Recvmsg6 = 20,
    Setsockopt = 22,
    Getpeername4 = 29,
    Getpeername6 = 30,
    UnixConnect = 49,
    UnixSendmsg = 50,
}

/// Most programs that are read of one attach point of a cgroup.
const QUERIED_MAX: usize = 256;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_F_QUERY_EFFECTIVE: u32 = 1;
const BPF_PROG_TYPE_CGROUP_SOCK_ADDR: u32 = 18;

/// Most bytes of what the verifier says of a program that it refuses.
const VERIFIER_LOG_MAX: usize = 64 * 1024;

/// A program attached to a cgroup for as long as this, or a pin of it, lives.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

impl Link {
    /// Attaches a program beside whatever is attached there already.
    pub(super) fn create(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>, at: AttachType) -> io::Result<Self> {
        #[repr(C)]
        struct Create {
            program: i32,
            target: i32,
            attach_type: u32,
            flags: u32,
        }
        let attributes =
            Create { program: program.as_raw_fd(), target: cgroup.as_raw_fd(), attach_type: at as u32, flags: 0 };
        descriptor(BPF_LINK_CREATE, attributes).map(Self)
    }

    /// Opens a pinned link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        #[repr(C)]
        struct Get {
            path: u64,
            reserved: u32,
            flags: u32,
        }
        let path = c_path(path)?;
        descriptor(BPF_OBJ_GET, Get { path: path.as_ptr() as u64, reserved: 0, flags: 0 }).map(Self)
    }

    /// Puts another program in the place of the attached one, with no moment in which neither is.
    pub(super) fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        #[repr(C)]
        struct Update {
            link: i32,
            program: i32,
            flags: u32,
            old_program: i32,
        }
        let attributes = Update { link: self.0.as_raw_fd(), program: program.as_raw_fd(), flags: 0, old_program: 0 };
        call(BPF_LINK_UPDATE, attributes).map(drop)
    }

    /// The id of the cgroup to which it is attached; zero when that cgroup is gone.
    pub(super) fn cgroup(&self) -> io::Result<u64> {
        /// `struct bpf_link_info` up to the arm of cgroup links.
        #[repr(C)]
        #[derive(Default)]
        struct LinkInfo {
            kind: u32,
            id: u32,
            program: u32,
            padding: u32,
            cgroup: u64,
            attach_type: u32,
            tail: u32,
        }
        let mut info = LinkInfo::default();
        describe(self.0.as_fd(), &mut info)?;
        Ok(info.cgroup)
    }

    /// Keeps it attached beyond this process.
    pub(super) fn pin(&self, path: &Path) -> io::Result<()> {
        pin(self.0.as_fd(), path)
    }
}

/// Makes a path under which a program or link lives on.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    #[repr(C)]
    struct Pin {
        path: u64,
        object: i32,
        flags: u32,
    }
    let path = c_path(path)?;
    call(BPF_OBJ_PIN, Pin { path: path.as_ptr() as u64, object: object.as_raw_fd(), flags: 0 }).map(drop)
}

/// The ids of the programs that run for sockets of a cgroup, ancestors' included.
pub(super) fn effective_programs(cgroup: BorrowedFd<'_>, at: AttachType) -> io::Result<Vec<u32>> {
    #[repr(C)]
    struct Query {
        target: i32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        padding: u32,
    }
    let mut ids = vec![0_u32; QUERIED_MAX];
    let mut query = Query {
        target: cgroup.as_raw_fd(),
        attach_type: at as u32,
        query_flags: BPF_F_QUERY_EFFECTIVE,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: QUERIED_MAX as u32,
        padding: 0,
    };
    call_mut(BPF_PROG_QUERY, &mut query)?;
    ids.truncate(query.count as usize);
    Ok(ids)
}

/// Loads a program on socket addresses; of one that is refused, answers the end of what the verifier said.
pub(super) fn load_sock_addr(
    name: &str,
    instructions: &[[u8; 8]],
    license: &CStr,
    at: AttachType,
) -> Result<OwnedFd, (io::Error, String)> {
    #[repr(C)]
    struct Load {
        kind: u32,
        instruction_count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        attach_type: u32,
    }
    let mut log = vec![0_u8; VERIFIER_LOG_MAX];
    let mut short_name = [0; 16];
    // The last byte stays zero.
    short_name.iter_mut().take(15).zip(name.bytes()).for_each(|(to, from)| *to = from);
    let mut attributes = Load {
        kind: BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: short_name,
        interface: 0,
        attach_type: at as u32,
    };
    let refused = match call_mut(BPF_PROG_LOAD, &mut attributes) {
        Ok(descriptor) => return Ok(adopt(descriptor)),
        Err(error) => error,
    };
    attributes = Load { log_level: 1, log_size: VERIFIER_LOG_MAX as u32, log: log.as_mut_ptr() as u64, ..attributes };
    let _ = call_mut(BPF_PROG_LOAD, &mut attributes).map(adopt);
    let said = String::from_utf8_lossy(&log);
    let lines: Vec<_> = said.trim_end_matches('\0').trim_end().lines().rev().take(3).collect();
    Err((refused, lines.into_iter().rev().collect::<Vec<_>>().join("; ")))
}

/// The id of a loaded program.
pub(super) fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    /// `struct bpf_prog_info` up to the id.
    #[repr(C)]
    #[derive(Default)]
    struct ProgramInfo {
        kind: u32,
        id: u32,
    }
    let mut info = ProgramInfo::default();
    describe(program, &mut info)?;
    Ok(info.id)
}

/// The name of a loaded program, by its id.
pub(super) fn program_name(id: u32) -> io::Result<String> {
    #[repr(C)]
    struct ById {
        id: u32,
        next: u32,
        flags: u32,
    }
    /// `struct bpf_prog_info` up to the name, which ends with the first NUL.
    #[repr(C)]
    #[derive(Default)]
    struct ProgramInfo {
        kind: u32,
        id: u32,
        tag: [u8; 8],
        jited_length: u32,
        xlated_length: u32,
        jited: u64,
        xlated: u64,
        load_time: u64,
        uid: u32,
        map_count: u32,
        maps: u64,
        name: [u8; 16],
    }
    let program = descriptor(BPF_PROG_GET_FD_BY_ID, ById { id, next: 0, flags: 0 })?;
    let mut info = ProgramInfo::default();
    describe(program.as_fd(), &mut info)?;
    let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn describe<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    #[repr(C)]
    struct Info {
        object: i32,
        length: u32,
        info: u64,
    }
    let length = size_of::<T>() as u32;
    call(BPF_OBJ_GET_INFO_BY_FD, Info { object: object.as_raw_fd(), length, info: std::ptr::from_mut(info) as u64 })
        .map(drop)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn descriptor<T>(command: libc::c_int, attributes: T) -> io::Result<OwnedFd> {
    call(command, attributes).map(adopt)
}

/// Takes what a command answered that makes a descriptor.
fn adopt(descriptor: libc::c_long) -> OwnedFd {
    // SAFETY: a new descriptor that is ours.
    unsafe { OwnedFd::from_raw_fd(descriptor as libc::c_int) }
}

fn call<T>(command: libc::c_int, mut attributes: T) -> io::Result<libc::c_long> {
    call_mut(command, &mut attributes)
}

fn call_mut<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `T` is a prefix of `union bpf_attr`, initialised and as long as said; the rest counts as zero.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
