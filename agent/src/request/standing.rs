//! Where a session stands when it asks: what its next answer may change.

use std::sync::Arc;

/// What policy may know of the session, beside the statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// `None`: the request itself begins or ends transactions, so that no single state holds for it.
    pub transaction: Option<Transaction>,
    /// Whether the transaction was begun READ ONLY, and nothing has asked for another mode since.
    pub is_read_only: bool,
    /// Since the session began.
    pub session: Usage,
    /// Since the transaction began; without one, since the last statement that ran by itself.
    pub in_transaction: Usage,
    /// Whether everything that was sent before is answered: otherwise none of the above is known yet.
    pub is_settled: bool,
    /// Where an estimate of this very request can be asked for; `None`: its plan would be another's.
    pub estimable: Option<Estimable>,
    pub estimate: Option<Estimate>,
}

/// Whether a transaction is under way.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transaction {
    /// Every statement is its own transaction.
    Idle,
    Open,
    /// A statement failed: the server refuses everything but the end of the transaction.
    Failed,
}

/// How much has passed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Usage {
    /// Rows that reached the workload, by SELECT, RETURNING, FETCH and COPY.
    pub rows_returned: u64,
    /// Rows that were inserted, updated, deleted or merged, as the server's command tags count them.
    pub rows_affected: u64,
}

/// A statement that another session would plan alike.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Estimable {
    pub database: Arc<str>,
    /// The types of its first parameters, by the server's object identifiers; zero: the server finds it out.
    pub types: Arc<[u32]>,
}

/// What the server's planner expects of a statement.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Estimate {
    /// Rows of the plan's top node, or of the rows that it changes where that is more.
    pub rows: u64,
    /// Total cost in the planner's own units, rounded up.
    pub cost: u64,
}

/// What stands for rows that nobody can count: more than any budget.
pub const UNCOUNTED: u64 = u64::MAX;

impl Standing {
    /// Outside a transaction, with nothing under way and nothing passed.
    pub const fn fresh() -> Self {
        let nothing = Usage { rows_returned: 0, rows_affected: 0 };
        Self {
            transaction: Some(Transaction::Idle),
            is_read_only: false,
            session: nothing,
            in_transaction: nothing,
            is_settled: true,
            estimable: None,
            estimate: None,
        }
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self::fresh()
    }
}

impl Transaction {
    pub const ALL: [Self; 3] = [Self::Idle, Self::Open, Self::Failed];

    /// The policy's name of this state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Open => "open",
            Self::Failed => "failed",
        }
    }
}

impl Usage {
    /// Adds what passed; at the end of the numbers it stays there.
    pub fn add(&mut self, more: Self) {
        self.rows_returned = self.rows_returned.saturating_add(more.rows_returned);
        self.rows_affected = self.rows_affected.saturating_add(more.rows_affected);
    }
}
