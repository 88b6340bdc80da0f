//! What a schema cannot say: names, references, addresses, files.

mod credential;
mod dialled;
mod dns;
mod name;
mod run;
mod target;
mod unix;
mod workload;

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    net::IpAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use toml::de::{DeTable, DeValue};

use crate::capture::{Layer, UnknownLayer};

use super::{
    Capture, Config, DEFAULT_POLICIES, JOURNAL_BYTES_DEFAULT, LISTEN_PORT_DEFAULT, Listen, Policy, Record,
    WorkloadDefaults, located::Located, mistake::Mistake, raw,
};
use crate::target::SOCKET_PATH_MAX;

pub const STATE_DIR_DEFAULT: &str = "/var/lib/portcullis";
pub const CONTROL_DEFAULT: &str = "/run/portcullis/control.sock";

/// Most DNS servers; the kernel's map of them has as many places.
const RESOLVERS_MAX: usize = 16;

/// Reads the typed configuration out of what was written, and notes what is wrong with it.
///
/// The result is to be used only where no mistake was noted.
pub fn interpret(
    raw: raw::File,
    credentials: &BTreeSet<String>,
    file: Option<&Path>,
    mistakes: &mut Vec<Mistake>,
) -> Config {
    let base = file.and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let mut meaning = Meaning { base, listen_port: LISTEN_PORT_DEFAULT, control: CONTROL_DEFAULT.into(), mistakes };
    if let Some(port) = &raw.listen.port {
        meaning.listen_port = port.value;
    }
    if let Some(control) = &raw.control {
        meaning.control = meaning.socket(control);
    }
    let targets = meaning.targets(&raw.target, &raw.credential, credentials);
    Config {
        file: file.map(Into::into),
        state_dir: raw.state_dir.map_or(STATE_DIR_DEFAULT.into(), |path| meaning.path(&path)),
        control: meaning.control.clone(),
        listen: Listen { port: meaning.listen_port },
        capture: Capture {
            resolvers: raw.capture.resolvers.map(|resolvers| meaning.resolvers(&resolvers)),
            allow_missing: raw.capture.allow_missing.iter().filter_map(|name| meaning.layer(name)).collect(),
        },
        dns: meaning.dns(&raw.dns),
        unix: meaning.unix(&raw.unix, &targets),
        policy: meaning.policy(raw.policy),
        record: Record { journal_bytes: raw.record.journal_bytes.map_or(JOURNAL_BYTES_DEFAULT, |bytes| bytes.value) },
        workload_defaults: WorkloadDefaults {
            groups: match raw.workload_defaults.groups {
                Some(groups) => meaning.names(&groups, "group"),
                None => vec!["agents".into()],
            },
        },
        run: meaning.run(raw.run),
        workloads: meaning.workloads(raw.workload),
        targets,
        credentials: meaning.credentials(raw.credential),
        approvers: meaning.approvers(raw.approvers),
    }
}

/// The names of all credentials in a file, also of those that are wrong otherwise.
pub fn credential_names(tree: &DeTable<'_>) -> BTreeSet<String> {
    let tables = tree.get("credential").and_then(|value| value.get_ref().as_array());
    let name = |value: &DeValue<'_>| value.get("name")?.get_ref().as_str().map(str::to_owned);
    tables.into_iter().flatten().filter_map(|table| name(table.get_ref())).collect()
}

struct Meaning<'a> {
    /// The file's directory, where relative paths start.
    base: PathBuf,
    listen_port: u16,
    /// The daemon's own socket, which is nobody's target.
    control: PathBuf,
    mistakes: &'a mut Vec<Mistake>,
}

impl Meaning<'_> {
    fn path(&mut self, path: &Located<PathBuf>) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.mistakes.push(Mistake::new(path.span.clone(), "empty path").expected("a path"));
        }
        self.base.join(&path.value)
    }

    fn socket(&mut self, path: &Located<PathBuf>) -> PathBuf {
        let absolute = self.path(path);
        let length = absolute.as_os_str().len();
        if length > SOCKET_PATH_MAX {
            self.mistakes.push(
                Mistake::new(path.span.clone(), format!("path too long for a socket: {length} bytes"))
                    .expected(format!("at most {SOCKET_PATH_MAX} bytes")),
            );
        }
        absolute
    }

    fn policy(&mut self, raw: raw::Policy) -> Policy {
        Policy {
            directory: match raw.directory {
                Some(directory) => Some(self.directory(&directory)),
                None => Some(PathBuf::from(DEFAULT_POLICIES)).filter(|directory| directory.is_dir()),
            },
            time_zone: raw.time_zone.map_or(TimeZone::UTC, |zone| self.time_zone(&zone)),
        }
    }

    fn directory(&mut self, directory: &Located<PathBuf>) -> PathBuf {
        let path = self.path(directory);
        if let Err(error) = std::fs::read_dir(&path) {
            self.mistakes.push(unreadable(directory.span.clone(), &path, &error));
        }
        path
    }

    fn time_zone(&mut self, zone: &Located<String>) -> TimeZone {
        TimeZone::get(zone).unwrap_or_else(|_| {
            let known: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            self.mistakes.push(
                Mistake::new(zone.span.clone(), format!("unknown time zone: `{}`", zone.escape_debug()))
                    .expected("a name of the IANA database, such as `Europe/Berlin`")
                    .hint("the host's `tzdata` package holds the names")
                    .suggest(zone, known.iter().map(String::as_str)),
            );
            TimeZone::UTC
        })
    }

    fn resolvers(&mut self, resolvers: &Located<Vec<Located<String>>>) -> Vec<IpAddr> {
        if resolvers.len() > RESOLVERS_MAX {
            self.mistakes.push(
                Mistake::new(resolvers.span.clone(), format!("too many resolvers: {}", resolvers.len()))
                    .expected(format!("at most {RESOLVERS_MAX}")),
            );
        }
        let mut addresses = Vec::new();
        for resolver in &resolvers.value {
            match resolver.parse::<IpAddr>() {
                Ok(address) => addresses.push(address.to_canonical()),
                Err(_) => self.mistakes.push(
                    Mistake::new(resolver.span.clone(), format!("not an address: `{}`", resolver.escape_debug()))
                        .expected("an IPv4 or IPv6 address without a port"),
                ),
            }
        }
        addresses
    }

    /// A layer of capture that may be missing.
    fn layer(&mut self, name: &Located<String>) -> Option<Layer> {
        let optional: Vec<_> = Layer::ALL.into_iter().filter(|layer| !layer.is_essential()).map(Layer::name).collect();
        match name.parse::<Layer>() {
            Ok(layer) if !layer.is_essential() => return Some(layer),
            Ok(layer) => self.mistakes.push(
                Mistake::new(name.span.clone(), format!("nothing is captured without the layer `{layer}`"))
                    .expected(format!("some of `{}`", optional.join("`, `"))),
            ),
            Err(UnknownLayer) => self.mistakes.push(
                Mistake::new(name.span.clone(), format!("unknown layer: `{}`", name.escape_debug()))
                    .expected(format!("some of `{}`", optional.join("`, `")))
                    .suggest(name, optional.iter().copied()),
            ),
        }
        None
    }

    /// Notes a value that was given before.
    fn unique<K: Eq + std::hash::Hash>(
        &mut self,
        seen: &mut HashMap<K, Range<usize>>,
        key: K,
        span: &Range<usize>,
        what: impl Into<String>,
        hint: &str,
    ) {
        match seen.entry(key) {
            Entry::Occupied(_) => self.mistakes.push(Mistake::new(span.clone(), what).hint(hint)),
            Entry::Vacant(place) => {
                place.insert(span.clone());
            }
        }
    }
}

fn unreadable(span: Range<usize>, path: &Path, error: &std::io::Error) -> Mistake {
    Mistake::new(span, format!("cannot read `{}`: {error}", path.display()))
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
