//! Capture on the real kernel: needs root, touches loopback and its own namespaces only.

mod attempts;
mod rig;

use rig::Rig;

/// Not a test: what this program does when it is started in another role.
#[test]
#[ignore = "plays a role for the other tests"]
fn role() {
    match std::env::var(rig::ROLE).as_deref() {
        Ok("daemon") => rig::daemon(),
        Ok("client") => attempts::client(),
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
