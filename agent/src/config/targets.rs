use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use crate::{
    dns::{Homes, Own},
    target::{Address, HostPort, OriginalDestination, SocketPath, Target},
};

/// Most addresses that are kept for one host name.
pub const RESOLVED_MAX: usize = 64;

/// How long an address counts as a host's after it was last resolved: workloads keep what they resolved, too.
pub const RETAINED: Duration = Duration::from_secs(600);

/// The targets, by where they are dialled.
///
/// Host names are resolved here, by the daemon: what a workload believes of a name decides nothing.
/// Until the first [`refresh`](Self::refresh) only literal addresses are known.
#[derive(Debug)]
pub struct Targets {
    all: Vec<Arc<Target>>,
    literal: HashMap<SocketAddr, Arc<Target>>,
    named: Vec<(HostPort, Arc<Target>)>,
    sockets: HashMap<SocketPath, Arc<Target>>,
    resolved: RwLock<Resolved>,
    homes: Homes,
    own: Own,
}

#[derive(Debug, Default)]
struct Resolved {
    /// When each address of a name was last seen.
    seen: HashMap<HostPort, HashMap<SocketAddr, Instant>>,
    /// `None`: names of several targets stand for this address.
    lookup: HashMap<SocketAddr, Option<Arc<Target>>>,
}

impl Targets {
    pub fn new(targets: impl IntoIterator<Item = Arc<Target>>) -> Self {
        let all: Vec<_> = targets.into_iter().collect();
        let mut literal = HashMap::new();
        let mut named = Vec::new();
        let mut sockets = HashMap::new();
        for target in &all {
            for address in &target.addresses {
                match address {
                    Address::Tcp(address) => match address.host.parse::<IpAddr>() {
                        Ok(ip) => {
                            literal.insert(SocketAddr::new(ip, address.port), target.clone());
                        }
                        Err(_) => named.push((address.clone(), target.clone())),
                    },
                    Address::Unix(path) => {
                        sockets.insert(path.clone(), target.clone());
                    }
                }
            }
        }
        let (resolved, homes, own) = Default::default();
        Self { all, literal, named, sockets, resolved, homes, own }
    }

    /// The same with what the configuration says of where names lead.
    pub fn with_homes(self, homes: Homes) -> Self {
        Self { homes, ..self }
    }

    /// Every target, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.all.iter()
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Target>> {
        self.all.iter().find(|target| &*target.name == name)
    }

    /// The target at a destination. A literal address goes before a resolved name; an address that names of
    /// several targets stand for belongs to none.
    pub fn find(&self, destination: &OriginalDestination) -> Option<Arc<Target>> {
        match destination {
            OriginalDestination::Tcp(address) => self.find_address(*address),
            OriginalDestination::Unix(path) => self.sockets.get(path).cloned(),
        }
    }

    /// Every Unix socket that is a target's.
    pub fn sockets(&self) -> impl Iterator<Item = &SocketPath> {
        self.sockets.keys()
    }

    fn find_address(&self, address: SocketAddr) -> Option<Arc<Target>> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if let Some(target) = self.literal.get(&address) {
            return Some(target.clone());
        }
        self.resolved.read().lookup.get(&address).cloned().flatten()
    }

    /// Resolves all host names again. A name that cannot be resolved keeps its addresses for [`RETAINED`].
    pub async fn refresh(&self) {
        let mut answers = Vec::new();
        for (name, _) in &self.named {
            match tokio::net::lookup_host((name.host.as_str(), name.port)).await {
                Ok(addresses) => {
                    let addresses = addresses.take(RESOLVED_MAX).filter(|address| self.may_be(name, address.ip()));
                    answers.push((name.clone(), addresses.collect()));
                }
                Err(error) => tracing::warn!(%name, %error, "failed to resolve a target's host name"),
            }
        }
        self.accept(answers, Instant::now());
    }

    /// Whoever answers for a name must not lead the daemon, and its credentials, to this host.
    fn may_be(&self, name: &HostPort, address: IpAddr) -> bool {
        let judged = self.homes.judge_host(&name.host, address, &self.own.addresses());
        judged.inspect_err(|why| tracing::error!(%name, %address, "a target's name is not believed: {why}")).is_ok()
    }

    fn accept(&self, answers: Vec<(HostPort, Vec<SocketAddr>)>, now: Instant) {
        let mut resolved = self.resolved.write();
        for (name, addresses) in answers {
            let seen = resolved.seen.entry(name).or_default();
            for address in addresses {
                seen.insert(SocketAddr::new(address.ip().to_canonical(), address.port()), now);
            }
        }
        for seen in resolved.seen.values_mut() {
            seen.retain(|_, at| now.saturating_duration_since(*at) < RETAINED);
            while seen.len() > RESOLVED_MAX {
                let Some(oldest) = seen.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address) else { break };
                seen.remove(&oldest);
            }
        }
        resolved.lookup = self.lookup(&resolved.seen);
    }

    fn lookup(
        &self,
        seen: &HashMap<HostPort, HashMap<SocketAddr, Instant>>,
    ) -> HashMap<SocketAddr, Option<Arc<Target>>> {
        let mut lookup: HashMap<SocketAddr, Option<Arc<Target>>> = HashMap::new();
        for (name, target) in &self.named {
            for address in seen.get(name).into_iter().flat_map(HashMap::keys) {
                let holder = lookup.entry(*address).or_insert_with(|| Some(target.clone()));
                if let Some(other) = holder.as_ref().filter(|other| other.name != target.name) {
                    tracing::error!(%address, one = %other.name, other = %target.name, "two targets have one address: neither can be reached there");
                    *holder = None;
                }
            }
        }
        lookup
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::parse, target::OriginalDestination};

    fn targets(addresses: &[(&str, &str)]) -> Targets {
        let table = |(name, address): &(&str, &str)| {
            format!("[[target]]\nname = \"{name}\"\nprotocol = \"postgres\"\naddress = [\"{address}\"]\n")
        };
        let text: String = addresses.iter().map(table).collect();
        Targets::new(parse(&text, None).unwrap().targets)
    }

    fn found(targets: &Targets, destination: &str) -> Option<String> {
        let destination = OriginalDestination::Tcp(destination.parse().unwrap());
        targets.find(&destination).map(|target| target.name.to_string())
    }

    fn answer(name: &str, addresses: &[&str]) -> Vec<(HostPort, Vec<SocketAddr>)> {
        let name = HostPort { host: name.into(), port: 5432 };
        vec![(name, addresses.iter().map(|address| address.parse().unwrap()).collect())]
    }

    #[test]
    fn a_literal_address_is_found_in_every_form() {
        let targets = targets(&[("shop", "10.0.3.7:5432"), ("blog", "[2001:db8::1]:5432")]);
        assert_eq!(found(&targets, "10.0.3.7:5432").as_deref(), Some("shop"));
        assert_eq!(found(&targets, "[::ffff:10.0.3.7]:5432").as_deref(), Some("shop"));
        assert_eq!(found(&targets, "[2001:db8::1]:5432").as_deref(), Some("blog"));
        assert_eq!(found(&targets, "10.0.3.7:5433"), None);
        assert_eq!(found(&targets, "10.0.3.8:5432"), None);
    }

    #[test]
    fn a_name_is_found_where_it_was_resolved() {
        let targets = targets(&[("shop", "db.internal:5432")]);
        assert_eq!(found(&targets, "10.0.0.1:5432"), None);
        targets.accept(answer("db.internal", &["10.0.0.1:5432", "[2001:db8::1]:5432"]), Instant::now());
        assert_eq!(found(&targets, "10.0.0.1:5432").as_deref(), Some("shop"));
        assert_eq!(found(&targets, "[2001:db8::1]:5432").as_deref(), Some("shop"));
    }

    #[test]
    fn an_address_is_forgotten_when_the_name_has_left_it() {
        let targets = targets(&[("shop", "db.internal:5432")]);
        let start = Instant::now();
        targets.accept(answer("db.internal", &["10.0.0.1:5432"]), start);
        targets.accept(answer("db.internal", &["10.0.0.2:5432"]), start + RETAINED / 2);
        assert_eq!(found(&targets, "10.0.0.1:5432").as_deref(), Some("shop"));
        targets.accept(answer("db.internal", &["10.0.0.2:5432"]), start + RETAINED);
        assert_eq!(found(&targets, "10.0.0.1:5432"), None);
        assert_eq!(found(&targets, "10.0.0.2:5432").as_deref(), Some("shop"));
    }

    #[test]
    fn an_address_of_two_names_belongs_to_neither() {
        let targets = targets(&[("shop", "a.internal:5432"), ("blog", "b.internal:5432")]);
        let answers = [answer("a.internal", &["10.0.0.1:5432"]), answer("b.internal", &["10.0.0.1:5432"])].concat();
        targets.accept(answers, Instant::now());
        assert_eq!(found(&targets, "10.0.0.1:5432"), None);
    }

    #[test]
    fn a_name_cannot_take_a_literal_address_over() {
        let targets = targets(&[("shop", "10.0.0.1:5432"), ("blog", "b.internal:5432")]);
        targets.accept(answer("b.internal", &["10.0.0.1:5432"]), Instant::now());
        assert_eq!(found(&targets, "10.0.0.1:5432").as_deref(), Some("shop"));
    }

    #[test]
    fn a_name_that_leads_to_this_host_is_not_believed() {
        let targets = targets(&[("shop", "db.internal:5432"), ("blog", "localhost:5432")]);
        let may_be = |targets: &Targets, host: &str, address: &str| {
            targets.may_be(&HostPort { host: host.into(), port: 5432 }, address.parse().unwrap())
        };
        assert!(may_be(&targets, "db.internal", "10.0.0.1") && may_be(&targets, "localhost", "127.0.0.1"));
        assert!(!may_be(&targets, "db.internal", "127.0.0.1") && !may_be(&targets, "db.internal", "169.254.169.254"));
        let homes = Homes::new([], &["db.internal".parse().unwrap()]);
        assert!(may_be(&targets.with_homes(homes), "db.internal", "127.0.0.1"));
    }

    #[test]
    fn a_name_with_ever_new_addresses_cannot_grow_the_table() {
        let targets = targets(&[("shop", "db.internal:5432")]);
        for last in 0..4 * RESOLVED_MAX {
            targets.accept(answer("db.internal", &[&format!("10.0.0.{last}:5432")]), Instant::now());
        }
        assert_eq!(targets.resolved.read().lookup.len(), RESOLVED_MAX);
    }
}
