//! One immutable, validated set of rules, and the decisions that it takes.

use std::sync::Arc;

use cedar_policy::{PolicyId, Schema};

use crate::{
    policy::{
        Bundle, Decision, Effect, Finding, Findings, Needs, Question, Rule, RuleId,
        entities::Names,
        index::Index,
        judge::{Judgement, Speaker},
        lint, message,
        predicates::{self, Refusal},
        rule,
        rules::Rules,
        schema::{self, Vocabulary},
        validation,
    },
    request::{ACCESSES_MAX, Footprint},
};

/// The rules in force: decides, and never changes.
///
/// Cedar checks how much stack is left, and what a musl build's main thread says of its stack is not true:
/// decide on a spawned thread there.
#[derive(Debug)]
pub struct Engine {
    generation: u64,
    rulebook: Rulebook,
}

/// What there is to decide by.
#[derive(Debug)]
enum Rulebook {
    Rules(Box<Rules>),
    /// No usable policy: everything is denied, with this reason.
    Nothing(String),
}

impl Engine {
    /// Parses, validates strictly (a warning is an error) and lints a bundle.
    ///
    /// The manifest and the bundle's own tests are checked by whoever puts the engine in force.
    pub fn compile(bundle: &Bundle, generation: u64) -> Result<Self, Findings> {
        let mut findings = bundle.findings.clone();
        let (schema, vocabulary) = match schema::build(bundle) {
            Ok(built) => built,
            Err(errors) => {
                findings.extend(errors.iter().cloned());
                return Err(Findings::new(findings));
            }
        };
        let rules: Vec<Rule> =
            bundle.rules.iter().flat_map(|source| rule::parse(source, &vocabulary, &mut findings)).collect();
        lint::check(&rules, &bundle.rules, &mut findings);
        if findings.is_empty() {
            validation::check(&rules, &bundle.rules, &schema, &mut findings);
        }
        Findings::new(findings).into_result()?;
        Self::of(rules, schema, vocabulary, generation)
    }

    /// An engine of rules that have been checked.
    pub(super) fn of(
        rules: Vec<Rule>,
        schema: Schema,
        vocabulary: Vocabulary,
        generation: u64,
    ) -> Result<Self, Findings> {
        let internal =
            |error: &dyn std::fmt::Display| Findings::from(Finding::in_file("core.cedarschema", error.to_string()));
        let names = Names::parse().map_err(|error| internal(&error))?;
        let index = Index::build(&rules, &schema, &names).map_err(|error| internal(&error))?;
        let rules = rules.into_iter().map(|rule| (rule.policy.id().clone(), Arc::new(rule))).collect();
        let rulebook = Rulebook::Rules(Box::new(Rules { rules, index, names, vocabulary, schema }));
        Ok(Self { generation, rulebook })
    }

    /// The same rules but one, to see whether a test notices.
    pub fn without(&self, id: &RuleId) -> Result<Self, Findings> {
        let Rulebook::Rules(book) = &self.rulebook else { return Ok(Self::closed("no rules", self.generation)) };
        let rules = self.rules().into_iter().filter(|rule| rule.id != *id).cloned().collect();
        Self::of(rules, book.schema.clone(), book.vocabulary.clone(), self.generation)
    }

    /// An engine that denies everything, for when there is no usable policy.
    pub fn closed(reason: impl Into<String>, generation: u64) -> Self {
        Self { generation, rulebook: Rulebook::Nothing(reason.into()) }
    }

    /// Increases whenever other rules come into force; a decision is valid for one generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the answer on these accesses depends on, beside the request itself.
    pub fn needs(&self, footprint: &Footprint) -> Needs {
        let Rulebook::Rules(book) = &self.rulebook else { return Needs::default() };
        let shelves = footprint.accesses.iter().filter_map(|access| book.index.shelf(access.operation()));
        shelves.fold(Needs::default(), |needs, shelf| needs.and(shelf.needs))
    }

    /// The groups, environments and classes that rules can speak of; whatever the configuration names beside
    /// them matches no rule. `None` when there is no usable policy.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match &self.rulebook {
            Rulebook::Rules(book) => Some(&book.vocabulary),
            Rulebook::Nothing(_) => None,
        }
    }

    /// Every rule, sorted by file and place.
    pub fn rules(&self) -> Vec<&Rule> {
        let Rulebook::Rules(book) = &self.rulebook else { return Vec::new() };
        let mut rules: Vec<&Rule> = book.rules.values().map(AsRef::as_ref).collect();
        rules.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
        rules
    }

    /// Answers one question: the worst access wins, and obligations add up.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let mut total = Decision::allow(Vec::new());
        match self.judgements(question) {
            Err(refusal) => return Decision::deny(refusal),
            Ok(judgements) => {
                for judgement in judgements {
                    let decision = judgement.decision;
                    if decision.effect == Effect::Deny {
                        return decision;
                    }
                    total.add(decision);
                }
            }
        }
        match predicates::refusal(&total.obligations, &question.request.footprint) {
            Some(refusal) => Decision { rules: self.wanting(&refusal, total.rules), ..Decision::deny(refusal.message) },
            None => total,
        }
    }

    /// Those of `rules` that want a predicate refused.
    fn wanting(&self, refusal: &Refusal, rules: Vec<RuleId>) -> Vec<RuleId> {
        let Rulebook::Rules(book) = &self.rulebook else { return rules };
        let wants = |id: &RuleId| book.rules.get(&PolicyId::new(&id.0)).is_some_and(|rule| refusal.is_wanted_by(rule));
        rules.into_iter().filter(wants).collect()
    }

    /// One judgement after the other, each made when it is asked for.
    ///
    /// Fails with the reason when the request is denied as a whole.
    pub fn judgements<'a>(&'a self, question: &'a Question<'a>) -> Result<impl Iterator<Item = Judgement<'a>>, String> {
        let book = match &self.rulebook {
            Rulebook::Rules(book) => book,
            Rulebook::Nothing(reason) => return Err(reason.clone()),
        };
        let footprint = &question.request.footprint;
        if footprint.accesses.len() > ACCESSES_MAX {
            let count = footprint.accesses.len();
            return Err(format!("this request needs {count} accesses; at most {ACCESSES_MAX} can be judged"));
        }
        if footprint.accesses.is_empty() && !footprint.caveats.is_empty() {
            return Err(message::with_caveats("this request could not be analysed".to_owned(), question));
        }
        let speaker = Speaker::of(book, question).map_err(|error| error.to_string())?;
        Ok(footprint.accesses.iter().map(move |access| speaker.judge(access)))
    }
}
