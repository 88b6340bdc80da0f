//! Waiting for what comes by itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long what is waited for may take on a busy machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Waits until this holds; `what` is for the failure.
pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    until_some(what, || Ok(holds()?.then_some(())))
}

/// Waits until there is an answer; `what` is for the failure.
pub fn until_some<T>(what: &str, mut answer: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = answer()? {
            return Ok(found);
        }
        if begun.elapsed() > WAIT_MAX {
            bail!("not within {WAIT_MAX:?}: {what}");
        }
        thread::sleep(POLL);
    }
}
