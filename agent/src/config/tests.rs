use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::target::{Address, ColumnName, HostPort, Verify};

/// The configuration of the design, as far as it is captured today.
const WHOLE: &str = r#"
state_dir = "state"
control   = "/run/portcullis/other.sock"

[listen]
port = 0

[capture]
resolvers = ["10.0.0.2", "2001:db8::53"]

[policy]
directory = "policies"
time_zone = "UTC"

[record]
journal_bytes = 67108864

[approval]
pending = 10

[workload_defaults]
groups = ["agents", "night"]

[[target]]
name       = "shop"
protocol   = "postgres"
address    = ["db.internal:5432", "10.0.3.7:5432"]
upstream   = "10.0.3.7:5432"
tls        = { verify = "full", ca = "db-ca.pem" }
credential = "shop-app"
labels     = { environment = "prod", team = "payments" }

[target.classes]
"public.customers.email" = "email"
"public.customers.ssn"   = ["pii", "ssn"]

[[credential]]
name        = "shop-app"
user        = "app"
source      = { file = "shop-app" }
certificate = { cert = "app.pem", key = "app.key" }

[[workload]]
name   = "ci-runner"
cgroup = "/system.slice/ci-runner.service"
groups = ["ci"]

[[approvers]]
group   = "sre-oncall"
members = { unix_group = "root" }
"#;

/// A directory with every file that the tests' configurations name.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let app = rcgen::generate_simple_self_signed(["app".into()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    write("db-ca.pem", &app.cert.pem(), 0o644);
    write("shop-app", "correct horse\n", 0o600);
    write("exposed", "correct horse\n", 0o644);
    write("empty", "\n", 0o600);
    write("app.pem", &app.cert.pem(), 0o644);
    write("app.key", &app.signing_key.serialize_pem(), 0o600);
    write("other.key", &other.serialize_pem(), 0o600);
    directory
}

fn parse_in(directory: &TempDir, text: &str) -> Result<Config, ConfigErrors> {
    parse(text, Some(&directory.path().join("portcullis.toml")))
}

#[test]
fn every_key_has_its_place_in_the_typed_configuration() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let config = parse_in(&directory, WHOLE).unwrap_or_else(|errors| panic!("{errors}"));

    assert_eq!(config.state_dir, at("state"));
    assert_eq!(config.control, Path::new("/run/portcullis/other.sock"));
    assert_eq!(config.listen, Listen { port: 0 });
    assert_eq!(config.capture.resolvers, Some(["10.0.0.2", "2001:db8::53"].map(|ip| ip.parse().unwrap()).to_vec()));
    assert_eq!(config.policy, Policy { directory: Some(at("policies")), time_zone: jiff::tz::TimeZone::UTC });
    assert_eq!(config.record, Record { journal_bytes: 64 * 1024 * 1024 });
    assert_eq!(config.approval, Approval { pending: 10 });
    assert_eq!(config.workload_defaults.groups, ["agents".into(), "night".into()]);

    let [target] = config.targets.as_slice() else { panic!("{:?}", config.targets) };
    let tcp = |host: &str| HostPort { host: host.into(), port: 5432 };
    assert_eq!((&*target.name, &*target.protocol), ("shop", "postgres"));
    assert_eq!(target.addresses, [Address::Tcp(tcp("db.internal")), Address::Tcp(tcp("10.0.3.7"))]);
    assert_eq!(target.upstream, Some(tcp("10.0.3.7")));
    assert_eq!(target.tls, Verify::Full { ca: Some(at("db-ca.pem")) });
    assert_eq!(target.credential.as_deref(), Some("shop-app"));
    assert_eq!(target.environment(), "prod");
    let ssn = ColumnName { schema: "public".into(), table: "customers".into(), column: "ssn".into() };
    assert_eq!(target.classes.get(&ssn), Some(&vec!["pii".into(), "ssn".into()]));

    let [credential] = config.credentials.as_slice() else { panic!("{:?}", config.credentials) };
    assert_eq!((&*credential.name, credential.user.as_str()), ("shop-app", "app"));
    assert_eq!(credential.password, Some(at("shop-app")));
    let files = credential.certificate.as_ref().unwrap();
    assert_eq!((&files.chain, &files.key), (&at("app.pem"), &at("app.key")));

    let cgroup = PathBuf::from("/system.slice/ci-runner.service");
    assert_eq!(config.workloads, [Workload { name: "ci-runner".into(), cgroup, groups: vec!["ci".into()] }]);
    assert_eq!(config.approvers, [Approvers { group: "sre-oncall".into(), unix_group: "root".into() }]);
}

#[test]
fn an_empty_file_reaches_nothing() {
    let config = parse("", None).unwrap();
    assert!(config.targets.is_empty() && config.credentials.is_empty() && config.approvers.is_empty());
    assert_eq!(config.listen.port, LISTEN_PORT_DEFAULT);
    assert_eq!(config.workload_defaults.groups, ["agents".into()]);
    assert_eq!(config.instance(), "main");
}
