//! What stays in force when files change.

use std::{fs, path::Path};

use super::*;

const GOOD: &str = r#"@id("read") permit (principal, action == Sql::Action::"select", resource);"#;
const OTHER: &str = r#"@id("write") permit (principal, action == Sql::Action::"insert", resource);"#;
const BROKEN: &str = r#"@id("read") permit (principal, action == Sql::Action::"selekt", resource);"#;

fn directory(rules: &str) -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().expect("directory");
    let policies = folder.path().join("policies");
    fs::create_dir(&policies).expect("policies");
    fs::write(policies.join("site.cedarschema"), include_str!("../../../../policies/site.cedarschema")).expect("site");
    fs::write(policies.join("rules.cedar"), rules).expect("rules");
    let settings = Settings { directory: Some(policies), state_dir: folder.path().join("state") };
    (folder, settings)
}

fn rules_file(settings: &Settings) -> std::path::PathBuf {
    settings.directory.as_deref().expect("directory").join("rules.cedar")
}

fn selects(store: &Store) -> Effect {
    let select = access(sql::Operation::Select, table("orders"));
    ask(&store.current(), &principal("bot", &[]), &target(None), vec![select], &[]).effect
}

#[test]
fn without_a_directory_the_embedded_rules_are_in_force() {
    let store = Store::open(Settings { directory: None, state_dir: "/nonexistent".into() });
    assert_eq!(store.state().origin, Origin::Embedded);
    assert_eq!(selects(&store), Effect::Allow);
    assert_eq!(store.reload().expect("nothing to reload"), store.current().generation());
}

#[test]
fn a_broken_change_leaves_the_last_good_rules_in_force() {
    let (_folder, settings) = directory(GOOD);
    let store = Store::open(settings.clone());
    let generations = store.subscribe();
    let before = store.current().generation();
    fs::write(rules_file(&settings), BROKEN).expect("write");
    let findings = store.reload().expect_err("broken");
    assert!(findings.to_string().contains("rules.cedar:1:42"), "{findings}");
    assert_eq!(selects(&store), Effect::Allow);
    assert_eq!(store.current().generation(), before);
    assert_eq!(store.state().broken, Some(findings));
    assert!(!generations.has_changed().expect("open"));

    fs::write(rules_file(&settings), OTHER).expect("write");
    let after = store.reload().expect("good again");
    assert!(after > before);
    assert_eq!(*generations.borrow(), after);
    assert_eq!(selects(&store), Effect::Deny);
    assert_eq!(store.state().broken, None);
}

#[test]
fn restoring_the_same_files_is_no_new_generation() {
    let (_folder, settings) = directory(GOOD);
    let store = Store::open(settings.clone());
    let before = store.current().generation();
    fs::write(rules_file(&settings), BROKEN).expect("write");
    store.reload().expect_err("broken");
    fs::write(rules_file(&settings), GOOD).expect("write");
    assert_eq!(store.reload().expect("good"), before);
    assert_eq!(store.state().broken, None);
}

#[test]
fn a_restart_with_broken_files_uses_the_last_good_rules() {
    let (_folder, settings) = directory(GOOD);
    drop(Store::open(settings.clone()));
    fs::write(rules_file(&settings), BROKEN).expect("write");
    let store = Store::open(settings.clone());
    assert_eq!(store.state().origin, Origin::LastGood);
    assert!(store.state().broken.is_some());
    assert_eq!(selects(&store), Effect::Allow);
    fs::remove_dir_all(settings.directory.as_deref().expect("directory")).expect("remove");
    assert_eq!(selects(&Store::open(settings)), Effect::Allow);
}

#[test]
fn broken_files_at_the_very_first_start_deny_everything() {
    let (_folder, settings) = directory(BROKEN);
    let store = Store::open(settings.clone());
    assert_eq!(store.state().origin, Origin::Nothing);
    assert_eq!(selects(&store), Effect::Deny);
    fs::write(rules_file(&settings), GOOD).expect("write");
    store.reload().expect("good");
    assert_eq!(selects(&store), Effect::Allow);
}

#[test]
fn a_bundle_whose_own_tests_fail_is_never_in_force() {
    let (_folder, settings) = directory(GOOD);
    let policies = settings.directory.clone().expect("directory");
    let store = Store::open(settings.clone());
    fs::create_dir(policies.join("tests")).expect("tests");
    fs::write(policies.join("fixtures.yaml"), include_str!("../../../../policies/fixtures.yaml")).expect("fixtures");
    let suite = "suite: s\ntests:\n  - { name: login, workload: agent, target: shop, connect: shop, expect: allow }\n";
    fs::write(policies.join("tests/s.yaml"), suite).expect("suite");
    let findings = store.reload().expect_err("the login is denied");
    assert!(findings.to_string().contains("login: decision: expected allow, got deny"), "{findings}");
    assert!(findings.to_string().contains("tests/s.yaml:3:"), "{findings}");
    fs::write(policies.join("tests/s.yaml"), suite.replace("allow", "deny")).expect("suite");
    store.reload().expect("as expected now");
}

#[test]
fn a_manifest_notices_lost_added_and_changed_files() {
    let (_folder, settings) = directory(GOOD);
    let policies = settings.directory.as_deref().expect("directory");
    fs::write(policies.join("forbids.cedar"), r#"@id("no") forbid (principal, action, resource);"#).expect("forbids");
    let read = || Bundle::read(policies).expect("readable");
    fs::write(policies.join("manifest.json"), Manifest::of(&read()).to_json()).expect("manifest");
    activate(&read(), 1).expect("as listed");
    let complaint = |change: &dyn Fn(&Path)| {
        change(policies);
        activate(&read(), 1).expect_err("not as listed").to_string()
    };
    let emptied = complaint(&|policies| fs::write(policies.join("forbids.cedar"), "").expect("write"));
    assert!(emptied.contains("`forbids.cedar` is not the file that the manifest lists"), "{emptied}");
    let lost = complaint(&|policies| fs::remove_file(policies.join("forbids.cedar")).expect("remove"));
    assert!(lost.contains("`forbids.cedar` is in the manifest, but missing"), "{lost}");
    let added = complaint(&|policies| fs::write(policies.join("more.cedar"), OTHER).expect("write"));
    assert!(added.contains("`more.cedar` is not in the manifest"), "{added}");
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let (_folder, settings) = directory(GOOD);
    let policies = settings.directory.as_deref().expect("directory");
    let findings = |bundle: Bundle| Engine::compile(&bundle, 1).map(|_| ()).expect_err("no effect").to_string();
    fs::create_dir(policies.join("prod")).expect("folder");
    fs::write(policies.join("prod/forbids.cedar"), OTHER).expect("write");
    let nested = findings(Bundle::read(policies).expect("readable"));
    assert!(nested.contains("prod/forbids.cedar") && nested.contains("is not loaded"), "{nested}");
    fs::remove_dir_all(policies.join("prod")).expect("remove");
    fs::write(policies.join("core.cedarschema"), "entity Group;").expect("write");
    let edited = findings(Bundle::read(policies).expect("readable"));
    assert!(edited.contains("differs from the daemon's own"), "{edited}");
    fs::remove_file(policies.join("core.cedarschema")).expect("remove");
    fs::remove_file(policies.join("site.cedarschema")).expect("remove");
    let missing = findings(Bundle::read(policies).expect("readable"));
    assert!(missing.contains("site.cedarschema") && missing.contains("is missing"), "{missing}");
}

#[test]
fn a_change_on_disk_comes_into_force_by_itself() {
    let (_folder, settings) = directory(GOOD);
    let store = Store::open(settings.clone());
    let mut generations = store.subscribe();
    let watch = store.watch().expect("watch").expect("a directory");
    fs::write(rules_file(&settings), OTHER).expect("write");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(generations.changed()).expect("a new generation");
    assert_eq!(selects(&store), Effect::Deny);
    drop(watch);
}
