use std::{
    fs::{self, Permissions},
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    credential::{CertificateFiles, ClientCertificate, Credential},
    target::{Address, HostPort, Target, Verify},
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An authority of a company, which signs its servers' certificates.
struct Company {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Company {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, directory: tempfile::tempdir().unwrap() }
    }

    fn ca(&self) -> PathBuf {
        let path = self.directory.path().join("ca.pem");
        fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    fn server(&self, names: &[&str]) -> Server {
        self.server_with(names, |_| {})
    }

    fn server_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Server {
        let key = KeyPair::generate().unwrap();
        let mut parameters =
            CertificateParams::new(names.iter().map(|name| (*name).into()).collect::<Vec<_>>()).unwrap();
        change(&mut parameters);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Server { certificate: certificate.der().to_vec(), key: key.serialize_der(), client_roots: None }
    }

    /// A client's certificate and key, in files.
    fn client(&self) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "app");
        let files = CertificateFiles {
            chain: self.directory.path().join("app.pem"),
            key: self.directory.path().join("app.key"),
        };
        fs::write(&files.chain, parameters.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, Permissions::from_mode(0o600)).unwrap();
        files
    }
}

/// A server that greets whoever completes its handshake, and says whether the session was resumed.
struct Server {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_roots: Option<Arc<RootCertStore>>,
}

impl Server {
    async fn start(self) -> u16 {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match self.client_roots {
            Some(roots) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots, Arc::new(ring::default_provider())).build().unwrap(),
            ),
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(self.key).unwrap();
        let acceptor =
            TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![self.certificate.into()], key).unwrap()));
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else { return };
                    let kind = stream.get_ref().1.handshake_kind();
                    let resumed = matches!(kind, Some(rustls::HandshakeKind::Resumed));
                    let _ = stream.write_all(if resumed { b"again" } else { b"hello" }).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        port
    }
}

fn target(host: &str, tls: Verify) -> Target {
    Target {
        name: "shop".into(),
        protocol: "postgres".into(),
        addresses: vec![Address::Tcp(HostPort { host: host.into(), port: 5432 })],
        upstream: None,
        tls,
        credential: None,
        labels: Default::default(),
        classes: Default::default(),
        paths: Default::default(),
    }
}

async fn meet(port: u16, tls: &UpstreamTls) -> Result<(String, Option<Vec<u8>>), String> {
    let stream = Stream::from(TcpStream::connect((LOOPBACK, port)).await.unwrap());
    let (mut stream, binding) = stream.connect(tls).await.map_err(|error| format!("{error:?}"))?;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await.map_err(|error| error.to_string())?;
    Ok((greeting, binding))
}

async fn meets(port: u16, target: &Target) -> Result<String, String> {
    let tls = UpstreamTls::for_target(target, None, None).unwrap().expect("the target has TLS");
    meet(port, &tls).await.map(|(greeting, _)| greeting)
}

#[tokio::test]
async fn a_server_of_the_right_name_and_authority_is_met() {
    let company = Company::new("company");
    let port = company.server(&["db.internal"]).start().await;
    assert_eq!(meets(port, &target("db.internal", Verify::Full { ca: Some(company.ca()) })).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_unless_names_do_not_count() {
    let company = Company::new("company");
    let port = company.server(&["other.internal"]).start().await;
    let error = meets(port, &target("db.internal", Verify::Full { ca: Some(company.ca()) })).await.unwrap_err();
    assert!(error.contains("NotValidForName"), "{error}");
    assert_eq!(meets(port, &target("db.internal", Verify::Ca { ca: company.ca() })).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused_always() {
    let (company, other) = (Company::new("company"), Company::new("other"));
    let port = other.server(&["db.internal"]).start().await;
    for tls in [Verify::Full { ca: Some(company.ca()) }, Verify::Ca { ca: company.ca() }] {
        let error = meets(port, &target("db.internal", tls)).await.unwrap_err();
        assert!(error.contains("UnknownIssuer"), "{error}");
    }
}

#[tokio::test]
async fn an_authority_of_the_same_name_with_another_key_is_refused() {
    let (company, impostor) = (Company::new("company"), Company::new("company"));
    let port = impostor.server(&["db.internal"]).start().await;
    assert!(meets(port, &target("db.internal", Verify::Ca { ca: company.ca() })).await.is_err());
}

#[tokio::test]
async fn an_expired_server_is_refused_always() {
    let company = Company::new("company");
    let expired = |parameters: &mut CertificateParams| {
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2020, 2, 1);
    };
    let port = company.server_with(&["db.internal"], expired).start().await;
    for tls in [Verify::Full { ca: Some(company.ca()) }, Verify::Ca { ca: company.ca() }] {
        let error = meets(port, &target("db.internal", tls)).await.unwrap_err();
        assert!(error.contains("Expired"), "{error}");
    }
}

#[tokio::test]
async fn a_self_signed_server_is_met_only_where_its_own_certificate_is_named() {
    let company = Company::new("company");
    let directory = tempfile::tempdir().unwrap();
    // As `openssl req -x509` makes it: an authority that is a server, too.
    let self_signed = |not_after| {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(["db.internal".into()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_after = not_after;
        (parameters.self_signed(&key).unwrap(), key)
    };
    let ca = directory.path().join("server.pem");
    let served = |certificate: &rcgen::Certificate, key: &KeyPair| Server {
        certificate: certificate.der().to_vec(),
        key: key.serialize_der(),
        client_roots: None,
    };

    let (certificate, key) = self_signed(rcgen::date_time_ymd(2100, 1, 1));
    fs::write(&ca, certificate.pem()).unwrap();
    let port = served(&certificate, &key).start().await;
    assert_eq!(meets(port, &target("db.internal", Verify::Full { ca: Some(ca.clone()) })).await.unwrap(), "hello");
    assert!(meets(port, &target("other", Verify::Full { ca: Some(ca.clone()) })).await.is_err());
    assert!(meets(port, &target("db.internal", Verify::Ca { ca: company.ca() })).await.is_err());

    let (certificate, key) = self_signed(rcgen::date_time_ymd(2020, 1, 1));
    fs::write(&ca, certificate.pem()).unwrap();
    let port = served(&certificate, &key).start().await;
    let error = meets(port, &target("db.internal", Verify::Ca { ca })).await.unwrap_err();
    assert!(error.contains("Expired"), "{error}");
}

#[tokio::test]
async fn any_name_that_workloads_dial_will_do_but_an_upstream_name_counts_alone() {
    let company = Company::new("company");
    let port = company.server(&["b.internal"]).start().await;
    let mut target = target("a.internal", Verify::Full { ca: Some(company.ca()) });
    target.addresses.push(Address::Tcp(HostPort { host: "b.internal".into(), port: 5432 }));
    assert_eq!(meets(port, &target).await.unwrap(), "hello");
    target.upstream = Some(Address::Tcp(HostPort { host: "a.internal".into(), port: 5432 }));
    assert!(meets(port, &target).await.is_err());
}

#[tokio::test]
async fn a_host_that_is_meant_has_to_be_the_one_that_answers() {
    let company = Company::new("company");
    let port = company.server(&["b.internal"]).start().await;
    let mut target = target("a.internal", Verify::Full { ca: Some(company.ca()) });
    target.addresses.push(Address::Tcp(HostPort { host: "b.internal".into(), port: 5432 }));
    for (host, well) in [("b.internal", true), ("a.internal", false)] {
        let tls = UpstreamTls::for_target(&target, Some(host), None).unwrap().unwrap();
        assert_eq!(meet(port, &tls).await.is_ok(), well, "{host}");
    }
}

#[tokio::test]
async fn an_upstream_address_may_have_a_name_that_workloads_dial_but_no_address_of_theirs() {
    let company = Company::new("company");
    let mut target = target("db.internal", Verify::Full { ca: Some(company.ca()) });
    target.addresses.push(Address::Tcp(HostPort { host: "127.0.0.1".into(), port: 5432 }));
    target.upstream = Some(Address::Tcp(HostPort { host: "10.0.3.7".into(), port: 5432 }));
    for (name, well) in [("db.internal", true), ("10.0.3.7", true), ("127.0.0.1", false), ("other", false)] {
        let port = company.server(&[name]).start().await;
        assert_eq!(meets(port, &target).await.is_ok(), well, "{name}");
    }
}

#[tokio::test]
async fn an_address_is_a_name_too() {
    let company = Company::new("company");
    let port = company.server(&["127.0.0.1"]).start().await;
    assert_eq!(meets(port, &target("127.0.0.1", Verify::Full { ca: Some(company.ca()) })).await.unwrap(), "hello");
    assert!(meets(port, &target("127.0.0.2", Verify::Full { ca: Some(company.ca()) })).await.is_err());
}

#[tokio::test]
async fn connections_of_one_target_resume_its_sessions_with_the_same_binding() {
    let company = Company::new("company");
    let port = company.server(&["db.internal"]).start().await;
    let target = target("db.internal", Verify::Full { ca: Some(company.ca()) });
    let tls = UpstreamTls::for_target(&target, None, None).unwrap().unwrap();
    let (first, first_binding) = meet(port, &tls).await.unwrap();
    let (second, second_binding) = meet(port, &tls).await.unwrap();
    assert_eq!((first.as_str(), second.as_str()), ("hello", "again"));
    assert!(first_binding.is_some() && first_binding == second_binding);
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_servers_that_ask() {
    let company = Company::new("company");
    let mut roots = RootCertStore::empty();
    roots.add(company.issuer.der().clone()).unwrap();
    let server = Server { client_roots: Some(Arc::new(roots)), ..company.server(&["db.internal"]) };
    let port = server.start().await;
    let target = target("db.internal", Verify::Full { ca: Some(company.ca()) });
    assert!(meets(port, &target).await.is_err());

    let certificate = ClientCertificate::read(&company.client()).unwrap();
    let credential = Credential::new("shop-app", "app").with_certificate(certificate);
    let tls = UpstreamTls::for_target(&target, None, Some(&credential)).unwrap().unwrap();
    assert_eq!(meet(port, &tls).await.unwrap().0, "hello");
}

#[test]
fn a_target_without_tls_has_none() {
    assert!(UpstreamTls::for_target(&target("db.internal", Verify::Off), None, None).unwrap().is_none());
}

#[test]
fn an_authority_that_cannot_be_read_is_an_error() {
    let missing = Verify::Ca { ca: "/nonexistent/ca.pem".into() };
    assert!(matches!(
        UpstreamTls::for_target(&target("db", missing), None, None),
        Err(UpstreamTlsError::Unreadable { .. })
    ));
}

/// A daemon's authority, and its certificate in a file.
fn authority(directory: &Path) -> (Authority, PathBuf) {
    let authority = Authority::open(&directory.join("ca")).unwrap();
    let ca = directory.join("trusted.pem");
    fs::write(&ca, authority.pem()).unwrap();
    (authority, ca)
}

/// Greets one workload whose first bytes were read already, and tells what application protocol was agreed on.
async fn greet_one(
    authority: Authority,
    alpn: &'static [&'static str],
) -> (u16, tokio::task::JoinHandle<Option<Vec<u8>>>) {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeted = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut read = [0; 6];
        socket.read_exact(&mut read).await.unwrap();
        let acceptor = authority.acceptor(LOOPBACK, alpn);
        let mut stream = Stream::from(socket).accept(Bytes::copy_from_slice(&read), &acceptor).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        stream.alpn().map(<[u8]>::to_vec)
    });
    (port, greeted)
}

#[tokio::test]
async fn a_workload_that_trusts_the_authority_verifies_any_name() {
    for host in ["db.internal", "127.0.0.1"] {
        let directory = tempfile::tempdir().unwrap();
        let (authority, ca) = authority(directory.path());
        let (port, greeted) = greet_one(authority, &[]).await;
        assert_eq!(meets(port, &target(host, Verify::Full { ca: Some(ca) })).await.unwrap(), "hello", "{host}");
        greeted.await.unwrap();
    }
}

#[tokio::test]
async fn openssl_verifies_the_name_and_the_authority() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, ca) = authority(directory.path());
    let fingerprint = authority.fingerprint();
    let (port, greeted) = greet_one(authority, &["postgresql"]).await;
    let connect = format!("127.0.0.1:{port}");
    let verify = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-connect",
            &connect,
            "-servername",
            "db.internal",
            "-verify_hostname",
            "db.internal",
        ]);
        command.args(["-verify_return_error", "-alpn", "postgresql", "-CAfile"]).arg(&ca);
        let client = command.stdin(Stdio::null()).output().unwrap();
        let shown =
            Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&ca).output();
        (client, String::from_utf8(shown.unwrap().stdout).unwrap())
    });
    let (client, shown) = verify.await.unwrap();
    let text = String::from_utf8_lossy(&client.stdout);
    assert!(text.contains("Verify return code: 0 (ok)") && text.contains("ALPN protocol: postgresql"), "{text}");
    assert!(shown.trim_end().ends_with(&fingerprint), "{shown}");
    assert_eq!(greeted.await.unwrap().as_deref(), Some(&b"postgresql"[..]));
}

#[test]
fn an_authority_is_made_once_and_its_key_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca");
    let first = Authority::open(&path).unwrap();
    let second = Authority::open(&path).unwrap();
    assert_eq!(first.fingerprint(), second.fingerprint());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("ca.key"))), (0o700, 0o600));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(!format!("{first:?}").contains("PRIVATE"));
}

#[test]
fn an_authority_that_is_not_whole_is_refused_and_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca");
    Authority::open(&path).unwrap();
    let key = path.join("ca.key");

    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Authority::open(&path), Err(AuthorityError::Key(_))));

    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(Authority::open(&path), Err(AuthorityError::Unusable { .. })));

    fs::remove_file(&key).unwrap();
    assert!(matches!(Authority::open(&path), Err(AuthorityError::Key(_))));
    assert!(!key.exists());
}

#[test]
fn daemons_that_start_together_share_one_authority() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca");
    let fingerprints: std::collections::BTreeSet<_> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..4).map(|_| scope.spawn(|| Authority::open(&path).unwrap().fingerprint())).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    assert_eq!(fingerprints.len(), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
