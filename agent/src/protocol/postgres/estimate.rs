//! What the server's planner expects of a statement, asked over a connection of the gate's own.
//!
//! EXPLAIN without ANALYZE, in a session that may not write: nothing runs but what planning evaluates.
//! <https://www.postgresql.org/docs/current/sql-explain.html>

use std::{error::Error, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{
    Client,
    types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    codec::{BIND_WHOLE_MAX, CodecError, HEAD, frontend},
    survey::{self, SurveyError},
};
use crate::{
    credential::Credential,
    request::{Arguments, Estimate, Request},
};

/// For the server to plan one statement.
pub const PLANNING_TIMEOUT: Duration = Duration::from_secs(2);
/// For a lock that planning needs; whoever holds it may be the very session that asks.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    #[error("{0}")]
    Connection(#[from] SurveyError),
    #[error("the server does not plan it: {0}")]
    Server(#[from] tokio_postgres::Error),
    #[error("the arguments are longer than {BIND_WHOLE_MAX} bytes and were not kept")]
    Long,
    #[error("the arguments cannot be read: {0}")]
    Arguments(#[from] CodecError),
    #[error("the statement is not UTF-8")]
    Text,
    #[error("the server's plan is not understood")]
    Plan,
}

/// A connection that plans and does nothing else.
#[derive(Debug)]
pub struct Planner(Client);

impl Planner {
    /// Logs in over `stream`, which is dialled and, where the target asks for it, secured. The future moves the
    /// connection's bytes and ends with it.
    pub async fn connect(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        credential: &Credential,
        database: &str,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), SurveyError> {
        let (client, connection) = survey::log_in(stream, credential, database, "portcullis estimate").await?;
        let drive = async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for estimates broke");
            }
        };
        Ok((Self(client), drive))
    }

    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Makes the session one that may not write, and that waits for nothing long.
    pub async fn restrict(&self) -> Result<(), EstimateError> {
        let (planning, lock) = (PLANNING_TIMEOUT.as_millis(), LOCK_TIMEOUT.as_millis());
        let settings = format!(
            "SET default_transaction_read_only = on; SET statement_timeout = {planning}; SET lock_timeout = {lock}"
        );
        Ok(self.0.batch_execute(&settings).await?)
    }

    /// Plans the one statement of `request`, with the arguments that it has.
    pub async fn estimate(&self, request: &Request) -> Result<Estimate, EstimateError> {
        let text = str::from_utf8(&request.summary.0).map_err(|_| EstimateError::Text)?;
        let arguments = match &request.arguments {
            Some(Arguments::Message { bytes, .. }) => frontend::arguments(bytes.get(HEAD..).unwrap_or_default())?,
            Some(Arguments::Digest { .. }) => return Err(EstimateError::Long),
            None => Vec::new(),
        };
        let arguments: Vec<Argument> =
            arguments.into_iter().map(|(is_binary, value)| Argument { is_binary, value }).collect();
        let types = request.standing.estimable.iter().flat_map(|place| place.types.iter());
        let types: Vec<Type> = types.map(|oid| type_of(*oid)).collect();
        // Prepared by the protocol, where a text can be one statement only.
        let statement = self.0.prepare_typed(&format!("EXPLAIN (FORMAT JSON) {text}"), &types).await?;
        if statement.params().len() != arguments.len() {
            return Err(EstimateError::Plan);
        }
        let parameters: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(|argument| argument as _).collect();
        let Json(plan) = self.0.query_one(&statement, &parameters).await?.try_get(0)?;
        expected(&plan).ok_or(EstimateError::Plan)
    }
}

/// The top node's figures. A node that writes answers with no rows unless it returns them: its children's count then.
fn expected(explained: &Value) -> Option<Estimate> {
    let plan = explained.get(0)?.get("Plan")?;
    let cost = whole(plan.get("Total Cost")?)?;
    let written = match plan.get("Node Type")?.as_str()? {
        "ModifyTable" => plan.get("Plans")?.as_array()?.as_slice(),
        _ => &[],
    };
    let rows = std::iter::once(plan).chain(written).map(|node| whole(node.get("Plan Rows")?));
    let rows = rows.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    Some(Estimate { rows, cost })
}

/// A number, rounded up; what is beyond the numbers stays at their end.
fn whole(value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|number| *number >= 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and it is not negative"
    )]
    Some(number.ceil() as u64)
}

/// The type that the workload gave a parameter; zero and what is not the server's own are left to the server.
fn type_of(oid: u32) -> Type {
    Type::from_oid(oid).unwrap_or(Type::UNKNOWN)
}

/// A value as the workload sent it.
#[derive(Debug)]
struct Argument {
    is_binary: bool,
    value: Option<Bytes>,
}

impl ToSql for Argument {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        Ok(match &self.value {
            None => IsNull::Yes,
            Some(value) => {
                out.put_slice(value);
                IsNull::No
            }
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.is_binary { Format::Binary } else { Format::Text }
    }

    to_sql_checked!();
}

/// A document as the server sends it.
struct Json(Value);

impl<'a> FromSql<'a> for Json {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(serde_json::from_slice(raw)?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSON
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_counts_where_nothing_is_returned() {
        let select = json!([{"Plan": {"Node Type": "Seq Scan", "Plan Rows": 1000, "Total Cost": 16.01}}]);
        assert_eq!(expected(&select), Some(Estimate { rows: 1000, cost: 17 }));
        let child = json!({"Node Type": "Seq Scan", "Plan Rows": 1000, "Total Cost": 16.0});
        let delete =
            json!([{"Plan": {"Node Type": "ModifyTable", "Plan Rows": 0, "Total Cost": 16.0, "Plans": [child]}}]);
        assert_eq!(expected(&delete), Some(Estimate { rows: 1000, cost: 16 }));
    }

    #[test]
    fn a_plan_that_is_not_understood_is_none() {
        for plan in [
            json!([]),
            json!([{"Plan": {}}]),
            json!([{"Plan": {"Node Type": "Result", "Plan Rows": "many", "Total Cost": 1}}]),
            json!([{"Plan": {"Node Type": "Result", "Plan Rows": -1, "Total Cost": 1}}]),
            json!([{"Plan": {"Node Type": "ModifyTable", "Plan Rows": 0, "Total Cost": 1}}]),
        ] {
            assert_eq!(expected(&plan), None, "{plan}");
        }
        let endless = json!([{"Plan": {"Node Type": "Result", "Plan Rows": 1e300, "Total Cost": 1e300}}]);
        assert_eq!(expected(&endless), Some(Estimate { rows: u64::MAX, cost: u64::MAX }));
    }
}
