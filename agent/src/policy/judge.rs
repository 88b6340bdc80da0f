//! Judging one access: two passes over the rules, and what they oblige to.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Entities, Entity, EntityUid, PolicySet, Request as CedarRequest};

use crate::{
    policy::{
        Decision, Effect, Limit, Obligations, Question, Rule, RuleId,
        entities::{self, Grants, Touched, Unspeakable},
        index::Shelf,
        message,
        rules::Rules,
    },
    request::{Access, Operation, sql},
};

/// What the rules say of one access.
#[derive(Clone, Debug)]
pub struct Judgement<'a> {
    pub access: &'a Access,
    pub decision: Decision,
    /// Nothing granted but what was approved before; absent when the access could not be put to the rules.
    pub first: Option<Pass<'a>>,
    /// Everything granted that the first pass needs; absent when it needs nothing or cannot be helped.
    pub second: Option<Pass<'a>>,
}

/// The rules that matched in one pass. Permits are looked for only where nothing forbids.
#[derive(Clone, Debug, Default)]
pub struct Pass<'a> {
    pub permits: Vec<&'a Rule>,
    pub forbids: Vec<&'a Rule>,
    /// Rules that could not be evaluated. One is enough for a denial.
    pub errors: Vec<String>,
}

/// One question, put into Cedar's words.
pub struct Speaker<'a> {
    book: &'a Rules,
    question: &'a Question<'a>,
    identities: Vec<EntityUid>,
    workload: Entity,
    target: Entity,
    approvals: BTreeSet<&'a str>,
    authorizer: Authorizer,
}

impl<'a> Speaker<'a> {
    pub fn of(book: &'a Rules, question: &'a Question<'a>) -> Result<Self, Unspeakable> {
        let identities = book.names.identities(question.principal, &book.vocabulary);
        let workload = book.names.workload(question.principal, &identities)?;
        let target = book.names.target(question.target, &book.vocabulary)?;
        let known = |group: &&str| book.vocabulary.groups.contains(*group);
        let approvals = question.approvals.iter().map(AsRef::as_ref).filter(known).collect();
        Ok(Self { book, question, identities, workload, target, approvals, authorizer: Authorizer::new() })
    }

    pub fn judge(&self, access: &'a Access) -> Judgement<'a> {
        let unspeakable = |error: Unspeakable| Judgement {
            access,
            decision: Decision::deny(error.to_string()),
            first: None,
            second: None,
        };
        let Some(shelf) = self.book.index.shelf(access.operation()) else {
            return unspeakable(Unspeakable::Internal(format!("there are no rules for `{}`", access.operation())));
        };
        match self.passes(access, shelf) {
            Ok((decision, first, second)) => Judgement { access, decision, first: Some(first), second },
            Err(error) => unspeakable(error),
        }
    }

    fn passes(
        &self,
        access: &'a Access,
        shelf: &'a Shelf,
    ) -> Result<(Decision, Pass<'a>, Option<Pass<'a>>), Unspeakable> {
        let touched = self.book.names.touched(self.question.target, access, &self.book.vocabulary)?;
        entities::fits(access, &touched.resource, &shelf.resources)?;
        let parties = Parties { resource: touched.resource.uid(), entities: self.entities(shelf, touched)? };
        let approved = Grants { approvals: self.approvals.clone(), ..Grants::default() };
        let first = self.evaluate(access, shelf, &parties, &approved)?;
        if !first.errors.is_empty() {
            return Ok((self.broken(&first), first, None));
        }
        if first.forbids.is_empty() {
            return Ok((self.unobliged(access, &first), first, None));
        }
        if first.forbids.iter().any(|rule| rule.remedy.is_empty()) {
            return Ok((self.forbidden(access, &first.forbids), first, None));
        }
        let second = self.evaluate(access, shelf, &parties, &self.needed(&first))?;
        let decision = if !second.errors.is_empty() {
            self.broken(&second)
        } else if !second.forbids.is_empty() {
            self.forbidden(access, &second.forbids)
        } else if second.permits.is_empty() {
            self.unpermitted(access)
        } else {
            self.obliged(access, &first.forbids, &second.permits)
        };
        Ok((decision, first, Some(second)))
    }

    /// What would lift the forbids of a pass, beside what is granted already.
    fn needed(&self, pass: &Pass<'a>) -> Grants<'a> {
        let remedies = pass.forbids.iter().map(|rule| &rule.remedy);
        let masked = remedies.clone().flat_map(|remedy| remedy.masks.keys()).collect();
        let limited: BTreeSet<Limit> = remedies.clone().flat_map(|remedy| remedy.limits.kinds()).collect();
        let groups = remedies.flat_map(|remedy| &remedy.approval).flat_map(|approval| &approval.groups);
        let approvals = self.approvals.iter().copied().chain(groups.map(AsRef::as_ref)).collect();
        Grants { approvals, masked, limited }
    }

    fn entities(&self, shelf: &Shelf, touched: Touched) -> Result<Entities, Unspeakable> {
        let all = [shelf.action.clone(), self.workload.clone(), self.target.clone(), touched.resource];
        Entities::from_entities(all.into_iter().chain(touched.others), None)
            .map_err(|error| Unspeakable::Internal(error.to_string()))
    }

    fn evaluate(
        &self,
        access: &Access,
        shelf: &'a Shelf,
        parties: &Parties,
        grants: &Grants<'_>,
    ) -> Result<Pass<'a>, Unspeakable> {
        let standing = &self.question.request.standing;
        let context = self.book.names.context(self.question.clock, access, standing, grants)?;
        let request =
            CedarRequest::new(self.workload.uid(), shelf.uid.clone(), parties.resource.clone(), context, None)
                .map_err(|error| Unspeakable::Internal(error.to_string()))?;
        let mut pass = Pass::default();
        for set in shelf.forbids(&self.identities) {
            self.ask(set, &request, parties, &mut pass);
        }
        if pass.forbids.is_empty() {
            for set in shelf.permits(&self.identities, message::name(access)) {
                self.ask(set, &request, parties, &mut pass);
            }
        }
        pass.permits.sort_by(|a, b| a.id.cmp(&b.id));
        // What nothing lifts comes first, then what needs a person, then masks and limits.
        pass.forbids.sort_by_key(|rule| (!rule.remedy.is_empty(), rule.remedy.approval.is_none(), rule.id.clone()));
        Ok(pass)
    }

    fn ask(&self, set: &PolicySet, request: &CedarRequest, parties: &Parties, pass: &mut Pass<'a>) {
        let response = self.authorizer.is_authorized(request, set, &parties.entities);
        for reason in response.diagnostics().reason() {
            match self.book.rules.get(reason) {
                Some(rule) if rule.forbids => pass.forbids.push(rule),
                Some(rule) => pass.permits.push(rule),
                None => pass.errors.push(format!("unknown rule `{reason}`")),
            }
        }
        pass.errors.extend(response.diagnostics().errors().map(ToString::to_string));
    }

    fn unobliged(&self, access: &Access, pass: &Pass<'_>) -> Decision {
        if pass.permits.is_empty() {
            return self.unpermitted(access);
        }
        Decision::allow(ids(&pass.permits))
    }

    fn unpermitted(&self, access: &Access) -> Decision {
        Decision::deny(self.about(access, message::no_permit(self.question, access)))
    }

    fn forbidden(&self, access: &Access, forbids: &[&Rule]) -> Decision {
        Decision { rules: ids(forbids), ..Decision::deny(self.about(access, self.message(access, forbids))) }
    }

    fn obliged(&self, access: &Access, forbids: &[&Rule], permits: &[&Rule]) -> Decision {
        let mut obligations = Obligations::default();
        forbids.iter().for_each(|rule| obligations.tighten(rule.remedy.obligations()));
        let effect = if obligations.approval.is_some() { Effect::RequireApproval } else { Effect::Allow };
        let asking: Vec<&Rule> = forbids.iter().copied().filter(|rule| rule.remedy.approval.is_some()).collect();
        let message = if asking.is_empty() { String::new() } else { self.message(access, &asking) };
        Decision { effect, obligations, rules: [ids(forbids), ids(permits)].concat(), message }
    }

    /// A rule that cannot be evaluated would vanish, and with it what it forbids.
    fn broken(&self, pass: &Pass<'_>) -> Decision {
        for error in &pass.errors {
            tracing::error!(error, "a policy rule failed, and what it was asked about is denied");
        }
        Decision::deny("a policy rule could not be evaluated, so this is refused".to_owned())
    }

    /// The worst rule's message.
    fn message(&self, access: &Access, rules: &[&Rule]) -> String {
        let Some(rule) = rules.first() else { return String::new() };
        match &rule.message {
            Some(message) => message.fill(self.question, access),
            None => format!(
                "rule `{}` does not allow {} on {}",
                rule.id,
                access.operation(),
                message::presentable(&access.resource().to_string())
            ),
        }
    }

    /// What could not be analysed is explained beside what refused it.
    fn about(&self, access: &Access, message: String) -> String {
        match access.operation() {
            Operation::Sql(sql::Operation::Unknown) => message::with_caveats(message, self.question),
            Operation::Sql(_) | Operation::Http(_) => message,
        }
    }
}

struct Parties {
    resource: EntityUid,
    entities: Entities,
}

fn ids(rules: &[&Rule]) -> Vec<RuleId> {
    rules.iter().map(|rule| rule.id.clone()).collect()
}
