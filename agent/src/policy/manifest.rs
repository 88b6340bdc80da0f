//! The manifest: which files a bundle consists of, so that a lost one is an error and not a smaller policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::{Bundle, Finding, bundle::MANIFEST, diagnostic::sentence};

/// The manifest's only format.
const VERSION: u32 = 1;

/// Every file of a bundle by name, with the BLAKE3 hash of its text in hexadecimal.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    files: BTreeMap<String, String>,
}

impl Manifest {
    pub fn of(bundle: &Bundle) -> Self {
        let hash = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
        let files = bundle.sources().map(|source| (source.name.clone(), hash(&source.text))).collect();
        Self { version: VERSION, files }
    }

    /// The text of `manifest.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Compares a bundle with its manifest. A bundle without one is not checked.
    pub fn check(bundle: &Bundle) -> Vec<Finding> {
        let Some(source) = &bundle.manifest else { return Vec::new() };
        let declared: Self = match serde_json::from_str(&source.text) {
            Ok(manifest) => manifest,
            Err(error) => return vec![Finding::in_file(MANIFEST, sentence(&error)).hint(REWRITE)],
        };
        if declared.version != VERSION {
            let message = format!("the manifest's version is {}; this daemon reads {VERSION}", declared.version);
            return vec![Finding::in_file(MANIFEST, message).hint(REWRITE)];
        }
        let found = Self::of(bundle);
        let missing = declared.files.keys().filter(|name| !found.files.contains_key(*name));
        let missing = missing.map(|name| (name, "is in the manifest, but missing"));
        let others = found.files.iter().filter_map(|(name, hash)| match declared.files.get(name) {
            None => Some((name, "is not in the manifest")),
            Some(declared) if declared != hash => Some((name, "is not the file that the manifest lists")),
            Some(_) => None,
        });
        let finding = |(name, what): (&String, &str)| Finding::in_file(name, format!("`{name}` {what}")).hint(REWRITE);
        missing.chain(others).map(finding).collect()
    }
}

const REWRITE: &str = "restore the files, or accept the change with `portcullis policy check --write-manifest`";
