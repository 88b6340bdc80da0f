//! The gate's sockets: made, and served.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::net::TcpListener;

use crate::connection::{self, Gatehouse};

/// Where a free port is looked for when none is configured: below those that the kernel hands out.
const LISTEN_PORTS: (u16, u16) = (15001, 15400);

/// The configured port, or the first free one.
pub(super) async fn choose_port(port: u16) -> anyhow::Result<u16> {
    if port != 0 {
        return Ok(port);
    }
    for port in LISTEN_PORTS.0..LISTEN_PORTS.1 {
        if listen(port).await.is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port from {} to {} is free\n  hint: name one under [listen]", LISTEN_PORTS.0, LISTEN_PORTS.1)
}

/// The gate's sockets, on both loopback addresses and one port.
pub(super) async fn listen(port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let listener = TcpListener::bind((address, port)).await;
        listeners.push(listener.with_context(|| {
            format!("failed to listen on {address} port {port}\n  hint: name another port under [listen]")
        })?);
    }
    Ok(listeners)
}

pub(super) async fn accept(listener: TcpListener, gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection::serve(stream, gatehouse.clone()));
            }
            Err(error) => {
                // Out of descriptors, most often: what waits is refused by the backlog, never let through.
                tracing::error!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
