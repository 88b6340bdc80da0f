//! What the type checker cannot see: rules that would not do what they say.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    ActionConstraint, PrincipalConstraint, ResourceConstraint,
    pst::{Clause, Expr},
};

use crate::policy::{
    Finding, Rule, Source,
    annotation::list,
    expression::{self, ContextUse, Granted},
    rule::annotation_offset,
};

/// The two parts of the context that only an obligation may test.
const GRANTS: [&str; 2] = ["approvals", "masked"];

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
            let name = if self.rule.remedy.approval.is_some() { "approval" } else { "mask" };
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
            let annotated = match grant {
                "approvals" => self.rule.remedy.approval.is_some(),
                _ => !self.rule.remedy.masks.is_empty(),
            };
            let annotation = if grant == "approvals" { "approval" } else { "mask" };
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
        let lifted = |approvals: &[&str], masked: &BTreeSet<&str>| {
            let granted = Granted { approvals: approvals.iter().copied().collect(), masked: masked.clone() };
            unlesses.iter().any(|unless| granted.satisfies(unless))
        };
        let name = if groups.is_empty() { "mask" } else { "approval" };
        let advice = format!("`unless {{ {} }}`", self.lifting_clause());
        if unlesses.is_empty() || !GRANTS.iter().any(|grant| uses(unlesses).mentions(grant)) {
            return self.note(
                name,
                format!("`@{name}` has no effect: nothing can lift this forbid"),
                format!("add {advice}"),
            );
        }
        let each: Vec<Vec<&str>> =
            if groups.is_empty() { vec![Vec::new()] } else { groups.iter().map(|g| vec![*g]).collect() };
        for approvals in &each {
            if !lifted(approvals, &masked) {
                let granted = list(approvals.iter().copied().chain(masked.iter().copied()));
                let message = format!("with {granted} granted this forbid would still refuse");
                return self.note(name, message, format!("let the condition be {advice}"));
            }
        }
        for class in &masked {
            let without: BTreeSet<&str> = masked.iter().copied().filter(|other| other != class).collect();
            if each.iter().all(|approvals| lifted(approvals, &without)) {
                self.note(
                    "mask",
                    format!("`@mask` names `{class}`, but the `unless` does not need it"),
                    format!("let the condition be {advice}"),
                );
            }
        }
        if !groups.is_empty() && lifted(&[], &masked) {
            self.note(
                "approval",
                "`@approval` has no effect: the mask alone lifts this forbid",
                format!("let the condition be {advice}"),
            );
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
        let parts = [one("approvals", "containsAny", &groups), one("masked", "containsAll", &classes)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" && ")
    }
}

fn uses(expressions: &[&Expr]) -> ContextUse {
    let mut uses = ContextUse::default();
    expressions.iter().for_each(|expression| uses.add(expression));
    uses
}
