//! Variables for programs that bring a list of authorities of their own, or look for the host's where it is not.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
};

use super::{AUTHORITY, BUNDLE, Trust};

/// Variables that name a list which stands for the program's own: they get the host's authorities and the daemon's.
const REPLACING: &[&str] = &[
    "SSL_CERT_FILE",
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
];

/// Variables that name what is added to the program's own list, and libpq's, for which the daemon vouches alone.
const ADDING: &[&str] = &["NODE_EXTRA_CA_CERTS", "DENO_CERT", "PGSSLROOTCERT"];

/// Those that nobody has set.
pub(in crate::jail) fn variables() -> Vec<(OsString, OsString)> {
    let of = |names: &[&'static str], file: &'static str| names.iter().map(|name| (*name, file)).collect::<Vec<_>>();
    let all = [of(REPLACING, BUNDLE), of(ADDING, AUTHORITY)].concat();
    let unset = all.into_iter().filter(|(name, _)| env::var_os(name).is_none());
    unset.map(|(name, file)| (name.into(), file.into())).collect()
}

/// Says which variable that somebody has set names, in this view, a list without the authority: it stays as it is.
pub(in crate::jail) fn warn_of_strangers(trust: &Trust, set: impl Fn(&str) -> Option<OsString>) {
    for name in REPLACING.iter().chain(ADDING) {
        if let Some(file) = set(name).filter(|file| !is_known(trust, file)) {
            eprintln!(
                "warning: {name} is set to {}, which does not name the gate's authority: programs that read it refuse \
                 what the gate shows them\n  hint: `env -u {name} portcullis run …`",
                file.display()
            );
        }
    }
}

/// Whether a file has the authority in it. An empty name is none.
fn is_known(trust: &Trust, file: &OsStr) -> bool {
    // A pipe would be waited for.
    let content = Path::new(file).is_file().then(|| super::read(Path::new(file)));
    match content {
        Some(Ok(content)) => super::certificates(&content).contains(&trust.certificate),
        Some(Err(_)) | None => file.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::authority, *};

    #[test]
    fn a_list_without_the_authority_is_told_from_one_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let [ours, others] = [authority("Portcullis"), authority("Company")];
        let trust = Trust::of(&ours).unwrap();
        let file = |name: &str, content: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        assert!(!is_known(&trust, file("others", others.clone()).as_os_str()));
        assert!(is_known(&trust, file("both", format!("{others}{ours}")).as_os_str()));
        assert!(!is_known(&trust, directory.path().join("none").as_os_str()));
        assert!(is_known(&trust, OsStr::new("")), "an empty variable is as none");
    }
}
