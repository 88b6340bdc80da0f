//! Prints how fast the detectors run over text that holds nothing, a little, and nothing but.
//!
//! `cargo run --release -p portcullis --example mask_speed`

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use portcullis::{
    mask::{Detectors, Masker, Method},
    target::Class,
};

const SIZE: usize = 1 << 17;
const ROUNDS: usize = 401;

fn main() {
    let classes = ["credit_card", "ssn", "email", "iban", "secret"];
    let masks: BTreeMap<_, _> = classes.into_iter().map(|class| (Class::from(class), Method::Last4)).collect();
    let detectors = Detectors::for_masks(&masks);
    let masker = Masker::new([7; 32]);

    println!("{:<30}{:>16}{:>14}", "median of 401 × 128 KiB, GB/s", "prefilter", "scan");
    for (name, text) in texts() {
        let prefilter = speed(&text, |text| {
            black_box(detectors.prefilter(black_box(text)));
        });
        let scan = speed(&text, |text| {
            black_box(detectors.scan(&masker, black_box(text)));
        });
        let found = if detectors.prefilter(&text) { "hit" } else { "clear" };
        println!("{name:<30}{:>16}{scan:>14.2}", format!("{prefilter:.2} ({found})"));
    }
    cells(&detectors, &masker);
}

/// What a cell costs in a row that has to be searched cell by cell.
fn cells(detectors: &Detectors, masker: &Masker) {
    let cells: [&[u8]; 5] = [b"4711", b"2026-11-21 10:52:24", b"Ann-Kathrin Liddell", b"ann@example.com", &[b'x'; 200]];
    for cell in cells {
        let mut nanoseconds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                for _ in 0..100 {
                    black_box(detectors.scan(masker, black_box(cell)));
                }
                started.elapsed().as_nanos() / 100
            })
            .collect();
        nanoseconds.sort_unstable();
        let median = nanoseconds.get(ROUNDS / 2).copied().unwrap_or_default();
        println!("cell {:<25}{:>13} ns", String::from_utf8_lossy(cell.get(..20).unwrap_or(cell)), median);
    }
}

fn speed(text: &[u8], run: impl Fn(&[u8])) -> f64 {
    let mut nanoseconds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            run(text);
            started.elapsed().as_nanos()
        })
        .collect();
    nanoseconds.sort_unstable();
    let median = nanoseconds.get(ROUNDS / 2).copied().unwrap_or(1);
    text.len() as f64 / median as f64
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("prose", fill("It was a bright cold day in April, and the clocks were striking thirteen. Joy. ", |_| ())),
        (
            "json",
            fill("", |text| {
                text.push_str(&format!("{{\"id\":{},\"name\":\"Ann\",\"total\":12.50,\"at\":\"2026-11-21T10:52:24Z\",\"tags\":[\"a\",\"b\"]}},", text.len()))
            }),
        ),
        ("postgres rows", rows()),
        (
            "rows of nine-digit numbers",
            fill("", |text| text.push_str(&format!("D\0\0\0\x17\0\x01\0\0\0\x09{:09}", 100_000_000 + text.len()))),
        ),
        ("hex digests", fill("", |text| text.push_str(blake3::hash(&text.len().to_le_bytes()).to_hex().as_str()))),
        (
            "one address in each 100 bytes",
            fill("", |text| {
                text.push_str("Please write to ann@example.com before the end of the month, or else call the office in town. .....")
            }),
        ),
        ("hostile: @", vec![b'@'; SIZE]),
        ("hostile: a@", fill("a@", |_| ())),
        ("hostile: digits", vec![b'4'; SIZE]),
        ("hostile: 4444 4444", fill("4444 ", |_| ())),
        ("hostile: eyJ", fill("eyJ", |_| ())),
        ("hostile: eyJ.", fill("eyJ.", |_| ())),
        ("hostile: -----BEGIN", fill("-----BEGIN ", |_| ())),
        ("hostile: PRIVATE KEY-----", fill("-----END PRIVATE KEY-----", |_| ())),
        ("hostile: ssn 9 digits", fill("ssn 123456780 ", |_| ())),
        ("hostile: DE89", fill("DE89 ", |_| ())),
        ("hostile: AKIA", fill("AKIA", |_| ())),
    ]
}

fn rows() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SIZE);
    while bytes.len() < SIZE {
        let id = bytes.len().to_string();
        let cells = [id.as_str(), "Ann Liddell", "Wonderland", "12.50", "2026-11-21 10:52:24"];
        bytes.extend_from_slice(b"D\0\0\0\x40\0\x05");
        for cell in cells {
            bytes.extend_from_slice(&(cell.len() as u32).to_be_bytes());
            bytes.extend_from_slice(cell.as_bytes());
        }
    }
    bytes
}

fn fill(unit: &str, append: impl Fn(&mut String)) -> Vec<u8> {
    let mut text = String::with_capacity(SIZE);
    while text.len() < SIZE {
        text.push_str(unit);
        append(&mut text);
    }
    text.into_bytes()
}
