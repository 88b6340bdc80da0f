//! How a daemon ends: it stops, or leaves everything to another.

use std::{fs, os::unix::net::UnixListener, time::Duration};

use anyhow::Context;

use super::{Daemon, event::Event, inheritance::Inheritance, listeners::Sockets, ready};
use crate::gate::Denial;

/// How long running sessions have to end when the daemon stops or hands over.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

impl Daemon {
    /// Ends every session and the record.
    pub(super) async fn stop(&self) {
        ready::tell_stopping();
        self.audit.note(&Event::Stopping);
        self.drain("the gate is stopping").await;
        self.close_record().await;
        // The next daemon makes its own.
        let _ = fs::remove_file(&self.config.control);
    }

    /// Lets sessions end, closes the record and puts together what the next daemon needs. Nothing is accepted any more.
    pub(super) async fn leave(&self, control: UnixListener, host: Sockets) -> anyhow::Result<Inheritance> {
        if !self.gatehouse.live.wait_until_left(DRAIN_TIMEOUT).await {
            self.drain("the gate is being replaced").await;
        }
        self.close_record().await;
        let workloads = self.gatehouse.workloads.list().iter().map(|workload| (**workload).clone()).collect();
        let lock = self.gatehouse.capture.lock().context("failed to pass the lock on")?;
        let namespaces = self.namespaces.leave().await.context("failed to pass sockets on")?;
        let doorways = self.doorways.leave().context("failed to pass doorways on")?;
        Ok(Inheritance { lock, control, host, namespaces, doorways, workloads, from: std::process::id() })
    }

    async fn drain(&self, why: &str) {
        let (message, hint) = (why.to_owned(), "connect again when it is back".to_owned());
        let denial = Denial { message, rule: None, hint, reference: String::new() };
        self.gatehouse.live.drain(&denial, DRAIN_TIMEOUT).await;
    }

    async fn close_record(&self) {
        self.audit.close();
        if let Err(error) = self.gatehouse.recorder.flush().await {
            tracing::error!(%error, "the end of the record waits in the journal for the next start");
        }
    }
}
