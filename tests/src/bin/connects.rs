//! How long `connect` takes: `connects ADDRESS COUNT` prints the 50th and 99th percentile in nanoseconds.

use std::{
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

/// Connects before those that count.
const WARM_UP: usize = 50;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: connects ADDRESS COUNT";
    let address: SocketAddr = arguments.next().context(usage)?.parse().context(usage)?;
    let count: usize = arguments.next().context(usage)?.parse().context(usage)?;
    ensure!(count > 0, usage);
    let mut times = Vec::with_capacity(count);
    for number in 0..WARM_UP + count {
        let begun = Instant::now();
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        let taken = begun.elapsed();
        drop(stream);
        if number >= WARM_UP {
            times.push(taken.as_nanos());
        }
    }
    times.sort_unstable();
    let percentile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!("{} {}", percentile(50), percentile(99));
    Ok(())
}
