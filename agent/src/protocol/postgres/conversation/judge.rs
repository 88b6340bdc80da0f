//! Taking a request to the gate, and acting on the verdict.
//!
//! While a question is open, its message stands unread at the front of what came from the workload, so that
//! what is forwarded is what was judged.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Conversation, Skip,
    running::{Expected, Load, Portal, Prepared, Running, Way},
};
use crate::{
    gate::{Denial, Permit, Verdict},
    protocol::{
        Output,
        postgres::{
            classify,
            codec::{backend::Status, write},
            reply::{self, DENIED, Fatal, POISON, POISON_NAME, Severity},
            rows::Shield,
            wire::Wire,
        },
    },
    request::{Request, Stage, Standing},
    sql::{self, Classified, Classifier, CopyLayout, StatementKind},
};

/// A request for which something is awaited.
pub struct Waiting {
    subject: Subject,
    /// Length of the message that it came in.
    total: usize,
    /// Whether the catalogue was read again for it; once is enough.
    is_surveyed: bool,
    awaits: Awaits,
}

/// What a request waits for.
enum Awaits {
    Catalogue,
    /// The gate's verdict on this.
    Verdict {
        classified: Arc<Classified>,
        classifier: Arc<Classifier>,
    },
    /// The answers to all that was sent before: then it is classified anew, and the gate is asked.
    Answers,
    /// The end of what runs: it is permitted, and runs with nothing beside it.
    Quiet {
        classified: Arc<Classified>,
        permit: Permit,
    },
}

/// What is judged.
pub enum Subject {
    Query { text: Bytes },
    Parse { name: Bytes, text: Bytes, types: Arc<[u32]> },
    Execute { name: Bytes, portal: Arc<Portal> },
}

impl Subject {
    fn text(&self) -> &Bytes {
        match self {
            Self::Query { text } | Self::Parse { text, .. } => text,
            Self::Execute { portal, .. } => &portal.statement.text,
        }
    }

    /// The types that the workload gave to the parameters.
    fn types(&self) -> Arc<[u32]> {
        match self {
            Self::Query { .. } => Arc::default(),
            Self::Parse { types, .. } => types.clone(),
            Self::Execute { portal, .. } => portal.statement.types.clone(),
        }
    }

    const fn is_parse(&self) -> bool {
        matches!(self, Self::Parse { .. })
    }

    const fn way(&self) -> Way {
        match self {
            Self::Query { .. } => Way::Simple,
            Self::Parse { .. } | Self::Execute { .. } => Way::Extended,
        }
    }

    fn request(&self, classified: &Classified, standing: Standing) -> Request {
        match self {
            Self::Query { text } => classify::statement(text.clone(), classified, Stage::Execute, standing),
            Self::Parse { text, .. } => classify::statement(text.clone(), classified, Stage::Prepare, standing),
            Self::Execute { portal, .. } => {
                classify::execution(portal.statement.text.clone(), classified, portal.arguments.clone(), standing)
            }
        }
    }
}

impl Conversation {
    /// Judges the message at the front.
    pub(super) fn judge(&mut self, subject: Subject, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        self.consider(Waiting { subject, total, is_surveyed: false, awaits: Awaits::Catalogue }, wire);
        Ok(())
    }

    /// Classifies and asks, or has the catalogue read again first.
    fn consider(&mut self, mut waiting: Waiting, wire: &mut Wire) {
        if !self.surveyed.definitions().are_newest() && !waiting.is_surveyed {
            return self.survey_for(waiting, wire);
        }
        self.state.path.pend(self.is_path_pending());
        let classified = self.classify(&waiting.subject);
        if classified.is_premature && !self.ledger.is_settled() {
            // What it names may be made by what was sent before: nobody guesses whether that succeeds.
            self.waiting = Some(Waiting { is_surveyed: false, awaits: Awaits::Answers, ..waiting });
            return self.have_answered(wire);
        }
        if classified.unknown_relations && !waiting.is_surveyed {
            return self.survey_for(waiting, wire);
        }
        if self.is_urgent {
            self.is_urgent = false;
            wire.release_down();
        }
        let standing = self.standing(&classified, waiting.subject.types());
        wire.want(Output::Ask(waiting.subject.request(&classified, standing)));
        waiting.awaits = Awaits::Verdict { classified, classifier: self.classifier.clone() };
        self.waiting = Some(waiting);
    }

    fn survey_for(&mut self, waiting: Waiting, wire: &mut Wire) {
        wire.release_down();
        self.survey(wire);
        self.waiting = Some(Waiting { is_surveyed: true, awaits: Awaits::Catalogue, ..waiting });
    }

    fn classify(&self, subject: &Subject) -> Arc<Classified> {
        match subject {
            Subject::Query { text } | Subject::Parse { text, .. } => self.classifier.classify(text, &self.state),
            Subject::Execute { portal, .. }
                if Arc::ptr_eq(&portal.statement.classifier, &self.classifier)
                    && self.state.path.now().is_some()
                    && !self.state.brought_code
                    && !portal.statement.classified.depends_on_session() =>
            {
                portal.statement.classified.clone()
            }
            Subject::Execute { portal, .. } => self.classifier.classify(&portal.statement.text, &self.state),
        }
    }

    /// The catalogue came, or did not: whoever waited for it is considered again, or refused.
    pub(super) fn resume(&mut self, failed: Option<String>, wire: &mut Wire) -> Result<(), Fatal> {
        match (self.waiting.take(), failed) {
            (Some(waiting @ Waiting { awaits: Awaits::Catalogue, .. }), None) => {
                self.consider(waiting, wire);
                Ok(())
            }
            (Some(Waiting { awaits: Awaits::Catalogue, subject, total, .. }), Some(reason)) => {
                let message = format!("denied: the gate could not read the catalogue: {reason}");
                let error = reply::error(DENIED, &message, "try again; the daemon's log says more");
                self.deny(subject.way(), error, total, wire)
            }
            (waiting, _) => {
                self.waiting = waiting;
                Ok(())
            }
        }
    }

    /// The gate answered.
    pub(super) fn settle(&mut self, verdict: Verdict, wire: &mut Wire) -> Result<(), Fatal> {
        let Some(Waiting { subject, total, is_surveyed, awaits }) = self.waiting.take() else { return Ok(()) };
        let Awaits::Verdict { mut classified, classifier } = awaits else {
            self.waiting = Some(Waiting { subject, total, is_surveyed, awaits });
            return Ok(());
        };
        if self.skip != Skip::Nothing {
            // The batch failed meanwhile: the server would skip this message, whatever the verdict.
            wire.drop_down(total);
            return Ok(());
        }
        let permit = match verdict {
            Verdict::Forward(permit) => permit,
            Verdict::Block(denial) => {
                let error = match &classified.mistake {
                    Some(mistake) => reply::mistaken(mistake, &denial.reference),
                    None => reply::denied(&denial, Severity::Error, DENIED),
                };
                return self.deny(subject.way(), error, total, wire);
            }
            Verdict::Settle => {
                self.waiting = Some(Waiting { subject, total, is_surveyed, awaits: Awaits::Answers });
                return self.go_on(wire);
            }
        };
        if let Some(mistake) = &classified.mistake {
            // Whatever policy says of what is unknown: this is not even a statement.
            return self.deny(subject.way(), reply::mistaken(mistake, ""), total, wire);
        }
        if !Arc::ptr_eq(&classifier, &self.classifier) || classified.depends_on_session() {
            // A person took their time and the catalogue has changed: the permit is for what was asked.
            self.state.path.pend(self.is_path_pending());
            let now = self.classify(&subject);
            if now.footprint != classified.footprint {
                self.consider(Waiting { subject, total, is_surveyed, awaits: Awaits::Catalogue }, wire);
                return Ok(());
            }
            classified = now;
        }
        self.waiting = Some(Waiting { subject, total, is_surveyed, awaits: Awaits::Quiet { classified, permit } });
        self.go_on(wire)
    }

    /// Goes on with the message at the front, if what it waits for has come.
    pub(super) fn go_on(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        let Some(waiting) = self.waiting.take() else { return Ok(()) };
        match waiting.awaits {
            Awaits::Catalogue | Awaits::Verdict { .. } => {
                self.waiting = Some(waiting);
                Ok(())
            }
            Awaits::Answers | Awaits::Quiet { .. } if self.skip != Skip::Nothing => {
                wire.drop_down(waiting.total);
                Ok(())
            }
            Awaits::Answers if self.ledger.is_settled() => {
                self.consider(waiting, wire);
                Ok(())
            }
            Awaits::Quiet { classified, permit }
                if !self.ledger.is_running()
                    || permit.obligations().limits.is_empty()
                    || waiting.subject.is_parse() =>
            {
                self.permitted(waiting.subject, waiting.total, classified, &permit, wire)
            }
            Awaits::Answers | Awaits::Quiet { .. } => {
                self.waiting = Some(waiting);
                self.have_answered(wire);
                Ok(())
            }
        }
    }

    /// Whether the message at the front waits for answers of the server.
    pub(super) fn awaits_answers(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| match waiting.awaits {
            Awaits::Answers | Awaits::Quiet { .. } => true,
            Awaits::Catalogue | Awaits::Verdict { .. } => false,
        })
    }

    fn permitted(
        &mut self,
        subject: Subject,
        total: usize,
        classified: Arc<Classified>,
        permit: &Permit,
        wire: &mut Wire,
    ) -> Result<(), Fatal> {
        let obligations = permit.obligations();
        if let Subject::Parse { name, text, types } = subject {
            self.note_parsing(&name);
            // The server plans when it binds, and runs functions that it believes immutable: what an error
            // quotes then falls under this statement's masks before anything of it is executed.
            let shield = self.shield(&classified, obligations);
            let (classifier, description, load) = (self.classifier.clone(), Arc::default(), Load::default());
            self.ledger.prepare(&name, Prepared { text, types, classified, classifier, shield, description, load })?;
            self.forward(total, wire);
            return Ok(());
        }
        let way = subject.way();
        let shield = self.shield(&classified, obligations);
        let layout = shield.as_deref().and_then(|_| layout(subject.text(), &classified));
        let unfulfilled = shield
            .as_deref()
            .and_then(|shield| unfulfillable(&classified, shield, layout.as_deref()))
            .or_else(|| self.unlimitable(&classified, &obligations.limits, way));
        if let Some(unfulfilled) = unfulfilled {
            let error = reply::denied(&unfulfilled, Severity::Error, DENIED);
            return self.deny(way, error, total, wire);
        }
        let changes_path = self.may_change_path(&classified);
        self.note_sent(&classified);
        self.note_duties(&classified, shield.as_ref());
        let own = match &subject {
            Subject::Execute { portal, .. } => Some(portal.meter.clone()),
            Subject::Query { .. } | Subject::Parse { .. } => None,
        };
        let watch = self.watch(&classified, obligations, own);
        self.begin_limited(watch.as_ref(), way, wire);
        let running = |portal| {
            Running { layout, watch, ..Running::new(classified.clone(), shield.clone(), portal) }
                .changing_path(changes_path)
        };
        match subject {
            Subject::Execute { name, portal } => {
                let returns_rows = classified.statements.iter().any(|statement| statement.returns_rows);
                if shield.is_some() && returns_rows && self.needs_description(&portal) {
                    wire.tell_server(write::describe_portal(&name));
                    let slot = Some(portal.description.clone());
                    self.ledger.expect(Expected::Describe { slot, is_own: true })?;
                }
                self.ledger.expect(Expected::Execute(running(Some(portal))))?;
                self.executes_in_batch += 1;
                self.forward(total, wire);
            }
            Subject::Query { .. } | Subject::Parse { .. } => {
                self.ledger.expect(Expected::Query(running(None)))?;
                self.is_batch_open = false;
                self.executes_in_batch = 0;
                self.is_urgent = true;
                wire.down.keep(total);
            }
        }
        Ok(())
    }

    /// Takes note of what lasts longer than the answer to the request.
    fn note_duties(&mut self, classified: &Classified, shield: Option<&Arc<Shield>>) {
        let statements = &classified.statements;
        if statements.iter().any(|statement| statement.verb == "LISTEN") {
            self.listening = shield.cloned();
        }
        if !self.settings_are_suspect && shield.is_some_and(|shield| shield.calls_unknown()) {
            self.settings_are_suspect = true;
            self.shields.clear();
        }
        let changes = statements.iter().any(|statement| !statement.kind.only_reads());
        if let Some(shield) = shield.filter(|shield| shield.calls_unknown() || changes && shield.is_sensitive()) {
            self.deferring = Some(shield.clone());
        }
    }

    /// Refuses the message at the front with `error`, and leaves session and transaction as the server
    /// itself would after an error.
    pub(super) fn deny(&mut self, way: Way, error: Bytes, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        wire.drop_down(total);
        let is_untouched = self.ledger.is_settled() && !self.is_batch_open && self.status != Status::InTransaction;
        match (way, is_untouched) {
            (Way::Simple, true) => {
                wire.tell_workload(error);
                wire.tell_workload(write::ready(self.status));
                Ok(())
            }
            (Way::Simple, false) => {
                self.is_batch_open = false;
                wire.tell_server(write::query(POISON));
                self.ledger.expect(Expected::Query(Running::poison(error)))
            }
            (Way::Extended, true) => {
                self.skip = Skip::ToOwnSync;
                wire.tell_workload(error);
                Ok(())
            }
            (Way::Extended, false) => {
                self.skip = Skip::ToSync;
                wire.tell_server(write::parse(POISON_NAME, POISON));
                self.ledger.expect(Expected::Poison(error))
            }
        }
    }
}

/// How the data is laid out that a text copies to the workload; `None`: it does not, or in a way that is not known.
fn layout(text: &[u8], classified: &Classified) -> Option<Arc<CopyLayout>> {
    let copies_out = classified.statements.iter().any(|statement| statement.kind == StatementKind::CopyOut);
    if copies_out { sql::copy_layout(text).map(Arc::new) } else { None }
}

/// An obligation that this request's answer cannot fulfil: then it is refused.
fn unfulfillable(classified: &Classified, shield: &Shield, layout: Option<&CopyLayout>) -> Option<Denial> {
    let refused = |message: String| Denial { message, rule: None, hint: HINT.to_owned(), reference: String::new() };
    const HINT: &str = "leave the masked columns out, read with SELECT, or use one COPY … TO STDOUT with known columns";
    let stores = |statement: &'_ sql::Statement| Some((statement.verb, shield.stored(statement)?.clone()));
    if let Some((verb, class)) = classified.statements.iter().find_map(stores) {
        return Some(refused(format!("{verb} would store values of class {class}, which must be masked, unmasked")));
    }
    let class = shield.flow()?;
    let copies_out = classified.statements.iter().any(|statement| statement.kind == StatementKind::CopyOut);
    if copies_out && layout.and_then(|layout| shield.copied(layout)).is_none() {
        return Some(refused(format!(
            "COPY with these options cannot mask the values of class {class} that it would read"
        )));
    }
    None
}
