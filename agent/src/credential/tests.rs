use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use super::*;

const PASSWORD: &str = "correct horse";

/// Writes a file that only its owner may read.
fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn secret_file(content: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop-app");
    write(&path, content);
    (directory, path)
}

fn store(password: &Path) -> Store {
    Store::new([Source {
        name: "shop-app".into(),
        user: "app".into(),
        password: Some(password.into()),
        certificate: None,
        http: None,
    }])
}

fn password(store: &Store) -> String {
    let credential = store.find("shop-app").unwrap();
    String::from_utf8(credential.password.as_ref().unwrap().expose().to_vec()).unwrap()
}

#[test]
fn the_newline_at_the_end_is_not_part_of_a_password() {
    for (written, meant) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\n\n", "a\n"), (" a ", " a ")] {
        let (_directory, path) = secret_file(written);
        assert_eq!(read_password(&path).unwrap().expose(), meant.as_bytes());
    }
}

#[test]
fn a_rotated_password_is_used_at_the_next_login() {
    let (directory, path) = secret_file("old\n");
    let store = store(&path);
    assert_eq!(password(&store), "old");

    let replacement = directory.path().join("new");
    write(&replacement, "new\n");
    fs::rename(replacement, &path).unwrap();
    assert_eq!(password(&store), "new");
}

#[test]
fn an_unchanged_file_is_read_once() {
    let (_directory, path) = secret_file(PASSWORD);
    let store = store(&path);
    assert!(Arc::ptr_eq(&store.find("shop-app").unwrap(), &store.find("shop-app").unwrap()));
}

#[test]
fn a_secret_that_others_may_read_is_not_used() {
    let (_directory, path) = secret_file(PASSWORD);
    let store = store(&path);
    assert_eq!(password(&store), PASSWORD);
    for mode in [0o640, 0o604, 0o620, 0o666, 0o610] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = store.find("shop-app").unwrap_err();
        assert!(matches!(error, CredentialError::Password(SourceError::Exposed { .. })), "{mode:o}: {error}");
    }
}

#[test]
fn a_secret_that_is_gone_is_not_used_on() {
    let (_directory, path) = secret_file(PASSWORD);
    let store = store(&path);
    assert_eq!(password(&store), PASSWORD);
    fs::remove_file(&path).unwrap();
    assert!(store.find("shop-app").is_err());
}

#[test]
fn what_is_no_password_is_refused() {
    let long = "x".repeat(SECRET_MAX + 1);
    for content in ["", "\n", "a\0b", &long] {
        let (_directory, path) = secret_file(content);
        assert!(read_password(&path).is_err(), "{} bytes", content.len());
    }
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(read_password(directory.path()), Err(SourceError::NotAFile { .. })));
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(read_password(&pipe), Err(SourceError::NotAFile { .. })));
}

#[test]
fn a_secret_is_in_no_debug_output_and_no_error() {
    let (_directory, path) = secret_file(PASSWORD);
    let store = store(&path);
    let credential = store.find("shop-app").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let error = store.find("shop-app").unwrap_err();
    let shown = format!("{store:?} {credential:?} {error} {error:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[test]
fn a_certificate_comes_with_its_own_key_only() {
    let directory = tempfile::tempdir().unwrap();
    let files = CertificateFiles { chain: directory.path().join("app.pem"), key: directory.path().join("app.key") };
    let [one, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["app".into()]).unwrap());
    fs::write(&files.chain, one.cert.pem()).unwrap();
    write(&files.key, &one.signing_key.serialize_pem());
    ClientCertificate::read(&files).unwrap();

    write(&files.key, &other.signing_key.serialize_pem());
    assert!(matches!(ClientCertificate::read(&files), Err(CertificateError::Key { .. })));

    fs::set_permissions(&files.key, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(ClientCertificate::read(&files), Err(CertificateError::Source(SourceError::Exposed { .. }))));
}

#[test]
fn an_unknown_name_is_an_error() {
    assert!(matches!(Store::default().find("shop-app"), Err(CredentialError::Unknown { .. })));
}
