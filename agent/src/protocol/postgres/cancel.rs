//! Cancel requests: a workload holds a key of the gate's making, which stands for the server's.

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{codec::write, wire::Wire};
use crate::{
    protocol::{Interrupt, Opening, Output},
    target::Verify,
};

/// Which cancel key of ours stands for which of the server's.
#[derive(Default)]
pub struct Cancels {
    held: Mutex<HashMap<Key, Held>>,
}

/// A process number and its key, as BackendKeyData gives them out.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Key {
    pub process: u32,
    pub secret: Vec<u8>,
}

struct Held {
    workload: Arc<str>,
    target: Arc<str>,
    server: Key,
    interrupt: Interrupt,
}

impl Cancels {
    /// Remembers `ours` for as long as the returned lease lives.
    pub fn lease(self: &Arc<Self>, ours: Key, server: Key, opening: &Opening) -> Lease {
        let (workload, target) = (opening.workload.clone(), opening.target.name.clone());
        let held = Held { workload, target, server, interrupt: opening.interrupt.clone() };
        self.held.lock().insert(ours.clone(), held);
        Lease { cancels: self.clone(), ours }
    }

    /// The server's key and the gate's interrupt, if that workload has a session with ours on that target.
    fn find(&self, ours: &Key, workload: &str, target: &str) -> Option<(Key, Interrupt)> {
        let held = self.held.lock();
        let found = held.get(ours)?;
        (&*found.workload == workload && &*found.target == target)
            .then(|| (found.server.clone(), found.interrupt.clone()))
    }
}

impl fmt::Debug for Cancels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancels").field("held", &self.held.lock().len()).finish()
    }
}

/// A session's entry, withdrawn when the session ends.
pub struct Lease {
    cancels: Arc<Cancels>,
    ours: Key,
}

impl Lease {
    /// The message that stops what the server does for this session, on a connection of its own.
    pub fn request(&self) -> Option<Bytes> {
        let held = self.cancels.held.lock();
        held.get(&self.ours).map(|held| write::cancel_request(held.server.process, &held.server.secret))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.cancels.held.lock().remove(&self.ours);
    }
}

/// A connection that carries nothing but a cancel request.
pub struct Cancelling {
    request: Bytes,
    is_asking_tls: bool,
}

impl Cancelling {
    /// Starts the way upstream, or closes when the key is nobody's: the server answers no cancel request
    /// either, so that keys cannot be guessed by their answers.
    pub fn begin(
        ours: &Key,
        cancels: &Cancels,
        workload: &str,
        target: &crate::target::Target,
        wire: &mut Wire,
    ) -> Option<Self> {
        let Some((server, interrupt)) = cancels.find(ours, workload, &target.name) else {
            wire.want(Output::Close);
            return None;
        };
        // A statement that waits for approval is not at the server yet: it is taken back here.
        interrupt();
        let request = write::cancel_request(server.process, &server.secret);
        Some(match target.tls {
            Verify::Off => {
                wire.tell_server(request.clone());
                Self { request, is_asking_tls: false }
            }
            Verify::Full { .. } | Verify::Ca { .. } => {
                wire.tell_server(write::ssl_request());
                Self { request, is_asking_tls: true }
            }
        })
    }

    /// Bytes from the server: its answer to the wish for TLS. A cancel key is never sent in the clear
    /// where TLS is configured.
    pub fn advance(&mut self, wire: &mut Wire) {
        if !self.is_asking_tls {
            return;
        }
        match *wire.up.unread() {
            [] => {}
            [b'S'] => {
                wire.drop_up(1);
                self.is_asking_tls = false;
                wire.want(Output::ConnectTls(None));
            }
            _ => {
                self.is_asking_tls = false;
                wire.want(Output::Close);
            }
        }
    }

    /// TLS stands towards the server.
    pub fn secured(&mut self, wire: &mut Wire) {
        wire.tell_server(self.request.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::postgres::playbook;

    fn key(process: u32) -> Key {
        Key { process, secret: vec![1, 2, 3, 4] }
    }

    #[test]
    fn one_workload_cannot_cancel_for_another() {
        let cancels = Arc::new(Cancels::default());
        let opening = playbook::opening(Verify::Off);
        let lease = cancels.lease(key(1), key(2), &opening);
        assert!(cancels.find(&key(1), "ci", "shop").is_some_and(|(server, _)| server == key(2)));
        assert!(cancels.find(&key(1), "other", "shop").is_none());
        assert!(cancels.find(&key(1), "ci", "bank").is_none());
        assert!(cancels.find(&key(2), "ci", "shop").is_none(), "the server's own key is no key here");
        drop(lease);
        assert!(cancels.find(&key(1), "ci", "shop").is_none());
    }
}
