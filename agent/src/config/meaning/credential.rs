use std::{collections::HashMap, path::PathBuf};

use super::{Meaning, chain};
use crate::{
    config::{located::Located, mistake::Mistake, raw},
    credential::{CertificateFiles, ClientCertificate, Presentation, Source, SourceError, read_password},
};

/// Header fields that say where a message ends or goes, or that belong to the connection: no key can be in them.
const FRAMING: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Meaning<'_> {
    pub fn credentials(&mut self, raw: Vec<raw::Credential>) -> Vec<Source> {
        let mut seen = HashMap::new();
        raw.into_iter()
            .map(|credential| {
                let name = self.name(&credential.name, "credential");
                let twice = format!("credential defined twice: `{name}`");
                self.unique(&mut seen, name.clone(), &credential.name.span, twice, "give each a name of its own");
                self.credential(credential)
            })
            .collect()
    }

    fn credential(&mut self, raw: raw::Credential) -> Source {
        if let Some(user) = raw.user.as_ref().filter(|user| user.is_empty() || user.contains('\0')) {
            let came = format!("invalid user: `{}`", user.escape_debug());
            self.mistakes.push(Mistake::new(user.span.clone(), came).expected("the user to log in as"));
        }
        let http = raw.http.as_ref().and_then(|http| self.presentation(http));
        self.user_has_effect(&raw, http.as_ref());
        Source {
            name: raw.name.value.into(),
            user: raw.user.map(|user| user.value).unwrap_or_default(),
            password: raw.source.map(|source| self.password(&source.file)),
            certificate: raw.certificate.map(|certificate| self.certificate(certificate)),
            http,
        }
    }

    fn presentation(&mut self, http: &Located<raw::HttpCredential>) -> Option<Presentation> {
        let raw::HttpCredential { scheme, header, query } = &http.value;
        match (scheme, header, query) {
            (Some(scheme), None, None) => Some(match scheme.value {
                raw::AuthenticationScheme::Bearer => Presentation::Bearer,
                raw::AuthenticationScheme::Basic => Presentation::Basic,
            }),
            (None, Some(header), None) => {
                if !is_field_name(header) || FRAMING.contains(&header.to_ascii_lowercase().as_str()) {
                    let came = format!("invalid header field: `{}`", header.escape_debug());
                    self.mistakes.push(
                        Mistake::new(header.span.clone(), came)
                            .expected("a field that a key may be in, as `X-Api-Key`"),
                    );
                }
                Some(Presentation::Header(header.to_ascii_lowercase()))
            }
            (None, None, Some(query)) => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                if query.is_empty() || !query.bytes().all(is_plain) {
                    let came = format!("invalid query field: `{}`", query.escape_debug());
                    let expected = "letters, digits and `-._~`, as `key`";
                    self.mistakes.push(Mistake::new(query.span.clone(), came).expected(expected));
                }
                Some(Presentation::Query(query.value.clone()))
            }
            _ => {
                self.mistakes.push(
                    Mistake::new(http.span.clone(), "`http` has none or several keys")
                        .expected("one of `scheme`, `header` and `query`"),
                );
                None
            }
        }
    }

    /// What a scheme has no place for would have no effect; what it needs must be there.
    fn user_has_effect(&mut self, raw: &raw::Credential, http: Option<&Presentation>) {
        let Some(span) = raw.http.as_ref().map(|http| http.span.clone()) else { return };
        match (http, &raw.user, &raw.source) {
            (Some(Presentation::Basic), None, _) => {
                self.mistakes.push(Mistake::new(span, "`basic` without `user`").expected("the user to log in as"));
            }
            (Some(Presentation::Bearer | Presentation::Header(_) | Presentation::Query(_)), Some(user), _) => {
                let mistake = Mistake::new(user.span.clone(), "`user` has no effect: a key alone is sent");
                self.mistakes.push(mistake.hint("remove it, or set `http.scheme` to \"basic\""));
            }
            (Some(_), _, None) => {
                self.mistakes.push(Mistake::new(span, "`http` without `source`").expected("a file with the secret"));
            }
            (Some(_), _, Some(_)) | (None, ..) => {}
        }
    }

    fn password(&mut self, file: &Located<PathBuf>) -> PathBuf {
        let path = self.path(file);
        if let Err(error) = read_password(&path) {
            let mistake = Mistake::new(file.span.clone(), chain(&error));
            self.mistakes.push(explained(mistake, &error));
        }
        path
    }

    fn certificate(&mut self, raw: raw::Certificate) -> CertificateFiles {
        let files = CertificateFiles { chain: self.path(&raw.cert), key: self.path(&raw.key) };
        if let Err(error) = ClientCertificate::read(&files) {
            use crate::credential::CertificateError as E;
            let (span, inner) = match &error {
                E::Unreadable { .. } | E::Chain { .. } => (raw.cert.span, None),
                E::Key { .. } => (raw.key.span, None),
                E::Source(inner) => (raw.key.span, Some(inner)),
            };
            let mistake = Mistake::new(span, chain(&error));
            self.mistakes.push(match inner {
                Some(inner) => explained(mistake, inner),
                None => mistake.expected("a PEM file"),
            });
        }
        files
    }
}

/// A token of RFC 9110, section 5.6.2.
fn is_field_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

fn explained(mistake: Mistake, error: &SourceError) -> Mistake {
    match error {
        SourceError::Unreadable { .. } => mistake.expected("a file that the daemon can read"),
        SourceError::NotAFile { .. } => mistake.expected("a regular file"),
        SourceError::Exposed { path, .. } => {
            mistake.expected("mode 0600 or stricter").hint(format!("run `chmod 0600 {}`", path.display()))
        }
        SourceError::Foreign { path, .. } => {
            mistake.expected("root as its owner").hint(format!("run `chown root {}`", path.display()))
        }
        SourceError::TooLong { .. } | SourceError::Empty { .. } | SourceError::Nul { .. } => {
            mistake.expected("the password on one line")
        }
    }
}
