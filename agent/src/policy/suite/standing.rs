//! Where a test's session stands when it asks.

use serde::Deserialize;

use crate::request::{Estimate, Standing, Transaction, Usage};

/// A fresh session where nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StandingFixture {
    /// `idle`, `open` or `failed`.
    transaction: Option<String>,
    read_only: bool,
    usage: UsageFixture,
    estimate: Option<EstimateFixture>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UsageFixture {
    session: Counts,
    transaction: Counts,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Counts {
    rows_returned: u64,
    rows_affected: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EstimateFixture {
    rows: u64,
    cost: u64,
}

impl StandingFixture {
    /// Fails with the word that is no state of a transaction.
    pub fn standing(&self) -> Result<Standing, String> {
        let transaction = match self.transaction.as_deref() {
            None => Transaction::Idle,
            Some(word) => Transaction::ALL
                .into_iter()
                .find(|state| state.name() == word)
                .ok_or_else(|| format!("`{word}` is no state of a transaction: idle, open, failed"))?,
        };
        Ok(Standing {
            transaction: Some(transaction),
            is_read_only: self.read_only,
            session: self.usage.session.into(),
            in_transaction: self.usage.transaction.into(),
            estimate: self.estimate.map(|EstimateFixture { rows, cost }| Estimate { rows, cost }),
            ..Standing::fresh()
        })
    }
}

impl From<Counts> for Usage {
    fn from(Counts { rows_returned, rows_affected }: Counts) -> Self {
        Self { rows_returned, rows_affected }
    }
}
