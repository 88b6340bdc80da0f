//! A bare relay: what any gate in user space costs before it does anything. The benchmark's floor.
//!
//! `relay LISTEN UPSTREAM` copies bytes both ways, one task a connection, and nothing else.

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};

/// As much as the gate reads at once.
const BUFFER: usize = 64 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().context("usage: relay LISTEN UPSTREAM")?;
    let upstream = arguments.next().context("usage: relay LISTEN UPSTREAM")?;
    let listener = TcpListener::bind(&listen).await?;
    loop {
        let (downstream, _) = listener.accept().await?;
        tokio::spawn(relay(downstream, upstream.clone()));
    }
}

async fn relay(mut downstream: TcpStream, upstream: String) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(upstream).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    tokio::io::copy_bidirectional_with_sizes(&mut downstream, &mut upstream, BUFFER, BUFFER).await?;
    Ok(())
}
