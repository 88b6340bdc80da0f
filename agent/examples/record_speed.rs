//! How fast the record takes entries: `cargo run --release --example record_speed [FOLDER]`.
//!
//! Prints, for several lengths of entries, the time of one append while the journal has room, and the bytes a second
//! that go through the whole way: append, hash chain, file and index.

use std::time::{Duration, Instant};

use portcullis::record::{JOURNAL_BYTES, Kind, Outcome, Recorder, RecorderConfig, SessionHeader, SessionRecorder};

/// Bytes that go the whole way for each length.
const VOLUME: u64 = 2 * 1024 * 1024 * 1024;

/// Bursts whose median is the time of one append.
const BURSTS: usize = 51;

fn main() -> anyhow::Result<()> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    println!("{:>8}  {:>12}  {:>12}  {:>12}", "bytes", "append ns", "append GB/s", "whole GB/s");
    for length in [64, 200, 1024, 4096, 16 * 1024, 64 * 1024] {
        let directory = folder.path().join(length.to_string());
        let recorder = Recorder::open(&RecorderConfig { directory: directory.clone(), journal_bytes: JOURNAL_BYTES })?;
        let session = recorder.begin(&header())?;
        let payload = vec![b'x'; length];
        let append = runtime.block_on(append_time(&recorder, &session, &payload))?;
        let whole = runtime.block_on(whole_time(&recorder, &session, &payload))?;
        session.end(Outcome::Closed);
        drop(recorder);
        std::fs::remove_dir_all(directory)?;
        let burst = length as f64 / append.as_secs_f64() / 1e9;
        let rate = VOLUME as f64 / whole.as_secs_f64() / 1e9;
        println!("{length:>8}  {:>12}  {burst:>12.2}  {rate:>12.2}", append.as_nanos());
    }
    Ok(())
}

/// The median time of one append into a journal that has room.
async fn append_time(recorder: &Recorder, session: &SessionRecorder, payload: &[u8]) -> anyhow::Result<Duration> {
    let appends = (256 * 1024 / payload.len()).clamp(4, 2000) as u32;
    let mut times = Vec::new();
    for _ in 0..BURSTS {
        recorder.flush().await?;
        let start = Instant::now();
        for _ in 0..appends {
            session.append(Kind::ToWorkload, payload)?;
        }
        times.push(start.elapsed() / appends);
    }
    times.sort();
    times.get(BURSTS / 2).copied().ok_or_else(|| anyhow::anyhow!("nothing was measured"))
}

/// The time in which [`VOLUME`] bytes go from an append into the file and the index.
async fn whole_time(recorder: &Recorder, session: &SessionRecorder, payload: &[u8]) -> anyhow::Result<Duration> {
    recorder.flush().await?;
    let start = Instant::now();
    for _ in 0..VOLUME / payload.len() as u64 {
        session.write(Kind::ToWorkload, payload).await?;
    }
    recorder.flush().await?;
    Ok(start.elapsed())
}

fn header() -> SessionHeader {
    SessionHeader {
        principal: None,
        target: None,
        protocol: None,
        destination: "127.0.0.1:5432".into(),
        upstream: None,
        policy_generation: 1,
    }
}
