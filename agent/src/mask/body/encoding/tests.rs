use std::io::Write;

use super::*;
use crate::mask::body::BodyError;

const ALL: [Encoding; 4] = [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd];

fn encoded(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(encoding).unwrap(), Vec::new());
    for piece in body.chunks(1 << 20) {
        encoder.feed(piece, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

fn decoded(encoding: Encoding, body: &[u8], size: usize) -> Result<Vec<u8>, BodyError> {
    let (mut decoder, mut out) = (Decoder::new(encoding).unwrap(), Vec::new());
    let mut each = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        Ok(())
    };
    for piece in body.chunks(size) {
        decoder.feed(piece, &mut each)?;
    }
    decoder.finish(&mut each)?;
    Ok(out)
}

#[test]
fn what_was_encoded_is_decoded_however_it_is_cut() {
    let body: Vec<u8> = (0_u32..60_000).flat_map(|number| (number * number).to_string().into_bytes()).collect();
    for encoding in ALL {
        for size in [1000, 1 << 20] {
            assert!(decoded(encoding, &encoded(encoding, &body), size).unwrap() == body, "{encoding:?}");
        }
        assert_eq!(decoded(encoding, &encoded(encoding, b"a"), 1).unwrap(), b"a", "{encoding:?}");
        assert_eq!(decoded(encoding, b"", 1).unwrap(), b"", "{encoding:?}");
    }
}

#[test]
fn what_ends_too_early_or_too_late_is_refused() {
    for encoding in ALL {
        let whole = encoded(encoding, b"a body that is encoded");
        for end in [1, 5, whole.len() - 1] {
            assert!(decoded(encoding, &whole[..end], 3).is_err(), "{encoding:?} up to {end}");
        }
        for size in [1, whole.len() + 1] {
            let garbage = [&whole[..], b"x"].concat();
            assert!(decoded(encoding, &garbage, size).is_err(), "{encoding:?}");
        }
        assert!(decoded(encoding, b"this is not encoded at all, not at all", 7).is_err(), "{encoding:?}");
    }
}

#[test]
fn a_bomb_is_refused_long_before_it_has_gone_off() {
    let zeros = vec![0; 1 << 20];
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        writer.write_all(&zeros).unwrap();
    }
    let gzip = writer.finish().unwrap();
    let zeros = vec![0; 64 << 20];
    let zstd = zstd::encode_all(zeros.as_slice(), 1).unwrap();
    for (encoding, bomb) in
        [(Encoding::Gzip, gzip), (Encoding::Zstd, zstd), (Encoding::Brotli, encoded(Encoding::Brotli, &zeros))]
    {
        let (mut decoder, mut made) = (Decoder::new(encoding).unwrap(), 0_u64);
        let done = decoder.feed(&bomb, &mut |bytes| {
            made += bytes.len() as u64;
            Ok(())
        });
        assert_eq!(done, Err(BodyError::Bomb { encoding: encoding.name() }));
        assert!(made < UNJUDGED + (4 << 20), "{encoding:?}: {made}");
    }
}

#[test]
fn encodings_are_known_by_name_or_not_at_all() {
    assert_eq!(Encoding::parse(["gzip"]), Ok(vec![Encoding::Gzip]));
    assert_eq!(Encoding::parse(["Deflate, identity", "BR"]), Ok(vec![Encoding::Deflate, Encoding::Brotli]));
    assert_eq!(Encoding::parse([]), Ok(vec![]));
    assert!(matches!(Encoding::parse(["compress"]), Err(Unmaskable::Encoding(_))));
    assert!(matches!(Encoding::parse([""]), Err(Unmaskable::Encoding(_))));
    assert!(matches!(Encoding::parse(["gzip, br, zstd"]), Err(Unmaskable::Encodings { got: 3 })));
}
