//! Other processes of the same user: made to speak in the attacker's place.

use std::{
    fs::File,
    os::unix::{fs::FileExt, process::CommandExt},
    process::Command,
};

use nix::libc;

use super::{Attempt, needs};
use crate::{
    scene::Scene,
    sys::{self, At, Tried},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("ptrace", "ptrace: write into a process outside", ptrace).needs(needs::OWN_USER),
    Attempt::new("proc-mem", "/proc/PID/mem", |scene| {
        let memory = File::options().write(true).open(format!("/proc/{}/mem", scene.victim)).at("open")?;
        memory.write_all_at(scene.marker(), scene.victim_memory).at("write")
    })
    .needs(needs::OWN_USER),
    Attempt::new("process-vm-writev", "process_vm_writev", vm_write).needs(needs::OWN_USER),
    Attempt::new("tiocsti", "TIOCSTI: type into the terminal that the operator uses", tiocsti)
        .by_consent()
        .root_needs(needs::PRIVILEGE),
    Attempt::new("perf-event", "perf_event_open on everything that runs", perf)
        .by_consent()
        .root_needs(needs::PRIVILEGE),
    Attempt::new("setuid", "a setuid-root program of the host makes a raw socket", setuid)
        .needs(needs::NO_NEW_PRIVILEGES),
];

fn ptrace(scene: &Scene) -> Tried {
    let victim = scene.victim as u64;
    let attach = libc::PTRACE_ATTACH as u64;
    sys::call(libc::SYS_ptrace, [attach, victim, 0, 0, 0]).at("attach")?;
    // SAFETY: waits for a process that has just been attached to.
    unsafe { libc::waitpid(scene.victim, std::ptr::null_mut(), libc::__WALL) };
    for (index, word) in scene.marker().chunks(8).enumerate() {
        let mut bytes = [0; 8];
        for (place, byte) in bytes.iter_mut().zip(word) {
            *place = *byte;
        }
        let (at, word) = (scene.victim_memory + 8 * index as u64, u64::from_ne_bytes(bytes));
        sys::call(libc::SYS_ptrace, [libc::PTRACE_POKEDATA as u64, victim, at, word, 0]).at("poke")?;
    }
    sys::call(libc::SYS_ptrace, [libc::PTRACE_DETACH as u64, victim, 0, 0, 0]).at("detach").map(drop)
}

fn vm_write(scene: &Scene) -> Tried {
    let here = libc::iovec { iov_base: scene.marker().as_ptr().cast_mut().cast(), iov_len: scene.marker().len() };
    let there = libc::iovec { iov_base: scene.victim_memory as *mut _, iov_len: scene.marker().len() };
    // SAFETY: one part here, which outlives the call, and one in the other process.
    let written = unsafe { libc::process_vm_writev(scene.victim, &raw const here, 1, &raw const there, 1, 0) };
    sys::checked(written as libc::c_long).at("process_vm_writev").map(drop)
}

fn tiocsti(_: &Scene) -> Tried {
    let path = sys::c_string("/dev/tty").at("path")?;
    let flags = libc::O_RDWR as u64;
    let terminal = match sys::opening(libc::SYS_openat, [libc::AT_FDCWD as u64, path.as_ptr() as u64, flags, 0, 0]) {
        Ok(terminal) => terminal,
        // Without a terminal: one of its own, which is enough to see whether the call is let through.
        Err(_) => nix::pty::openpty(None, None).at("openpty")?.slave,
    };
    use std::os::fd::AsRawFd;
    let byte = b'\0';
    let arguments = [terminal.as_raw_fd() as u64, libc::TIOCSTI, (&raw const byte) as u64, 0, 0];
    sys::call(libc::SYS_ioctl, arguments).at("TIOCSTI").map(drop)
}

fn perf(_: &Scene) -> Tried {
    // `struct perf_event_attr`: a software clock, its size; of all processes on the first processor.
    let mut attributes = [0_u32; 32];
    for (place, value) in attributes.iter_mut().zip([1, 128]) {
        *place = value;
    }
    let all = -1_i64 as u64;
    sys::call(libc::SYS_perf_event_open, [attributes.as_ptr() as u64, all, 0, all, 0]).at("perf_event_open").map(drop)
}

/// The program is this one, owned by root, as an operator's careless tool would be.
fn setuid(scene: &Scene) -> Tried {
    let mut command = Command::new(scene.door("setuid"));
    let error = command.arg("try").arg("packet-raw").arg(scene.to_json().to_string()).exec();
    Err(error).at("exec")
}
