//! Whom clients of TLS trust in a jail: the daemon's authority too, without a change to the host.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::chown,
    path::Path,
    process::{Command, Output},
};

use portcullis_tests::{
    cache,
    gate::{Gate, Setup},
    place, port,
    postgres::Postgres,
};

use crate::rig::{Daemon, Project, said};

/// Every client that the script has.
const CLIENTS: [&str; 16] = [
    "curl",
    "wget",
    "git",
    "gnutls",
    "openssl",
    "python",
    "requests",
    "httpx",
    "pip",
    "uv",
    "uv-native",
    "node",
    "npm",
    "deno",
    "java",
    "go",
];
/// Those that bring a list of their own, which only a variable adds to.
const WITH_A_LIST: [&str; 7] = ["requests", "httpx", "pip", "uv", "node", "npm", "deno"];

/// What names lists of authorities, here and in what runs the tests.
const VARIABLES: [&str; 15] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "DENO_CERT",
    "PGSSLROOTCERT",
];

/// A server with a certificate that the daemon's authority has signed, and clients.
struct Https {
    project: Project,
    port: u16,
}

impl Https {
    fn new(daemon: &Daemon) -> Self {
        let (project, port) = (Project::new(), port::free().unwrap());
        let sources = place::repository().join("tests/clients/https");
        for file in ["server.py", "clients.sh", "Get.java"] {
            fs::copy(sources.join(file), project.path.join(file)).unwrap();
        }
        sign(&daemon.state().join("ca"), &project.path);
        for entry in fs::read_dir(&project.path).unwrap() {
            chown(entry.unwrap().path(), Some(Project::OWNER), Some(Project::OWNER)).unwrap();
        }
        Self { project, port }
    }

    /// Starts the server, asks it by every client with `prefix` in front, and ends it.
    fn script(&self, prefix: &str) -> String {
        let (port, cache) = (self.port, cache::https_clients());
        format!(
            "/usr/bin/python3 server.py {port} leaf.pem leaf.key asked & {prefix} bash ./clients.sh {port} {}; kill $!",
            cache.display()
        )
    }

    /// Which clients went on after they had seen the server's certificate, and what all of them said.
    fn heard(&self, mut command: Command) -> (BTreeSet<String>, String) {
        for name in VARIABLES {
            command.env_remove(name);
        }
        let log = self.project.path.join("asked");
        for left in [&log, &self.project.path.join("listening")] {
            let _ = fs::remove_file(left);
        }
        let Output { stdout, stderr, .. } = command.current_dir(&self.project.path).output().unwrap();
        let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let asked = fs::read_to_string(log).unwrap_or_default();
        let names = asked.lines().filter_map(|path| path.split('/').nth(1)).map(Into::into);
        (names.collect(), said)
    }

    fn inside(&self, daemon: &Daemon, options: &[&str], prefix: &str) -> (BTreeSet<String>, String) {
        let kept = format!("{}:ro", cache::https_clients().display());
        let all = [options, &["--bind", ".", "--bind", &kept]].concat();
        self.heard(daemon.run(&all, ["bash", "-c", &self.script(prefix)]))
    }
}

/// A certificate for `localhost`, as the daemon would make it.
fn sign(authority: &Path, place: &Path) {
    let (certificate, key) = (authority.join("ca.pem"), authority.join("ca.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "leaf.key", "-out", "leaf.pem"]);
    openssl.arg("-CA").arg(certificate).arg("-CAkey").arg(key);
    said(&openssl.current_dir(place).output().unwrap());
}

/// Every client of this machine: Go's program is there where Go is.
fn clients() -> BTreeSet<String> {
    let has_go = cache::https_clients().join("go/client").exists();
    CLIENTS.iter().filter(|name| has_go || **name != "go").map(ToString::to_string).collect()
}

#[test]
fn every_client_trusts_the_gate_inside_and_none_outside() {
    let daemon = Daemon::shared();
    let https = Https::new(&daemon);
    let (heard, said) = https.inside(&daemon, &[], "");
    assert_eq!(heard, clients(), "{said}");

    let nobody = BTreeSet::new();
    let (heard, said) = https.inside(&daemon, &["--no-trust"], "");
    assert_eq!(heard, nobody, "{said}");
    let mut outside = Command::new("bash");
    outside.args(["-c", &https.script("")]);
    let (heard, said) = https.heard(outside);
    assert_eq!(heard, nobody, "{said}");
}

#[test]
fn the_host_s_stores_are_enough_for_those_that_read_them() {
    let daemon = Daemon::shared();
    let https = Https::new(&daemon);
    let (heard, said) = https.inside(&daemon, &[], "env -i PATH=$PATH HOME=$HOME");
    let reading: BTreeSet<_> = clients().into_iter().filter(|name| !WITH_A_LIST.contains(&name.as_str())).collect();
    assert!(heard.is_superset(&reading), "{heard:?}\n{said}");
}

#[test]
fn what_the_host_trusts_is_trusted_inside_and_nothing_is_left_there() {
    let daemon = Daemon::shared();
    let certificates = |text: &str| text.matches("BEGIN CERTIFICATE").count();
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let before = fs::read_to_string(bundle).unwrap();
    let stores = "ls /etc/ssl/certs | sort; readlink -f /etc/ssl/certs/*.0 | sort | head -3";
    let outside = said(&Command::new("bash").args(["-c", stores]).output().unwrap());

    let inside = said(&daemon.shell(&[], &format!("cat {bundle}")));
    assert_eq!(certificates(&inside), certificates(&before) + 1);
    assert!(inside.starts_with(before.trim_end()));
    let listed = said(&daemon.shell(&[], "ls /etc/ssl/certs"));
    assert!(fs::read_dir("/etc/ssl/certs").unwrap().all(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        listed.lines().any(|line| line == name)
    }));
    assert_eq!(fs::read_to_string(bundle).unwrap(), before);
    assert_eq!(said(&Command::new("bash").args(["-c", stores]).output().unwrap()), outside);
}

#[test]
fn a_workload_cannot_change_what_it_trusts() {
    let daemon = Daemon::shared();
    for path in [
        "/run/trust/bundle.pem",
        "/run/trust/authority.pem",
        "/run/trust/java.jks",
        "/run/trust/new",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/ssl/certs/new.pem",
        "/etc/ssl/certs/portcullis.pem",
        "/etc/ssl/certs/java/cacerts",
    ] {
        let tried = daemon.shell(&[], &format!("echo x >> {path} || chmod u+w {path} || mv {path} /tmp/ || rm {path}"));
        assert!(!tried.status.success(), "{path}");
    }
}

#[test]
fn a_list_that_somebody_has_set_stays_and_is_told() {
    let daemon = Daemon::shared();
    let project = Project::new();
    let own = project.path.join("own.pem");
    fs::write(&own, "no certificate\n").unwrap();
    chown(&own, Some(Project::OWNER), Some(Project::OWNER)).unwrap();
    let run = |name: &str, value: &str, options: &[&str]| {
        let mut command = daemon.run(&[&["--bind", "."], options].concat(), ["bash", "-c", &format!("echo ${name}")]);
        for name in VARIABLES {
            command.env_remove(name);
        }
        let output = command.env(name, value).current_dir(&project.path).output().unwrap();
        (said(&output), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let own = own.to_str().unwrap();
    let (value, warning) = run("REQUESTS_CA_BUNDLE", own, &[]);
    assert_eq!(value, own);
    assert!(warning.contains("REQUESTS_CA_BUNDLE is set to"), "{warning}");
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    assert_eq!(run("SSL_CERT_FILE", bundle, &[]), (bundle.into(), String::new()), "covered, so that it is no stranger");
    assert_eq!(run("REQUESTS_CA_BUNDLE", own, &["--no-trust"]), (own.into(), String::new()));
    assert_eq!(run("OTHER", "x", &[]).1, "");
}

#[test]
fn psql_verifies_the_gate_s_certificate_in_full() -> anyhow::Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let name = "select name from customers order by id limit 1";
    let psql = ["psql", "-X", "-q", "-t", "-A", "sslmode=verify-full", "-c", name];
    let verified = gate.workload(&server, psql).env_remove("PGSSLROOTCERT").env_remove("PGSSLMODE").output()?;
    assert_eq!(said(&verified), "Ada Lovelace");
    gate.leave()
}

/// In a mount namespace in which the host's store is a copy: `ca install` and `ca remove` run the real update.
#[test]
fn the_host_s_store_takes_the_authority_and_gives_it_back() {
    let daemon = Daemon::shared();
    let copy = place::temporary().unwrap();
    let script = format!(
        "set -eu
        cp -a /etc/ssl /usr/local/share/ca-certificates {copy}
        mount --bind {copy}/ssl /etc/ssl; mount --bind {copy}/ca-certificates /usr/local/share/ca-certificates
        ca() {{ {binary} ca \"$@\" --config {configuration}; }}
        counts() {{ grep -c BEGIN /etc/ssl/certs/ca-certificates.crt; ls /usr/local/share/ca-certificates | wc -l; }}
        ca show > {copy}/ca.pem 2> /dev/null
        known() {{ openssl verify -CApath /etc/ssl/certs {copy}/ca.pem > /dev/null 2>&1 && echo known || echo unknown; }}
        counts; known
        ca install --dry-run > {copy}/would; known; ca install > {copy}/did; known; counts; ca install > {copy}/again; counts
        ca show --json | grep trusted
        ca remove --dry-run > /dev/null; known; ca remove > /dev/null; known; counts; ca remove
        cat {copy}/would {copy}/did {copy}/again",
        copy = copy.path().display(),
        binary = daemon.binary().display(),
        configuration = daemon.configuration().display(),
    );
    let before = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
    let said = said(&Command::new("unshare").args(["--mount", "bash", "-c", &script]).output().unwrap());
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    let [bundle, files] = [lines[0], lines[1]].map(|count| count.parse::<u32>().unwrap());
    let (one_more, as_before) = ([bundle + 1, files + 1], [bundle, files]);
    let counts = |at: usize| [lines[at], lines[at + 1]].map(|count| count.parse::<u32>().unwrap());
    assert_eq!((lines[2], lines[3], lines[4]), ("unknown", "unknown", "known"), "{said}");
    assert_eq!((counts(5), counts(7), lines[9]), (one_more, one_more, "\"trusted\": true,"), "{said}");
    assert_eq!((lines[10], lines[11], counts(12)), ("known", "unknown", as_before), "{said}");
    assert_eq!(lines[14], "it is not installed", "{said}");
    for words in ["would write /usr/local", "would run update-ca", "wrote /usr/local", "ran update-ca", "undo with"] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert_eq!(
        fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap(),
        before,
        "the host's own is untouched"
    );
}
