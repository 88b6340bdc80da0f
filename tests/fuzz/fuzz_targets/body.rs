//! Any body is masked or refused, however it is cut; what comes out of JSON is JSON, with no secret at a masked path.
#![no_main]

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use portcullis::mask::{
    Masker, Method,
    body::{BodyMask, BodyPlan, Encoding, MediaType, Path},
};

static PLAN: LazyLock<Arc<BodyPlan>> = LazyLock::new(|| {
    let masks = ["ssn", "credit_card", "email", "secret"].map(|class| (class.into(), Method::Redact));
    let paths = [(Path::parse("**/ssn").unwrap(), "ssn".into()), (Path::parse("/a/*").unwrap(), "secret".into())];
    Arc::new(BodyPlan::new(&paths, &BTreeMap::from(masks), true).unwrap())
});
static MASKER: LazyLock<Arc<Masker>> = LazyLock::new(|| Arc::new(Masker::new([7; 32])));

const TYPES: [&str; 5] = [
    "application/json",
    "application/x-ndjson",
    "text/event-stream",
    "application/x-www-form-urlencoded",
    "application/xml",
];
const ENCODINGS: [&[Encoding]; 5] =
    [&[], &[Encoding::Gzip], &[Encoding::Deflate], &[Encoding::Brotli], &[Encoding::Zstd]];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [kind, size, body @ ..] = input else { return };
    let media_type = MediaType::parse(TYPES[usize::from(*kind) % TYPES.len()]).unwrap();
    let encodings = ENCODINGS[usize::from(*kind) / TYPES.len() % ENCODINGS.len()];
    let masked = |size: usize| {
        let mut mask = BodyMask::new(&PLAN, &MASKER, &media_type, encodings).unwrap();
        let mut out = Vec::new();
        for piece in body.chunks(size) {
            mask.feed(piece, &mut out).ok()?;
        }
        mask.finish(&mut out).ok()?;
        Some(out)
    };
    let whole = masked(body.len().max(1));
    let pieces = masked(usize::from(*size).max(1));
    if encodings.is_empty() {
        assert_eq!(whole, pieces);
        if media_type.essence() == TYPES[0] && !body.is_empty() {
            let readable = whole.is_none_or(|out| serde_json::from_slice::<serde_json::Value>(&out).is_ok());
            assert!(readable);
        }
    } else {
        assert_eq!(whole.is_some(), pieces.is_some());
    }
});
