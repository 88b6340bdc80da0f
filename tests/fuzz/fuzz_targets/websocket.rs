//! Any bytes of either side are WebSocket frames or refused, alike in whatever pieces they come, and little is held.
#![no_main]

use portcullis::http::websocket::{Broken, CONTROL_MAX, FrameReader};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for reader in [FrameReader::of_workload, FrameReader::of_server] {
        let whole = read(reader(), bytes, bytes.len());
        let pieces = read(reader(), bytes, 1);
        assert_eq!(whole, pieces);
    }
});

/// How many frames ended, and whether the side has closed.
fn read(mut reader: FrameReader, bytes: &[u8], size: usize) -> Result<(usize, bool), Broken> {
    let mut frames = 0;
    for mut rest in bytes.chunks(size.max(1)) {
        while !rest.is_empty() {
            let progress = reader.feed(rest)?;
            assert!(progress.taken > 0 && reader.control().len() <= CONTROL_MAX);
            frames += usize::from(progress.piece.is_some_and(|piece| piece.ends_frame));
            rest = &rest[progress.taken..];
        }
    }
    Ok((frames, reader.is_closed()))
}
