//! A bundle: the files that together are one policy.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::policy::Finding;

/// Largest file of a bundle, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most files of a bundle.
pub const FILES_MAX: usize = 1000;

/// The vocabulary that an operator may extend.
pub const SITE_SCHEMA: &str = "site.cedarschema";

/// Workloads, targets and tables for the tests of a bundle.
pub const FIXTURES: &str = "fixtures.yaml";

/// Files and their hashes.
pub const MANIFEST: &str = "manifest.json";

/// Folders whose rules are meant to be read, not loaded.
const SHOWN_FOLDERS: [&str; 2] = ["examples", "bad"];

/// The schema files of the daemon itself. A copy in a bundle must be the same.
pub const CORE_SCHEMAS: [(&str, &str); 3] = [
    ("core.cedarschema", include_str!("../../../policies/core.cedarschema")),
    ("sql.cedarschema", include_str!("../../../policies/sql.cedarschema")),
    ("http.cedarschema", include_str!("../../../policies/http.cedarschema")),
];

/// The embedded default.
const EMBEDDED: [(&str, &str); 5] = [
    ("baseline.cedar", include_str!("../../../policies/baseline.cedar")),
    ("builtins.cedar", include_str!("../../../policies/builtins.cedar")),
    (SITE_SCHEMA, include_str!("../../../policies/site.cedarschema")),
    (FIXTURES, include_str!("../../../policies/fixtures.yaml")),
    ("tests/baseline.yaml", include_str!("../../../policies/tests/baseline.yaml")),
];

/// One file.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Source {
    /// Relative to the bundle's directory, with `/` between folders.
    pub name: String,
    pub text: String,
}

/// The text of every file of a policy. Nothing is parsed yet.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Bundle {
    /// `*.cedar`, sorted by name.
    pub rules: Vec<Source>,
    pub site: Source,
    pub fixtures: Option<Source>,
    /// `tests/*.yaml`, sorted by name.
    pub suites: Vec<Source>,
    pub manifest: Option<Source>,
    /// What is wrong with the set of files itself.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// Why a directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("failed to read `{path}`: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{path}` has more than {FILE_BYTES_MAX} bytes")]
    TooLarge { path: PathBuf },
    #[error("`{path}` is not a regular file")]
    NotFile { path: PathBuf },
    #[error("`{path}` has more than {FILES_MAX} files")]
    TooMany { path: PathBuf },
    #[error("`{path}` is not UTF-8")]
    NotText { path: PathBuf },
}

impl Bundle {
    /// What is built in, for a first install.
    pub fn embedded() -> Self {
        let [baseline, builtins, site, fixtures, suite] =
            EMBEDDED.map(|(name, text)| Source { name: name.to_owned(), text: text.to_owned() });
        Self {
            rules: vec![baseline, builtins],
            site,
            fixtures: Some(fixtures),
            suites: vec![suite],
            manifest: None,
            findings: Vec::new(),
        }
    }

    /// Reads a directory: rules and schema from its top, tests from `tests/`.
    pub fn read(directory: &Path) -> Result<Self, BundleError> {
        let mut bundle = Self { rules: Vec::new(), fixtures: None, suites: Vec::new(), ..Self::embedded() };
        let mut has_site = false;
        for path in entries(directory)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                bundle.read_folder(&path, &name)?;
            } else if name.ends_with(".cedar") {
                bundle.rules.push(read(&path, name)?);
            } else if name == SITE_SCHEMA {
                bundle.site = read(&path, name)?;
                has_site = true;
            } else if name == FIXTURES {
                bundle.fixtures = Some(read(&path, name)?);
            } else if name == MANIFEST {
                bundle.manifest = Some(read(&path, name)?);
            } else if name.ends_with(".cedarschema") {
                bundle.compare_schema(&read(&path, name)?);
            }
        }
        if !has_site {
            let missing =
                Finding::in_file(SITE_SCHEMA, "this file is missing: the groups, environments and data classes")
                    .hint("`portcullis policy init DIR` writes the embedded one");
            bundle.findings.push(missing);
        }
        if bundle.rules.is_empty() {
            bundle.findings.push(Finding::in_file("*.cedar", "the directory has no rules"));
        }
        Ok(bundle)
    }

    /// Every file, in a fixed order.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.rules.iter().chain([&self.site]).chain(&self.fixtures).chain(&self.suites)
    }

    fn read_folder(&mut self, folder: &Path, name: &str) -> Result<(), BundleError> {
        for path in entries(folder)? {
            let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            let full = format!("{name}/{file}");
            if name == "tests" && (file.ends_with(".yaml") || file.ends_with(".yml")) {
                self.suites.push(read(&path, full)?);
            } else if file.ends_with(".cedar") && !SHOWN_FOLDERS.contains(&name) {
                self.findings.push(
                    Finding::in_file(full, "this file is not loaded: only files at the top of the directory are rules")
                        .hint("move it up, or into `examples/`"),
                );
            }
        }
        Ok(())
    }

    /// The daemon has its own copy; an edited one would have no effect.
    fn compare_schema(&mut self, found: &Source) {
        let finding = match CORE_SCHEMAS.iter().find(|(name, _)| *name == found.name) {
            Some((_, text)) if *text == found.text => return,
            Some(_) => Finding::in_file(&found.name, "this copy differs from the daemon's own and has no effect")
                .hint("restore it or remove it; your own words belong in `site.cedarschema`"),
            None => Finding::in_file(&found.name, "no schema of this name has an effect")
                .hint("your own words belong in `site.cedarschema`"),
        };
        self.findings.push(finding);
    }
}

/// The entries of a directory sorted by name, without hidden ones.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let unreadable = |source| BundleError::Unreadable { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if paths.len() == FILES_MAX {
            return Err(BundleError::TooMany { path: directory.to_owned() });
        }
        paths.push(entry.path());
    }
    paths.sort();
    Ok(paths)
}

/// Reads a regular file; anything else (a pipe, a device) could block or never end.
fn read(path: &Path, name: String) -> Result<Source, BundleError> {
    let unreadable = |source| BundleError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(BundleError::NotFile { path: path.to_owned() });
    }
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(BundleError::TooLarge { path: path.to_owned() });
    }
    let text = String::from_utf8(content).map_err(|_| BundleError::NotText { path: path.to_owned() })?;
    Ok(Source { name, text })
}
