//! The configuration: files in, types that cannot be wrong out.
//!
//! A file is checked as a whole. [`load`] either returns a [`Config`] in which every reference is
//! resolved and every file readable, or [`ConfigErrors`] with every mistake and its place. Keys and
//! types are checked against the schema ([`schema`]) that is made from the types in `raw`; what a
//! schema cannot say (names, references, files) is checked in `meaning`.

mod address;
mod located;
mod meaning;
mod mistake;
mod place;
mod raw;
mod report;
mod shape;
mod targets;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Read},
    net::IpAddr,
    ops::RangeInclusive,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::{DeTable, Deserializer};

pub use mistake::{MISTAKES_MAX, Mistake};
pub use raw::schema;
pub use report::{ConfigErrors, Report};
pub use targets::{RESOLVED_MAX, RETAINED, Targets};

use crate::{
    accept::findings::Risk,
    capture::Layer,
    credential, dns,
    target::{Address, SocketPath, Target},
};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/portcullis/portcullis.toml";

/// The directory of rules that is used when none is named and it exists.
pub const DEFAULT_POLICIES: &str = "/etc/portcullis/policies";

/// Most bytes of a configuration file.
pub const FILE_MAX: usize = 1024 * 1024;

/// Below Linux's ephemeral ports (32768 to 60999), so that no outgoing connection takes it first.
pub const LISTEN_PORT_MAX: u16 = 32767;
pub const LISTEN_PORT_DEFAULT: u16 = 15001;

pub const JOURNAL_BYTES_MIN: u64 = crate::record::JOURNAL_LEAST;
pub const JOURNAL_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
pub const JOURNAL_BYTES_DEFAULT: u64 = 32 * 1024 * 1024;

/// The lowest user that a workload may be given: below are the users of hosts, also of systemd's making.
pub const UID_MIN: u32 = 65_536;
/// The highest; two more numbers mean nobody.
pub const UID_MAX: u32 = u32::MAX - 2;

/// Most Unix sockets of targets, and most of those that are allowed: a workload gets one of each.
pub const SOCKETS_MAX: usize = 64;

/// Most names, or patterns of names, that workloads may ask beside those of targets.
pub const ALLOWED_NAMES_MAX: usize = 256;

/// Most characters of a name.
pub const NAME_MAX: usize = 64;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read; `None`: the built-in defaults.
    pub file: Option<PathBuf>,
    pub state_dir: PathBuf,
    pub control: PathBuf,
    pub listen: Listen,
    pub capture: Capture,
    pub dns: Dns,
    pub unix: UnixSockets,
    pub policy: Policy,
    pub record: Record,
    pub workload_defaults: WorkloadDefaults,
    pub run: Run,
    pub workloads: Vec<Workload>,
    pub targets: Vec<Arc<Target>>,
    pub credentials: Vec<credential::Source>,
    pub approvers: Vec<Approvers>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listen {
    /// Zero: any free port up to [`LISTEN_PORT_MAX`].
    pub port: u16,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capture {
    /// The DNS servers that the daemon asks for workloads; `None`: those of `/etc/resolv.conf`.
    pub resolvers: Option<Vec<IpAddr>>,
    pub allow_missing: Vec<Layer>,
}

/// Which names workloads may ask.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dns {
    /// Beside those of targets.
    pub allowed: Vec<dns::Pattern>,
    /// Names that live in private networks or on this host.
    pub private: Vec<dns::Pattern>,
}

/// The host's own Unix sockets that workloads may reach, past the gate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UnixSockets {
    /// Those of container engines included.
    pub allowed: Vec<SocketPath>,
    /// Whoever reaches one of these is root on this host.
    pub container_engines: Vec<SocketPath>,
}

impl UnixSockets {
    /// What whoever allowed them should not forget.
    pub fn warnings(&self) -> Vec<String> {
        let warn = |engine| format!("workloads may reach the container engine at {engine}: whoever does is root here");
        self.container_engines.iter().map(warn).collect()
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// `None`: the built-in rules.
    pub directory: Option<PathBuf>,
    pub time_zone: jiff::tz::TimeZone,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    pub journal_bytes: u64,
}

/// What `portcullis run` gives to workloads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkloadDefaults {
    pub groups: Vec<Arc<str>>,
}

/// The jails that `portcullis run` makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// Users that nobody on this host is. The default is beside what systemd hands out
    /// (<https://systemd.io/UIDS-GIDS/>).
    pub uids: RangeInclusive<u32>,
}

/// An existing process tree to capture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Workload {
    pub name: Arc<str>,
    /// Below the cgroup v2 mount, with a `/` in front; a pattern stands for many, see `capture::find::is_pattern`.
    pub cgroup: PathBuf,
    pub groups: Vec<Arc<str>>,
    /// What capture alone cannot hold of it, and may stay.
    pub accepted: Vec<Risk>,
}

/// A group of policy, and the people in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approvers {
    pub group: Arc<str>,
    /// A group of this host: its members may approve.
    pub unix_group: String,
}

/// Reads and checks the file, or [`DEFAULT_FILE`] where none is named.
///
/// Without a name, a missing file means the built-in defaults: no targets, so nothing can be reached.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigErrors> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    match read(path) {
        Ok(text) => parse(&text, Some(path)),
        Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => parse("", None),
        Err(error) => {
            let mistake = Mistake::of_file(format!("cannot read the configuration: {error}"));
            Err(ConfigErrors { file: Some(path.into()), mistakes: vec![mistake], source: String::new() })
        }
    }
}

/// Checks the text of a file. Relative paths in it start at the file's directory.
pub fn parse(text: &str, file: Option<&Path>) -> Result<Config, ConfigErrors> {
    let (mut tree, errors) = DeTable::parse_recoverable(text);
    let mut mistakes: Vec<Mistake> = errors.iter().map(syntax).collect();

    // Names are wanted from broken tables too, so that what refers to them is not reported as well.
    let named = meaning::credential_names(tree.get_ref());
    shape::check(&mut tree, schema().as_value(), &mut mistakes);
    let config = match serde::Deserialize::deserialize(Deserializer::from(tree)) {
        Ok(raw) => Some(meaning::interpret(raw, &named, file, &mut mistakes)),
        Err(error) => {
            mistakes.push(syntax(&error));
            None
        }
    };
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => {
            mistakes.sort_by_key(|mistake| mistake.span.as_ref().map(|span| (span.start, span.end)));
            mistakes.truncate(MISTAKES_MAX);
            Err(ConfigErrors { file: file.map(Into::into), mistakes, source: text.into() })
        }
    }
}

fn syntax(error: &toml::de::Error) -> Mistake {
    Mistake { span: error.span(), ..Mistake::of_file(error.message().replace('\n', ", ")) }
}

fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    let mode = file.metadata()?.mode() & 0o7777;
    if mode & 0o002 != 0 {
        return Err(io::Error::other(format!("everyone may change it: its mode is {mode:04o}")));
    }
    let mut text = String::new();
    let read = file.take(FILE_MAX as u64 + 1).read_to_string(&mut text)?;
    if read > FILE_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_MAX} bytes")));
    }
    Ok(text)
}

impl Config {
    /// A short name that tells this daemon from another one on the host, by its control socket.
    pub fn instance(&self) -> String {
        if self.control == Path::new(meaning::CONTROL_DEFAULT) {
            return "main".into();
        }
        let hash = blake3::hash(self.control.as_os_str().as_encoded_bytes());
        hash.to_hex().chars().take(12).collect()
    }

    /// The names that workloads may ask: what they reach by name, and what is allowed beside.
    pub fn names(&self) -> dns::Names {
        dns::Names::new(self.hosts(), &self.dns.allowed)
    }

    /// Which addresses these names may stand for.
    pub fn homes(&self) -> dns::Homes {
        dns::Homes::new(self.hosts(), &self.dns.private)
    }

    fn hosts(&self) -> impl Iterator<Item = &str> {
        let addresses = self.targets.iter().flat_map(|target| &target.addresses);
        addresses.filter_map(|address| match address {
            Address::Tcp(place) => Some(place.host.as_str()),
            Address::Unix(_) => None,
        })
    }

    /// The directory of the local certificate authority.
    pub fn authority_dir(&self) -> PathBuf {
        self.state_dir.join("ca")
    }
}
