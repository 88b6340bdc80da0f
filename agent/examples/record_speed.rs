//! How fast the record takes entries: `cargo run --release --example record_speed [FOLDER]`.
//!
//! Prints, for several lengths of entries, the time of one append (the best of many bursts), and how many bytes go the whole way
//! (append, hash chain, file, index) in a second of processor time and in a second. Processor time is the steadier.

use std::time::{Duration, Instant};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use portcullis::record::{JOURNAL_BYTES, Kind, Outcome, Recorder, RecorderConfig, SessionHeader, SessionRecorder};

/// Bytes that go the whole way for each length.
const VOLUME: u64 = 1024 * 1024 * 1024;

/// Bursts of appends; on a busy machine the best of them was the least disturbed.
const BURSTS: usize = 200;

fn main() -> anyhow::Result<()> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    println!(
        "{:>8}  {:>10}  {:>12}  {:>14}  {:>10}",
        "bytes", "append ns", "append GB/s", "whole GB/cpu-s", "whole GB/s"
    );
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
        let [per_cpu, per_second] = whole.map(|time| VOLUME as f64 / time.as_secs_f64() / 1e9);
        let nanos = append.as_nanos();
        println!("{length:>8}  {nanos:>10}  {burst:>12.2}  {per_cpu:>14.2}  {per_second:>10.2}");
    }
    Ok(())
}

/// The time of one append into a journal that has room.
async fn append_time(recorder: &Recorder, session: &SessionRecorder, payload: &[u8]) -> anyhow::Result<Duration> {
    let appends = (256 * 1024 / payload.len()).clamp(4, 2000) as u32;
    let mut best = Duration::MAX;
    for _ in 0..BURSTS {
        recorder.flush().await?;
        let start = Instant::now();
        for _ in 0..appends {
            session.append(Kind::ToWorkload, payload)?;
        }
        best = best.min(start.elapsed() / appends);
    }
    Ok(best)
}

/// The processor time and the time in which [`VOLUME`] bytes go from an append into the file and the index.
async fn whole_time(recorder: &Recorder, session: &SessionRecorder, payload: &[u8]) -> anyhow::Result<[Duration; 2]> {
    recorder.flush().await?;
    let start = Instant::now();
    let start_processor = processor_time()?;
    for _ in 0..VOLUME / payload.len() as u64 {
        session.write(Kind::ToWorkload, payload).await?;
    }
    recorder.flush().await?;
    Ok([processor_time()? - start_processor, start.elapsed()])
}

/// What this process has used of all processors.
fn processor_time() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(Duration::from_micros(u64::try_from(micros(usage.user_time()) + micros(usage.system_time()))?))
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
