//! What the programs say, forwarded to our own log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};

/// The programs' log. Each refusal is a `debug` line; at other levels the programs write nothing.
pub struct Logs(EbpfLogger<&'static dyn log::Log>);

impl Logs {
    pub(super) fn of(ebpf: &mut Ebpf) -> Option<Self> {
        EbpfLogger::init_with_logger(ebpf, &FORWARD as &'static dyn log::Log).ok().map(Self)
    }

    /// Forwards until the end of the daemon.
    pub async fn forward(self) -> std::io::Result<()> {
        // SAFETY: the logger owns its descriptor, always the same, until it is dropped with this.
        let mut logs = unsafe { AsyncFd::register_with_interest(self.0, Interest::READABLE)? };
        loop {
            let mut ready = logs.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }
}

static FORWARD: Forward = Forward;

/// aya-log speaks to the `log` crate, the daemon by `tracing`.
struct Forward;

impl log::Log for Forward {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        tracing::enabled!(target: "portcullis::kernel", tracing::Level::DEBUG)
    }

    fn log(&self, record: &log::Record<'_>) {
        tracing::debug!(target: "portcullis::kernel", "{}", record.args());
    }

    fn flush(&self) {}
}
