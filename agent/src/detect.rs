//! Which protocol a connection's first bytes speak, where no declared target says it.
//!
//! Only used to refuse in words that the client understands: a declared target names its protocol.

use std::time::Duration;

use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout_at},
};

use crate::protocol::{Detection, PROTOCOLS, Protocol};

/// For the first bytes; clients of protocols in which the server speaks first send none.
pub const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that are looked at.
pub const PEEK_MAX: usize = 64;

/// The protocol of the bytes that wait on `stream`, which stay there.
pub async fn detect(stream: &TcpStream) -> Option<&'static Protocol> {
    let deadline = Instant::now() + FIRST_BYTES_TIMEOUT;
    let mut buffer = [0; PEEK_MAX];
    let mut seen = 0;
    loop {
        let peeked = timeout_at(deadline, stream.peek(&mut buffer)).await.ok()?.ok()?;
        if peeked == 0 || peeked == buffer.len() {
            return claim(buffer.get(..peeked)?).ok().flatten();
        }
        if peeked > seen
            && let Ok(answer) = claim(buffer.get(..peeked)?)
        {
            return answer;
        }
        seen = peeked;
        // A peek returns at once while bytes wait, so more of them can only be waited for by time.
        sleep(Duration::from_millis(10)).await;
        if Instant::now() >= deadline {
            return None;
        }
    }
}

/// The one protocol that claims the bytes; an error while one of them needs more.
fn claim(bytes: &[u8]) -> Result<Option<&'static Protocol>, ()> {
    let mut undecided = false;
    for protocol in PROTOCOLS {
        match (protocol.detect)(bytes) {
            Detection::Yes => return Ok(Some(protocol)),
            Detection::NeedMore => undecided = true,
            Detection::No => {}
        }
    }
    if undecided { Err(()) } else { Ok(None) }
}
