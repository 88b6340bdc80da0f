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
allow_missing = ["unix"]

[dns]
allow = ["files.example.org", "*.Pages.example.org"]
private = ["*.internal"]

[unix]
allow = ["/run/nscd/socket"]
allow_container_engines = ["/var/run/docker.sock"]

[policy]
directory = "policies"
time_zone = "UTC"

[record]
journal_bytes = 67108864

[workload_defaults]
groups = ["agents", "night"]

[run]
uids = { first = 2000000, count = 100 }

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
accept_risks = ["new-privileges", "system-calls"]

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
    assert_eq!(config.capture.allow_missing, [Layer::Unix]);
    let allowed: Vec<_> = config.dns.allowed.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["files.example.org", "*.pages.example.org"]);
    assert_eq!(config.dns.private, ["*.internal".parse().unwrap()]);
    let socket = |path: &str| crate::target::SocketPath::parse(path).unwrap();
    let allowed = vec![socket("/run/nscd/socket"), socket("/run/docker.sock")];
    assert_eq!(config.unix.warnings().len(), 1);
    assert_eq!(config.unix, UnixSockets { allowed, container_engines: vec![socket("/run/docker.sock")] });
    assert_eq!(config.policy, Policy { directory: Some(at("policies")), time_zone: jiff::tz::TimeZone::UTC });
    assert_eq!(config.record, Record { journal_bytes: 64 * 1024 * 1024 });
    assert_eq!(config.workload_defaults.groups, ["agents".into(), "night".into()]);
    assert_eq!(config.run.uids, 2_000_000..=2_000_099);

    let [target] = config.targets.as_slice() else { panic!("{:?}", config.targets) };
    let tcp = |host: &str| HostPort { host: host.into(), port: 5432 };
    assert_eq!((&*target.name, &*target.protocol), ("shop", "postgres"));
    assert_eq!(target.addresses, [Address::Tcp(tcp("db.internal")), Address::Tcp(tcp("10.0.3.7"))]);
    assert_eq!(target.upstream, Some(Address::Tcp(tcp("10.0.3.7"))));
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
    let (groups, accepted) = (vec!["ci".into()], vec![Risk::NewPrivileges, Risk::SystemCalls]);
    assert_eq!(config.workloads, [Workload { name: "ci-runner".into(), cgroup, groups, accepted }]);
    assert_eq!(config.approvers, [Approvers { group: "sre-oncall".into(), unix_group: "root".into() }]);
}

#[test]
fn a_unix_socket_is_dialled_without_tls() {
    let text = |tls: &str| {
        format!("[[target]]\nname = \"shop\"\nprotocol = \"postgres\"\naddress = [\"/run/nowhere\"]\n{tls}")
    };
    for tls in ["", "tls = { verify = \"off\" }"] {
        let config = parse(&text(tls), None).unwrap_or_else(|errors| panic!("{errors}"));
        let [target] = config.targets.as_slice() else { panic!("{:?}", config.targets) };
        let path = crate::target::SocketPath::parse("/run/nowhere/.s.PGSQL.5432").unwrap();
        assert_eq!((&target.addresses, &target.tls), (&vec![Address::Unix(path)], &Verify::Off));
    }
    let elsewhere = parse(&text("upstream = \"db.internal:5432\""), None).unwrap();
    assert_eq!(elsewhere.targets[0].tls, Verify::Full { ca: None }, "the daemon dials a host");
}

#[test]
fn an_empty_file_reaches_nothing() {
    let config = parse("", None).unwrap();
    assert_eq!(config.unix, UnixSockets::default());
    assert!(config.targets.is_empty() && config.credentials.is_empty() && config.approvers.is_empty());
    assert_eq!(config.listen.port, LISTEN_PORT_DEFAULT);
    assert_eq!(config.workload_defaults.groups, ["agents".into()]);
    assert_eq!(config.instance(), "main");
}

/// One planted mistake each: a heading, and the text in which it stands.
const MISTAKES: &str = include_str!("mistakes.txt");

#[test]
fn each_mistake_is_explained() {
    let directory = directory();
    let mut report = String::new();
    for case in MISTAKES.split("##### ").skip(1) {
        let (name, text) = case.split_once('\n').unwrap();
        let errors = parse_in(&directory, text).expect_err(name);
        let shown = errors.to_string().replace(directory.path().to_str().unwrap(), "/etc/portcullis");
        report.push_str(&format!("##### {name}\n{shown}\n\n"));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn one_mistake_does_not_hide_another() {
    let directory = directory();
    let text = r#"
colour = "red"
[listen]
port = true
[[target]]
name = "shop"
protocol = "postgres"
address = ["db.internal"]
credential = "missing"
[[target]]
name = "shop"
address = ["db.internal:5432"]
[[target]]
name = "blog"
protocol = "mysql?"
address = ["db.internal:5432"]
credential = "app"
[[credential]]
user = "app"
[policy]
directory = "missing"
time_zone = "Mars"
"#;
    let errors = parse_in(&directory, text).unwrap_err();
    let lines: Vec<_> = errors.reports().iter().map(|report| report.line.unwrap()).collect();
    assert_eq!(lines, [2, 4, 8, 9, 10, 15, 17, 18, 21, 22], "{errors}");
}

#[test]
fn programs_read_the_same_mistakes() {
    let errors = parse("[listen]\nport = 40000\n", Some(Path::new("/etc/portcullis/portcullis.toml"))).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&errors.reports()).unwrap());
}

#[test]
fn a_secret_that_stands_in_the_file_is_not_shown() {
    const APP: &str = "[[credential]]\nname = \"app\"\nuser = \"app\"\n";
    for (before, text) in [
        (APP, "password = \"correct horse\""),
        (APP, "source = \"correct horse\""),
        (APP, "source = { value = \"correct horse\" }"),
        (APP, "password = correct horse"),
        (APP, "password = \"correct horse"),
        (APP, "password = \"\"\"\ncorrect horse\n\"\"\""),
        (APP, "password = [\n  \"correct\",\n  horse,\n]"),
        ("", "credential = [{ name = \"app\", user = \"app\", password = \"correct horse\" }]"),
        ("", "credential = [\n  { name = \"app\", user = \"app\", passphrase = \"correct horse\" },\n]"),
        ("[[target]]\n", "password = \"correct horse\""),
        ("", "db_secret = 'correct horse' trailing"),
    ] {
        let errors = parse(&format!("{before}{text}"), None).unwrap_err();
        let shown = format!("{errors} {}", serde_json::to_string(&errors.reports()).unwrap());
        assert!(!shown.contains("correct") && !shown.contains("horse"), "{text}\n{shown}");
    }
}

#[test]
fn the_schema_has_every_table_and_no_null() {
    let schema = schema();
    assert!(!serde_json::to_string(&schema).unwrap().contains("\"null\""));
    let keys: Vec<_> = schema.get("properties").unwrap().as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys.join(" "),
        "state_dir control listen capture dns unix policy record workload_defaults run target credential workload approvers"
    );
}

#[test]
fn every_key_is_documented() {
    fn walk(schema: &serde_json::Value, manual: &str) {
        for (key, schema) in schema.get("properties").and_then(|keys| keys.as_object()).into_iter().flatten() {
            assert!(manual.contains(&format!("`{key}`")) || manual.contains(&format!("[{key}]")), "{key}");
            walk(schema, manual);
            walk(schema.get("items").unwrap_or(&serde_json::Value::Null), manual);
        }
    }
    walk(schema().as_value(), include_str!("../../docs/configuration.md"));
}

#[test]
fn the_example_is_a_valid_configuration() {
    let example = include_str!("../../dist/portcullis.toml");
    parse(example, None).unwrap_or_else(|errors| panic!("{errors}"));
}

#[test]
fn a_file_that_was_named_must_be_readable_and_trustworthy() {
    assert!(load(Some(Path::new("/nonexistent/portcullis.toml"))).is_err());
    let directory = directory();
    let long = directory.path().join("long.toml");
    fs::write(&long, "#".repeat(FILE_MAX + 1)).unwrap();
    let error = load(Some(&long)).unwrap_err().to_string();
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
    fs::write(&long, [0xff, 0xfe]).unwrap();
    assert!(load(Some(&long)).unwrap_err().to_string().contains("UTF-8"));
    fs::write(&long, "").unwrap();
    load(Some(&long)).unwrap();
    fs::set_permissions(&long, Permissions::from_mode(0o666)).unwrap();
    assert!(load(Some(&long)).unwrap_err().to_string().contains("everyone may change it"));
}

#[test]
fn a_file_of_mistakes_gives_a_bounded_report() {
    let text: String = (0..10 * MISTAKES_MAX).map(|number| format!("key{number} = 0\n")).collect();
    let errors = parse(&text, None).unwrap_err();
    assert_eq!(errors.mistakes.len(), MISTAKES_MAX);
    assert!(errors.to_string().ends_with("at least 100 mistakes in the configuration"));
}

fn parse_and_show(text: &str) {
    if let Err(errors) = parse(text, None) {
        let _ = (errors.to_string(), serde_json::to_string(&errors.reports()).unwrap());
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        parse_and_show(&text);
    }

    #[test]
    fn a_configuration_with_a_changed_byte_never_panics(at in 0..WHOLE.len(), byte in 0u8..128) {
        let mut text = WHOLE.as_bytes().to_vec();
        text[at] = byte;
        parse_and_show(&String::from_utf8(text).unwrap());
    }

    #[test]
    fn words_of_the_language_in_any_order_never_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "[[target]]", "[[credential]]", "[listen]", "[", "]", "{", "}", "\n", "=", "\"", "'''", ".", ",", "\t",
                "name", "tls", "port", "classes", "members", "0x", "9999999999999999999999", "1979-05-27", "ä",
            ]),
            0..40,
        ),
    ) {
        parse_and_show(&words.join(" "));
        parse_and_show(&words.concat());
    }
}
