//! Decisions remembered within a session, so that the same question is answered without policy.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use lru::LruCache;
use serde::Serialize;

use crate::{
    policy::{Clock, Decision, Engine, Obligations, Question, RuleId},
    principal::Principal,
    record::DecisionEntry,
    request::{Footprint, Request},
    target::Target,
};

/// Decisions kept for each session.
const RULINGS_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A decision, and what is written of it each time it is used.
#[derive(Debug)]
pub struct Decided {
    pub decision: Decision,
    pub obligations: Arc<Obligations>,
    /// The record's entry, rendered once.
    pub entry: Vec<u8>,
    /// Kept so that the allocation that is the key cannot be another footprint's.
    footprint: Arc<Footprint>,
    generation: u64,
    /// Since the epoch; set where the decision depends on the time of day.
    minute: Option<i64>,
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
        Self(LruCache::new(RULINGS_MAX))
    }
}

impl Rulings {
    /// The decision on `request`, from memory where nothing that it depended on has changed.
    pub fn decide(&mut self, engine: &Engine, asker: &Asker, request: &Request) -> Arc<Decided> {
        let key = Arc::as_ptr(&request.footprint).addr();
        let now = Timestamp::now();
        let minute = engine.depends_on_clock().then(|| now.as_second() / 60);
        if let Some(known) = self.0.get(&key)
            && known.generation == engine.generation()
            && known.minute == minute
            && Arc::ptr_eq(&known.footprint, &request.footprint)
        {
            return known.clone();
        }
        let decision = engine.decide(&Question {
            principal: &asker.principal,
            target: &asker.target,
            request,
            clock: Clock::at(now, &asker.time_zone),
            approvals: &BTreeSet::new(),
        });
        let entry = entry_of(&DecisionEntry {
            effect: decision.effect.name().to_owned(),
            rules: decision.rules.iter().map(RuleId::to_string).collect(),
            accesses: request.footprint.described(),
            masks: decision.obligations.masks.iter().map(|(class, method)| (class.to_string(), *method)).collect(),
            generation: engine.generation(),
        });
        let decided = Arc::new(Decided {
            obligations: Arc::new(decision.obligations.clone()),
            decision,
            entry,
            footprint: request.footprint.clone(),
            generation: engine.generation(),
            minute,
        });
        self.0.put(key, decided.clone());
        decided
    }
}

/// A typed entry as the record keeps it.
pub fn entry_of(entry: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(entry).unwrap_or_else(|error| format!("{{\"unrendered\":\"{error}\"}}").into_bytes())
}
