//! What of a body is masked.

use std::collections::BTreeMap;

use super::path::{Path, PathError, Paths, Rule, RuleId};
use crate::{
    mask::{Detectors, Masked, Masker, Method},
    target::Class,
};

/// What of the bodies of one target is masked, under one set of obligations. Compiled once, used for each body.
#[derive(Clone, Debug)]
pub struct BodyPlan {
    pub(super) paths: Paths,
    pub(super) detectors: Detectors,
}

impl BodyPlan {
    /// `classes` says which class the values at a path have; `masks`, by which method a class is masked. Paths of a class
    /// that is not masked say nothing. With `detect`, values of no known class are searched for the classes of `masks`.
    pub fn new(classes: &[(Path, Class)], masks: &BTreeMap<Class, Method>, detect: bool) -> Result<Self, PathError> {
        let ruled: Vec<_> = classes
            .iter()
            .filter_map(|(path, class)| {
                let method = *masks.get(class)?;
                Some((path.clone(), Rule { class: class.clone(), method }))
            })
            .collect();
        let detectors = if detect { Detectors::for_masks(masks) } else { Detectors::default() };
        Ok(Self { paths: Paths::new(&ruled)?, detectors })
    }

    /// Whether there is nothing to mask in any body.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.detectors.is_empty()
    }

    /// Whether something is masked by where it stands, which only formats with paths can tell.
    pub fn has_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    /// A text at a place of a rule, masked whole; `None`: nothing may stand for it.
    pub(super) fn mask(&self, masker: &Masker, rule: RuleId, text: &[u8]) -> Option<Vec<u8>> {
        let rule = self.paths.rule(rule)?;
        match masker.apply(rule.method, &rule.class, text) {
            Masked::Value(masked) => Some(masked),
            Masked::Null => None,
        }
    }

    /// A whole number at a place of a rule; `None`: no number may stand for it.
    pub(super) fn mask_number(&self, masker: &Masker, rule: RuleId, number: i64) -> Option<i64> {
        let rule = self.paths.rule(rule)?;
        masker.number(rule.method, &rule.class, number, WHOLE_MAX)
    }

    /// Whether not even the shape of what stands at a place of a rule may be seen.
    pub(super) fn hides(&self, rule: RuleId) -> bool {
        self.paths.rule(rule).is_none_or(|rule| rule.method == Method::Null)
    }
}

/// The greatest whole number that all readers of JSON agree on: RFC 8259, section 6.
const WHOLE_MAX: i64 = (1 << 53) - 1;
