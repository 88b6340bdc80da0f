//! What must not happen: each with something outside that would be reached.

use std::{
    fs,
    net::TcpListener,
    os::{
        fd::AsFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixDatagram, UnixListener},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use portcullis_tests::{
    place,
    service::{Service, Signal},
};

use crate::rig::{Daemon, Project, said};

fn lines(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_workload_has_no_privileges_and_gains_none() {
    let daemon = Daemon::shared();
    let status = said(&daemon.shell(&[], "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status"));
    let values: Vec<_> = status.lines().map(|line| line.split_once(':').unwrap().1.trim()).collect();
    let none = "0000000000000000";
    let own = said(&daemon.shell(&[], "id -u"));
    assert_ne!(own, "0");
    assert_eq!(values[1..], [none, none, none, none, none, "1", "2"], "{status}");
    assert!(values[0].is_empty(), "{status}");
}

#[test]
fn a_setuid_program_gains_nothing() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let program = project.path.join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    place::open(&program, 0o4755).unwrap();
    // It does gain outside, so that the test can fail.
    place::open(project.home(), 0o755).unwrap();
    place::open(&project.home().join("home"), 0o755).unwrap();
    place::open(&project.path, 0o755).unwrap();
    let outside = Command::new(&program).arg("-u").uid(65_530).gid(65_530).output().unwrap();
    assert_eq!(said(&outside), "0");

    let inside = said(&daemon.shell(&["--bind", project.text()], &format!("{} -u; id -u", program.display())));
    let (set, own) = inside.split_once('\n').unwrap();
    assert_eq!(set, own);
    for program in ["su -c id </dev/null", "sudo -n id", "ping -c 1 127.0.0.1", "mount -t tmpfs none /tmp"] {
        let output = daemon.shell(&[], program);
        assert!(!output.status.success(), "{program}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("uid=0"), "{program}");
    }
}

#[test]
fn no_file_of_an_owner_outside_is_made_to_run_as_that_owner() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let path = project.path.join("program");
    let script = format!(
        "cp /usr/bin/id {0} && chmod u+s {0}; chmod g+s {0}; mkdir -m 2755 {0}.d; stat -c %a {0}",
        path.display()
    );
    let output = daemon.shell(&["--bind", project.text()], &script);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o6000, 0, "{output:?}");
    assert_eq!(daemon.attempts(&["--bind", project.text()], &[format!("setid {}", path.display())]), ["EPERM"]);
}

#[test]
fn other_processes_are_neither_seen_nor_reached() {
    let daemon = Daemon::shared();
    let pid = std::process::id();
    // More processes than a jail has: their numbers are free inside.
    let outside = 100_000.max(pid);
    let place = place::temporary().unwrap();
    let mut sleep = Command::new("sleep");
    let sleeper = Service::start("sleep", sleep.arg("1000"), &place.path().join("log"), Signal::SIGTERM).unwrap();
    let sleeps = sleeper.pid();
    let attempts = [format!("signal {sleeps}"), format!("signal {outside}"), format!("trace {sleeps}")];
    daemon.assert_refused(&[], &attempts, &["ESRCH", "EPERM"]);
    let seen = said(&daemon.shell(&[], "ls -d /proc/[0-9]* | wc -l")).parse::<u32>().unwrap();
    assert!(seen < 10, "{seen} processes");
    drop(sleeper);

    let own = lines(&["read /proc/1/mem", "read /proc/1/environ", "list /proc/1/fd", "list /proc/1/cwd/", "trace 1"]);
    daemon.assert_refused(&[], &own, &["EACCES", "EPERM"]);
    // It is there, it is the jail's first process, and nobody can end it from inside.
    assert_eq!(said(&daemon.shell(&[], "kill -KILL 1; kill -STOP 1; echo alive")), "alive");
}

#[test]
fn a_named_pipe_outside_is_not_written_to() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let world = tempfile::Builder::new().prefix("portcullis-jail-").tempdir_in("/var/lib").unwrap();
    place::open(world.path(), 0o777).unwrap();
    let make = |path: &Path| {
        mkfifo(path, Mode::empty()).unwrap();
        place::open(path, 0o666).unwrap();
        // Open for reading and writing, so that nobody waits for the other end.
        fs::File::options().read(true).write(true).open(path).unwrap()
    };
    let (outside, early) = (world.path().join("late"), world.path().join("early"));
    let _early = make(&early);
    let (go, gone) = (project.path.join("go"), format!("{}:ro", project.text()));
    // One that is made after the jail: nothing that was found at its start holds this.
    let script = format!("until [ -e {} ]; do sleep 0.05; done; echo x > {}", go.display(), outside.display());
    for options in [vec!["--bind", &gone], vec!["--bind", &gone, "--user", "nobody"]] {
        place::open(project.home(), 0o755).unwrap();
        place::open(&project.home().join("home"), 0o755).unwrap();
        place::open(&project.path, 0o755).unwrap();
        let refused = daemon.shell(&options, &format!("echo x > {}", early.display()));
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && error.contains("Permission denied"), "{error}");
        let _ = (fs::remove_file(&go), fs::remove_file(&outside));
        let mut command = daemon.run(&options, ["bash", "-c", &script]);
        let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _late = make(&outside);
        fs::write(&go, "").unwrap();
        let output = started.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains("Permission denied"), "{error}");
    }
    // Its own it writes to, as it does to what it was given.
    let file = world.path().join("output");
    let output = fs::File::create(&file).unwrap();
    place::open(&file, 0o666).unwrap();
    let status = daemon.run(&[], ["bash", "-c", "echo said > /dev/stdout"]).stdout(output).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(file).unwrap(), "said\n");
    assert_eq!(said(&daemon.shell(&[], "mkfifo /tmp/p; (echo through > /tmp/p &); cat /tmp/p")), "through");
}

#[test]
fn a_file_that_rules_the_kernel_is_no_output() {
    let daemon = Daemon::shared();
    let file = fs::File::options().write(true).open("/proc/self/comm").unwrap();
    let output = daemon.run(&[], ["true"]).stdout(file).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("file descriptor 1 is a file of the kernel's, open for writing"), "{error}");
}

#[test]
fn sockets_of_services_are_out_of_reach() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let open = place::temporary().unwrap();
    let world = tempfile::Builder::new().prefix("portcullis-jail-").tempdir_in("/var/lib").unwrap();
    place::open(world.path(), 0o755).unwrap();
    let number = std::process::id();
    let paths = [
        Path::new("/run").join(format!("portcullis-test-{number}.sock")),
        open.path().join("s"),
        world.path().join("s"),
        project.path.join("s"),
    ];
    let listeners: Vec<_> = paths.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
    let receiver = world.path().join("d");
    let _receiver = UnixDatagram::bind(&receiver).unwrap();
    for path in paths.iter().chain([&receiver]) {
        place::open(path, 0o777).unwrap();
    }
    let mut attempts: Vec<_> = paths.iter().map(|path| format!("stream {}", path.display())).collect();
    attempts.push(format!("datagram {}", receiver.display()));
    daemon.assert_refused(&["--bind", project.text()], &attempts, &["ENOENT", "EACCES"]);

    let name = format!("portcullis-test-{number}");
    let abstracted = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    daemon.assert_refused(&[], &[format!("abstract {name}")], &["ECONNREFUSED", "EPERM"]);
    for listener in listeners.iter().chain([&abstracted]) {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err());
    }
    fs::remove_file(&paths[0]).unwrap();
}

#[test]
fn the_daemon_is_out_of_reach() {
    let daemon = Daemon::shared();
    let output = daemon.shell(&["--env", "PORTCULLIS_CONTROL"], "test -e \"$PORTCULLIS_CONTROL\"; echo $?");
    assert_eq!(said(&output), "1");
}

#[test]
fn namespaces_mounts_and_the_kernel_are_left_alone() {
    let daemon = Daemon::shared();
    let mut attempts = lines(&["mount", "unmount /tmp", "unmount /run", "join net", "join mnt", "join pid"]);
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNET, libc::CLONE_NEWNS, libc::CLONE_NEWPID] {
        attempts.push(format!("call {} {flag}", libc::SYS_unshare));
        attempts.push(format!("call {} {}", libc::SYS_clone, flag | libc::SIGCHLD));
    }
    for call in [
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_pidfd_getfd,
        libc::SYS_process_vm_readv,
        libc::SYS_open_by_handle_at,
        libc::SYS_pivot_root,
        libc::SYS_fsopen,
        libc::SYS_openat2,
    ] {
        attempts.push(format!("call {call} 1"));
    }
    daemon.assert_refused(&[], &attempts, &["EPERM", "ENOSYS", "EACCES"]);
}

#[test]
fn only_harmless_sockets_are_made() {
    let daemon = Daemon::shared();
    let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET];
    let families = (0..46).filter(|family| {
        // Never asked for where it could reach a hypervisor; the filter's own tests have it.
        ![libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_VSOCK].contains(family)
    });
    let mut attempts: Vec<_> =
        families.flat_map(|family| kinds.map(|kind| format!("socket {family} {kind} 0"))).collect();
    attempts.extend(lines(&["socket 2 3 1", "socket 2 3 255", "socket 2 2 1", "socket 10 3 58", "socket 16 3 12"]));
    daemon.assert_refused(&[], &attempts, &["EAFNOSUPPORT", "EPROTONOSUPPORT"]);
}

#[test]
fn devices_and_file_systems_of_the_kernel_are_hidden() {
    let daemon = Daemon::shared();
    let devices = said(&daemon.shell(&[], "ls /dev"));
    let expected = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(devices.split_ascii_whitespace().collect::<Vec<_>>().join(" "), expected);
    let kinds = said(&daemon.shell(&[], "sed 's/.* - //' /proc/self/mountinfo | cut -d' ' -f1 | sort -u"));
    for kind in ["cgroup", "cgroup2", "bpf", "debugfs", "tracefs", "securityfs", "configfs", "nsfs", "mqueue"] {
        assert!(!kinds.lines().any(|mounted| mounted == kind), "{kind} in {kinds}");
    }
    let groups = "find / -xdev -name cgroup.procs 2>/dev/null; find /sys -name cgroup.procs 2>/dev/null";
    assert_eq!(said(&daemon.shell(&[], &format!("{groups}; true"))), "");
    let attempts =
        lines(&["write /proc/sysrq-trigger", "write /proc/sys/kernel/core_pattern", "write /sys/kernel/uevent_seqnum"]);
    daemon.assert_refused(&[], &attempts, &["EACCES", "EROFS", "ENOENT", "EPERM"]);
    let files = "mount | grep -vE 'nosuid|/dev/(null|zero|full|random|urandom|tty) '";
    assert_eq!(said(&daemon.shell(&[], &format!("{files}; true"))), "");
}

#[test]
fn memory_is_not_shared_with_processes_outside() {
    let daemon = Daemon::shared();
    let key = i64::from(std::process::id()) + 0x5000_0000;
    // SAFETY: makes a segment, and removes it below.
    let segment = unsafe { libc::shmget(key as i32, 4096, libc::IPC_CREAT | 0o666) };
    assert!(segment >= 0);
    let answers = daemon.attempts(&[], &[format!("shared-memory {key}")]);
    // SAFETY: takes numbers only.
    unsafe { libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut()) };
    assert_eq!(answers, ["ENOENT"]);

    let file = Path::new("/dev/shm").join(format!("portcullis-test-{key}"));
    fs::write(&file, "").unwrap();
    let answers = daemon.attempts(&[], &[format!("read {}", file.display())]);
    fs::remove_file(file).unwrap();
    assert_eq!(answers, ["ENOENT"]);
}

#[test]
fn only_input_output_and_error_are_inherited() {
    let daemon = Daemon::shared();
    let secret = fs::File::open("/etc/shadow").unwrap();
    let mut command = daemon.run(&[], ["ls", "/proc/self/fd"]);
    let held = secret.as_fd().try_clone_to_owned().unwrap();
    // SAFETY: dup is async-signal-safe; its descriptor is inherited.
    unsafe {
        command.pre_exec(move || match libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&held), 9) {
            9 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    assert_eq!(said(&command.output().unwrap()), "0\n1\n2\n3");
}

#[test]
fn a_socket_or_a_directory_is_no_input() {
    let daemon = Daemon::shared();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = fs::File::open("/run").unwrap();
    for (input, what) in
        [(Stdio::from(std::os::fd::OwnedFd::from(socket)), "a socket"), (directory.into(), "a directory")]
    {
        let output = daemon.run(&[], ["true"]).stdin(input).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(126));
        assert!(error.contains(what) && error.contains("hint:"), "{error}");
    }
}

#[test]
fn a_crash_leaves_no_memory_behind() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let script = format!("cd {}; ulimit -c unlimited; bash -c 'kill -SEGV $$'; ls -A", project.text());
    assert_eq!(said(&daemon.shell(&["--bind", project.text()], &script)), "");
}

#[test]
fn two_workloads_are_two_users() {
    let daemon = Daemon::shared();
    let mut first =
        daemon.run(&[], ["sh", "-c", "id -u; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(first.stdout.take().unwrap()), &mut line).unwrap();
    let second = said(&daemon.shell(&[], "id -u"));
    assert_ne!(line.trim(), second);
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
}
