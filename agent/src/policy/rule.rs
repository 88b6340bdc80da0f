//! One rule: a Cedar policy, its identity and what would lift it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};

use crate::{
    mask::Method,
    policy::{
        Bound, Finding, Limits, Obligations, Predicates, RuleId, Source, Terms,
        annotation::{self, Mistake},
        diagnostic,
        message::{MESSAGE_BYTES_MAX, Message},
        schema::Vocabulary,
    },
    target::Class,
};

/// A rule of the bundle.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: RuleId,
    pub forbids: bool,
    pub remedy: Remedy,
    pub message: Option<Message>,
    pub description: Option<String>,
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// Byte offset in its file.
    pub offset: usize,
    pub policy: Policy,
}

/// What lifts a forbid. Empty: nothing does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Remedy {
    pub masks: BTreeMap<Class, Method>,
    /// For each class of `masks`.
    pub predicates: BTreeMap<Class, Predicates>,
    pub limits: Limits,
    pub approval: Option<Approval>,
}

/// Who may lift a forbid, and on what terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approval {
    /// A member of any one of them.
    pub groups: Vec<Arc<str>>,
    pub wait: Duration,
    pub valid: Duration,
}

impl Remedy {
    pub fn is_empty(&self) -> bool {
        self.masks.is_empty() && self.limits.is_empty() && self.approval.is_none()
    }

    /// What is owed for the forbid to be lifted.
    pub fn obligations(&self) -> Obligations {
        Obligations {
            masks: self.masks.clone(),
            predicates: self.predicates.clone(),
            limits: self.limits.clone(),
            approval: self.approval.as_ref().map(|approval| Terms {
                groups: vec![approval.groups.clone()],
                wait: approval.wait,
                valid: approval.valid,
            }),
        }
    }
}

/// The rules of one file. What is wrong is added to `findings`, and such a rule is left out.
pub fn parse(source: &Source, vocabulary: &Vocabulary, findings: &mut Vec<Finding>) -> Vec<Rule> {
    let set: PolicySet = match source.text.parse() {
        Ok(set) => set,
        Err(error) => {
            findings.extend(diagnostic::findings(source, &error));
            return Vec::new();
        }
    };
    for template in set.templates() {
        let offset = template.as_ref().loc().map_or(0, |loc| loc.start());
        findings.push(
            Finding::at(source, offset, "templates are not supported").hint("write out the principal and the resource"),
        );
    }
    let mut rules: Vec<Rule> =
        set.policies().filter_map(|policy| Rule::of(source, policy, vocabulary, findings)).collect();
    rules.sort_by_key(|rule| rule.offset);
    rules
}

impl Rule {
    fn of(source: &Source, policy: &Policy, vocabulary: &Vocabulary, findings: &mut Vec<Finding>) -> Option<Self> {
        let offset = policy.as_ref().loc().map_or(0, |loc| loc.start());
        let known = findings.len();
        let mut note = |name: &str, mistake: Mistake| {
            let place = annotation_offset(source, offset, name);
            findings.push(Finding::at(source, place, mistake.message).hint(mistake.hint));
        };
        for (name, _) in policy.annotations() {
            if let Some(mistake) = annotation::unknown(name) {
                note(name, mistake);
            }
        }
        let id = policy.annotation("id").unwrap_or_default();
        if policy.annotation("id").is_none() {
            note("", Mistake { message: "this rule has no `@id`".into(), hint: "add a unique `@id(\"…\")`".into() });
        } else if let Err(mistake) = annotation::id(id) {
            note("id", mistake);
        }
        let remedy = remedy(policy, vocabulary, &mut note);
        let message = message(policy, &mut note);
        if findings.len() > known {
            return None;
        }
        Some(Self {
            id: RuleId(id.into()),
            forbids: policy.effect() == Effect::Forbid,
            remedy,
            message,
            description: policy.annotation("description").map(str::to_owned),
            file: source.name.as_str().into(),
            line: source.text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1),
            offset,
            policy: policy.new_id(PolicyId::new(id)),
        })
    }
}

fn remedy(policy: &Policy, vocabulary: &Vocabulary, note: &mut impl FnMut(&str, Mistake)) -> Remedy {
    let mut take = |name: &str, mistake| note(name, mistake);
    let masks = policy.annotation("mask").map(|value| annotation::masks(value, vocabulary));
    let masks = masks.transpose().unwrap_or_else(|mistake| {
        take("mask", mistake);
        None
    });
    let predicates = predicates(policy, &masks.clone().unwrap_or_default()).unwrap_or_else(|mistake| {
        take("predicates", mistake);
        BTreeMap::new()
    });
    let groups = policy.annotation("approval").map(|value| annotation::groups(value, vocabulary));
    let groups = groups.transpose().unwrap_or_else(|mistake| {
        take("approval", mistake);
        None
    });
    let mut period = |name: &str, default, max| match policy.annotation(name) {
        None => default,
        Some(_) if policy.annotation("approval").is_none() => {
            let hint = "it stands beside `@approval(\"group\")`".to_owned();
            take(name, Mistake { message: format!("`@{name}` has no effect without `@approval`"), hint });
            default
        }
        Some(value) => annotation::duration(name, value, max).unwrap_or_else(|mistake| {
            take(name, mistake);
            default
        }),
    };
    let wait = period("approval_wait", annotation::WAIT_DEFAULT, annotation::WAIT_MAX);
    let valid = period("approval_valid", Duration::ZERO, annotation::VALID_MAX);
    let limits = limits(policy, note);
    let approval = groups.map(|groups| Approval { groups, wait, valid });
    Remedy { masks: masks.unwrap_or_default(), predicates, limits, approval }
}

fn limits(policy: &Policy, note: &mut impl FnMut(&str, Mistake)) -> Limits {
    let rule = RuleId(policy.annotation("id").unwrap_or_default().into());
    let (rows, bytes, time) = (
        bound(policy, "limit_rows", annotation::rows, note),
        bound(policy, "limit_bytes", annotation::bytes, note),
        bound(policy, "statement_timeout", timeout, note),
    );
    let by_rule = |most| Bound { most, rule: rule.clone() };
    Limits {
        rows: rows.map(by_rule),
        bytes: bytes.map(by_rule),
        time: time.map(|most| Bound { most, rule: rule.clone() }),
    }
}

fn timeout(value: &str) -> Result<Duration, Mistake> {
    annotation::duration("statement_timeout", value, annotation::STATEMENT_TIMEOUT_MAX)
}

/// What one annotation says; nothing where it is absent or, after a note, not understood.
fn bound<T>(
    policy: &Policy,
    name: &str,
    read: impl Fn(&str) -> Result<T, Mistake>,
    note: &mut impl FnMut(&str, Mistake),
) -> Option<T> {
    read(policy.annotation(name)?).map_err(|mistake| note(name, mistake)).ok()
}

fn predicates(policy: &Policy, masks: &BTreeMap<Class, Method>) -> Result<BTreeMap<Class, Predicates>, Mistake> {
    let said = match policy.annotation("predicates") {
        None => BTreeMap::new(),
        Some(_) if policy.annotation("mask").is_none() => {
            let hint = "it stands beside `@mask(\"class=method\")`".to_owned();
            return Err(Mistake { message: "`@predicates` has no effect without `@mask`".into(), hint });
        }
        Some(value) => annotation::predicates(value, masks)?,
    };
    Ok(masks.keys().map(|class| (class.clone(), said.get(class).copied().unwrap_or_default())).collect())
}

fn message(policy: &Policy, note: &mut impl FnMut(&str, Mistake)) -> Option<Message> {
    let text = policy.annotation("message")?;
    let mut fail = |message: String, hint: String| {
        note("message", Mistake { message, hint });
        None
    };
    if policy.effect() == Effect::Permit {
        return fail("`@message` on a permit has no effect".into(), "use `@description`, or put it on a forbid".into());
    }
    if text.is_empty() || text.len() > MESSAGE_BYTES_MAX || text.chars().any(char::is_control) {
        return fail(
            "`@message` is not one line of text".into(),
            format!("write one line of at most {MESSAGE_BYTES_MAX} bytes"),
        );
    }
    match Message::parse(text) {
        Ok(message) => Some(message),
        Err(unknown) => fail(
            format!("`@message` has the unknown placeholder `{{{unknown}}}`"),
            format!("placeholders are {}", annotation::list(crate::policy::message::PLACEHOLDERS.map(|p| p.name()))),
        ),
    }
}

/// Where the annotation stands, or where the rule begins.
pub fn annotation_offset(source: &Source, rule: usize, name: &str) -> usize {
    let text = source.text.get(rule..).unwrap_or_default();
    let found = text.match_indices('@').find(|(at, _)| {
        let rest = text.get(at + 1..).unwrap_or_default();
        rest.strip_prefix(name).is_some_and(|tail| tail.starts_with(['(', ' ', '\n']) && !name.is_empty())
    });
    rule + found.map_or(0, |(at, _)| at)
}
