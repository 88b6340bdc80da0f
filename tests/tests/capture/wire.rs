//! Another host, as a network namespace at the other end of a virtual cable: services in it that must get nothing.

use std::{
    fs::File,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    thread,
};

use nix::sched::{CloneFlags, setns};

/// The cable and the services at its far end. Dropping it takes the cable away.
pub struct Wire {
    namespace: String,
    /// The near end of the cable.
    pub device: String,
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Wire {
    /// `number` tells the cables of one run apart. The addresses are of RFC 2544's network, for tests.
    pub fn new(number: u8) -> Self {
        let id = std::process::id() % 10_000;
        let (namespace, device, far) =
            (format!("portcullis-{id}-{number}"), format!("pc{id}n{number}"), format!("pc{id}f{number}"));
        let host = Ipv4Addr::new(198, 18, number, 2);
        ip(&format!("netns add {namespace}"));
        ip(&format!("link add {device} type veth peer name {far} netns {namespace}"));
        ip(&format!("address add 198.18.{number}.1/24 dev {device}"));
        ip(&format!("link set {device} up"));
        ip(&format!("-netns {namespace} address add {host}/24 dev {far}"));
        ip(&format!("-netns {namespace} link set {far} up"));

        let entrance = File::open(format!("/run/netns/{namespace}")).unwrap();
        let services = thread::spawn(move || {
            setns(entrance, CloneFlags::CLONE_NEWNET).unwrap();
            (TcpListener::bind((host, 5432)).unwrap(), UdpSocket::bind((host, 53)).unwrap())
        });
        let (tcp, udp) = services.join().unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        Self { namespace, device, tcp, udp }
    }

    pub fn tcp(&self) -> SocketAddr {
        self.tcp.local_addr().unwrap()
    }

    pub fn udp(&self) -> SocketAddr {
        self.udp.local_addr().unwrap()
    }

    /// That who is not captured gets through: or silence would mean nothing.
    pub fn assert_reachable(&self) {
        drop(TcpStream::connect(self.tcp()).unwrap());
        self.tcp.accept().unwrap();
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", self.udp()).unwrap();
        self.udp.set_nonblocking(false).unwrap();
        self.udp.recv(&mut [0; 8]).unwrap();
        self.udp.set_nonblocking(true).unwrap();
    }

    pub fn assert_silent(&self) {
        assert_eq!(self.tcp.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(self.udp.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "delete", &self.device]).status();
        let _ = Command::new("ip").args(["netns", "delete", &self.namespace]).status();
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}
