//! Ports for services of tests.

use std::{
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Result, bail};

/// Below the kernel's ephemeral range, so that no client's socket takes a port before its service does.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port that nothing listens on, on either loopback address, and that this process has not handed out before.
///
/// Processes start at different places in the range, so that test binaries that run at once seldom meet.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = RANGE.end - RANGE.start;
    let origin = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(span))?;
    for _ in 0..span {
        let port = RANGE.start + (origin + NEXT.fetch_add(1, Ordering::Relaxed) % span) % span;
        if idle(port) {
            return Ok(port);
        }
    }
    bail!("no free port in {RANGE:?}")
}

/// Whether nothing listens on a port of either loopback address.
pub fn idle(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let ports: Vec<_> = (0..20).map(|_| free().unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(ports.len(), distinct.len());
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }
}
