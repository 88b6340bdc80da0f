//! Whether the store takes what it is given. When it does not, nothing more is permitted.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

/// Who may find the store broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Writing the sessions' files and the index.
    Writing,
    /// Bringing them to the disk.
    Syncing,
}

/// The state of the store, as its two threads last found it.
#[derive(Default)]
pub struct Health {
    /// Read on every append.
    broken: AtomicBool,
    reasons: Mutex<Reasons>,
}

#[derive(Default)]
struct Reasons {
    writing: Option<Arc<str>>,
    syncing: Option<Arc<str>>,
}

impl Health {
    /// Why the store is broken; `None` while it is well.
    pub fn broken(&self) -> Option<Arc<str>> {
        if !self.broken.load(Ordering::Acquire) {
            return None;
        }
        let reasons = self.reasons.lock();
        reasons.writing.clone().or_else(|| reasons.syncing.clone())
    }

    pub fn failed(&self, part: Part, reason: &dyn Display) {
        let mut reasons = self.reasons.lock();
        let known = reasons.of(part);
        if known.is_none() {
            tracing::error!(%reason, "the record is broken: nothing is permitted until it is well");
        }
        *known = Some(reason.to_string().into());
        self.broken.store(true, Ordering::Release);
    }

    pub fn succeeded(&self, part: Part) {
        if !self.broken.load(Ordering::Acquire) {
            return;
        }
        let mut reasons = self.reasons.lock();
        if reasons.of(part).take().is_some() {
            tracing::info!(?part, "the record is well again");
        }
        self.broken.store(reasons.writing.is_some() || reasons.syncing.is_some(), Ordering::Release);
    }
}

impl Reasons {
    fn of(&mut self, part: Part) -> &mut Option<Arc<str>> {
        match part {
            Part::Writing => &mut self.writing,
            Part::Syncing => &mut self.syncing,
        }
    }
}
