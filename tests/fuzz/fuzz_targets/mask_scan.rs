//! Any value is searched, and what is found in it the prefilter did not clear, whatever stands beside it.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use portcullis::mask::{Detectors, Masker, Method};

static DETECTORS: LazyLock<Detectors> = LazyLock::new(|| {
    let classes = ["credit_card", "ssn", "email", "iban", "secret"];
    Detectors::for_masks(&BTreeMap::from(classes.map(|class| (class.into(), Method::Partial))))
});

libfuzzer_sys::fuzz_target!(|value: &[u8]| {
    let found = DETECTORS.scan(&Masker::new([7; 32]), value);
    assert!(found.is_none() || DETECTORS.prefilter(&[value, value, value].concat()));
});
