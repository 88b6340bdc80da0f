//! This host's own addresses.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::ifaddrs::getifaddrs;
use parking_lot::Mutex;

/// How long the addresses are believed.
const AGE_MAX: Duration = Duration::from_secs(5);

/// The addresses of the interfaces of the daemon's network namespace, read again from time to time.
#[derive(Debug, Default)]
pub struct Own(Mutex<Option<(Instant, Arc<HashSet<IpAddr>>)>>);

impl Own {
    /// Those of now. Where the kernel does not tell, those that it told last.
    pub fn addresses(&self) -> Arc<HashSet<IpAddr>> {
        let mut known = self.0.lock();
        let now = Instant::now();
        if let Some((read, addresses)) = &*known
            && now.saturating_duration_since(*read) < AGE_MAX
        {
            return addresses.clone();
        }
        let last = known.take().map(|(_, addresses)| addresses).unwrap_or_default();
        let addresses = read().map_or(last, Arc::new);
        *known = Some((now, addresses.clone()));
        addresses
    }
}

fn read() -> Option<HashSet<IpAddr>> {
    let interfaces = getifaddrs().inspect_err(|error| tracing::error!(%error, "failed to read this host's addresses"));
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| address.ip().into()))
    };
    Some(interfaces.ok()?.filter_map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_one_of_them() {
        let own = Own::default();
        assert!(own.addresses().contains(&"127.0.0.1".parse().unwrap()));
        assert!(Arc::ptr_eq(&own.addresses(), &own.addresses()), "they are kept for a moment");
    }
}
