//! Decisions remembered within a session, so that the same question is answered without policy.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use jiff::{Timestamp, tz::TimeZone};
use lru::LruCache;

use crate::{
    policy::{Clock, Decision, Effect, Engine, Needs, Obligations, Question},
    principal::Principal,
    record::{DecisionEntry, Kind, RecordError, SessionRecorder},
    request::{Estimate, Footprint, Request, Stage, Standing},
    target::Target,
};

/// Decisions kept for each session.
const RULINGS_MAX: usize = 256;

/// A decision, and what is written of it each time it is used.
#[derive(Debug)]
pub struct Decided {
    pub decision: Decision,
    pub obligations: Arc<Obligations>,
    /// The short entry of every use after the first of its stage, which is recorded in full.
    again: ShortEntries,
    /// Kept so that the allocation that is the key cannot be another footprint's.
    footprint: Arc<Footprint>,
    generation: u64,
    /// What it depended on beside the request.
    pub needs: Needs,
    /// Since the epoch; set where the decision depends on the time of day.
    minute: Option<i64>,
}

/// Rendered entries that name an earlier one instead of repeating it.
#[derive(Debug, Default)]
struct ShortEntries {
    prepare: OnceLock<Vec<u8>>,
    execute: OnceLock<Vec<u8>>,
}

impl ShortEntries {
    const fn of(&self, stage: Stage) -> &OnceLock<Vec<u8>> {
        match stage {
            Stage::Prepare => &self.prepare,
            Stage::Execute => &self.execute,
        }
    }
}

/// Who asks in a session, of what, and where it is how late.
#[derive(Clone, Debug)]
pub struct Asker {
    pub principal: Arc<Principal>,
    pub target: Arc<Target>,
    pub time_zone: TimeZone,
}

/// One session's decisions, by footprint.
pub struct Rulings(LruCache<usize, Arc<Decided>>);

impl Default for Rulings {
    fn default() -> Self {
        // With a bound, it would hold room for all of them from the start, in every idle session.
        Self(LruCache::unbounded())
    }
}

impl Rulings {
    /// The decision on `request`, from memory where nothing that it depended on has changed. What depends on
    /// where the session stands is decided anew each time.
    pub fn decide(&mut self, engine: &Engine, asker: &Asker, request: &Request) -> Arc<Decided> {
        let key = Arc::as_ptr(&request.footprint).addr();
        let known = self.0.get(&key).filter(|known| {
            known.generation == engine.generation() && Arc::ptr_eq(&known.footprint, &request.footprint)
        });
        let needs = known.map_or_else(|| engine.needs(&request.footprint), |known| known.needs);
        let minute = needs.clock.then(|| Timestamp::now().as_second() / 60);
        if let Some(known) = known
            && known.minute == minute
            && !needs.varies()
        {
            return known.clone();
        }
        let decision = match (needs.estimate, request.stage) {
            // Nothing runs yet, and what it will run with is not known: it is judged again then.
            (true, Stage::Prepare) => decision(engine, asker, &expecting_nothing(request)),
            (true, Stage::Execute) | (false, _) => decision(engine, asker, request),
        };
        let decided = Arc::new(Decided {
            obligations: Arc::new(decision.obligations.clone()),
            decision,
            again: ShortEntries::default(),
            footprint: request.footprint.clone(),
            generation: engine.generation(),
            needs,
            minute,
        });
        self.0.put(key, decided.clone());
        if self.0.len() > RULINGS_MAX {
            self.0.pop_lru();
        }
        decided
    }
}

/// Whether a rule reads the estimate of this request, and nothing refuses it whatever the estimate: planning
/// evaluates parts of a statement, so that none is planned that would not run.
pub fn wants_estimate(engine: &Engine, asker: &Asker, request: &Request) -> bool {
    let needs = engine.needs(&request.footprint);
    needs.estimate
        && request.stage == Stage::Execute
        && request.standing.estimable.is_some()
        && (request.standing.is_settled || !needs.standing)
        && decision(engine, asker, &expecting_nothing(request)).effect != Effect::Deny
}

fn decision(engine: &Engine, asker: &Asker, request: &Request) -> Decision {
    engine.decide(&Question {
        principal: &asker.principal,
        target: &asker.target,
        request,
        clock: Clock::at(Timestamp::now(), &asker.time_zone),
        approvals: &BTreeSet::new(),
    })
}

/// The same request, with a plan that does nothing.
fn expecting_nothing(request: &Request) -> Request {
    let standing = Standing { estimate: Some(Estimate::default()), ..request.standing.clone() };
    Request { standing, ..request.clone() }
}

impl Decided {
    /// Records that this decision was used: in full at first, then by reference, so that what is asked often costs little.
    pub async fn record(&self, request: &Request, recorder: &SessionRecorder) -> Result<(), RecordError> {
        let again = self.again.of(request.stage);
        if let Some(again) = again.get() {
            recorder.write(Kind::Decision, again).await?;
            return Ok(());
        }
        let full = DecisionEntry::new(request, &self.decision, self.generation);
        let sequence = recorder.write(Kind::Decision, &rendered(&full)?).await?;
        let short = DecisionEntry { summary: String::new(), ..self.like(request, sequence) };
        // Somebody may have been first; both entries name one that says the same.
        let _ = again.set(rendered(&short)?);
        Ok(())
    }

    fn like(&self, request: &Request, sequence: u64) -> DecisionEntry {
        DecisionEntry::repeated(request, &self.decision, self.generation, Some(sequence))
    }
}

fn rendered(entry: &DecisionEntry) -> Result<Vec<u8>, RecordError> {
    serde_json::to_vec(entry).map_err(|error| RecordError::Header(error.into()))
}
