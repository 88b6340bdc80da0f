//! What this program tries from inside of a jail, one line each. The answer is `possible`, or the error's name.

use std::{
    env, fs,
    io::{self, Write},
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixDatagram, UnixStream},
        },
    },
};

use nix::errno::Errno;

/// The attempts to make, one line each.
pub const VARIABLE: &str = "PORTCULLIS_TEST_ATTEMPTS";
/// What an answer begins with, among the lines of the test harness.
pub const MARK: &str = "~ ";

pub fn make() {
    for attempt in env::var(VARIABLE).unwrap_or_default().lines() {
        let answer = match one(attempt) {
            Ok(answer) => answer,
            Err(error) => name(&error),
        };
        println!("\n{MARK}{answer}");
        io::stdout().flush().unwrap();
    }
}

fn name(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| format!("{:?}", error.kind()), |code| format!("{:?}", Errno::from_raw(code)))
}

fn one(attempt: &str) -> io::Result<String> {
    match attempt.split(' ').collect::<Vec<_>>()[..] {
        ["signal", pid] => call(libc::SYS_kill, &[number(pid), 0]),
        ["trace", pid] => call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE.into(), number(pid), 0, 0]),
        ["read", path] => fs::File::open(path).map(possible),
        ["write", path] => fs::File::options().write(true).open(path).map(possible),
        ["list", path] => fs::read_dir(path).map(possible),
        ["setid", path] => fs::set_permissions(path, fs::Permissions::from_mode(0o4755)).map(possible),
        ["stream", path] => UnixStream::connect(path).map(possible),
        ["datagram", path] => UnixDatagram::unbound()?.connect(path).map(possible),
        ["abstract", name] => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(possible),
        ["socket", family, kind, protocol] => call(libc::SYS_socket, &[number(family), number(kind), number(protocol)]),
        ["shared-memory", key] => call(libc::SYS_shmget, &[number(key), 0, 0]),
        ["call", ref words @ ..] => {
            let numbers: Vec<_> = words.iter().map(|word| number(word)).collect();
            call(numbers[0], &numbers[1..])
        }
        ["join", kind] => {
            let namespace = fs::File::open(format!("/proc/1/ns/{kind}"))?;
            call(libc::SYS_setns, &[namespace.as_raw_fd().into(), 0])
        }
        ["mount"] => {
            let (none, kind, target) = (c"none".as_ptr(), c"tmpfs".as_ptr(), c"/tmp".as_ptr());
            call(libc::SYS_mount, &[none as i64, target as i64, kind as i64, 0, 0])
        }
        ["unmount", path] => {
            let path = std::ffi::CString::new(path)?;
            call(libc::SYS_umount2, &[path.as_ptr() as i64, libc::MNT_DETACH.into()])
        }
        ["type-for-the-user"] => {
            let byte = b'x';
            call(libc::SYS_ioctl, &[0, libc::TIOCSTI as i64, (&raw const byte) as i64])
        }
        ref other => panic!("{other:?}"),
    }
}

fn call(call: i64, arguments: &[i64]) -> io::Result<String> {
    let at = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: the calls here read at most the few bytes that their arguments point to.
    let answer = unsafe { libc::syscall(call, at(0), at(1), at(2), at(3), at(4)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok("possible".into()) }
}

fn possible<T>(_: T) -> String {
    "possible".into()
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}
