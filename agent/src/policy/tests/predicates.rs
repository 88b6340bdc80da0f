use super::*;
use crate::{
    request::{Predicate, PredicateKind},
    target::Class,
};

/// The policy of two rules that mask card numbers, on these terms.
fn engine(annotations: [&str; 2]) -> Engine {
    let rule = |id: &str, annotation: &str| {
        format!(
            "@id(\"{id}\") @mask(\"credit_card=last4\") {annotation}
             forbid (principal, action == Sql::Action::\"select\", resource)
             unless {{ context.masked.contains(DataClass::\"credit_card\") }};"
        )
    };
    let permit = "@id(\"read\") permit (principal, action == Sql::Action::\"select\", resource);";
    super::decisions::engine(&format!("{permit}{}{}", rule("one", annotations[0]), rule("other", annotations[1])))
}

fn decide(engine: &Engine, kind: PredicateKind, class: Option<&str>) -> Decision {
    let mut request = request(vec![access(sql::Operation::Select, table("cards"))]);
    let predicate = Predicate { kind, class: class.map(Class::from), column: "public.cards.number".to_owned() };
    Arc::make_mut(&mut request.footprint).predicates.insert(predicate);
    let (principal, target) = (principal("agent", &[]), target(Some("prod")));
    let approvals = BTreeSet::new();
    let question =
        Question { principal: &principal, target: &target, request: &request, clock: NOON, approvals: &approvals };
    engine.decide(&question)
}

const KINDS: [PredicateKind; 4] =
    [PredicateKind::Equality, PredicateKind::Grouping, PredicateKind::Order, PredicateKind::Filter];

#[test]
fn predicates_on_what_is_masked_are_refused_unless_a_rule_says_otherwise() {
    let terms = [
        ("", [false; 4]),
        ("@predicates(\"refuse\")", [false; 4]),
        ("@predicates(\"equality\")", [true, false, false, false]),
        ("@predicates(\"credit_card=allow\")", [true; 4]),
    ];
    for (annotation, passes) in terms {
        let engine = engine([annotation, annotation]);
        for (kind, passes) in KINDS.into_iter().zip(passes) {
            let decision = decide(&engine, kind, Some("credit_card"));
            assert_eq!(decision.effect == Effect::Allow, passes, "{annotation} {kind:?} {decision:?}");
            // What is not masked may be asked about.
            assert_eq!(decide(&engine, kind, Some("email")).effect, Effect::Allow);
        }
    }
}

#[test]
fn of_several_rules_the_strictest_decides_and_is_named() {
    let engine = engine(["@predicates(\"allow\")", "@predicates(\"equality\")"]);
    assert_eq!(decide(&engine, PredicateKind::Equality, Some("credit_card")).effect, Effect::Allow);
    let decision = decide(&engine, PredicateKind::Order, Some("credit_card"));
    assert_eq!((decision.effect, decision.rules.as_slice()), (Effect::Deny, &[RuleId("other".into())][..]));
    assert!(decision.message.contains("sorts by public.cards.number (class credit_card)"), "{}", decision.message);
}

#[test]
fn values_of_unknown_origin_are_of_the_class_that_is_guarded_most() {
    assert_eq!(decide(&engine(["", ""]), PredicateKind::Filter, None).effect, Effect::Deny);
    let lenient = engine(["@predicates(\"allow\")", "@predicates(\"allow\")"]);
    assert_eq!(decide(&lenient, PredicateKind::Filter, None).effect, Effect::Allow);
}
