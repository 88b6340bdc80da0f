//! What the type checker cannot see: rules that would not do what they say.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    ActionConstraint, PrincipalConstraint, ResourceConstraint,
    pst::{Clause, Expr},
};

use crate::policy::{
    Finding, Limit, Rule, Source,
    annotation::list,
    expression::{self, ContextUse, Granted},
    rule::annotation_offset,
};

/// The parts of the context that only an obligation may test.
const GRANTS: [&str; 3] = ["approvals", "masked", "limited"];

/// Checks every rule by itself, and that ids are unique.
pub fn check(rules: &[Rule], sources: &[Source], findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<&str, &Rule> = BTreeMap::new();
    for rule in rules {
        let Some(source) = sources.iter().find(|source| *source.name == *rule.file) else { continue };
        if let Some(first) = seen.insert(&rule.id.0, rule) {
            let finding = Finding::at(
                source,
                annotation_offset(source, rule.offset, "id"),
                format!("`@id(\"{}\")` is taken", rule.id),
            );
            findings.push(finding.hint(format!("the first one is at {}:{}", first.file, first.line)));
        }
        let mut lint = Lint { rule, source, findings };
        lint.scope();
        lint.conditions();
    }
}

struct Lint<'a> {
    rule: &'a Rule,
    source: &'a Source,
    findings: &'a mut Vec<Finding>,
}

impl Lint<'_> {
    fn note(&mut self, annotation: &str, message: impl Into<String>, hint: impl Into<String>) {
        let place = annotation_offset(self.source, self.rule.offset, annotation);
        self.findings.push(Finding::at(self.source, place, message).hint(hint));
    }

    fn scope(&mut self) {
        let policy = &self.rule.policy;
        let open = policy.principal_constraint() == PrincipalConstraint::Any
            && policy.action_constraint() == ActionConstraint::Any
            && policy.resource_constraint() == ResourceConstraint::Any;
        if open && !self.rule.forbids && !policy.has_non_scope_constraint() {
            self.note("", "this permit allows everything to everybody", "name a principal, an action or a resource");
        }
        if !self.rule.forbids && !self.rule.remedy.is_empty() {
            let name = self.first_annotation();
            self.note(
                name,
                format!(
                    "`@{name}` on a permit has no effect: any other permit would let the request through without it"
                ),
                format!("put it on a `forbid … unless {{ {} }}`", self.lifting_clause()),
            );
        }
    }

    fn conditions(&mut self) {
        let body = match self.rule.policy.to_pst() {
            Ok(policy) => policy,
            Err(error) => return self.note("", format!("this rule cannot be examined: {error}"), "simplify it"),
        };
        let (mut whens, mut unlesses) = (Vec::new(), Vec::new());
        for clause in body.body().clauses() {
            match clause {
                Clause::When(expression) => whens.push(expression.as_ref()),
                Clause::Unless(expression) => unlesses.push(expression.as_ref()),
            }
        }
        self.expressions(whens.iter().chain(&unlesses).copied());
        self.grants_outside(&whens, &unlesses);
        if self.rule.forbids && !self.rule.remedy.is_empty() {
            self.lifting(&unlesses);
        }
    }

    fn expressions<'e>(&mut self, expressions: impl Iterator<Item = &'e Expr>) {
        let mut strings = Vec::new();
        let mut arithmetic = false;
        for expression in expressions {
            expression::strings(expression, &mut strings);
            arithmetic |= expression::has_arithmetic(expression);
        }
        for text in strings.into_iter().filter(|text| !text.is_ascii()) {
            let odd: String =
                text.chars().filter(|c| !c.is_ascii()).map(|c| format!(" U+{:04X}", u32::from(c))).collect();
            let place = self.source.text.get(self.rule.offset..).and_then(|rest| rest.find(&text)).unwrap_or_default();
            let message = format!("the string \"{text}\" has characters that are not ASCII:{odd}");
            let finding = Finding::at(self.source, self.rule.offset + place, message);
            self.findings.push(
                finding.hint("they may look like other letters; use `like` with `*` in their place if they are meant"),
            );
        }
        if arithmetic {
            self.note("", "arithmetic may overflow, and an error is a denial", "compare with the computed number");
        }
    }

    /// Grants belong in the `unless` of a forbid that carries the annotation, and nowhere else: elsewhere
    /// nothing would ever ask for them.
    fn grants_outside(&mut self, whens: &[&Expr], unlesses: &[&Expr]) {
        for grant in GRANTS {
            let remedy = &self.rule.remedy;
            let (annotation, annotated) = match grant {
                "approvals" => ("approval", remedy.approval.is_some()),
                "masked" => ("mask", !remedy.masks.is_empty()),
                _ => ("limit_rows", !remedy.limits.is_empty()),
            };
            if uses(whens).mentions(grant) || (!self.rule.forbids && uses(unlesses).mentions(grant)) {
                self.note(
                    "",
                    format!("`context.{grant}` is tested where nothing asks for it"),
                    format!("test it in the `unless` of a forbid with `@{annotation}`"),
                );
            } else if uses(unlesses).mentions(grant) && !annotated {
                self.note(
                    "",
                    format!(
                        "`context.{grant}` is tested, but the rule has no `@{annotation}`: nothing would ever lift it"
                    ),
                    format!("add `@{annotation}(\"…\")`"),
                );
            }
        }
    }

    /// The whole remedy, with any one of the approving groups, must satisfy an `unless`; and no part of it
    /// may be superfluous.
    fn lifting(&mut self, unlesses: &[&Expr]) {
        let remedy = &self.rule.remedy;
        let groups: Vec<&str> =
            remedy.approval.iter().flat_map(|approval| &approval.groups).map(AsRef::as_ref).collect();
        let masked: BTreeSet<&str> = remedy.masks.keys().map(|class| class.0.as_ref()).collect();
        let limits: Vec<Limit> = remedy.limits.kinds().collect();
        let whole =
            Granted { masked, limited: limits.iter().map(|limit| limit.name()).collect(), ..Granted::default() };
        let lifted = |granted: &Granted<'_>| unlesses.iter().any(|unless| granted.satisfies(unless));
        let name = self.first_annotation();
        let advice = format!("`unless {{ {} }}`", self.lifting_clause());
        if unlesses.is_empty() || !GRANTS.iter().any(|grant| uses(unlesses).mentions(grant)) {
            let message = format!("`@{name}` has no effect: nothing can lift this forbid");
            return self.note(name, message, format!("add {advice}"));
        }
        let mut each: Vec<Granted<'_>> =
            groups.iter().map(|group| Granted { approvals: [*group].into(), ..whole.clone() }).collect();
        if each.is_empty() {
            each.push(whole.clone());
        }
        if let Some(granted) = each.iter().find(|granted| !lifted(granted)) {
            let words = [&granted.approvals, &granted.masked, &granted.limited].into_iter().flatten().copied();
            let message = format!("with {} granted this forbid would still refuse", list(words));
            return self.note(name, message, format!("let the condition be {advice}"));
        }
        for class in &whole.masked {
            let without = |granted: &Granted<'_>| {
                let masked = granted.masked.iter().copied().filter(|other| other != class).collect();
                lifted(&Granted { masked, ..granted.clone() })
            };
            if each.iter().all(without) {
                let message = format!("`@mask` names `{class}`, but the `unless` does not need it");
                self.note("mask", message, format!("let the condition be {advice}"));
            }
        }
        for limit in limits {
            let without = |granted: &Granted<'_>| {
                let limited = granted.limited.iter().copied().filter(|other| *other != limit.name()).collect();
                lifted(&Granted { limited, ..granted.clone() })
            };
            if each.iter().all(without) {
                let annotation = limit.annotation();
                let message = format!("`@{annotation}` is set, but the `unless` does not need it");
                self.note(annotation, message, format!("let the condition be {advice}"));
            }
        }
        if !groups.is_empty() && lifted(&whole) {
            let message = "`@approval` has no effect: the rest of the annotations lifts this forbid";
            self.note("approval", message, format!("let the condition be {advice}"));
        }
    }

    /// The annotation that findings on the remedy as a whole stand at.
    fn first_annotation(&self) -> &'static str {
        let remedy = &self.rule.remedy;
        match (&remedy.approval, remedy.masks.is_empty(), remedy.limits.kinds().next()) {
            (Some(_), _, _) => "approval",
            (None, true, Some(limit)) => limit.annotation(),
            (None, _, _) => "mask",
        }
    }

    /// The `unless` that this rule's annotations ask for.
    fn lifting_clause(&self) -> String {
        let remedy = &self.rule.remedy;
        let groups: Vec<_> =
            remedy.approval.iter().flat_map(|a| &a.groups).map(|g| format!("Group::\"{g}\"")).collect();
        let classes: Vec<_> = remedy.masks.keys().map(|class| format!("DataClass::\"{class}\"")).collect();
        let one = |set: &str, method: &str, words: &[String]| match words {
            [] => None,
            [word] => Some(format!("context.{set}.contains({word})")),
            words => Some(format!("context.{set}.{method}([{}])", words.join(", "))),
        };
        let limits: Vec<_> = remedy.limits.kinds().map(|limit| format!("Limit::\"{limit}\"")).collect();
        let parts = [
            one("approvals", "containsAny", &groups),
            one("masked", "containsAll", &classes),
            one("limited", "containsAll", &limits),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" && ")
    }
}

fn uses(expressions: &[&Expr]) -> ContextUse {
    let mut uses = ContextUse::default();
    expressions.iter().for_each(|expression| uses.add(expression));
    uses
}
