//! Attempts to get past the gate, and listeners that must hear nothing of them.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

use anyhow::{Result, ensure};
use portcullis_tests::gate::Gate;

use super::stage::Stage;

/// Tries TCP to another port, the same over IPv6, and UDP, from inside a workload.
pub fn attempts(gate: &Gate, stage: &mut Stage) -> Result<()> {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?;
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    for listener in [&v4, &v6] {
        listener.set_nonblocking(true)?;
    }
    udp.set_nonblocking(true)?;

    let tcp = |host: &str, port| format!("exec 3<>/dev/tcp/{host}/{port} && echo out >&3 && cat <&3");
    let scripts = [
        tcp("127.0.0.1", v4.local_addr()?.port()),
        tcp("::1", v6.local_addr()?.port()),
        tcp("192.0.2.1", 5432),
        format!("echo out > /dev/udp/127.0.0.1/{}", udp.local_addr()?.port()),
    ];
    for script in &scripts {
        stage.command("portcullis run --name agent --", &["bash", "-c", script]);
        let output = gate.command(["run", "--name", "agent", "--", "bash", "-c", script]).current_dir("/").output()?;
        stage.output(&String::from_utf8_lossy(&output.stderr));
        ensure!(output.stdout.is_empty(), "somebody answered");
    }
    ensure!(v4.accept().is_err() && v6.accept().is_err(), "a listener was reached over TCP");
    ensure!(udp.recv(&mut [0; 64]).is_err(), "a listener was reached over UDP");
    stage.claim("another port, IPv6, another address, UDP: no listener heard anything");
    Ok(())
}
