//! What scripts may rely on.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    policy: Policy,
}

fn code(arguments: &[&str]) -> ExitCode {
    let line = std::iter::once("policy").chain(arguments.iter().copied());
    run(Line::try_parse_from(line).expect("arguments").policy)
}

fn directory() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("directory");
    let policies = folder.path().join("policies").display().to_string();
    assert_eq!(code(&["init", &policies]), ExitCode::SUCCESS);
    (folder, policies)
}

#[test]
fn what_init_writes_is_without_mistakes_and_formatted() {
    let (_folder, policies) = directory();
    assert_eq!(code(&["check", &policies, "--json"]), ExitCode::SUCCESS);
    assert_eq!(code(&["test", &policies]), ExitCode::SUCCESS);
    assert_eq!(code(&["fmt", "--check", &policies]), ExitCode::SUCCESS);
    assert_eq!(code(&["diff", &policies, &policies]), ExitCode::SUCCESS);
    assert_eq!(code(&["init", &policies]), ExitCode::from(UNUSABLE), "nothing is overwritten");
}

#[test]
fn findings_and_unreadable_files_have_exit_codes_of_their_own() {
    let (_folder, policies) = directory();
    assert_eq!(code(&["check", "/nonexistent"]), ExitCode::from(UNUSABLE));
    fs::write(Path::new(&policies).join("more.cedar"), "permit (principal, action, resource);").expect("write");
    for format in ["human", "json", "github"] {
        assert_eq!(code(&["check", &policies, "--format", format]), ExitCode::from(FOUND));
    }
    assert_eq!(code(&["fmt", "--check", &policies]), ExitCode::from(FOUND));
}

#[test]
fn a_manifest_is_written_only_for_good_files() {
    let (_folder, policies) = directory();
    assert_eq!(code(&["check", &policies, "--write-manifest"]), ExitCode::SUCCESS);
    assert_eq!(code(&["check", &policies]), ExitCode::SUCCESS);
    fs::remove_file(Path::new(&policies).join("builtins.cedar")).expect("remove");
    assert_eq!(code(&["check", &policies]), ExitCode::from(FOUND));
    assert_eq!(code(&["check", &policies, "--write-manifest"]), ExitCode::from(FOUND), "its tests fail");
}

#[test]
fn a_login_and_a_statement_are_explained() {
    let (_folder, policies) = directory();
    let explain = ["explain", "--dir", &policies, "--workload", "agent", "--target", "shop"];
    assert_eq!(code(&explain), ExitCode::SUCCESS);
    assert_eq!(code(&[&explain[..], &["--sql", "DELETE FROM orders", "--json"]].concat()), ExitCode::SUCCESS);
    let stranger = ["explain", "--dir", &policies, "--workload", "nobody", "--target", "shop"];
    assert_eq!(code(&stranger), ExitCode::from(UNUSABLE));
}
