use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{Meaning, unreadable};
use crate::{
    config::{located::Located, mistake::Mistake, raw},
    mask::{
        Method,
        body::{BodyPlan, Path, PathError},
    },
    protocol::PROTOCOLS,
    target::{Address, Class, ColumnName, Target, Verify},
};

/// Spans of what may be given once only.
#[derive(Default)]
pub(super) struct Seen {
    names: HashMap<Arc<str>, Range<usize>>,
    pub(super) addresses: HashMap<Address, Range<usize>>,
}

impl Meaning<'_> {
    pub fn targets(
        &mut self,
        raw: &[raw::Target],
        credentials: &[raw::Credential],
        names: &BTreeSet<String>,
    ) -> Vec<Arc<Target>> {
        let mut seen = Seen::default();
        raw.iter()
            .map(|raw| {
                let target = self.target(raw, names, &mut seen);
                self.certificate_has_effect(&target, raw, credentials);
                self.credential_fits(&target, raw, credentials);
                Arc::new(target)
            })
            .collect()
    }

    fn target(&mut self, raw: &raw::Target, credentials: &BTreeSet<String>, seen: &mut Seen) -> Target {
        let name = self.name(&raw.name, "target");
        let twice = format!("target defined twice: `{name}`");
        self.unique(&mut seen.names, name.clone(), &raw.name.span, twice, "give each a name of its own");
        if raw.address.is_empty() {
            self.mistakes.push(
                Mistake::new(raw.address.span.clone(), "no address").expected("what workloads dial, as `host:port`"),
            );
        }
        let protocol = self.protocol(&raw.protocol);
        let addresses: Vec<_> =
            raw.address.iter().filter_map(|address| self.dialled(address, &protocol, seen)).collect();
        let upstream = raw.upstream.as_ref().and_then(|upstream| self.place(upstream, &protocol));
        let tls = match self.ends_in_socket(raw, &addresses, upstream.as_ref()) {
            true => self.no_tls(raw.tls.as_ref()),
            false => raw.tls.as_ref().map_or(Verify::Full { ca: None }, |tls| self.verify(tls)),
        };
        let (classes, paths) = match &*protocol {
            "http" => (BTreeMap::new(), self.paths(&raw.classes)),
            _ => (self.classes(&raw.classes), BTreeMap::new()),
        };
        Target {
            name,
            protocol,
            addresses,
            upstream,
            tls,
            credential: raw.credential.as_ref().map(|credential| self.reference(credential, credentials)),
            labels: self.labels(&raw.labels),
            classes,
            paths,
        }
    }

    fn protocol(&mut self, protocol: &Located<String>) -> Arc<str> {
        let known: Vec<&str> = PROTOCOLS.iter().map(|protocol| protocol.name).collect();
        if !known.contains(&protocol.as_str()) {
            let quoted: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            self.mistakes.push(
                Mistake::new(protocol.span.clone(), format!("unknown protocol: `{}`", protocol.escape_debug()))
                    .expected(quoted.join(" or "))
                    .suggest(protocol, known),
            );
        }
        protocol.as_str().into()
    }

    fn verify(&mut self, tls: &raw::Tls) -> Verify {
        let verify = tls.verify.as_ref().map(|verify| verify.value).unwrap_or_default();
        match (verify, &tls.ca) {
            (raw::Verify::Full, ca) => Verify::Full { ca: ca.as_ref().map(|ca| self.authorities(ca)) },
            (raw::Verify::Ca, Some(ca)) => Verify::Ca { ca: self.authorities(ca) },
            (raw::Verify::Ca, None) => {
                let span = tls.verify.as_ref().map(|verify| verify.span.clone()).unwrap_or_default();
                self.mistakes.push(
                    Mistake::new(span, "`verify = \"ca\"` without `ca`")
                        .expected("`ca`, a PEM file")
                        .hint("without the host's name, the system's authorities would vouch for anyone"),
                );
                Verify::Full { ca: None }
            }
            (raw::Verify::Off, Some(ca)) => {
                self.mistakes.push(
                    Mistake::new(ca.span.clone(), "`ca` has no effect where `verify` is \"off\"")
                        .hint("remove it, or verify with it"),
                );
                Verify::Off
            }
            (raw::Verify::Off, None) => Verify::Off,
        }
    }

    fn authorities(&mut self, ca: &Located<std::path::PathBuf>) -> std::path::PathBuf {
        let path = self.path(ca);
        let certificates = match std::fs::read(&path) {
            Ok(pem) => CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap_or_default(),
            Err(error) => {
                self.mistakes.push(unreadable(ca.span.clone(), &path, &error).expected("a PEM file"));
                return path;
            }
        };
        let mut roots = rustls::RootCertStore::empty();
        let usable = certificates.into_iter().map(|certificate| roots.add(certificate)).all(|added| added.is_ok());
        if !usable || roots.is_empty() {
            let what = format!("no usable certificates: `{}`", path.display());
            self.mistakes.push(Mistake::new(ca.span.clone(), what).expected("a PEM file of authorities"));
        }
        path
    }

    fn reference(&mut self, credential: &Located<String>, defined: &BTreeSet<String>) -> Arc<str> {
        if !defined.contains(&credential.value) {
            let mistake =
                Mistake::new(credential.span.clone(), format!("no such credential: `{}`", credential.escape_debug()))
                    .expected("the name of a `[[credential]]`");
            self.mistakes.push(mistake.suggest(credential, defined.iter().map(String::as_str)));
        }
        credential.as_str().into()
    }

    /// A certificate is shown during a TLS handshake: without one it would have no effect.
    fn certificate_has_effect(&mut self, target: &Target, raw: &raw::Target, credentials: &[raw::Credential]) {
        let Some(name) = raw.credential.as_ref().filter(|_| target.tls == Verify::Off) else { return };
        let credential = credentials.iter().find(|credential| credential.name.value == name.value);
        if credential.is_some_and(|credential| credential.certificate.is_some() && credential.source.is_none()) {
            self.mistakes.push(
                Mistake::new(
                    name.span.clone(),
                    format!("the certificate of `{}` has no effect without TLS", name.value),
                )
                .hint("set `tls.verify` to \"full\" or \"ca\""),
            );
        }
    }

    /// A credential has to be one that the target's protocol can send.
    fn credential_fits(&mut self, target: &Target, raw: &raw::Target, credentials: &[raw::Credential]) {
        let Some(name) = &raw.credential else { return };
        let Some(credential) = credentials.iter().find(|credential| credential.name.value == name.value) else {
            return;
        };
        let speaks = &*target.protocol;
        let mistake = |what: &str| Mistake::new(name.span.clone(), format!("`{}` {what}: `{speaks}`", name.value));
        if !PROTOCOLS.iter().any(|protocol| protocol.name == speaks) {
            return;
        }
        if speaks == "http" {
            if credential.http.is_none() && credential.source.is_some() {
                let expected = "`http` in the credential, as `http = { scheme = \"bearer\" }`";
                self.mistakes.push(mistake("does not say how it is sent by this protocol").expected(expected));
            }
            return;
        }
        if credential.user.is_none() {
            self.mistakes.push(mistake("has no user, which this protocol logs in with").expected("`user`"));
        }
        if credential.http.is_some() {
            let hint = "give each protocol a credential of its own";
            self.mistakes.push(mistake("is shown to HTTP servers, and this target speaks another").hint(hint));
        }
    }

    fn labels(&mut self, raw: &BTreeMap<Located<String>, Located<String>>) -> BTreeMap<String, String> {
        raw.iter()
            .map(|(name, value)| {
                self.name(name, "label");
                (name.value.clone(), value.value.clone())
            })
            .collect()
    }

    /// Classes of what stands in message bodies, by path.
    fn paths(&mut self, raw: &BTreeMap<Located<String>, Located<raw::Classes>>) -> BTreeMap<String, Vec<Class>> {
        let mut paths = BTreeMap::new();
        for (path, named) in raw {
            paths.insert(path.value.clone(), self.named_classes(named));
            if let Err(error) = usable(&paths) {
                self.mistakes.push(
                    Mistake::new(path.span.clone(), error.to_string())
                        .hint("quote the key as a whole: \"/customers/*/email\" = \"email\""),
                );
                paths.remove(&path.value);
            }
        }
        paths
    }

    fn named_classes(&mut self, named: &Located<raw::Classes>) -> Vec<Class> {
        let mut classes = Vec::new();
        for class in named.names() {
            let name = Located { value: class.clone(), span: named.span.clone() };
            classes.push(Class(self.name(&name, "class")));
        }
        if classes.is_empty() {
            self.mistakes.push(Mistake::new(named.span.clone(), "no class").expected("a class such as \"email\""));
        }
        classes
    }

    fn classes(&mut self, raw: &BTreeMap<Located<String>, Located<raw::Classes>>) -> BTreeMap<ColumnName, Vec<Class>> {
        let mut classes = BTreeMap::new();
        for (column, named) in raw {
            let of_column = self.named_classes(named);
            match column_name(column) {
                Some(column) => {
                    classes.insert(column, of_column);
                }
                None => self.mistakes.push(
                    Mistake::new(column.span.clone(), format!("invalid column: `{}`", column.escape_debug()))
                        .expected("`schema.table.column`")
                        .hint("quote the key as a whole: \"public.customers.email\" = \"email\""),
                ),
            }
        }
        classes
    }
}

/// Whether paths can be used together, as a session will.
fn usable(paths: &BTreeMap<String, Vec<Class>>) -> Result<(), PathError> {
    let parsed =
        paths.keys().map(|path| Ok((Path::parse(path)?, Class::from("any")))).collect::<Result<Vec<_>, _>>()?;
    BodyPlan::new(&parsed, &BTreeMap::from([(Class::from("any"), Method::Null)]), false).map(drop)
}

fn column_name(text: &str) -> Option<ColumnName> {
    let mut parts = text.split('.').map(str::to_owned);
    let name = ColumnName { schema: parts.next()?, table: parts.next()?, column: parts.next()? };
    let complete = ![&name.schema, &name.table, &name.column].into_iter().any(String::is_empty);
    (complete && parts.next().is_none()).then_some(name)
}
