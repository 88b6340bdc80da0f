use proptest::prelude::*;

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Opcode, whether it is final, and payload.
type Part<'a> = (Opcode, bool, &'a [u8]);

/// What a reader has seen: each message or control frame with its payload, and whether it was whole.
type Seen = Vec<(Kind, Vec<u8>, bool)>;

fn read(mut reader: FrameReader, bytes: &[u8], size: usize) -> Result<Seen, Broken> {
    let mut seen: Seen = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let progress = reader.feed(rest)?;
            assert!(progress.taken > 0 && reader.control.len() <= CONTROL_MAX);
            if let Some(found) = progress.piece {
                let mut payload = rest[found.payload].to_vec();
                if let Some((key, at)) = found.mask {
                    unmask(key, at, &mut payload);
                }
                let open = seen.iter_mut().rev().find(|(kind, _, whole)| *kind == found.kind && !whole);
                match open {
                    Some((_, whole, ended)) => {
                        whole.extend_from_slice(&payload);
                        *ended = found.ends_message;
                    }
                    None => seen.push((found.kind, payload, found.ends_message)),
                }
            }
            rest = &rest[progress.taken..];
        }
    }
    Ok(seen)
}

fn frames(frames: &[Part], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::new();
    for (opcode, is_final, payload) in frames {
        Frame::write(*opcode, *is_final, payload, key, &mut out);
    }
    out
}

/// Reads frames as a workload's and as a server's, whole and byte by byte, and wants the same of all.
fn read_all_ways(parts: &[Part]) -> Result<Seen, Broken> {
    let (masked, bare) = (frames(parts, Some(KEY)), frames(parts, None));
    let seen = read(FrameReader::of_server(), &bare, bare.len());
    assert_eq!(seen, read(FrameReader::of_server(), &bare, 1));
    assert_eq!(seen, read(FrameReader::of_workload(), &masked, masked.len()));
    assert_eq!(seen, read(FrameReader::of_workload(), &masked, 1));
    seen
}

#[test]
fn messages_are_read_across_frames_with_control_frames_between() {
    use Opcode::*;
    let seen = read_all_ways(&[
        (Text, false, "h\u{e9}".as_bytes()),
        (Ping, true, b"?"),
        (Continuation, false, b""),
        (Continuation, true, b"llo"),
        (Pong, true, b""),
        (Binary, true, b"\xff\0"),
        (Text, true, b""),
        (Close, true, b"\x03\xe8bye"),
    ]);
    let expected: Seen = vec![
        (Kind::Text, "h\u{e9}llo".into(), true),
        (Kind::Ping, b"?".to_vec(), true),
        (Kind::Pong, Vec::new(), true),
        (Kind::Binary, b"\xff\0".to_vec(), true),
        (Kind::Text, Vec::new(), true),
        (Kind::Close, b"\x03\xe8bye".to_vec(), true),
    ];
    assert_eq!(seen, Ok(expected));
}

#[test]
fn text_is_utf8_across_frames() {
    use Opcode::*;
    assert!(read_all_ways(&[(Text, false, b"\xe2\x82"), (Ping, true, b"\xff"), (Continuation, true, b"\xac")]).is_ok());
    let rows: [&[Part]; 6] = [
        &[(Text, true, b"\xff")],
        &[(Text, true, b"\xe2\x82")],
        &[(Text, false, b"\xe2\x82"), (Continuation, true, b"a")],
        &[(Text, true, b"\xed\xa0\x80")],
        &[(Text, true, b"\xf4\x90\x80\x80")],
        &[(Text, false, b"a"), (Continuation, false, b"\xc0\xaf")],
    ];
    for row in rows {
        assert_eq!(read_all_ways(row), Err(Broken::Text));
    }
    assert_eq!(Broken::Text.code(), 1007);
}

#[test]
fn bytes_that_break_text_are_not_taken() {
    let bytes = frames(&[(Opcode::Text, true, b"ok\xff\xffno")], Some(KEY));
    let mut reader = FrameReader::of_workload();
    let taken = bytes.iter().take_while(|byte| reader.feed(&[**byte]).is_ok()).count();
    assert_eq!(taken, bytes.len() - 4);
}

#[test]
fn frames_stand_in_their_order() {
    use Opcode::*;
    let rows: [(&[Part], Broken); 6] = [
        (&[(Continuation, true, b"a")], Broken::Continuation),
        (&[(Text, true, b"a"), (Continuation, true, b"b")], Broken::Continuation),
        (&[(Text, false, b"a"), (Text, true, b"b")], Broken::Interrupted),
        (&[(Text, false, b"a"), (Binary, true, b"b")], Broken::Interrupted),
        (&[(Close, true, b""), (Ping, true, b"")], Broken::AfterClose),
        (&[(Close, true, b""), (Close, true, b"")], Broken::AfterClose),
    ];
    for (row, broken) in rows {
        assert_eq!(read_all_ways(row), Err(broken));
    }
}

#[test]
fn a_workload_masks_and_a_server_does_not() {
    let (masked, bare) = (frames(&[(Opcode::Ping, true, b"")], Some(KEY)), frames(&[(Opcode::Ping, true, b"")], None));
    assert_eq!(FrameReader::of_workload().feed(&bare), Err(Broken::Unmasked));
    assert_eq!(FrameReader::of_server().feed(&masked), Err(Broken::Masked));
}

#[test]
fn a_close_frame_holds_a_code_that_may_be_sent() {
    let close = |code: u16, reason: &[u8]| {
        let payload = [&code.to_be_bytes(), reason].concat();
        read_all_ways(&[(Opcode::Close, true, &payload)]).map(|_| ())
    };
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(close(code, b"why"), Ok(()), "{code}");
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(close(code, b""), Err(Broken::CloseCode(code)), "{code}");
    }
    assert_eq!(close(1000, b"\xff"), Err(Broken::Text));
    assert_eq!(read_all_ways(&[(Opcode::Close, true, b"\x03")]), Err(Broken::CloseCode(0)));
    assert!(read_all_ways(&[(Opcode::Close, true, b"")]).is_ok());
}

#[test]
fn a_side_that_closed_is_known() {
    let mut reader = FrameReader::of_server();
    reader.feed(&frames(&[(Opcode::Close, true, b"\x03\xf0no")], None)).unwrap();
    assert!(reader.is_closed());
    assert_eq!(reader.control(), b"\x03\xf0no");
    assert_eq!(reader.feed(b""), Ok(Progress { taken: 0, piece: None }));
}

proptest! {
    #[test]
    fn pieces_do_not_matter(bytes in frame_like(), size in 1_usize..20) {
        for reader in [FrameReader::of_workload, FrameReader::of_server] {
            prop_assert_eq!(read(reader(), &bytes, bytes.len()), read(reader(), &bytes, size));
        }
    }
}

/// Frames that mostly follow each other, and some bytes that do not.
fn frame_like() -> impl Strategy<Value = Vec<u8>> {
    use Opcode::*;
    let opcode = prop::sample::select(vec![Text, Text, Binary, Continuation, Ping, Pong, Close]);
    let payload =
        prop_oneof![8 => "[a-zé€]{0,90}".prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..200)];
    let frame = (opcode, prop::bool::weighted(0.8), payload);
    let key = prop::option::of(Just(KEY));
    (key, prop::collection::vec(frame, 0..6), prop::collection::vec(any::<u8>(), 0..3)).prop_map(
        |(key, parts, rest)| {
            let mut out = Vec::new();
            for (opcode, is_final, payload) in parts {
                Frame::write(opcode, is_final || opcode.is_control(), &payload, key, &mut out);
            }
            out.extend_from_slice(&rest);
            out
        },
    )
}
