//! What a database holds, read over a connection of the gate's own. The only file here that does input and output.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_postgres::{Client, Config, Connection, NoTls, error::SqlState, tls::NoTlsStream, types::FromSqlOwned};

use super::{codec::write, comment::COMMENTED_MAX, seen::Seen};
use crate::{
    credential::Credential,
    sql::{Catalogue, Column, ColumnRef, Definition, Relation, RelationKind, SETTINGS},
    target::{Class, ColumnName, Target},
};

/// Most relations of one database; a bigger one is not governed, rather than governed by half of it.
pub const RELATIONS_MAX: usize = 200_000;

/// Everything that can be named in a FROM clause, with its columns. Toast tables and indexes are left out,
/// so that statements which name them stay unknown.
const RELATIONS: &str = "
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
           array_remove(array_agg(a.attnum ORDER BY a.attnum), NULL),
           array_remove(array_agg(a.attname::text ORDER BY a.attnum), NULL)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    GROUP BY 1, 2, 3, 4";

/// Which columns a view's definition uses. What is made in single-user mode has identifiers below those of users, so
/// that the schema has a say too; column zero is the whole row. A function that may read tables by
/// itself is told by relation zero.
const VIEWS: &str = "
    SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
      AND (r.ev_class >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema'))
    UNION
    SELECT DISTINCT r.ev_class, 0::oid, 0
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = p.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE (p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema')) AND p.provolatile <> 'i'";

/// Which table's rows show through which other: inheritance and partitions.
const CHILDREN: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits";

/// Comments of relations and their columns that may give classes.
const COMMENTS: &str = "
    SELECT objoid, objsubid::smallint, description FROM pg_catalog.pg_description
    WHERE classoid = 'pg_catalog.pg_class'::regclass AND description LIKE '%@class%'";

/// Everything that does not come with the server: extensions put functions into `pg_catalog` too.
const FUNCTIONS: &str = "
    SELECT p.proname::text, n.nspname::text,
           -- Made by an extension, and the same for the same arguments. Whoever owns an extension may add functions of
           -- their own to it, but none in C.
           bool_and(p.provolatile = 'i' AND d.objid IS NOT NULL
                    AND (l.lanname IN ('c', 'internal') OR l.lanname = 'sql' AND coalesce(r.rolsuper, false)))
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    LEFT JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    WHERE n.nspname <> 'pg_catalog' OR p.oid >= 16384
    GROUP BY 1, 2";

/// Functions that run when an operator is written, in either direction of a comparison and of either meaning.
const OPERATORS: &str = "
    SELECT DISTINCT o.oprname::text, n.nspname::text, p.proname::text
    FROM pg_catalog.pg_operator o
    JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// Functions that run when a value becomes one of a type: casts, the input of types, and the checks of domains.
const CASTS: &str = "
    SELECT DISTINCT t.typname::text, n.nspname::text, p.proname::text
    FROM (SELECT casttarget AS type, castfunc AS function FROM pg_catalog.pg_cast
          UNION SELECT oid, typinput::oid FROM pg_catalog.pg_type
          UNION SELECT o.contypid, d.refobjid
          FROM pg_catalog.pg_constraint o
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = o.oid
          WHERE o.contypid <> 0 AND d.refclassid = 'pg_catalog.pg_proc'::regclass) c
    JOIN pg_catalog.pg_type t ON t.oid = c.type
    JOIN pg_catalog.pg_proc p ON p.oid = c.function
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// Most functions of one database whose bodies are read, the longest of them and all together in bytes. The bodies of others
/// are not known.
pub const ROUTINES_MAX: usize = 20_000;
pub const ROUTINE_BYTES_MAX: usize = 64 << 10;
pub const ROUTINES_BYTES_MAX: usize = 8 << 20;

/// Every function that does not come with the server, with how it is made where that can be read. What one statement of
/// the server's own does not call is left out: aggregates, windows, trusted extensions' code.
const ROUTINES: &str = "
    SELECT n.nspname::text, p.proname::text,
           CASE WHEN l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p')
                 AND octet_length(p.prosrc) <= $1::bigint
                 AND sum(octet_length(p.prosrc)) OVER (ORDER BY p.oid) <= $2::bigint
                THEN pg_catalog.pg_get_functiondef(p.oid) END
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE (n.nspname <> 'pg_catalog' OR p.oid >= 16384) AND n.nspname <> 'information_schema'
    ORDER BY p.oid
    LIMIT $3::bigint";

/// Whether a transaction of anybody is about to make functions anew.
const MAKING: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
        WHERE d.datname = pg_catalog.current_database() AND l.relation = 'pg_catalog.pg_proc'::regclass
          AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))";

/// Functions that run on columns of a relation by themselves: casts of or to the type of a column that need not be
/// written, where the type is no server's own or both are.
const IMPLICIT: &str = "
    SELECT DISTINCT a.attrelid, n.nspname::text, p.proname::text
    FROM pg_catalog.pg_cast k
    JOIN pg_catalog.pg_attribute a ON a.attnum > 0 AND NOT a.attisdropped
     AND (a.atttypid = k.castsource AND (k.castsource >= 16384 OR k.casttarget < 16384)
          OR a.atttypid = k.casttarget AND (k.casttarget >= 16384 OR k.castsource < 16384))
    JOIN pg_catalog.pg_proc p ON p.oid = k.castfunc
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE k.castcontext IN ('i', 'a') AND (p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema'))";

/// The queries of views, from which the classes of their columns follow.
const DEFINITIONS: &str = "
    SELECT c.oid, coalesce(pg_catalog.pg_get_viewdef(c.oid), '')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND (c.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema'))";

/// How long the queries of views are waited for. The server reads them under locks on the views and all that they read,
/// which whoever alters one of these holds until the end of a transaction: perhaps the very session that is waiting for this
/// survey.
const LOCKS: &str = "SET lock_timeout = '500ms'";

const DATABASE: &str = "
    SELECT d.oid, pg_catalog.current_setting('server_version_num')::int / 10000, current_user <> session_user
    FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/// Columns of the server's own relations that hold values of tables: statistics, large objects, other people's
/// statements, defaults of columns that were added later.
const COPIES: [(&str, &str); 23] = [
    ("pg_attribute", "attmissingval"),
    ("pg_largeobject", "data"),
    ("pg_stat_activity", "application_name"),
    ("pg_stat_activity", "query"),
    ("pg_stat_statements", "query"),
    ("pg_statistic", "stavalues1"),
    ("pg_statistic", "stavalues2"),
    ("pg_statistic", "stavalues3"),
    ("pg_statistic", "stavalues4"),
    ("pg_statistic", "stavalues5"),
    ("pg_statistic_ext_data", "stxdexpr"),
    ("pg_statistic_ext_data", "stxdmcv"),
    ("pg_stats", "histogram_bounds"),
    ("pg_stats", "most_common_elems"),
    ("pg_stats", "most_common_vals"),
    ("pg_stats", "range_bounds_histogram"),
    ("pg_stats_ext", "most_common_vals"),
    ("pg_stats_ext_exprs", "histogram_bounds"),
    ("pg_stats_ext_exprs", "most_common_elems"),
    ("pg_stats_ext_exprs", "most_common_vals"),
    ("pg_stats_ext_exprs", "range_bounds_histogram"),
    ("pg_stats_ext_exprs", "range_length_histogram"),
    ("pg_stats", "range_length_histogram"),
];

const SEARCH_PATH: &str = "
    SELECT s.name::text
    FROM unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS s (name, position)
    WHERE s.name::text !~ '^pg_temp_' ORDER BY s.position";

/// The schemas that the user may look into, and the user.
const SCHEMAS: &str = "
    SELECT n.nspname::text, current_user::text
    FROM pg_catalog.pg_namespace n WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE')";

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
    client.batch_execute(LOCKS).await?;
    let place = client.query_one(DATABASE, &[]).await?;
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
        client.query(RELATIONS, &[]),
        client.query(VIEWS, &[]),
        client.query(CHILDREN, &[]),
        definitions(client),
        routines(client),
        client.query(FUNCTIONS, &[]),
        client.query(OPERATORS, &[]),
        client.query(CASTS, &[]),
        client.query(IMPLICIT, &[]),
        client.query(SEARCH_PATH, &[]),
        client.query(SCHEMAS, &[]),
        client.query(COMMENTS, &[]),
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
    let definitions = plan.definitions(definitions)?;
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
        definitions,
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
    match client.query(DEFINITIONS, &[]).await {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Vec::new()),
        definitions => definitions,
    }
}

/// How functions are made; of none while somebody makes some anew, or one of the tables that they name is locked.
async fn routines(client: &Client) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    if client.query_one(MAKING, &[]).await?.try_get(0)? {
        return Ok(Vec::new());
    }
    let limits = [ROUTINE_BYTES_MAX as i64, ROUTINES_BYTES_MAX as i64, ROUTINES_MAX as i64 + 1];
    match client.query(ROUTINES, &[&limits[0], &limits[1], &limits[2]]).await {
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

/// A catalogue in the making: relations, and how classes pass between them.
#[derive(Default)]
struct Plan {
    relations: HashMap<u32, Relation>,
    /// View, base relation, base column or zero.
    sights: Vec<(u32, u32, i32)>,
    /// Child and parent.
    kin: Vec<(u32, u32)>,
}

/// A relation as `pg_class` lists it.
struct Listed {
    oid: u32,
    schema: String,
    name: String,
    kind: String,
}

impl Plan {
    fn add(&mut self, target: &Target, seen: &Seen, listed: Listed, columns: impl Iterator<Item = (i16, String)>) {
        let Listed { oid, schema, name, kind } = listed;
        let named =
            |column: &str| ColumnName { schema: schema.clone(), table: name.clone(), column: column.to_owned() };
        let is_view = matches!(&*kind, "v" | "m");
        let columns = columns
            .map(|(number, column)| {
                let mut classes = target.classes.get(&named(&column)).cloned().unwrap_or_default();
                join(&mut classes, seen.of(ColumnRef { relation: oid, column: number }));
                Column { number, name: column, classes, computed: is_view }
            })
            .collect();
        let kind = match &*kind {
            "r" | "p" => RelationKind::Table,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Other,
        };
        self.relations.insert(oid, Relation { oid, schema, name, kind, columns, classified: false });
    }

    /// The queries of views, beside the classes that their columns have by name.
    fn definitions(&self, rows: Vec<tokio_postgres::Row>) -> Result<HashMap<u32, Definition>, SurveyError> {
        let mut definitions = HashMap::new();
        for row in rows {
            let (oid, query) = (row.try_get(0)?, row.try_get(1)?);
            let columns = self.relations.get(&oid).into_iter().flat_map(|view| &view.columns);
            let own = columns.map(|column| (column.number, column.classes.clone())).collect();
            definitions.insert(oid, Definition { query, own });
        }
        Ok(definitions)
    }

    fn sees(&mut self, view: u32, base: u32, column: i32) {
        self.sights.push((view, base, column));
    }

    /// Views through which settings are changed.
    fn settings(&self) -> BTreeSet<u32> {
        let is_server = |relation: &&Relation| relation.schema == "pg_catalog" && relation.name == SETTINGS;
        let mut found: BTreeSet<u32> = self.relations.values().filter(is_server).map(|relation| relation.oid).collect();
        loop {
            let known = found.len();
            let views = self.sights.iter().filter(|(_, base, _)| found.contains(base)).map(|(view, ..)| *view);
            let views: Vec<u32> = views.collect();
            found.extend(views);
            if found.len() == known {
                return found;
            }
        }
    }

    fn shares_rows(&mut self, child: u32, parent: u32) {
        self.kin.push((child, parent));
    }

    /// Passes classes on until nothing changes: a view of a view, a partition of a partition.
    fn draw(mut self, target: &Target) -> HashMap<u32, Relation> {
        let own = self.relations.values().flat_map(|relation| &relation.columns).flat_map(|column| &column.classes);
        let everything: BTreeSet<Class> = target.classes.values().flatten().chain(own).cloned().collect();
        for relation in self.relations.values_mut() {
            let table = relation.name.as_str();
            let copies = |column: &&mut Column| COPIES.contains(&(table, column.name.as_str()));
            for column in relation.columns.iter_mut().filter(copies) {
                join(&mut column.classes, everything.iter());
            }
        }
        let (sights, kin) = (std::mem::take(&mut self.sights), std::mem::take(&mut self.kin));
        let mut changed = !everything.is_empty();
        while changed {
            changed = false;
            for (view, base, column) in &sights {
                let seen = if *base == 0 { everything.clone() } else { self.classes(*base, *column) };
                changed |= self.spread(*view, &seen);
            }
            for (child, parent) in &kin {
                changed |= self.equalise(*child, *parent);
                changed |= self.equalise(*parent, *child);
            }
        }
        for relation in self.relations.values_mut() {
            relation.classified = relation.columns.iter().any(|column| !column.classes.is_empty());
        }
        self.relations
    }

    fn classes(&self, relation: u32, number: i32) -> BTreeSet<Class> {
        let columns = self.relations.get(&relation).into_iter().flat_map(|relation| &relation.columns);
        let wanted = columns.filter(|column| number == 0 || i32::from(column.number) == number);
        wanted.flat_map(|column| column.classes.iter().cloned()).collect()
    }

    /// Every column of a view may show every value that the view can reach.
    fn spread(&mut self, view: u32, classes: &BTreeSet<Class>) -> bool {
        let columns = self.relations.get_mut(&view).into_iter().flat_map(|relation| &mut relation.columns);
        columns.fold(false, |changed, column| join(&mut column.classes, classes.iter()) | changed)
    }

    /// A table's rows show through its parent under the same column names, and the parent's classes hold for them.
    fn equalise(&mut self, from: u32, to: u32) -> bool {
        let Some(source) = self.relations.get(&from) else { return false };
        let given: Vec<(String, Vec<Class>)> = source
            .columns
            .iter()
            .filter(|column| !column.classes.is_empty())
            .map(|column| (column.name.clone(), column.classes.clone()))
            .collect();
        let Some(receiver) = self.relations.get_mut(&to) else { return false };
        given.iter().fold(false, |changed, (name, classes)| {
            let column = receiver.columns.iter_mut().find(|column| column.name == *name);
            column.is_some_and(|column| join(&mut column.classes, classes.iter())) | changed
        })
    }
}

fn join<'a>(known: &mut Vec<Class>, more: impl Iterator<Item = &'a Class>) -> bool {
    let before = known.len();
    for class in more {
        if !known.contains(class) {
            known.push(class.clone());
        }
    }
    known.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Verify;

    fn target() -> Target {
        let email = ColumnName { schema: "public".into(), table: "customers".into(), column: "email".into() };
        Target {
            name: "shop".into(),
            protocol: "postgres".into(),
            addresses: Vec::new(),
            upstream: None,
            tls: Verify::Off,
            credential: None,
            labels: BTreeMap::new(),
            classes: BTreeMap::from([(email, vec![Class::from("email")])]),
            paths: BTreeMap::new(),
        }
    }

    fn plan(target: &Target) -> Plan {
        commented(target, &Seen::default())
    }

    fn commented(target: &Target, seen: &Seen) -> Plan {
        let mut plan = Plan::default();
        let mut add = |oid, name: &str, kind: &str, columns: &[&str]| {
            let columns = (1..).zip(columns.iter().map(|&column| column.to_owned()));
            let (schema, name, kind) = ("public".to_owned(), name.to_owned(), kind.to_owned());
            plan.add(target, seen, Listed { oid, schema, name, kind }, columns);
        };
        add(1, "customers", "p", &["id", "email"]);
        add(2, "customers_old", "r", &["id", "email"]);
        add(3, "mails", "v", &["address"]);
        add(4, "mails_again", "m", &["a", "b"]);
        add(5, "ids", "v", &["id"]);
        plan
    }

    fn classes(relations: &HashMap<u32, Relation>, oid: u32) -> Vec<usize> {
        relations[&oid].columns.iter().map(|column| column.classes.len()).collect()
    }

    #[test]
    fn a_view_of_a_view_has_the_classes_of_what_it_reaches() {
        let target = target();
        let mut plan = plan(&target);
        plan.sees(4, 3, 1);
        plan.sees(3, 1, 2);
        plan.sees(5, 1, 1);
        let relations = plan.draw(&target);
        assert_eq!(classes(&relations, 3), [1]);
        assert_eq!(classes(&relations, 4), [1, 1]);
        assert_eq!(classes(&relations, 5), [0]);
        assert!(relations[&4].classified && !relations[&5].classified);
    }

    #[test]
    fn statistics_have_the_classes_of_all_that_they_copy() {
        let target = target();
        let mut plan = plan(&target);
        let columns = [(1, "attname"), (2, "most_common_vals")].map(|(number, name)| (number, name.to_owned()));
        let listed =
            Listed { oid: 6, schema: "pg_catalog".to_owned(), name: "pg_stats".to_owned(), kind: "v".to_owned() };
        plan.add(&target, &Seen::default(), listed, columns.into_iter());
        assert_eq!(classes(&plan.draw(&target), 6), [0, 1]);
    }

    #[test]
    fn a_whole_row_or_an_unknown_function_reaches_everything() {
        let target = target();
        let mut plan = plan(&target);
        plan.sees(3, 1, 0);
        plan.sees(5, 0, 0);
        let relations = plan.draw(&target);
        assert_eq!((classes(&relations, 3), classes(&relations, 5)), (vec![1], vec![1]));
    }

    #[test]
    fn partitions_share_the_classes_of_their_parent() {
        let target = target();
        let mut plan = plan(&target);
        plan.shares_rows(2, 1);
        assert_eq!(classes(&plan.draw(&target), 2), [0, 1]);
    }

    #[test]
    fn classes_by_comment_add_to_those_of_the_configuration_and_pass_on() {
        let target = Target { classes: BTreeMap::new(), ..target() };
        let mut seen = Seen::default();
        assert!(seen.comment(1, 2, "@class(email)") && seen.comment(2, 0, "@class(pii)"));
        let mut plan = commented(&target, &seen);
        plan.sees(3, 1, 2);
        plan.sees(5, 0, 0);
        let relations = plan.draw(&target);
        assert_eq!((classes(&relations, 1), classes(&relations, 2)), (vec![0, 1], vec![1, 1]));
        assert_eq!((classes(&relations, 3), classes(&relations, 5)), (vec![1], vec![2]));
    }
}
