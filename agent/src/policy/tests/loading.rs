//! What is refused when a bundle is loaded.

use super::*;

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
    let (schema, _) = schema::build(&Bundle::embedded()).expect("the schema is valid");
    let groups: BTreeSet<String> = schema.action_groups().map(|uid| uid.id().unescaped().to_owned()).collect();
    let actions: BTreeSet<String> = schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
    let names: BTreeSet<String> =
        sql::Operation::ALL.into_iter().map(|operation| operation.name().to_owned()).collect();
    assert_eq!(actions.difference(&groups).cloned().collect::<BTreeSet<_>>(), names);
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
