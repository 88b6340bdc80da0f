//! Capture on the real kernel: needs root, touches loopback and its own namespaces only.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod attempts;
mod hooks;
mod rig;
mod unix;
mod wire;

use std::{
    fs,
    io::{ErrorKind, Read},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use portcullis::capture::{ATTEMPTS_PER_SECOND_MAX, canary};
use rig::Rig;
use wire::Wire;

/// Not a test: what this program does when it is started in another role.
#[test]
#[ignore = "plays a role for the other tests"]
fn role() {
    match std::env::var(rig::ROLE).as_deref() {
        Ok("daemon") => rig::daemon(),
        Ok("client") => attempts::client(),
        Ok("subject") => hooks::subject(),
        Ok("canary") => canary::child().unwrap(),
        _ => {}
    }
}

#[test]
fn every_tcp_connect_reaches_the_daemon_with_its_origin() {
    let mut rig = Rig::start("redirect");
    let workload = rig.enrol("agent");
    for (dialled, destination) in [
        ("192.0.2.7:5432", "192.0.2.7:5432"),
        ("127.0.0.1:5432", "127.0.0.1:5432"),
        ("127.0.0.2:22", "127.0.0.2:22"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("[2001:db8::7]:443", "[2001:db8::7]:443"),
        ("[::1]:5432", "[::1]:5432"),
        ("[::]:80", "[::1]:80"),
        ("[::ffff:192.0.2.7]:443", "192.0.2.7:443"),
        ("[::ffff:127.0.0.1]:443", "127.0.0.1:443"),
    ] {
        let mut client = rig.client(&workload);
        let expected = format!("{destination} {} 0 agent", client.child.id());
        assert_eq!(client.ask(&format!("tcp {dialled}")), expected, "{dialled}");
    }
}

#[test]
fn a_workload_sees_the_peer_that_it_dialled() {
    let mut rig = Rig::start("peer");
    let workload = rig.enrol("agent");
    for dialled in ["192.0.2.7:5432", "127.0.0.1:5432", "[2001:db8::7]:443", "[::ffff:192.0.2.7]:443"] {
        assert_eq!(rig.attempt(&workload, &format!("peer {dialled}")), dialled);
    }
}

#[test]
fn every_dns_message_reaches_the_daemon_with_its_origin() {
    let mut rig = Rig::start("dns");
    let workload = rig.enrol("agent");
    for (dialled, destination) in [
        ("192.0.2.7:53", "192.0.2.7:53"),
        ("127.0.0.53:53", "127.0.0.53:53"),
        ("[2001:db8::7]:53", "[2001:db8::7]:53"),
        ("[::1]:53", "[::1]:53"),
        ("[::ffff:192.0.2.7]:53", "192.0.2.7:53"),
    ] {
        let mut client = rig.client(&workload);
        let expected = format!("{destination} {} 0 agent from {dialled}", client.child.id());
        assert_eq!(client.ask(&format!("dns {dialled}")), expected);
        assert_eq!(client.ask(&format!("dns-connect {dialled}")), format!("{expected} {dialled}"));
    }
}

#[test]
fn one_socket_asks_two_servers_at_once() {
    let mut rig = Rig::start("dns-both");
    let workload = rig.enrol("agent");
    let answers = rig.attempt(&workload, "dns-both 192.0.2.7:53 192.0.2.8:53");
    assert!(answers.contains("192.0.2.7:53 ") && answers.contains("192.0.2.8:53 "), "{answers}");
}

#[test]
fn what_cannot_be_captured_is_refused_at_once() {
    let mut rig = Rig::start("refused");
    let workload = rig.enrol("agent");
    let port = rig.port;
    let mut client = rig.client(&workload);
    let start = Instant::now();
    for attempt in [
        "udp 127.0.0.1:9",
        "udp 192.0.2.7:443",
        "udp 192.0.2.7:853",
        "udp [::1]:9",
        "udp [2001:db8::7]:443",
        "udp [::ffff:127.0.0.1]:9",
        "udp 224.0.0.251:5353",
        "udp 255.255.255.255:9",
        "udp-connect 127.0.0.1:9",
        "udp-connect [::1]:9",
        "udp-connect 192.0.2.7:443",
        // Raw TCP, ping, UDP-Lite, MPTCP, raw IPv6.
        "socket 2 3 6",
        "socket 2 2 1",
        "socket 2 1 262",
        "socket 10 3 58",
        // SO_BINDTODEVICE, SO_MARK, SO_BINDTOIFINDEX.
        "option tcp 1 25",
        "option udp 1 36",
        "option tcp 1 62",
        // IP_OPTIONS, IP_ADD_MEMBERSHIP, IP_UNICAST_IF.
        "option tcp 0 4",
        "option udp 0 35",
        "option udp 0 50",
        // IPV6_JOIN_GROUP, IPV6_RTHDR, IPV6_UNICAST_IF.
        "option udp 41 20",
        "option udp 41 57",
        "option udp 41 76",
        // The daemon's own port, dialled and squatted.
        &format!("tcp 127.0.0.1:{port}"),
        &format!("tcp 127.0.0.9:{port}"),
        &format!("tcp [::1]:{port}"),
        &format!("tcp [::ffff:127.0.0.1]:{port}"),
        &format!("udp 127.0.0.1:{port}"),
        &format!("udp-connect [::1]:{port}"),
        &format!("bind 127.0.0.2:{port}"),
        &format!("bind [::]:{port}"),
    ] {
        assert_eq!(client.ask(attempt), "PermissionDenied", "{attempt}");
    }
    // Linux 7 has no UDP-Lite any more.
    if attempts::socket(2, 2, 136).is_ok() {
        assert_eq!(client.ask("socket 2 2 136"), "PermissionDenied");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "a refusal hung");
}

#[test]
fn a_refused_attempt_is_told_once_per_burst() {
    let mut rig = Rig::start("burst");
    let workload = rig.enrol("agent");
    let mut client = rig.client(&workload);
    let pid = client.child.id();
    let start = Instant::now();
    assert_eq!(client.ask("udp-burst 1000 192.0.2.7:443"), "1000");
    let bursts = 1 + start.elapsed().as_secs() as usize;
    assert_eq!(client.ask("socket 2 3 6"), "PermissionDenied");
    assert_eq!(client.ask("option udp 0 50"), "PermissionDenied");

    let told = rig.told(3);
    let of = |line: String| told.iter().filter(|told| **told == line).count();
    assert!((1..=bursts).contains(&of(format!("datagram 192.0.2.7:443 17 {pid} 0 role"))), "{told:?}");
    assert_eq!(of(format!("socket [::]:0 6 {pid} 0 role")), 1, "{told:?}");
    // Before Linux 6.1 a program on socket options cannot ask for the process.
    let asker = if rig::release() >= (6, 1) { format!("{pid} 0 role") } else { "0 0".into() };
    assert_eq!(of(format!("option [::]:50 0 {asker}")), 1, "{told:?}");
}

#[test]
fn a_flood_of_refused_attempts_is_told_in_part_and_counted_in_full() {
    const FLOOD: usize = 100_000;
    let mut rig = Rig::start("flood");
    let workload = rig.enrol("agent");
    let start = Instant::now();
    assert_eq!(rig.attempt(&workload, &format!("udp-sweep {FLOOD}")), FLOOD.to_string());
    let seconds = 2 + start.elapsed().as_secs();
    let lost: usize = rig.ask("lost").parse().unwrap();
    assert!(FLOOD - lost <= seconds as usize * ATTEMPTS_PER_SECOND_MAX as usize, "{lost} lost in {seconds} s");
    assert_eq!(rig.told(FLOOD - lost).len(), FLOOD - lost);
}

#[test]
fn ordinary_sockets_work() {
    let mut rig = Rig::start("ordinary");
    let workload = rig.enrol("agent");
    let mut client = rig.client(&workload);
    // TCP_NODELAY, SO_KEEPALIVE; Unix and netlink sockets.
    for attempt in ["option tcp 6 1", "option tcp 1 9", "socket 1 1 0", "socket 16 3 0", "bind 127.0.0.1:0"] {
        assert_eq!(client.ask(attempt), "possible", "{attempt}");
    }
}

#[test]
fn local_services_get_nothing() {
    let mut rig = Rig::start("local");
    let workload = rig.enrol("agent");
    for host in [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 2).into(), Ipv6Addr::LOCALHOST.into()] {
        let host: std::net::IpAddr = host;
        let listener = TcpListener::bind((host, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let receiver = UdpSocket::bind((host, 0)).unwrap();
        receiver.set_nonblocking(true).unwrap();

        let answer = rig.attempt(&workload, &format!("tcp {}", listener.local_addr().unwrap()));
        assert!(answer.ends_with(" agent"), "{answer}");
        assert_eq!(rig.attempt(&workload, &format!("udp {}", receiver.local_addr().unwrap())), "PermissionDenied");
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(receiver.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn nothing_goes_over_a_wire() {
    let mut rig = Rig::start("wire");
    let workload = rig.enrol("agent");
    let wire = Wire::new(1);
    let mut client = rig.client(&workload);
    let (tcp, udp, device) = (wire.tcp(), wire.udp(), &wire.device);
    wire.assert_reachable();

    assert!(client.ask(&format!("tcp {tcp}")).ends_with(" agent"));
    for attempt in ["dns", "dns-connect"] {
        assert!(client.ask(&format!("{attempt} {udp}")).contains(" agent from "), "{attempt}");
    }
    for attempt in [
        format!("tcp-by {device} {tcp}"),
        format!("udp {tcp}"),
        format!("udp-connect {tcp}"),
        format!("udp-by {device} {udp}"),
    ] {
        assert_eq!(client.ask(&attempt), "PermissionDenied", "{attempt}");
    }
    wire.assert_silent();
}

#[test]
fn the_floor_holds_alone() {
    let mut rig = Rig::start("floor");
    let workload = rig.enrol("agent");
    let wire = Wire::new(2);
    rig.keep_only("egress");
    let mut client = rig.client(&workload);
    // Until the kernel has let go of the link; SO_BINDTODEVICE of "lo".
    while client.ask("by lo") != "possible" {}

    let (tcp, udp, device) = (wire.tcp(), wire.udp(), &wire.device);
    assert_eq!(client.ask(&format!("tcp {tcp}")), "TimedOut");
    for attempt in [format!("udp {udp}"), format!("udp-by {device} {udp}"), "udp 127.0.0.1:9".into()] {
        assert_eq!(client.ask(&attempt), "PermissionDenied", "{attempt}");
    }
    wire.assert_silent();
}

#[test]
fn connections_of_a_cgroup_end_when_it_is_captured() {
    let path = format!("/portcullis-test-{}.slice/live.service", std::process::id());
    let directory = rig::mount().join(path.strip_prefix('/').unwrap());
    fs::create_dir_all(&directory).unwrap();
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = rig::Role::client(&directory);
    assert_eq!(client.ask(&format!("hold {}", service.local_addr().unwrap())), "possible");
    let (mut held, _) = service.accept().unwrap();
    assert_eq!(client.ask("say"), "possible");
    held.read_exact(&mut [0; 3]).unwrap();

    let rig = Rig::start_with("live", Some(path.into()));
    client.ask("say");
    held.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert_eq!(held.read(&mut [0; 3]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(client);
    drop(rig);
}

#[test]
fn nobody_connects_into_a_workload() {
    let mut rig = Rig::start("inbound");
    let workload = rig.enrol("agent");
    let mut client = rig.client(&workload);
    let address = client.ask("listen").parse().unwrap();
    let refused = TcpStream::connect_timeout(&address, Duration::from_secs(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
}

#[test]
fn nothing_comes_in_where_nothing_holds_what_goes_out() {
    let mut rig = Rig::start("ingress");
    let workload = rig.enrol("agent");
    let outsider = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    rig.keep_only("ingress");
    let mut client = rig.client(&workload);
    // Until the kernel has let go of the links; SO_BINDTODEVICE of "lo".
    while client.ask("by lo") != "possible" {}

    let address = client.ask("listen").parse().unwrap();
    let refused = TcpStream::connect_timeout(&address, Duration::from_secs(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    outsider.send_to(b"in", client.ask("listen-udp")).unwrap();
    assert_eq!(client.ask("receive"), "WouldBlock");
}

#[test]
fn another_network_namespace_is_no_way_out() {
    let mut rig = Rig::start("namespace");
    let workload = rig.enrol("agent");
    assert_eq!(rig.attempt(&workload, "namespace-tcp 127.0.0.1:5432"), "PermissionDenied");
}

#[test]
fn an_outsider_has_no_origin() {
    let mut rig = Rig::start("outsider");
    let mut heard = String::new();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, rig.port)).unwrap();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "");
    assert_eq!(rig.ask("refused"), "1");
}

#[test]
fn a_reused_port_has_the_origin_of_its_own_connection() {
    let mut rig = Rig::start("reuse");
    let workload = rig.enrol("agent");
    let source = rig::free_port();
    let mut client = rig.client(&workload);
    for round in 0..200 {
        let answer = client.ask(&format!("tcp-from {source} 192.0.2.{}:{}", round % 250 + 1, 1000 + round));
        assert!(answer.starts_with(&format!("192.0.2.{}:{} ", round % 250 + 1, 1000 + round)), "{answer}");
    }
}

#[test]
fn a_socket_connected_twice_has_the_origin_of_the_second() {
    let mut rig = Rig::start("twice");
    let workload = rig.enrol("agent");
    let answer = rig.attempt(&workload, "reconnect 192.0.2.7:1 192.0.2.8:2");
    assert!(answer.starts_with("192.0.2.8:2 "), "{answer}");
    let answer = rig.attempt(&workload, "fast-open 192.0.2.9:3");
    assert!(answer.starts_with("192.0.2.9:3 "), "{answer}");
}

#[test]
fn origins_are_right_when_many_connect_at_once() {
    let mut rig = Rig::start("many");
    let workloads: Vec<_> = (0..4).map(|number| rig.enrol(&format!("agent{number}"))).collect();
    let dialling = workloads.iter().enumerate().map(|(number, workload)| {
        let mut client = rig.client(workload);
        std::thread::spawn(move || {
            for round in 1..=200 {
                let expected = format!("10.{number}.0.{round}:{round} {} 0 agent{number}", client.child.id());
                assert_eq!(client.ask(&format!("tcp 10.{number}.0.{round}:{round}")), expected);
            }
        })
    });
    for dialled in dialling.collect::<Vec<_>>() {
        dialled.join().unwrap();
    }
}

#[test]
fn an_outsider_does_not_inherit_the_origin_of_a_refused_connect() {
    let mut rig = Rig::start("stale");
    let workload = rig.enrol("agent");
    let source = rig::free_port();
    let mut client = rig.client(&workload);
    rig.kill_daemon();
    assert_eq!(client.ask(&format!("tcp-from {source} 192.0.2.7:5432")), "ConnectionRefused");
    rig.start_daemon();
    let daemon = (Ipv4Addr::LOCALHOST, rig.port).into();
    let mut stream = attempts::connect_from(source, daemon, &[]).unwrap();
    let mut heard = String::new();
    let _ = stream.read_to_string(&mut heard);
    assert_eq!(heard, "");
}

#[test]
fn a_dead_daemon_means_refused_and_a_new_one_takes_over() {
    let mut rig = Rig::start("dead");
    let workload = rig.enrol("agent");
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    service.set_nonblocking(true).unwrap();
    let dial = format!("tcp {}", service.local_addr().unwrap());
    let mut client = rig.client(&workload);
    for _ in 0..3 {
        rig.kill_daemon();
        for _ in 0..50 {
            assert_eq!(client.ask(&dial), "ConnectionRefused");
        }
        assert_eq!(client.ask("tcp [::1]:9"), "ConnectionRefused");
        assert_eq!(client.ask("udp 127.0.0.1:9"), "PermissionDenied");
        rig.start_daemon();
        assert!(client.ask(&dial).ends_with(" agent"));
        assert_eq!(rig.ask("verify"), "attached");
    }
    assert_eq!(service.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_takeover_under_load_leaks_nothing() {
    let mut rig = Rig::start("takeover");
    let workload = rig.enrol("agent");
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    service.set_nonblocking(true).unwrap();
    let dial = format!("tcp {}", service.local_addr().unwrap());
    let mut client = rig.client(&workload);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let load = std::thread::spawn(move || {
        let mut captured = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            match client.ask(&dial).as_str() {
                "ConnectionRefused" | "ConnectionReset" | "" => {}
                answer => {
                    assert!(answer.ends_with(" agent"), "{answer}");
                    captured += 1;
                }
            }
        }
        captured
    });
    for _ in 0..5 {
        rig.kill_daemon();
        rig.start_daemon();
    }
    stop.send(()).unwrap();
    assert!(load.join().unwrap() > 0);
    assert_eq!(service.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_canary_proves_capture_and_misses_a_program() {
    let mut rig = Rig::start("canary");
    let workload = rig.enrol("agent");
    assert_eq!(rig.ask("prove"), "proven");
    assert_eq!(rig.attempt(&workload, "probe"), "no answer of the daemon at 192.0.2.1:1");

    fs::remove_file(rig.links().join("workloads/sendmsg4")).unwrap();
    // The kernel lets go of a link some moments after its last reference; until then its pin is missed.
    let later = || std::thread::sleep(Duration::from_millis(20));
    let mut proofs = std::iter::repeat_with(|| (later(), rig.ask("prove")).1).take(1000);
    assert!(proofs.any(|proof| proof.starts_with("`sendmsg4` is not attached to ")));
    rig.kill_daemon();
    rig.start_daemon();
    assert_eq!(rig.ask("prove"), "proven");

    // Without the redirect, the floor still holds: the canary's packets are dropped.
    fs::remove_file(rig.links().join("workloads/connect4")).unwrap();
    while rig.ask("verify") == "attached" {}
    assert_eq!(rig.attempt(&workload, "probe"), "no answer of the daemon at 192.0.2.1:1");
}

#[test]
fn a_cgroup_of_somebody_else_is_captured_and_captured_again() {
    let path = format!("/portcullis-test-{}.slice/unit.service", std::process::id());
    let directory = rig::mount().join(path.strip_prefix('/').unwrap());
    let mut rig = Rig::start_with("existing", Some(path.into()));
    assert!(rig.attempt(&directory, "tcp 192.0.2.7:5432").ends_with(" existing"));
    assert_eq!(rig.ask("recapture"), "0");

    fs::remove_dir(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    assert_eq!(rig.ask("recapture"), "1");
    assert!(rig.attempt(&directory, "tcp 192.0.2.7:5432").ends_with(" existing"));
    assert_eq!(rig.ask("verify"), "attached");
}

#[test]
fn a_launched_command_has_nothing_to_undo_capture_with() {
    let mut rig = Rig::start("launch");
    let workload = rig.enrol("agent");
    let said = |script: &str| rig.attempt(&workload, &format!("exec {script}"));
    let status =
        said("echo '~' $(grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status) $(id -u) $(ls /proc/self/fd)");
    let nobody = "65534";
    let none = "0000000000000000";
    assert_eq!(
        status.split_ascii_whitespace().collect::<Vec<_>>(),
        [
            "CapInh:",
            none,
            "CapPrm:",
            none,
            "CapEff:",
            none,
            "CapBnd:",
            none,
            "CapAmb:",
            none,
            "NoNewPrivs:",
            "1",
            "Seccomp:",
            "2",
            nobody,
            "0",
            "1",
            "2",
            "3"
        ]
    );
    let procs = workload.join("../../daemon/cgroup.procs");
    assert_eq!(said(&format!("echo $$ 2>&- > {}; echo '~' $?", procs.display())), "2");
    assert_eq!(said("unshare -n true 2>&-; echo '~' $?"), "1");
}

#[test]
fn ordinary_programs_run_when_launched() {
    let mut rig = Rig::start("programs");
    let workload = rig.enrol("agent");
    let python = "/usr/bin/python3 -c 'import asyncio, subprocess, threading; t = threading.Thread(target=print); \
                  t.start(); t.join(); subprocess.run([\"true\"], check=True); asyncio.run(asyncio.sleep(0))'";
    let node = "/usr/bin/node -e 'require(\"child_process\").execSync(\"true\"); setTimeout(() => 0, 1)'";
    for (program, script) in [
        ("/usr/bin/git", "cd /tmp && git --version"),
        ("/usr/bin/psql", "psql --version"),
        ("/usr/bin/python3", python),
        ("/usr/bin/node", node),
        ("/usr/bin/java", "java -Xshare:off -version"),
    ] {
        if Path::new(program).exists() {
            let answer = rig.attempt(&workload, &format!("exec {script} >/dev/null; echo '~' $?"));
            assert_eq!(answer, "0", "{program}");
        }
    }
}
