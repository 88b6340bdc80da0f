//! The index: one row for each session, to find it by. Everything in it can be rebuilt from the files.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row as SqlRow, params, types::Value};

use super::{BeginEntry, Outcome, SessionId, StoreError, Tally, format::Hash};

/// Most rows that one search returns.
pub const SEARCH_MAX: usize = 100_000;

/// How long a look-up waits for the index to be free.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the daemon's writer waits for somebody else who writes to the index. Sessions may be waiting behind it.
const WRITE_TIMEOUT: Duration = Duration::from_millis(20);

/// Changes with the table; an index of another version is rebuilt.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE sessions (
        id            TEXT PRIMARY KEY,
        number        INTEGER NOT NULL,
        started       INTEGER NOT NULL,
        ended         INTEGER,
        workload      TEXT,
        owner         TEXT,
        target        TEXT,
        protocol      TEXT,
        destination   TEXT NOT NULL,
        outcome       TEXT,
        decisions     INTEGER NOT NULL,
        denials       INTEGER NOT NULL,
        approvals     INTEGER NOT NULL,
        from_workload INTEGER NOT NULL,
        to_workload   INTEGER NOT NULL,
        entries       INTEGER NOT NULL,
        hash          BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX by_time ON sessions (started, number);
    CREATE INDEX open_sessions ON sessions (id) WHERE ended IS NULL;
";

/// What the index knows of one session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    pub id: SessionId,
    pub number: u64,
    /// Microseconds since 1970.
    pub started: u64,
    pub workload: Option<String>,
    pub owner: Option<String>,
    pub target: Option<String>,
    pub protocol: Option<String>,
    pub destination: String,
    pub progress: Progress,
}

/// What changes of a session while it goes on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Microseconds since 1970; `None` while it goes on.
    pub ended: Option<u64>,
    pub outcome: Option<Outcome>,
    pub tally: Tally,
    /// Entries in its file.
    pub entries: u64,
    /// The hash of its last block.
    pub hash: Hash,
}

impl Row {
    /// The row of a session whose beginning may have been lost.
    pub fn new(id: SessionId, begin: Option<&BeginEntry>) -> Self {
        let started = u64::try_from(id.started().as_microsecond()).unwrap_or(0);
        let mut row = Self {
            id,
            number: 0,
            started,
            workload: None,
            owner: None,
            target: None,
            protocol: None,
            destination: String::new(),
            progress: Progress::default(),
        };
        if let Some(begin) = begin {
            row.describe(begin);
        }
        row
    }

    /// Takes over what the first entry says.
    pub fn describe(&mut self, begin: &BeginEntry) {
        let header = &begin.header;
        self.number = begin.number;
        self.started = begin.started;
        self.workload = header.principal.as_ref().map(|principal| principal.workload.to_string());
        self.owner = header.principal.as_ref().and_then(|principal| principal.owner.clone());
        self.target = header.target.as_ref().map(ToString::to_string);
        self.protocol = header.protocol.as_ref().map(ToString::to_string);
        self.destination.clone_from(&header.destination);
    }
}

/// Whose records are wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Whose {
    /// Workloads': one record for each connection.
    #[default]
    Workloads,
    /// The host's own: one for each run of the daemon, or more where one grew long.
    Host,
    Both,
}

/// Which sessions are wanted. The default is the latest of workloads.
#[derive(Clone, Debug, Default)]
pub struct Search {
    pub whose: Whose,
    pub workload: Option<String>,
    pub target: Option<String>,
    /// Microseconds since 1970.
    pub since: Option<u64>,
    /// Only sessions in which something was denied.
    pub denied: bool,
    /// How an id begins.
    pub prefix: Option<String>,
    /// At most [`SEARCH_MAX`]; `None`: that many.
    pub limit: Option<usize>,
}

/// The table of sessions.
pub struct Index {
    connection: Connection,
}

impl Index {
    pub fn path(root: &Path) -> PathBuf {
        root.join("index.sqlite")
    }

    /// Opens the index for writing; the second value tells whether it was made anew and has to be filled from the files.
    pub fn open(root: &Path) -> Result<(Self, bool), StoreError> {
        let path = Self::path(root);
        match Self::open_existing(&path) {
            Err(error) if is_damaged(&error) => {
                let aside = path.with_extension("sqlite.damaged");
                std::fs::rename(&path, &aside).map_err(StoreError::file("move", &path))?;
                for beside in ["sqlite-wal", "sqlite-shm"] {
                    remove_if_there(&path.with_extension(beside))?;
                }
                tracing::warn!(path = %aside.display(), %error, "the index of records is damaged: it is rebuilt");
                Self::open_existing(&path)
            }
            opened => opened,
        }
    }

    /// Opens an index that is there, for looking up only.
    pub fn open_to_read(root: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(Self::path(root), flags)?;
        connection.busy_timeout(READ_TIMEOUT)?;
        Ok(Self { connection })
    }

    fn open_existing(path: &Path) -> Result<(Self, bool), StoreError> {
        // SQLite gives its companion files the mode of this one.
        let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        made.map_err(StoreError::file("open", path))?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(READ_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A loss of power may cost the last transactions, which the files give back.
        connection.pragma_update(None, "synchronous", "normal")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let fresh = version != SCHEMA_VERSION;
        if fresh {
            connection.execute_batch("BEGIN; DROP TABLE IF EXISTS sessions;")?;
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            connection.execute_batch("COMMIT")?;
        }
        connection.busy_timeout(WRITE_TIMEOUT)?;
        Ok((Self { connection }, fresh))
    }

    /// Writes these rows, all or none.
    pub fn write<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO sessions VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)
                 ON CONFLICT (id) DO UPDATE SET ended = ?4, outcome = ?10, decisions = ?11, denials = ?12,
                    approvals = ?13, from_workload = ?14, to_workload = ?15, entries = ?16, hash = ?17",
            )?;
            for row in rows {
                let Progress { ended, outcome, tally, entries, hash } = &row.progress;
                statement.execute(params![
                    row.id.to_string(),
                    signed(row.number),
                    signed(row.started),
                    ended.map(signed),
                    row.workload,
                    row.owner,
                    row.target,
                    row.protocol,
                    row.destination,
                    outcome.map(Outcome::name),
                    signed(tally.decisions),
                    signed(tally.denials),
                    signed(tally.approvals),
                    signed(tally.from_workload),
                    signed(tally.to_workload),
                    signed(*entries),
                    hash.as_slice(),
                ])?;
            }
        }
        transaction.commit()
    }

    /// Sessions that are not known to have ended.
    pub fn open_sessions(&self) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.connection.prepare("SELECT * FROM sessions WHERE ended IS NULL ORDER BY id")?;
        let rows = statement.query_map([], read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every row there is.
    pub fn every_session(&self) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.connection.prepare("SELECT * FROM sessions ORDER BY id")?;
        let rows = statement.query_map([], read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn find(&self, id: SessionId) -> Result<Option<Row>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT * FROM sessions WHERE id = ?1")?;
        let mut rows = statement.query_map([id.to_string()], read_row)?;
        Ok(rows.next().transpose()?)
    }

    /// The highest number that a session has.
    pub fn last_number(&self) -> Result<u64, StoreError> {
        let last = self.connection.query_row("SELECT coalesce(max(number), 0) FROM sessions", [], |row| row.get(0));
        Ok(unsigned(last?))
    }

    /// The latest sessions that match, latest first.
    pub fn search(&self, search: &Search) -> Result<Vec<Row>, StoreError> {
        let mut wheres = vec![match search.whose {
            Whose::Workloads => "protocol IS NOT 'host'",
            Whose::Host => "protocol = 'host'",
            Whose::Both => "1",
        }];
        let mut values = Vec::new();
        let mut and = |condition, value| {
            wheres.push(condition);
            values.push(value);
        };
        if let Some(workload) = &search.workload {
            and("workload = ?", Value::from(workload.clone()));
        }
        if let Some(target) = &search.target {
            and("target = ?", Value::from(target.clone()));
        }
        if let Some(since) = search.since {
            and("started >= ?", Value::from(signed(since)));
        }
        if search.denied {
            and("denials > ?", Value::from(0));
        }
        if let Some(prefix) = &search.prefix {
            and("substr(id, 1, length(?)) = ?", Value::from(prefix.clone()));
            values.push(Value::from(prefix.clone()));
        }
        let limit = search.limit.unwrap_or(SEARCH_MAX).min(SEARCH_MAX);
        let sql = format!(
            "SELECT * FROM sessions WHERE {} ORDER BY started DESC, number DESC LIMIT {limit}",
            wheres.join(" AND ")
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(values), read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let text: String = row.get("id")?;
    let id = text
        .parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))?;
    let outcome: Option<String> = row.get("outcome")?;
    let hash: Vec<u8> = row.get("hash")?;
    let number = |column| row.get(column).map(unsigned);
    Ok(Row {
        id,
        number: number("number")?,
        started: number("started")?,
        workload: row.get("workload")?,
        owner: row.get("owner")?,
        target: row.get("target")?,
        protocol: row.get("protocol")?,
        destination: row.get("destination")?,
        progress: Progress {
            ended: row.get::<_, Option<i64>>("ended")?.map(unsigned),
            outcome: outcome.as_deref().and_then(Outcome::from_name),
            tally: Tally {
                decisions: number("decisions")?,
                denials: number("denials")?,
                approvals: number("approvals")?,
                from_workload: number("from_workload")?,
                to_workload: number("to_workload")?,
            },
            entries: number("entries")?,
            hash: hash.first_chunk().copied().unwrap_or_default(),
        },
    })
}

/// SQLite's integers are signed; no count or time of ours comes near the difference.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn is_damaged(error: &StoreError) -> bool {
    match error {
        StoreError::Index(error) => {
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        }
        StoreError::File { .. } | StoreError::IndexBehind { .. } | StoreError::Journal { .. } => false,
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
