//! What a workload asks for, in words that policy understands.
//!
//! A protocol's session turns one message into one [`Request`]; a request needs one or more
//! [`Access`]es, and every one of them must be permitted.

pub mod http;
mod predicate;
pub mod sql;
mod standing;

use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;

pub use predicate::{Predicate, PredicateKind};
pub use standing::{Estimable, Estimate, Standing, Transaction, UNCOUNTED, Usage};

/// Most accesses that one request may need; more is denied, because nobody can judge it.
pub const ACCESSES_MAX: usize = 256;

/// One thing that a workload asks for: what it sent, and everything that this would touch.
#[derive(Clone, Debug)]
pub struct Request {
    /// What was sent, for people to read: the statement as it stands in the message.
    pub summary: Summary,
    /// The values that go with it, where they come apart from the text (bound parameters).
    pub arguments: Option<Arguments>,
    /// Whether this request would run now, or only be made ready to run.
    pub stage: Stage,
    /// What it touches. Shared, because the same statement shape is asked for again and again;
    /// the gate keys its cache of rulings by this allocation.
    pub footprint: Arc<Footprint>,
    /// Where the session stands as it asks.
    pub standing: Standing,
}

/// A request's text as it came, bounded for display by whoever shows it.
#[derive(Clone, Eq, PartialEq)]
pub struct Summary(pub Bytes);

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Values that a statement runs with.
#[derive(Clone, Debug)]
pub enum Arguments {
    /// As they came, and read only when a person has to judge them.
    Message {
        /// The bytes of the message that carries them.
        bytes: Bytes,
        /// Reads them: one line for each.
        read: fn(&[u8]) -> Vec<String>,
    },
    /// Too long to be kept: what people are shown, and a digest that stands for all of them.
    Digest { shown: Arc<[String]>, digest: [u8; 32] },
}

impl Arguments {
    /// Bytes that are kept of them.
    pub fn held(&self) -> usize {
        match self {
            Self::Message { bytes, .. } => bytes.len(),
            Self::Digest { shown, .. } => shown.iter().map(String::len).sum(),
        }
    }
}

/// When a request takes effect.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    /// Nothing runs yet (PostgreSQL's Parse): a denial is spoken, but nobody is asked to approve.
    Prepare,
    /// It runs when permitted.
    Execute,
}

/// Everything that a request would touch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Footprint {
    pub accesses: Vec<Access>,
    /// Which classified columns it chooses, sorts or groups rows by.
    pub predicates: BTreeSet<Predicate>,
    /// Why parts of it are unknown, in words for the denial. Empty when all was understood.
    pub caveats: Vec<String>,
}

/// One operation on one resource, in the words of its family of protocols.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Access {
    Sql(sql::Access),
    Http(http::Access),
}

/// What an access does.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    Sql(sql::Operation),
    Http(http::Operation),
}

impl Operation {
    /// Every operation of every family.
    pub fn all() -> impl Iterator<Item = Self> {
        sql::Operation::ALL.map(Self::Sql).into_iter().chain(http::Operation::ALL.map(Self::Http))
    }
}

impl Access {
    pub fn operation(&self) -> Operation {
        match self {
            Self::Sql(access) => Operation::Sql(access.operation),
            Self::Http(access) => Operation::Http(access.operation),
        }
    }

    /// What it touches, for people: `shop/public.customers`.
    pub fn resource(&self) -> &dyn fmt::Display {
        match self {
            Self::Sql(access) => &access.resource,
            Self::Http(access) => &access.endpoint,
        }
    }
}

impl From<sql::Access> for Access {
    fn from(access: sql::Access) -> Self {
        Self::Sql(access)
    }
}

impl From<http::Access> for Access {
    fn from(access: http::Access) -> Self {
        Self::Http(access)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sql(operation) => operation.name(),
            Self::Http(operation) => operation.name(),
        })
    }
}

/// Most characters of a request's text that are shown or kept beside a decision.
pub const SUMMARY_MAX: usize = 4096;

impl Summary {
    /// The text, cut at [`SUMMARY_MAX`] characters with a mark that says so.
    pub fn bounded(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        match text.char_indices().nth(SUMMARY_MAX) {
            None => text.into_owned(),
            Some((end, _)) => {
                let shown = text.get(..end).unwrap_or_default();
                format!("{shown}… ({} bytes in all)", self.0.len())
            }
        }
    }
}

impl Request {
    /// What a grant is bound to: the exact text and values.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.summary.0.len() as u64).to_le_bytes()).update(&self.summary.0);
        match &self.arguments {
            None => &mut hasher,
            Some(Arguments::Message { bytes, .. }) => hasher.update(bytes),
            // Another word than any message begins with.
            Some(Arguments::Digest { digest, .. }) => hasher.update(b"digest ").update(digest),
        };
        *hasher.finalize().as_bytes()
    }

    /// The text and its values, for the person who judges them.
    pub fn described(&self) -> String {
        let mut text = self.summary.bounded();
        match &self.arguments {
            None => {}
            Some(Arguments::Message { bytes, read }) => {
                for (number, value) in read(bytes).iter().enumerate() {
                    text.push_str(&format!("\n  ${} = {value}", number + 1));
                }
            }
            Some(Arguments::Digest { shown, .. }) => {
                for line in shown.iter() {
                    text.push_str(&format!("\n  {line}"));
                }
            }
        }
        text
    }
}

impl Footprint {
    /// The accesses that are SQL's.
    pub fn sql(&self) -> impl Iterator<Item = &sql::Access> {
        self.accesses.iter().filter_map(|access| match access {
            Access::Sql(access) => Some(access),
            Access::Http(_) => None,
        })
    }

    /// The accesses for people, `select shop/public.customers`, and then the predicates.
    pub fn described(&self) -> Vec<String> {
        let accesses = self.accesses.iter().map(|access| format!("{} {}", access.operation(), access.resource()));
        accesses.chain(self.predicates.iter().map(Predicate::to_string)).collect()
    }
}
