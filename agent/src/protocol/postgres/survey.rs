//! What a database holds, read over a connection of the gate's own. The only file here that does input and output.

mod plan;
mod queries;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_postgres::{Client, Config, Connection, NoTls, error::SqlState, tls::NoTlsStream, types::FromSqlOwned};

use self::plan::{Listed, Plan};
use super::{codec::write, comment::COMMENTED_MAX, seen::Seen};
use crate::{credential::Credential, sql::Catalogue, target::Target};

/// Most relations of one database; a bigger one is not governed, rather than governed by half of it.
pub const RELATIONS_MAX: usize = 200_000;

/// Most functions of one database whose bodies are read, the longest of them and all together in bytes. The bodies of others
/// are not known.
pub const ROUTINES_MAX: usize = 20_000;
pub const ROUTINE_BYTES_MAX: usize = 64 << 10;
pub const ROUTINES_BYTES_MAX: usize = 8 << 20;

/// Why a database could not be surveyed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error("failed to read the catalogue: {}", explained(.0))]
    Server(#[from] tokio_postgres::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the server has no TLS, and the target asks for it")]
    NoTls,
    #[error("the database has {0} relations, more than {RELATIONS_MAX}")]
    TooMany(usize),
    #[error("the definitions of views could not be read")]
    Views,
    #[error("more than {COMMENTED_MAX} columns have classes by comment")]
    TooManyComments,
}

/// What the server said, or how the connection to it ended.
fn explained(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => error.to_string(),
    }
}

/// Asks the server for TLS; the handshake may begin afterwards.
pub async fn request_tls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), SurveyError> {
    stream.write_all(&write::ssl_request()).await?;
    // Read alone: bytes behind the answer would belong to the handshake, or to an attacker.
    match stream.read_u8().await? {
        b'S' => Ok(()),
        _ => Err(SurveyError::NoTls),
    }
}

/// Reads the catalogue of `database` over `stream`, which is dialled and, where the target asks for it, secured.
///
/// Columns have the classes of the configuration, and all that were ever `seen`.
pub async fn survey(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    credential: &Credential,
    database: &str,
    target: &Target,
    seen: &mut Seen,
) -> Result<Catalogue, SurveyError> {
    let (client, connection) = log_in(stream, credential, database, "portcullis survey").await?;
    tokio::select! {
        catalogue = read(&client, database, target, seen) => catalogue,
        ended = connection => Err(ended.err().map_or(SurveyError::Closed, SurveyError::Server)),
    }
}

/// A session of the gate's own, and the connection that has to be polled for it.
pub async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    credential: &Credential,
    database: &str,
    name: &str,
) -> Result<(Client, Connection<S, NoTlsStream>), SurveyError> {
    let mut config = Config::new();
    config.user(&credential.user).dbname(database).application_name(name);
    if let Some(password) = &credential.password {
        config.password(password.expose());
    }
    Ok(config.connect_raw(stream, NoTls).await?)
}

/// All queries at once: they share one trip to the server.
pub(super) async fn read(
    client: &Client,
    database: &str,
    target: &Target,
    seen: &mut Seen,
) -> Result<Catalogue, SurveyError> {
    client.batch_execute(queries::LOCKS).await?;
    let place = client.query_one(queries::DATABASE, &[]).await?;
    let (oid, release): (u32, i32) = (place.try_get(0)?, place.try_get(1)?);
    seen.begin(oid, target);
    let (
        relations,
        views,
        children,
        definitions,
        routines,
        functions,
        operators,
        casts,
        implicit,
        search_path,
        schemas,
        commented,
    ) = tokio::try_join!(
        client.query(queries::RELATIONS, &[]),
        client.query(queries::VIEWS, &[]),
        client.query(queries::CHILDREN, &[]),
        definitions(client),
        routines(client),
        client.query(queries::FUNCTIONS, &[]),
        client.query(queries::OPERATORS, &[]),
        client.query(queries::CASTS, &[]),
        client.query(queries::IMPLICIT, &[]),
        client.query(queries::SEARCH_PATH, &[]),
        client.query(queries::SCHEMAS, &[]),
        client.query(queries::COMMENTS, &[]),
    )?;
    if relations.len() > RELATIONS_MAX {
        return Err(SurveyError::TooMany(relations.len()));
    }
    for row in commented {
        if !seen.comment(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?) {
            return Err(SurveyError::TooManyComments);
        }
    }
    let mut plan = Plan::default();
    for row in relations {
        let (oid, schema, name): (u32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (kind, numbers, names): (String, Vec<i16>, Vec<String>) =
            (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        plan.add(target, seen, Listed { oid, schema, name, kind }, numbers.into_iter().zip(names));
    }
    for row in views {
        plan.sees(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    }
    for row in children {
        plan.shares_rows(row.try_get(0)?, row.try_get(1)?);
    }
    let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut pure = BTreeSet::new();
    for row in functions {
        let (name, schema): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if row.try_get(2)? {
            pure.insert((schema.clone(), name.clone()));
        }
        by_name.entry(name).or_default().insert(schema);
    }
    let mut views = HashMap::new();
    for row in definitions {
        let (view, query) = (row.try_get(0)?, row.try_get(1)?);
        views.insert(view, plan.definition(view, query));
    }
    let catalogue = Catalogue {
        database: database.to_owned(),
        release: u32::try_from(release).ok(),
        oid,
        usable: schemas.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
        // `pg_catalog` is always usable, so that there is a row.
        acts_as_another: place.try_get(2)?,
        settings: plan.settings(),
        user: schemas.first().map(|row| row.try_get(1)).transpose()?.unwrap_or_default(),
        search_path: search_path.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
        relations: plan.draw(target),
        operators: behind(operators, &pure)?,
        casts: behind(casts, &pure)?,
        implicit: behind(implicit, &pure)?,
        definitions: views,
        routines: readable(routines)?,
        functions: by_name,
        pure,
    };
    // A database may have thousands of views: whoever else is served by this thread does not wait for them.
    let catalogue = tokio::task::spawn_blocking(|| catalogue.trace_views()).await.map_err(|_| SurveyError::Views)?;
    seen.note(&catalogue);
    Ok(catalogue)
}

/// The queries of all views; of none while one of them is locked. Then each of a view's columns counts as computed from all
/// that the view can reach, until the next survey.
async fn definitions(client: &Client) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    match client.query(queries::DEFINITIONS, &[]).await {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Vec::new()),
        definitions => definitions,
    }
}

/// How functions are made; of none while somebody makes some anew, or one of the tables that they name is locked.
async fn routines(client: &Client) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    if client.query_one(queries::MAKING, &[]).await?.try_get(0)? {
        return Ok(Vec::new());
    }
    let limits = [ROUTINE_BYTES_MAX as i64, ROUTINES_BYTES_MAX as i64, ROUTINES_MAX as i64 + 1];
    match client.query(queries::ROUTINES, &[&limits[0], &limits[1], &limits[2]]).await {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Vec::new()),
        routines => routines,
    }
}

/// The definitions by name, where all functions of a name have one.
fn readable(rows: Vec<tokio_postgres::Row>) -> Result<BTreeMap<(String, String), Vec<String>>, SurveyError> {
    let mut known: BTreeMap<(String, String), Option<Vec<String>>> = BTreeMap::new();
    if rows.len() > ROUTINES_MAX {
        return Ok(BTreeMap::new());
    }
    for row in rows {
        let definitions = known.entry((row.try_get(0)?, row.try_get(1)?)).or_insert_with(|| Some(Vec::new()));
        match (row.try_get(2)?, definitions.as_mut()) {
            (Some(definition), Some(definitions)) => definitions.push(definition),
            _ => *definitions = None,
        }
    }
    Ok(known.into_iter().filter_map(|(name, definitions)| Some((name, definitions?))).collect())
}

/// Functions that run where others are named, leaving out those that do nothing else than compute.
fn behind<K: Ord + FromSqlOwned>(
    rows: Vec<tokio_postgres::Row>,
    pure: &BTreeSet<(String, String)>,
) -> Result<BTreeMap<K, BTreeSet<(String, String)>>, SurveyError> {
    let mut known: BTreeMap<K, BTreeSet<(String, String)>> = BTreeMap::new();
    for row in rows {
        let function = (row.try_get(1)?, row.try_get(2)?);
        if !pure.contains(&function) {
            known.entry(row.try_get(0)?).or_default().insert(function);
        }
    }
    Ok(known)
}
