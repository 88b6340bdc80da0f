//! What was sent to the server, until it is answered or gone.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use super::watch::{Meter, Watch};
use crate::{
    protocol::postgres::{
        codec::frontend::Formats,
        copy::CopyData,
        rows::{Columns, Shield},
    },
    request::Arguments,
    sql::{Classified, Classifier, CopyLayout},
};

/// A prepared statement.
pub struct Prepared {
    pub text: Bytes,
    /// The types that the workload gave to the first of its parameters, by object identifier.
    pub types: Arc<[u32]>,
    pub classified: Arc<Classified>,
    /// Under which catalogue it was classified: the server looks names up again when its catalogue changes.
    pub classifier: Arc<Classifier>,
    /// What its answer is masked by, as it was permitted to be prepared.
    pub shield: Option<Arc<Shield>>,
    /// The body of the RowDescription that the server gave for it.
    pub description: Arc<OnceLock<Bytes>>,
    #[expect(dead_code, reason = "it is given back by being dropped")]
    pub load: Load,
}

/// A prepared statement bound to its arguments.
pub struct Portal {
    pub statement: Arc<Prepared>,
    pub formats: Formats,
    pub arguments: Arguments,
    /// How much was read from it.
    pub meter: Arc<Meter>,
    pub description: Arc<OnceLock<Bytes>>,
    /// How many batches were sent before the one that binds it.
    pub batch: u64,
    #[expect(dead_code, reason = "it is given back by being dropped")]
    pub load: Load,
}

/// What a statement or portal holds of the bytes that a session may have held; given back with it.
#[derive(Debug, Default)]
pub struct Load {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Load {
    pub fn new(held: &Arc<AtomicUsize>, bytes: usize) -> Self {
        held.fetch_add(bytes, Ordering::Relaxed);
        Self { held: held.clone(), bytes }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Portal {
    /// The body of the RowDescription that holds for its rows, and the formats to read it with.
    pub fn described(&self) -> Option<(&Bytes, &Formats)> {
        // A portal's own description has the formats in it.
        let own = self.description.get().map(|own| (own, &Formats::Text));
        own.or_else(|| self.statement.description.get().map(|shared| (shared, &self.formats)))
    }
}

/// Which of the two sub-protocols a message belongs to: they fail differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    Simple,
    Extended,
}

/// One message whose answer is awaited.
pub enum Expected {
    Query(Running),
    Parse {
        name: Bytes,
        replaced: Option<Arc<Prepared>>,
    },
    /// The poison of a denial within a batch: its error is replaced by these bytes.
    Poison(Bytes),
    Bind {
        name: Bytes,
        replaced: Option<Arc<Portal>>,
    },
    Describe {
        slot: Option<Arc<OnceLock<Bytes>>>,
        is_own: bool,
    },
    Execute(Running),
    CloseStatement {
        name: Bytes,
        closed: Option<Arc<Prepared>>,
    },
    ClosePortal {
        name: Bytes,
        closed: Option<Arc<Portal>>,
    },
    Sync,
}

/// A permitted request that the server works on.
pub struct Running {
    /// What was permitted; `None`: the poison of a denial.
    pub classified: Option<Arc<Classified>>,
    pub shield: Option<Arc<Shield>>,
    /// Of an Execute.
    pub portal: Option<Arc<Portal>>,
    /// Of the result that is arriving.
    pub columns: Option<Arc<Columns>>,
    /// How the data is laid out that it copies to the workload, if it does.
    pub layout: Option<Arc<CopyLayout>>,
    /// Of the COPY data that is arriving.
    pub copy: Option<CopyData>,
    pub is_binary_copy: bool,
    /// Rows of the statement at hand that passed.
    pub rows: u64,
    /// Its limits, if it has any.
    pub watch: Option<Watch>,
    /// How many of its statements are complete.
    pub completed: usize,
    /// Whether the catalogue was read again for its result; once is enough.
    pub is_surveyed: bool,
    /// Ends of COPY data that were sent before the server asked for data: some clients do not wait.
    pub early_ends: usize,
    /// How many Syncs were sent between the request and the last of these ends.
    pub early_syncs: usize,
    /// Whether names may be looked up elsewhere after it.
    pub changes_path: bool,
    /// What to say in place of the server's error.
    pub denial: Option<Bytes>,
}

impl Running {
    pub fn new(classified: Arc<Classified>, shield: Option<Arc<Shield>>, portal: Option<Arc<Portal>>) -> Self {
        Self {
            classified: Some(classified),
            shield,
            portal,
            columns: None,
            layout: None,
            copy: None,
            is_binary_copy: false,
            rows: 0,
            watch: None,
            completed: 0,
            is_surveyed: false,
            early_ends: 0,
            early_syncs: 0,
            changes_path: false,
            denial: None,
        }
    }

    /// Of a request after which names may be looked up elsewhere.
    pub fn changing_path(mut self, changes_path: bool) -> Self {
        self.changes_path = changes_path;
        self
    }

    /// Takes one row that arrives; the error for the workload when it goes beyond a limit.
    pub fn take(&mut self, bytes: usize) -> Result<(), Bytes> {
        if let Some(watch) = &self.watch {
            watch.take(bytes)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Takes a message of COPY data that holds no row.
    pub fn take_trailer(&self, bytes: usize) {
        if let Some(watch) = &self.watch {
            watch.take_bytes(bytes);
        }
    }

    pub fn is_cut(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_cut)
    }

    /// A statement that fails, so that the server does what it does after an error.
    pub fn poison(denial: Bytes) -> Self {
        Self { classified: None, denial: Some(denial), ..Self::new(Arc::default(), None, None) }
    }
}
