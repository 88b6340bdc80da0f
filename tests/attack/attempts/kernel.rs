//! The kernel itself, asked to dial or to be changed.

use std::fs::File;

use nix::{libc, mount::MsFlags};

use super::{Attempt, cgroup::writable, needs};
use crate::{
    scene::Scene,
    sys::{self, At, Tried},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("mount-9p", "mount 9p: the kernel dials", |scene| {
        mounted(scene, "9p", &format!("trans=tcp,port={}", scene.port))
    })
    .root_needs(needs::PRIVILEGE),
    Attempt::new("mount-nfs", "mount NFS: the kernel dials", |scene| {
        mounted(scene, "nfs", &format!("addr={},port={},nolock,vers=3", scene.far().ip(), scene.port))
    })
    .root_needs(needs::PRIVILEGE),
    Attempt::new("mount-cifs", "mount CIFS: the kernel dials", |scene| {
        mounted(scene, "cifs", &format!("ip={},port={},guest", scene.far().ip(), scene.port))
    })
    .root_needs(needs::PRIVILEGE),
    Attempt::new("mount-ceph", "mount Ceph: the kernel dials", |scene| mounted(scene, "ceph", "name=guest"))
        .root_needs(needs::PRIVILEGE),
    Attempt::new("fsopen", "fsopen of a file system on the network", |_| {
        let name = sys::c_string("nfs").at("name")?;
        sys::opening(libc::SYS_fsopen, [name.as_ptr() as u64, 0, 0, 0, 0]).at("fsopen").map(drop)
    })
    .by_consent()
    .root_needs(needs::PRIVILEGE),
    Attempt::new("request-key", "request_key: a program of root's looks a name up", |scene| {
        let kind = sys::c_string("dns_resolver").at("name")?;
        let name = sys::c_string(&format!("{}.example", scene.marker)).at("name")?;
        let options = sys::c_string("").at("name")?;
        let keyring = -2_i64 as u64;
        let arguments = [kind.as_ptr() as u64, name.as_ptr() as u64, options.as_ptr() as u64, keyring, 0];
        sys::call(libc::SYS_request_key, arguments).at("request_key").map(drop)
    })
    .needs(needs::KEYS),
    Attempt::new("add-key", "add_key: a key that other processes of the user read", |scene| {
        let (kind, name) = (sys::c_string("user").at("name")?, sys::c_string(&scene.marker).at("name")?);
        // KEY_SPEC_USER_KEYRING.
        let (bytes, keyring) = (scene.marker().as_ptr() as u64, -4_i64 as u64);
        let arguments = [kind.as_ptr() as u64, name.as_ptr() as u64, bytes, scene.marker().len() as u64, keyring];
        let key = sys::call(libc::SYS_add_key, arguments).at("add_key")?;
        // KEYCTL_UNLINK.
        sys::call(libc::SYS_keyctl, [9, key as u64, keyring, 0, 0]).at("keyctl").map(drop)
    })
    .by_consent()
    .needs(needs::KEYS),
    Attempt::new("userfaultfd", "userfaultfd, with which races are won", |_| {
        sys::opening(libc::SYS_userfaultfd, [0; 5]).at("userfaultfd").map(drop)
    })
    .by_consent()
    .root_needs(needs::FILTER),
    Attempt::new("module", "load a kernel module", |_| {
        let (nothing, parameters) = ([0_u8; 4], sys::c_string("").at("name")?);
        let arguments = [nothing.as_ptr() as u64, 4, parameters.as_ptr() as u64, 0, 0];
        match sys::call(libc::SYS_init_module, arguments) {
            // The kernel has looked at the bytes, so it would have taken a module.
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => Ok(()),
            answer => answer.at("init_module").map(drop),
        }
    })
    .by_consent()
    .root_needs(needs::PRIVILEGE),
    Attempt::new("core-pattern", "a program of root's for core dumps", |_| writable("/proc/sys/kernel/core_pattern"))
        .by_consent()
        .root_needs(needs::NOT_ROOT),
    Attempt::new("binfmt", "an interpreter for every program that runs", |_| {
        writable("/proc/sys/fs/binfmt_misc/register")
    })
    .by_consent()
    .root_needs(needs::NOT_ROOT),
    Attempt::new("uevent-helper", "a program of root's for devices that come", |_| {
        writable("/sys/kernel/uevent_helper")
    })
    .by_consent()
    .root_needs(needs::NOT_ROOT),
    Attempt::new("disk", "the disk beneath the file system", |_| {
        let disks = ["/dev/vda", "/dev/sda", "/dev/nvme0n1"];
        let there = disks.iter().find(|disk| std::path::Path::new(disk).exists());
        File::open(there.ok_or_else(|| super::absent("disk"))?).at("open").map(drop)
    })
    .by_consent()
    .root_needs(needs::FRAMES),
    Attempt::new("kernel-memory", "/proc/kcore", |_| File::open("/proc/kcore").at("open").map(drop))
        .by_consent()
        .root_needs(needs::PRIVILEGE),
    Attempt::new("vhost", "/dev/vhost-net: a network card of the kernel's own", |_| {
        File::options().read(true).write(true).open("/dev/vhost-net").at("open").map(drop)
    })
    .by_consent()
    .root_needs(needs::FRAMES),
    Attempt::new("by-handle", "open_by_handle_at: files by number, past every mount", by_handle)
        .by_consent()
        .root_needs(needs::PRIVILEGE),
];

fn mounted(scene: &Scene, kind: &str, options: &str) -> Tried {
    let point = std::env::temp_dir().join(format!("{}-mount-{}", scene.instance, std::process::id()));
    std::fs::create_dir_all(&point).at("mkdir")?;
    let source = format!("{}:/{}", scene.far().ip(), scene.marker);
    let source = if kind == "cifs" { format!("//{}/x", scene.far().ip()) } else { source };
    let source = if kind == "9p" { scene.far().ip().to_string() } else { source };
    let mounted = nix::mount::mount(Some(&*source), &point, Some(kind), MsFlags::empty(), Some(options)).at("mount");
    let _ = nix::mount::umount2(&point, nix::mount::MntFlags::MNT_DETACH);
    let _ = std::fs::remove_dir(&point);
    mounted
}

fn by_handle(_: &Scene) -> Tried {
    let root = File::open("/").at("open")?;
    // A handle that no file has: whoever may ask is told that it is stale.
    let mut handle = [0_u32; 6];
    for (place, value) in handle.iter_mut().zip([8, 1, 2, 0]) {
        *place = value;
    }
    use std::os::fd::AsRawFd;
    let arguments = [root.as_raw_fd() as u64, handle.as_ptr() as u64, libc::O_RDONLY as u64, 0, 0];
    match sys::opening(libc::SYS_open_by_handle_at, arguments) {
        Err(error) if error.raw_os_error() == Some(libc::ESTALE) => Ok(()),
        answer => answer.at("open_by_handle_at").map(drop),
    }
}
