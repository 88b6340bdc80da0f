//! Prints how fast bodies are masked.
//!
//! `cargo run --release -p portcullis --example body_speed`

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Instant};

use anyhow::Result;
use portcullis::{
    mask::{
        Masker, Method,
        body::{BodyMask, BodyPlan, MediaType, Path},
    },
    target::Class,
};

const SIZE: usize = 8 << 20;
const ROUNDS: usize = 11;
/// What a session reads at once.
const PIECE: usize = 1 << 16;

fn main() -> Result<()> {
    let detected = ["credit_card", "ssn", "email", "iban", "secret"];
    let plans = [
        ("nothing masked", plan(&[], &[], false)?),
        ("one path", plan(&["**/name"], &["pii"], false)?),
        ("detectors", plan(&[], &detected, true)?),
        ("detectors, one path", plan(&["**/name"], &[&detected[..], &["pii"]].concat(), true)?),
    ];
    println!("{:<24}{:<24}{:>8}", "body", "plan", "MB/s");
    for (name, media_type, body) in bodies() {
        for (planned, plan) in &plans {
            if let Ok(speed) = speed(plan, media_type, &body) {
                println!("{name:<24}{planned:<24}{speed:>8.0}");
            }
        }
    }
    Ok(())
}

fn plan(paths: &[&str], classes: &[&str], detect: bool) -> Result<Arc<BodyPlan>> {
    let paths: Vec<_> = paths.iter().map(|path| Ok((Path::parse(path)?, Class::from("pii")))).collect::<Result<_>>()?;
    let masks: BTreeMap<_, _> = classes.iter().map(|class| (Class::from(*class), Method::Redact)).collect();
    Ok(Arc::new(BodyPlan::new(&paths, &masks, detect)?))
}

/// Megabytes a second, the median of all rounds.
fn speed(plan: &Arc<BodyPlan>, media_type: &str, body: &[u8]) -> Result<f64> {
    let masker = Arc::new(Masker::new([7; 32]));
    let media_type = MediaType::parse(media_type).ok_or_else(|| anyhow::anyhow!("no media type: {media_type}"))?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut mask = BodyMask::new(plan, &masker, &media_type, &[])?;
        let mut out = Vec::with_capacity(2 * PIECE);
        for piece in body.chunks(PIECE) {
            out.clear();
            mask.feed(piece, &mut out)?;
            black_box(&out);
        }
        mask.finish(&mut out)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_unstable_by(f64::total_cmp);
    Ok(body.len() as f64 / seconds.get(ROUNDS / 2).copied().unwrap_or(1.0) / 1e6)
}

fn bodies() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let record = |id: usize, mail: &str| {
        format!(
            "{{\"id\":{id},\"name\":\"Ann Liddell\",\"mail\":\"{mail}\",\"total\":12.50,\"tags\":[\"a\",\"b\"],\"text\":\"It was a bright cold day.\"}}"
        )
    };
    let list = |mail: &str| {
        let records: Vec<_> = (0..SIZE / 120).map(|id| record(id, mail)).collect();
        format!("[{}]", records.join(",")).into_bytes()
    };
    let lines: String = (0..SIZE / 120).map(|id| record(id, "-") + "\n").collect();
    let events: String = (0..SIZE / 120).map(|id| format!("data: {}\n\n", record(id, "-"))).collect();
    let prose = "It was a bright cold day in April, and the clocks were striking thirteen.\n".repeat(SIZE / 74);
    vec![
        ("JSON", "application/json", list("-")),
        ("JSON with addresses", "application/json", list("ann@example.com")),
        ("JSON lines", "application/x-ndjson", lines.into_bytes()),
        ("events", "text/event-stream", events.into_bytes()),
        ("text", "text/plain", prose.into_bytes()),
    ]
}
