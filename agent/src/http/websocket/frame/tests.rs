use proptest::prelude::*;

use super::*;

#[test]
fn a_head_says_what_follows() {
    let frame = |opcode, is_final, length, key| Ok(Some((Frame { opcode, is_final, length, key }, 0)));
    let rows: [(&[u8], _); 8] = [
        (&[0x81, 5], frame(Opcode::Text, true, 5, None)),
        (&[0x02, 0x80, 1, 2, 3, 4], frame(Opcode::Binary, false, 0, Some([1, 2, 3, 4]))),
        (&[0x80, 125], frame(Opcode::Continuation, true, 125, None)),
        (&[0x82, 126, 0, 126], frame(Opcode::Binary, true, 126, None)),
        (&[0x82, 126, 255, 255], frame(Opcode::Binary, true, 65_535, None)),
        (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], frame(Opcode::Binary, true, 65_536, None)),
        (&[0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255], frame(Opcode::Binary, true, i64::MAX as u64, None)),
        (&[0x89, 125], frame(Opcode::Ping, true, 125, None)),
    ];
    for (bytes, frame) in rows {
        let expected = frame.map(|frame: Option<(Frame, usize)>| frame.map(|(frame, _)| (frame, bytes.len())));
        assert_eq!(Frame::read(&[bytes, b"rest"].concat()), expected, "{bytes:x?}");
        for end in 0..bytes.len() {
            assert_eq!(Frame::read(&bytes[..end]), Ok(None), "{bytes:x?}");
        }
    }
}

#[test]
fn a_head_that_breaks_the_rules_is_refused() {
    let rows: [(&[u8], Broken); 17] = [
        (&[0xc1], Broken::Reserved(0b100)),
        (&[0xa1], Broken::Reserved(0b010)),
        (&[0x91], Broken::Reserved(0b001)),
        (&[0x83], Broken::Opcode(3)),
        (&[0x87], Broken::Opcode(7)),
        (&[0x8b], Broken::Opcode(11)),
        (&[0x8f], Broken::Opcode(15)),
        (&[0x09, 0], Broken::Control),
        (&[0x08, 0], Broken::Control),
        (&[0x0a, 0], Broken::Control),
        (&[0x89, 126], Broken::Control),
        (&[0x88, 127], Broken::Control),
        (&[0x8a, 0xfe], Broken::Control),
        (&[0x82, 126, 0, 125], Broken::Length(125)),
        (&[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255], Broken::Length(65_535)),
        (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Broken::Length(1 << 63)),
        (&[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255], Broken::Length(u64::MAX)),
    ];
    for (bytes, broken) in rows {
        assert_eq!(Frame::read(bytes), Err(broken), "{bytes:x?}");
        assert_eq!(broken.code(), 1002);
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let mut out = Vec::new();
    Frame::write_close(1008, &"€".repeat(60), None, &mut out);
    let (frame, head) = Frame::read(&out).unwrap().unwrap();
    assert_eq!((frame.opcode, frame.length), (Opcode::Close, 2 + 123));
    assert_eq!(out[head..head + 2], 1008_u16.to_be_bytes());
    assert_eq!(std::str::from_utf8(&out[head + 2..]), Ok("€".repeat(41).as_str()));
}

proptest! {
    #[test]
    fn what_is_written_is_read(length in prop_oneof![0_usize..300, 65_530_usize..65_540], key in any::<Option<[u8; 4]>>(), cut in 0_usize..300) {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let mut out = Vec::new();
        Frame::write(Opcode::Binary, true, &payload, key, &mut out);
        let (frame, head) = Frame::read(&out).unwrap().unwrap();
        prop_assert_eq!((frame.length, frame.key, frame.is_final), (length as u64, key, true));
        let mut read = out.split_off(head);
        let cut = cut.min(length);
        if let Some(key) = key {
            unmask(key, 0, &mut read[..cut]);
            unmask(key, cut as u64, &mut read[cut..]);
        }
        prop_assert_eq!(read, payload);
    }
}
