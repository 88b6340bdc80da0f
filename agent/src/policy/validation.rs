//! Cedar's type checker in its strict mode, warnings included, in as few words as say it.

use cedar_policy::{
    ActionConstraint, EntityUid, PolicySet, ResourceConstraint, Schema, ValidationError, ValidationMode,
    ValidationWarning, Validator,
};
use miette::Diagnostic;

use crate::policy::{Finding, Rule, Source, annotation, diagnostic};

/// Adds what the type checker says of the rules.
pub fn check(rules: &[Rule], sources: &[Source], schema: &Schema, findings: &mut Vec<Finding>) {
    let mut set = PolicySet::new();
    for rule in rules {
        if let Err(error) = set.add(rule.policy.clone()) {
            findings.push(Finding::in_file(rule.file.as_ref(), error.to_string()));
        }
    }
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let errors: Vec<&ValidationError> = result.validation_errors().collect();
    let warnings: Vec<&ValidationWarning> = result.validation_warnings().collect();
    let known = findings.len();
    for rule in rules {
        let Some(source) = sources.iter().find(|source| *source.name == *rule.file) else { continue };
        let id = rule.policy.id();
        let errors = errors.iter().filter(|error| error.policy_id() == id).copied();
        let warnings = warnings.iter().filter(|warning| warning.policy_id() == id).copied();
        findings.extend(Checked { rule, source, schema }.findings(errors.collect(), warnings.collect()));
    }
    if findings.len() == known && !result.validation_passed_without_warnings() {
        findings.push(Finding::in_file("*.cedar", result.to_string()));
    }
}

struct Checked<'a> {
    rule: &'a Rule,
    source: &'a Source,
    schema: &'a Schema,
}

impl Checked<'_> {
    /// A rule that can never apply is reported so only when nothing says why.
    fn findings(&self, errors: Vec<&ValidationError>, warnings: Vec<&ValidationWarning>) -> Vec<Finding> {
        let unknown = self.unknown_actions();
        if !unknown.is_empty() {
            return unknown;
        }
        let mut scope = false;
        let mut said: Vec<&dyn Diagnostic> = Vec::new();
        for error in errors {
            match error {
                ValidationError::InvalidActionApplication(_) => scope = true,
                error => said.push(error),
            }
        }
        let mut empty = false;
        for warning in warnings {
            match warning {
                ValidationWarning::InvalidActionApplication(_) => scope = true,
                ValidationWarning::ImpossiblePolicy(_) => empty = true,
                warning => said.push(warning),
            }
        }
        if !said.is_empty() {
            return fold(said.into_iter().map(|error| self.finding(error)).collect());
        }
        match (scope, empty) {
            (true, _) => vec![self.inapplicable()],
            (false, true) => {
                vec![self.never("this rule can never apply: its conditions contradict each other or the schema")]
            }
            (false, false) => Vec::new(),
        }
    }

    fn finding(&self, error: &dyn Diagnostic) -> Finding {
        let mut finding = diagnostic::finding_near(self.source, error, self.rule.offset);
        let own = format!("for policy `{}`", self.rule.id);
        for text in [Some(&mut finding.message), finding.hint.as_mut()].into_iter().flatten() {
            if let Some(rest) = text.strip_prefix(&own) {
                *text = rest.trim_start_matches([',', ':', ' ']).to_owned();
            }
        }
        finding
    }

    fn unknown_actions(&self) -> Vec<Finding> {
        let known: Vec<&EntityUid> = self.schema.actions().chain(self.schema.action_groups()).collect();
        let names: Vec<String> = known.iter().map(|uid| uid.to_string()).collect();
        let unknown = |uid: &EntityUid| {
            if known.contains(&uid) {
                return None;
            }
            let text = uid.to_string();
            let place = self.source.text.get(self.rule.offset..).and_then(|rest| rest.find(&text)).unwrap_or_default();
            let finding = Finding::at(self.source, self.rule.offset + place, format!("unknown action `{text}`"));
            // The namespace is what is forgotten first; then compare the names alone.
            let same_name = known.iter().find(|known| known.id() == uid.id()).map(ToString::to_string);
            let near =
                same_name.or_else(|| annotation::nearest(&text, names.iter().map(String::as_str)).map(str::to_owned));
            Some(match near {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding.hint(format!("actions are {}", names.join(", "))),
            })
        };
        self.actions().iter().filter_map(unknown).collect()
    }

    /// The scope's action does not apply to the scope's resource.
    fn inapplicable(&self) -> Finding {
        let resource = match self.rule.policy.resource_constraint() {
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => kind.to_string(),
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) => uid.to_string(),
            ResourceConstraint::Any => "any resource".to_owned(),
        };
        let mut kinds: Vec<String> = Vec::new();
        for action in self.actions() {
            let own = self.schema.resources_for_action(&action).into_iter().flatten().map(ToString::to_string);
            kinds.extend(own);
        }
        kinds.sort();
        kinds.dedup();
        let finding = self.never(&format!("this rule can never apply: none of its actions applies to `{resource}`"));
        if kinds.is_empty() { finding } else { finding.hint(format!("they apply to {}", kinds.join(", "))) }
    }

    fn never(&self, message: &str) -> Finding {
        Finding::at(self.source, self.rule.offset, message)
    }

    fn actions(&self) -> Vec<EntityUid> {
        match self.rule.policy.action_constraint() {
            ActionConstraint::Any => Vec::new(),
            ActionConstraint::Eq(uid) => vec![uid],
            ActionConstraint::In(uids) => uids,
        }
    }
}

/// The checker speaks once for each action that a rule may apply to: one place needs one finding.
fn fold(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort();
    let mut folded: Vec<(Finding, usize)> = Vec::new();
    for finding in findings {
        match folded.iter_mut().find(|(known, _)| (known.line, known.column) == (finding.line, finding.column)) {
            Some((_, more)) => *more += 1,
            None => folded.push((finding, 0)),
        }
    }
    let told = |(mut finding, more): (Finding, usize)| {
        if more > 0 {
            finding.message.push_str(&format!(" (and {more} more of this kind)"));
        }
        finding
    };
    folded.into_iter().map(told).collect()
}
