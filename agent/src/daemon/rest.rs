//! What a loop does after a failure that may last.

use std::time::Duration;

/// How long accepting or receiving rests after it failed.
const REST: Duration = Duration::from_millis(50);

/// Waits, so that a failure that lasts (out of descriptors, most often) does not take a core. What comes meanwhile is
/// refused by the backlog, never let through.
pub(super) async fn rest() {
    tokio::time::sleep(REST).await;
}
