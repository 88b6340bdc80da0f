//! What is refused when a bundle is loaded.

use proptest::prelude::*;

use super::*;
use crate::request::http;

#[test]
fn the_embedded_policy_has_no_mistakes() {
    assert!(embedded().rules().len() > 20);
}

#[test]
fn every_operation_is_an_action_and_every_action_an_operation() {
    for (position, operation) in sql::Operation::ALL.into_iter().enumerate() {
        assert_eq!(operation as usize, position);
    }
    assert_eq!(sql::Operation::Unknown as usize + 1, sql::Operation::ALL.len());
    for (position, operation) in http::Operation::ALL.into_iter().enumerate() {
        assert_eq!(operation as usize, position);
    }
    assert_eq!(http::Operation::Other as usize + 1, http::Operation::ALL.len());
    let (schema, _) = schema::build(&Bundle::embedded()).expect("the schema is valid");
    let groups: BTreeSet<String> = schema.action_groups().map(ToString::to_string).collect();
    let actions: BTreeSet<String> = schema.actions().map(ToString::to_string).collect();
    let names = entities::Names::parse().expect("names");
    let operations: BTreeSet<String> = Operation::all().map(|operation| names.action(operation).to_string()).collect();
    assert_eq!(actions.difference(&groups).cloned().collect::<BTreeSet<_>>(), operations);
}

#[test]
fn every_planted_mistake_is_refused_in_its_own_words() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("bad")).expect("bad") {
        let path = entry.expect("entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let expected = text.lines().next().and_then(|line| line.strip_prefix("// expect: ")).expect("an expectation");
        let findings = Engine::compile(&with_rules(&text), 1).err().unwrap_or_else(|| panic!("{path:?} is accepted"));
        assert!(findings.iter().any(|finding| finding.message.contains(expected)), "{path:?}:\n{findings}");
        assert!(findings.iter().all(|finding| finding.line > 0 && finding.column > 0), "{path:?}:\n{findings}");
        assert!(findings.iter().count() <= 3, "{path:?}:\n{findings}");
        seen += 1;
    }
    assert!(seen >= 20);
}

#[test]
fn the_repository_s_policies_are_the_embedded_ones() {
    let repository = Bundle::read(&repository()).expect("readable");
    assert_eq!(repository.findings, []);
    assert_eq!(repository, Bundle::embedded());
}

#[test]
fn every_example_can_stand_beside_the_baseline() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("examples")).expect("examples") {
        let path = entry.expect("entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let mut bundle = Bundle::embedded();
        bundle.rules.push(Source { name: "example.cedar".to_owned(), text });
        if let Err(findings) = Engine::compile(&bundle, 1) {
            panic!("{path:?}:\n{findings}");
        }
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn every_mistake_is_reported_at_once_and_in_order() {
    let rules = "@id(\"a\") permit (principal, action == Sql::Action::\"select\", resource) when { resource.nmae == \"x\" };\n\
                 @id(\"b\") forbid (principal, action == Sql::Action::\"selct\", resource);\n";
    let findings = Engine::compile(&with_rules(rules), 1).expect_err("two mistakes");
    let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [1, 2], "{findings}");
    assert_eq!(findings, Engine::compile(&with_rules(rules), 1).expect_err("the same again"));
}

#[test]
fn findings_are_written_for_people_and_for_machines() {
    let rules = "// a comment\n@id(\"x\") @aproval(\"dba\") forbid (principal, action, resource);\n";
    let findings = Engine::compile(&with_rules(rules), 1).expect_err("a mistake");
    let person = "error: unknown annotation `@aproval`\n  --> rules.cedar:2:10\n   |\n 2 | @id(\"x\") @aproval(\"dba\") \
                  forbid (principal, action, resource);\n   |          ^\nhint: did you mean `@approval`?";
    assert_eq!(findings.to_string(), person);
    let json = serde_json::to_value(&findings).expect("json");
    assert_eq!(json[0]["line"], 2);
    assert_eq!(json[0]["hint"], "did you mean `@approval`?");
    let github = "::error file=a%2Cb/rules.cedar,line=2,col=10::unknown annotation `@aproval`%0Ahint: did you mean `@approval`?\n";
    assert_eq!(findings.github("a,b"), github);
}

#[test]
fn the_site_s_schema_holds_three_enumerations_and_nothing_else() {
    let refused = |text: &str| {
        let site = Source { name: "site.cedarschema".to_owned(), text: text.to_owned() };
        Engine::compile(&Bundle { site, ..Bundle::embedded() }, 1).expect_err(text).to_string()
    };
    let three = "entity Group enum [\"agents\", \"dba\"];\nentity Environment enum [\"prod\"];\nentity DataClass enum [\"email\"];\n";
    assert!(refused("entity Group enum [\"agents\"];").contains("`Environment` is missing"));
    assert!(refused(&format!("{three}entity User enum [\"root\"];")).contains("`User` does not belong here"));
    assert!(refused(&three.replace("enum [\"prod\"]", "")).contains("`Environment` does not belong here"));
    assert!(refused(&format!("{three}action \"select\";")).contains("`select` does not belong here"));
    assert!(refused(&format!("{three}namespace Sql {{ entity Table; }}")).contains("`Table` does not belong here"));
    assert!(refused("entity Group enum [").contains("site.cedarschema:1:"));
}

#[test]
fn the_embedded_policy_passes_its_own_tests_and_each_rule_is_pinned_by_one() {
    let tests = Tests::read(&Bundle::embedded()).unwrap_or_else(|findings| panic!("{findings}"));
    let report = tests.run(embedded());
    assert_eq!(report.failed, 0, "{}", report.findings);
    assert!(report.passed > 50);
    assert_eq!(tests.unpinned(embedded()).expect("engines"), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a file holds, loading it ends with an engine or with findings.
    #[test]
    fn arbitrary_files_are_read_or_refused(rules in ".*", site in ".*", fixtures in ".*", suite in ".*") {
        let source = |name: &str, text| Source { name: name.to_owned(), text };
        let _ = Engine::compile(&with_rules(&rules), 1);
        let site = source("site.cedarschema", site);
        let _ = Engine::compile(&Bundle { site, ..with_rules("") }, 1);
        let bundle = Bundle {
            fixtures: Some(source("fixtures.yaml", fixtures)),
            suites: vec![source("tests/a.yaml", suite)],
            ..with_rules("")
        };
        let _ = activate(&bundle, 1);
    }
}
