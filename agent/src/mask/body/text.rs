//! Text: nothing but what detectors find.

use std::sync::Arc;

use super::{BodyError, BodyPlan};
use crate::mask::{Masker, Sieve, Sifted};

/// Masks one body of text.
#[derive(Debug)]
pub struct TextMask {
    plan: Arc<BodyPlan>,
    masker: Arc<Masker>,
    sieve: Sieve,
    passed: u64,
}

impl TextMask {
    pub fn new(plan: &Arc<BodyPlan>, masker: &Arc<Masker>) -> Self {
        Self { plan: Arc::clone(plan), masker: Arc::clone(masker), sieve: Sieve::default(), passed: 0 }
    }

    /// Takes the next bytes. A zero byte stands in no text: what has one is binary, or in an encoding that hides what it says.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        if let Some(zero) = memchr::memchr(0, bytes) {
            return Err(BodyError::NoText { at: self.passed + zero as u64 });
        }
        self.passed += bytes.len() as u64;
        self.sieve.feed(&self.plan.detectors, &self.masker, bytes, &mut |next| append(next, out));
        Ok(())
    }

    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.sieve.finish(&self.plan.detectors, &self.masker, &mut |next| append(next, out));
    }
}

fn append(next: Sifted<'_>, out: &mut Vec<u8>) {
    match next {
        Sifted::Kept(text) => out.extend_from_slice(text),
        Sifted::Masked { text, .. } => out.extend_from_slice(&text),
    }
}
