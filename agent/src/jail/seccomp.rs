//! The system call filter of workloads: what no cgroup hook sees is refused here.
//!
//! An allow-list of socket families, and a deny-list of calls that make sockets by other means, change namespaces or
//! reach into other processes. An ordinary program meets none of it: psql, git, Python, Node and Java run.
//! Source: `seccomp(2)`, <https://docs.kernel.org/userspace-api/seccomp_filter.html>.

use std::io;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, EAFNOSUPPORT,
    ENOSYS, EPERM, EPROTONOSUPPORT, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, c_long,
    sock_filter, sock_fprog,
};

/// Puts the filter on this process and its descendants, for good. Needs `no_new_privs`.
pub(super) fn install() -> io::Result<()> {
    let mut filter = filter();
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let program = sock_fprog { len: length, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its instructions outlive the call, which copies them.
    let answer =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, std::ptr::from_ref(&program), 0, 0) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Calls that a kernel could lack: callers fall back to what is filtered. What `clone3` and `openat2` are asked for is
/// behind a pointer, where a filter cannot see it.
const ABSENT: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_clone3,
    libc::SYS_openat2,
];

/// The last call that this filter was written with in mind (`removexattrat`, Linux 6.13): those after it are absent.
/// All architectures number the newer calls alike.
const KNOWN_MAX: u32 = 466;

/// Calls that are refused whatever their arguments.
const REFUSED: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Namespaces and mounts.
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    // A key request runs a helper as root, outside of the workload.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // The kernel itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
];

/// What a command may not ask a terminal for: to type into it, as if its user did, and to change how it is driven
/// (ioctl_tty(2), ioctl_console(2)).
const TERMINAL_REQUESTS: &[u32] = &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32, libc::TIOCSETD as u32];

/// Calls that take a file's mode, and which argument it is. A file that runs as its owner would be a way out: the owner
/// of a bound directory is somebody outside.
const MODES: &[(c_long, u32)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_fchmodat2, 2),
    (libc::SYS_mkdirat, 2),
    (libc::SYS_mknodat, 2),
];
/// Calls whose mode counts only where their flags, the argument before it, make a file.
const OPENINGS: &[(c_long, u32)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 2),
    (libc::SYS_openat, 3),
];
/// `O_CREAT`, and what `O_TMPFILE` is beside `O_DIRECTORY`.
const MAKES_FILE: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;
const SET_IDS: u32 = libc::S_ISUID | libc::S_ISGID;

const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// `AUDIT_ARCH_*` of `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`; of an argument, its low word on a little-endian machine.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

fn filter() -> Vec<sock_filter> {
    let mut f = vec![
        load(ARCH),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        ret(SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        jump(BPF_JGT, KNOWN_MAX, 0, 1),
        errno(ENOSYS),
    ];
    for (calls, error) in [(ABSENT, ENOSYS), (REFUSED, EPERM)] {
        for call in calls {
            f.extend([jump(BPF_JEQ, *call as u32, 0, 1), errno(error)]);
        }
    }
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        branch(&mut f, call, vec![load(argument(0)), jump(BPF_JSET, NAMESPACES, 0, 1), errno(EPERM), allow()]);
    }
    for (call, mode) in MODES {
        branch(&mut f, *call, vec![load(argument(*mode)), jump(BPF_JSET, SET_IDS, 0, 1), errno(EPERM), allow()]);
    }
    for (call, mode) in OPENINGS {
        let makes_file = [load(argument(mode - 1)), jump(BPF_JSET, MAKES_FILE, 1, 0), allow()];
        let body = [load(argument(*mode)), jump(BPF_JSET, SET_IDS, 0, 1), errno(EPERM), allow()];
        branch(&mut f, *call, makes_file.into_iter().chain(body).collect());
    }
    branch(&mut f, libc::SYS_ioctl, terminal_request());
    for call in [libc::SYS_setrlimit, libc::SYS_prlimit64] {
        branch(&mut f, call, core_limit(call));
    }
    let unix_only = vec![load(argument(0)), jump(BPF_JEQ, family(libc::AF_UNIX), 1, 0), errno(EAFNOSUPPORT), allow()];
    branch(&mut f, libc::SYS_socketpair, unix_only);
    branch(&mut f, libc::SYS_socket, socket());
    f.push(allow());
    f
}

fn terminal_request() -> Vec<sock_filter> {
    let mut f = vec![load(argument(1))];
    for request in TERMINAL_REQUESTS {
        f.extend([jump(BPF_JEQ, *request, 0, 1), errno(EPERM)]);
    }
    f.push(allow());
    f
}

/// The limit on core dumps stays as the jail set it, which is below what a shell can ask for: asking succeeds and
/// changes nothing. Reading limits passes.
fn core_limit(call: c_long) -> Vec<sock_filter> {
    let (resource, new) = if call == libc::SYS_setrlimit { (0, 1) } else { (1, 2) };
    vec![
        load(argument(resource)),
        jump(BPF_JEQ, libc::RLIMIT_CORE, 1, 0),
        allow(),
        load(argument(new)),
        jump(BPF_JEQ, 0, 0, 3),
        // The high word of the pointer.
        load(argument(new) + 4),
        jump(BPF_JEQ, 0, 0, 1),
        allow(),
        errno(0),
    ]
}

/// What `socket(2)` may make: Unix sockets, routing netlink, TCP and UDP.
fn socket() -> Vec<sock_filter> {
    vec![
        load(argument(0)),
        jump(BPF_JEQ, family(libc::AF_UNIX), 0, 1),
        allow(),
        jump(BPF_JEQ, family(libc::AF_NETLINK), 0, 3),
        load(argument(2)),
        jump(BPF_JEQ, libc::NETLINK_ROUTE as u32, 9, 0),
        errno(EPROTONOSUPPORT),
        jump(BPF_JEQ, family(libc::AF_INET), 2, 0),
        jump(BPF_JEQ, family(libc::AF_INET6), 1, 0),
        errno(EAFNOSUPPORT),
        load(argument(1)),
        // The type, without SOCK_NONBLOCK and SOCK_CLOEXEC.
        statement(BPF_ALU | BPF_AND | BPF_K, 0xf),
        jump(BPF_JEQ, libc::SOCK_STREAM as u32, 3, 0),
        jump(BPF_JEQ, libc::SOCK_DGRAM as u32, 2, 0),
        errno(EPROTONOSUPPORT),
        allow(),
        load(argument(2)),
        jump(BPF_JEQ, 0, 2, 0),
        jump(BPF_JEQ, libc::IPPROTO_TCP as u32, 1, 0),
        jump(BPF_JEQ, libc::IPPROTO_UDP as u32, 0, 1),
        allow(),
        errno(EPROTONOSUPPORT),
    ]
}

/// Runs `body` for one call, and leaves the number loaded for the others.
fn branch(f: &mut Vec<sock_filter>, call: c_long, body: Vec<sock_filter>) {
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    f.push(jump(BPF_JEQ, call as u32, 0, length));
    f.extend(body);
}

const fn family(family: libc::c_int) -> u32 {
    family as u32
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn allow() -> sock_filter {
    ret(SECCOMP_RET_ALLOW)
}

fn errno(error: libc::c_int) -> sock_filter {
    ret(SECCOMP_RET_ERRNO | error as u32)
}

fn ret(action: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, action)
}

fn statement(code: u32, operand: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k: operand }
}

/// Skips `then` instructions where the condition holds, `otherwise` where it does not.
fn jump(condition: u32, operand: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | condition | BPF_K) as u16, jt: then, jf: otherwise, k: operand }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn run<const N: usize>(arch: u32, call: c_long, arguments: [u64; N]) -> u32 {
        let mut data = [0_u8; 64];
        data[0..4].copy_from_slice(&(call as u32).to_le_bytes());
        data[4..8].copy_from_slice(&arch.to_le_bytes());
        for (index, argument) in arguments.iter().enumerate() {
            data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_le_bytes());
        }
        let (filter, mut accumulator, mut at) = (filter(), 0_u32, 0);
        loop {
            let i = filter[at];
            let (code, k) = (u32::from(i.code), i.k);
            at += 1;
            let skip = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
            match code {
                code if code == BPF_RET | BPF_K => return k,
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = u32::from_le_bytes(data[k as usize..k as usize + 4].try_into().unwrap());
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => at += skip(accumulator == k),
                code if code == BPF_JMP | BPF_JGT | BPF_K => at += skip(accumulator > k),
                code if code == BPF_JMP | BPF_JSET | BPF_K => at += skip(accumulator & k != 0),
                other => panic!("{other:#x}"),
            }
        }
    }

    fn socket_answer(family: i32, kind: i32, protocol: i32) -> u32 {
        run(ARCHITECTURE, libc::SYS_socket, [family as u64, kind as u64, protocol as u64])
    }

    const fn refused(error: i32) -> u32 {
        SECCOMP_RET_ERRNO | error as u32
    }

    #[test]
    fn ordinary_sockets_are_made() {
        for (family, kind, protocol) in [
            (libc::AF_UNIX, libc::SOCK_STREAM, 0),
            (libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0),
            (libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0),
            (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP),
            (libc::AF_INET6, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, libc::IPPROTO_UDP),
            (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
        ] {
            assert_eq!(socket_answer(family, kind, protocol), SECCOMP_RET_ALLOW, "{family} {kind} {protocol}");
        }
    }

    #[test]
    fn other_sockets_are_not() {
        for family in
            (0..64).filter(|family| ![libc::AF_UNIX, libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6].contains(family))
        {
            assert_eq!(socket_answer(family, libc::SOCK_STREAM, 0), refused(EAFNOSUPPORT), "{family}");
        }
        for (family, kind, protocol) in [
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP),
            (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
            (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
            (libc::AF_INET6, libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP),
            (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
        ] {
            assert_eq!(socket_answer(family, kind, protocol), refused(EPROTONOSUPPORT), "{family} {kind} {protocol}");
        }
        assert_eq!(run(ARCHITECTURE, libc::SYS_socketpair, [libc::AF_TIPC as u64, 1, 0]), refused(EAFNOSUPPORT));
    }

    #[test]
    fn threads_are_made_and_namespaces_are_not() {
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_FILES) as u64;
        assert_eq!(run(ARCHITECTURE, libc::SYS_clone, [thread, 0, 0]), SECCOMP_RET_ALLOW);
        assert_eq!(run(ARCHITECTURE, libc::SYS_clone3, [0; 3]), refused(ENOSYS));
        for flag in [libc::CLONE_NEWNET, libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWCGROUP] {
            for call in [libc::SYS_clone, libc::SYS_unshare] {
                assert_eq!(run(ARCHITECTURE, call, [thread | flag as u64, 0, 0]), refused(EPERM));
            }
        }
        assert_eq!(run(ARCHITECTURE, libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0]), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn named_calls_are_refused_and_others_pass() {
        for call in REFUSED {
            assert_eq!(run(ARCHITECTURE, *call, [0; 3]), refused(EPERM), "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_connect, libc::SYS_execve, libc::SYS_futex, libc::SYS_sendmsg] {
            assert_eq!(run(ARCHITECTURE, call, [0; 3]), SECCOMP_RET_ALLOW, "{call}");
        }
    }

    #[test]
    fn nothing_is_typed_for_the_user_of_a_terminal() {
        for request in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD] {
            assert_eq!(run(ARCHITECTURE, libc::SYS_ioctl, [0, request, 0]), refused(EPERM), "{request:#x}");
            // The kernel looks at the low word alone.
            assert_eq!(run(ARCHITECTURE, libc::SYS_ioctl, [0, request | 1 << 32, 0]), refused(EPERM), "{request:#x}");
        }
        for request in [libc::TIOCGWINSZ, libc::TIOCSPGRP, libc::TCGETS, libc::FIONREAD] {
            assert_eq!(run(ARCHITECTURE, libc::SYS_ioctl, [0, request, 0]), SECCOMP_RET_ALLOW, "{request:#x}");
        }
    }

    #[test]
    fn no_file_runs_as_its_owner() {
        for (call, argument) in MODES {
            let answer = |mode: u64| {
                let mut arguments = [0; 4];
                arguments[*argument as usize] = mode;
                run(ARCHITECTURE, *call, arguments)
            };
            assert_eq!(answer(0o4755), refused(EPERM), "{call}");
            assert_eq!(answer(0o2755), refused(EPERM), "{call}");
            assert_eq!(answer(0o1777), SECCOMP_RET_ALLOW, "{call}");
        }
        for flags in [libc::O_CREAT, libc::O_TMPFILE] {
            assert_eq!(run(ARCHITECTURE, libc::SYS_openat, [0, 0, flags as u64, 0o4755]), refused(EPERM));
            assert_eq!(run(ARCHITECTURE, libc::SYS_openat, [0, 0, flags as u64, 0o755]), SECCOMP_RET_ALLOW);
        }
        // Without a file to make, the mode is whatever the register held.
        let flags = (libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
        assert_eq!(run(ARCHITECTURE, libc::SYS_openat, [0, 0, flags, 0o4755]), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn the_limit_on_core_dumps_stays() {
        let core = u64::from(libc::RLIMIT_CORE);
        let done = refused(0);
        assert_eq!(run(ARCHITECTURE, libc::SYS_setrlimit, [core, 1]), done);
        assert_eq!(run(ARCHITECTURE, libc::SYS_prlimit64, [0, core, 1]), done);
        assert_eq!(run(ARCHITECTURE, libc::SYS_prlimit64, [0, core, 1 << 32]), done);
        assert_eq!(run(ARCHITECTURE, libc::SYS_prlimit64, [0, core, 0]), SECCOMP_RET_ALLOW);
        assert_eq!(run(ARCHITECTURE, libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE.into(), 1]), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn calls_that_came_later_are_absent() {
        assert_eq!(run(ARCHITECTURE, c_long::from(KNOWN_MAX) + 1, [0; 3]), refused(ENOSYS));
        assert!(ABSENT.iter().chain(REFUSED).all(|call| *call <= c_long::from(KNOWN_MAX)));
    }

    #[test]
    fn foreign_architectures_die() {
        const I386: u32 = 0x4000_0003;
        /// Added to the numbers of x32, another system call table under the same architecture.
        const X32: u32 = 0x4000_0000;
        assert_eq!(run(I386, libc::SYS_read, [0; 3]), SECCOMP_RET_KILL_PROCESS);
        assert_eq!(run(ARCHITECTURE, c_long::from(X32) + libc::SYS_socket, [0; 3]), refused(ENOSYS));
    }
}
