use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use super::*;
use crate::{mask::Method, target::Class};

static MASKER: LazyLock<Arc<Masker>> = LazyLock::new(|| Arc::new(Masker::new([7; 32])));

fn plan(paths: &[(&str, &str)]) -> Arc<BodyPlan> {
    let paths: Vec<_> = paths.iter().map(|(path, class)| (Path::parse(path).unwrap(), Class::from(*class))).collect();
    let masks = ["ssn", "email", "credit_card", "secret"].map(|class| (Class::from(class), Method::Redact));
    Arc::new(BodyPlan::new(&paths, &BTreeMap::from(masks), true).unwrap())
}

fn mask(plan: &Arc<BodyPlan>, media_type: &str, encodings: &[Encoding]) -> Result<BodyMask, Unmaskable> {
    BodyMask::new(plan, &MASKER, &MediaType::parse(media_type).unwrap(), encodings)
}

fn masked(
    plan: &Arc<BodyPlan>,
    media_type: &str,
    encodings: &[Encoding],
    body: &[u8],
    size: usize,
) -> Result<Vec<u8>, BodyError> {
    let mut mask = mask(plan, media_type, encodings).unwrap();
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        mask.feed(piece, &mut out)?;
    }
    mask.finish(&mut out)?;
    Ok(out)
}

const EVENTS: &str = "text/event-stream";
const FORM: &str = "application/x-www-form-urlencoded";

#[track_caller]
fn assert_shown(media_type: &str, body: &str, shown: &str) {
    let by = plan(&[("**/ssn", "ssn")]);
    for size in [1, 3, body.len().max(1)] {
        let out = masked(&by, media_type, &[], body.as_bytes(), size).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), shown, "in pieces of {size}");
    }
}

#[test]
fn events_are_masked_as_what_their_data_are() {
    let same = "\u{feff}: hello\r\n\r\nevent: x\nid: 7\ndata: {\"a\": 1}\n\ndata:two\rdata\r\rdata: [DONE]\n\n";
    assert_shown(EVENTS, same, same);
    assert_shown(EVENTS, "data: {\"ssn\":\"1\"}\n\n", "data: {\"ssn\":\"[redacted]\"}\n\n");
    assert_shown(
        EVENTS,
        "data:{\"ssn\":\r\ndata: \"1\"}\r\nid: 1\r\n\r\n",
        "data: {\"ssn\":\r\ndata: \"[redacted]\"}\r\nid: 1\r\n\r\n",
    );
    assert_shown(EVENTS, ": ann@example.com\ndata: to ann@example.com\n\n", ": [redacted]\ndata: to [redacted]\n\n");
    assert_shown(EVENTS, "data: {\"ssn\":\"1\"}", "data: {\"ssn\":\"[redacted]\"}");
}

#[test]
fn an_event_leaves_with_the_line_that_ends_it() {
    let mut mask = mask(&plan(&[]), EVENTS, &[]).unwrap();
    let mut out = Vec::new();
    mask.feed(b"data: 1\r\n\r\ndata: 2\n", &mut out).unwrap();
    assert_eq!(out, b"data: 1\r\n\r\n");
}

#[test]
fn data_that_another_reader_could_take_for_json_are_refused() {
    for data in ["{\"ssn\":\"1\",}", "{'ssn':'1'}", "{\"ssn\":\"1\",\"ssn\":\"2\"}", "[\"1\""] {
        let body = format!("data: {data}\n\n");
        assert!(masked(&plan(&[("**/ssn", "ssn")]), EVENTS, &[], body.as_bytes(), 9).is_err(), "{data}");
    }
    let long = format!("data: {}\n\n", "x".repeat(events::EVENT_MAX));
    assert_eq!(masked(&plan(&[]), EVENTS, &[], long.as_bytes(), 4096), Err(BodyError::Event));
}

#[test]
fn fields_of_a_form_are_masked_by_name_and_by_content() {
    assert_shown(FORM, "a=1&ssn=5+3&b=%20x&c", "a=1&ssn=%5Bredacted%5D&b=%20x&c");
    assert_shown(FORM, "s%73n=1&m=to+ann%40example.com", "s%73n=%5Bredacted%5D&m=to+%5Bredacted%5D");
    assert_shown(FORM, "", "");
    for body in ["a=%4", "a=%zz", "%=1"] {
        assert_eq!(masked(&plan(&[]), FORM, &[], body.as_bytes(), 2), Err(BodyError::Percent), "{body}");
    }
    let long = format!("a={}", "x".repeat(form::FIELD_MAX));
    assert_eq!(masked(&plan(&[]), FORM, &[], long.as_bytes(), 4096), Err(BodyError::Field));
}

#[test]
fn text_is_searched_across_the_borders_of_its_pieces() {
    let body = "Write to ann@example.com, or pay by 4111 1111 1111 1111.\n";
    for size in 1..body.len() {
        let out = masked(&plan(&[]), "text/plain", &[], body.as_bytes(), size).unwrap();
        assert_eq!(out, b"Write to [redacted], or pay by [redacted].\n");
    }
    assert_eq!(masked(&plan(&[]), "text/plain", &[], b"a\0b", 1), Err(BodyError::NoText { at: 1 }));
}

#[test]
fn what_cannot_be_masked_is_said_before_its_first_byte() {
    let (by_path, by_content) = (plan(&[("**/ssn", "ssn")]), plan(&[]));
    assert!(matches!(mask(&by_content, "image/png", &[]), Err(Unmaskable::MediaType(_))));
    assert!(matches!(mask(&by_content, "text/plain; charset=utf-16", &[]), Err(Unmaskable::Charset(_))));
    assert!(matches!(mask(&by_path, "text/html", &[]), Err(Unmaskable::NoPaths(_))));
    assert!(matches!(mask(&by_path, "text/plain", &[Encoding::Gzip; 3]), Err(Unmaskable::Encodings { .. })));
    assert!(mask(&by_content, "text/html", &[]).is_ok());
}

#[test]
fn encoded_bodies_are_masked_and_encoded_again() {
    let body = br#"{"ssn":"536-90-4399","n":[1,2,3]}"#;
    let by = plan(&[("**/ssn", "ssn")]);
    for encodings in [
        vec![Encoding::Gzip],
        vec![Encoding::Deflate],
        vec![Encoding::Brotli],
        vec![Encoding::Zstd],
        vec![Encoding::Zstd, Encoding::Gzip],
    ] {
        let mut encoded = body.to_vec();
        for encoding in &encodings {
            let (mut encoder, mut out) = (Encoder::new(*encoding).unwrap(), Vec::new());
            encoder.feed(&encoded, &mut out).unwrap();
            encoder.finish(&mut out).unwrap();
            encoded = out;
        }
        let mut out = masked(&by, "application/json", &encodings, &encoded, 5).unwrap();
        for encoding in encodings.iter().rev() {
            let (mut decoder, mut plain) = (Decoder::new(*encoding).unwrap(), Vec::new());
            let mut each = |bytes: &[u8]| {
                plain.extend_from_slice(bytes);
                Ok(())
            };
            decoder.feed(&out, &mut each).unwrap();
            decoder.finish(&mut each).unwrap();
            out = plain;
        }
        assert_eq!(out, br#"{"ssn":"[redacted]","n":[1,2,3]}"#, "{encodings:?}");
        assert!(masked(&by, "application/json", &encodings, &encoded[..encoded.len() - 1], 64).is_err());
        assert_eq!(masked(&by, "application/json", &encodings, b"", 1), Ok(Vec::new()));
    }
}
