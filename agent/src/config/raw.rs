//! The file as it is written. The JSON Schema, and with it the check of keys and types, is made from these types.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::Deserialize;

use super::{
    JOURNAL_BYTES_DEFAULT, JOURNAL_BYTES_MAX, JOURNAL_BYTES_MIN, LISTEN_PORT_DEFAULT, LISTEN_PORT_MAX, UID_MIN,
    located::Located,
};

type Text = Located<String>;
type FilePath = Located<PathBuf>;

/// The JSON Schema of the configuration file.
pub fn schema() -> Schema {
    let mut settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null));
    settings.inline_subschemas = true;
    settings.into_generator().into_root_schema_for::<File>()
}

/// TOML has no null: what is optional is left out.
fn without_null(schema: &mut Schema) {
    let Some(keywords) = schema.as_object_mut() else { return };
    if let Some(types) = keywords.get_mut("type").and_then(|types| types.as_array_mut()) {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            keywords.insert("type".into(), only);
        }
    }
    if let Some(mut branches) = keywords.get("anyOf").and_then(|branches| branches.as_array().cloned()) {
        branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
        if let [serde_json::Value::Object(only)] = branches.as_slice() {
            keywords.remove("anyOf");
            for (keyword, value) in only {
                keywords.entry(keyword).or_insert_with(|| value.clone());
            }
        }
    }
}

/// The configuration of Portcullis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "portcullis.toml")]
pub struct File {
    /// Directory of records, index, certificate authority and the last good policy. Made if missing.
    #[schemars(extend("default" = "/var/lib/portcullis"))]
    pub state_dir: Option<FilePath>,
    /// Socket by which commands find the daemon.
    #[schemars(extend("default" = "/run/portcullis/control.sock"))]
    pub control: Option<FilePath>,
    #[serde(default)]
    pub listen: Listen,
    #[serde(default)]
    pub capture: Capture,
    #[serde(default)]
    pub dns: Dns,
    #[serde(default)]
    pub unix: UnixSockets,
    #[serde(default)]
    pub policy: Policy,
    #[serde(default)]
    pub record: Record,
    #[serde(default)]
    pub workload_defaults: WorkloadDefaults,
    #[serde(default)]
    pub run: Run,
    /// The places that workloads dial. What is not listed cannot be reached.
    #[serde(default)]
    pub target: Vec<Target>,
    /// What the daemon logs in with upstream.
    #[serde(default)]
    pub credential: Vec<Credential>,
    /// Existing process trees to capture, beside `portcullis run`.
    #[serde(default)]
    pub workload: Vec<Workload>,
    /// Who may approve what policy holds.
    #[serde(default)]
    pub approvers: Vec<Approvers>,
}

/// Where captured connections arrive.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Port on 127.0.0.1 and [::1], below the ephemeral range; 0: any free one.
    #[schemars(range(max = LISTEN_PORT_MAX), extend("default" = LISTEN_PORT_DEFAULT))]
    pub port: Option<Located<u16>>,
}

/// What goes with captured connections.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Addresses of the DNS servers that the daemon asks for workloads, port 53. Default: those of `/etc/resolv.conf`.
    pub resolvers: Option<Located<Vec<Text>>>,
    /// Layers without which to capture, where this kernel lacks them: `portcullis doctor` says what each is for.
    #[serde(default)]
    #[schemars(extend("default" = [], "examples" = [["unix"]]))]
    pub allow_missing: Vec<Text>,
}

/// The names that workloads may ask beside those of targets. None but these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Host names; `*.` in front stands for one label, `**.` for any number. What fits there leaves the host.
    #[serde(default)]
    #[schemars(extend("examples" = [["files.example.org", "*.pages.example.org"]]))]
    pub allow: Vec<Text>,
    /// Names, with wildcards as above, that live in private networks or on this host: their answers may lead there.
    #[serde(default)]
    #[schemars(extend("examples" = [["*.internal"]]))]
    pub private: Vec<Text>,
}

/// The Unix sockets of this host that workloads may reach beside those of targets. None but these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnixSockets {
    /// Paths of sockets in directories that only root may write to. What listens there is asked past the gate.
    #[serde(default)]
    #[schemars(extend("examples" = [["/run/nscd/socket"]]))]
    pub allow: Vec<Text>,
    /// Paths of container engines' sockets, such as docker.sock. Whoever reaches one is root on this host.
    #[serde(default)]
    pub allow_container_engines: Vec<Text>,
}

/// The rules that decide.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Directory of the rules. Default: `/etc/portcullis/policies` where that exists, else the built-in rules.
    pub directory: Option<FilePath>,
    /// Time zone (IANA) by which rules read the clock.
    #[schemars(extend("default" = "UTC"))]
    pub time_zone: Option<Text>,
}

/// How sessions are recorded.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Size of the journal that holds what is not yet in session files; sessions wait when it is full.
    #[schemars(
        range(min = JOURNAL_BYTES_MIN, max = JOURNAL_BYTES_MAX),
        extend("default" = JOURNAL_BYTES_DEFAULT)
    )]
    pub journal_bytes: Option<Located<u64>>,
}

/// What `portcullis run` gives to workloads.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadDefaults {
    /// Policy groups.
    #[schemars(extend("default" = ["agents"]))]
    pub groups: Option<Vec<Text>>,
}

/// The jails that `portcullis run` makes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Numbers of users that nobody on this host has; each workload gets one of its own. Default: 65536 from 1900000000.
    pub uids: Option<Located<Uids>>,
}

/// Numbers of users.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uids {
    /// The lowest.
    #[schemars(range(min = UID_MIN))]
    pub first: Located<u32>,
    /// How many: most workloads at one moment.
    #[schemars(range(min = 1))]
    pub count: Located<u32>,
}

/// A place that workloads dial, by the name that policy uses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub name: Text,
    /// What is spoken there.
    #[schemars(extend("examples" = ["postgres"]))]
    pub protocol: Text,
    /// What the workload dials: `host:port`, `192.0.2.1:port`, `[2001:db8::1]:port`, or a Unix socket's path.
    #[schemars(extend("examples" = [["db.internal:5432", "10.0.3.7:5432"], ["/run/postgresql"]]))]
    pub address: Located<Vec<Text>>,
    /// Where the daemon dials. Default: where the workload did.
    pub upstream: Option<Text>,
    pub tls: Option<Tls>,
    /// Name of a `[[credential]]`.
    pub credential: Option<Text>,
    /// Facts for policy, such as `environment = "prod"`.
    #[serde(default)]
    pub labels: BTreeMap<Text, Text>,
    /// Data classes of columns: `"schema.table.column" = "email"`.
    #[serde(default)]
    pub classes: BTreeMap<Text, Located<Classes>>,
}

/// How the upstream's certificate is verified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// `full`: chain and host name; `ca`: chain only; `off`: no TLS at all.
    pub verify: Option<Located<Verify>>,
    /// PEM file of the authorities that are trusted. Default with `full`: the system's.
    pub ca: Option<FilePath>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    #[default]
    Full,
    Ca,
    Off,
}

/// A data class such as "email", or a list of them, by the quoted name of a column, "public.customers.email", or with
/// `http` by the path of a value in a body, "/customers/*/email".
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Classes {
    One(String),
    Several(Vec<String>),
}

impl Classes {
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// What the daemon logs in with upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub name: Text,
    /// The user to log in as; required wherever the protocol or the scheme has users.
    pub user: Option<Text>,
    /// Where the password, key or token is kept. None: the server trusts the certificate or the connection alone.
    pub source: Option<Source>,
    pub certificate: Option<Certificate>,
    /// How it is shown to HTTP servers; required where such a target is to see more of it than the certificate.
    pub http: Option<Located<HttpCredential>>,
}

/// Where an HTTP request carries a credential; exactly one key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCredential {
    /// In the field `Authorization`.
    pub scheme: Option<Located<AuthenticationScheme>>,
    /// In the header field of this name.
    #[schemars(extend("examples" = ["X-Api-Key"]))]
    pub header: Option<Text>,
    /// In the query field of this name.
    #[schemars(extend("examples" = ["key"]))]
    pub query: Option<Text>,
}

/// RFC 6750, RFC 7617.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum AuthenticationScheme {
    Bearer,
    Basic,
}

/// Where a password is kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// File with the password; only its owner may read it. A newline at the end is not part of it.
    pub file: FilePath,
}

/// A certificate to show to servers that ask for one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// PEM file of the certificate and its intermediates.
    pub cert: FilePath,
    /// PEM file of its private key; only its owner may read it.
    pub key: FilePath,
}

/// An existing process tree to capture.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub name: Text,
    /// Path below the cgroup v2 mount, with `*`, `?`, `[…]` and `**` for many, or the name of a systemd slice or service.
    #[schemars(extend("examples" = ["/system.slice/ci-runner.service", "ci.slice", "/kubepods.slice/**/cri-containerd-*.scope"]))]
    pub cgroup: Text,
    /// What capture alone cannot hold of its processes, by name, and may stay: `portcullis doctor` finds and explains it.
    #[serde(default)]
    #[schemars(extend("examples" = [["new-privileges", "system-calls"]]))]
    pub accept_risks: Vec<Text>,
    /// Policy groups.
    #[serde(default)]
    pub groups: Vec<Text>,
}

/// A group of policy, and the people in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approvers {
    pub group: Text,
    pub members: Located<Members>,
}

/// The people who may approve; exactly one key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// A group of this host.
    pub unix_group: Option<Text>,
    /// Not supported yet.
    pub oidc_group: Option<Text>,
    /// Not supported yet.
    pub saml_group: Option<Text>,
}
