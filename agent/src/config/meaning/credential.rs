use std::{collections::HashMap, path::PathBuf};

use super::{Meaning, chain};
use crate::{
    config::{located::Located, mistake::Mistake, raw},
    credential::{CertificateFiles, ClientCertificate, Source, SourceError, read_password},
};

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
        if raw.user.is_empty() || raw.user.contains('\0') {
            let came = format!("invalid user: `{}`", raw.user.escape_debug());
            self.mistakes.push(Mistake::new(raw.user.span.clone(), came).expected("the user to log in as"));
        }
        Source {
            name: raw.name.value.into(),
            user: raw.user.value,
            password: raw.source.map(|source| self.password(&source.file)),
            certificate: raw.certificate.map(|certificate| self.certificate(certificate)),
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
