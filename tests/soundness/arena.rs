//! Where questions are asked: one server with two editions of the world, and the gate before the first.

use std::path::PathBuf;

use anyhow::{Context, Result};
use fastrand::Rng;
use portcullis_tests::{
    client,
    gate::{Gate, Setup},
    place,
    postgres::{Postgres, Release, Tls},
};
use tempfile::TempDir;

use crate::{
    message::{Reply, Script},
    peer::Peer,
    secret::{self, Edition},
    world,
};

/// What may be asked about masked columns, by policy: a database of its own for each.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Terms {
    /// `@predicates("allow")`: which rows come may follow the secrets, and what is shown may not.
    Allow,
    /// `@predicates("refuse")`: nothing may.
    Refuse,
}

impl Terms {
    pub const ALL: [Self; 2] = [Self::Allow, Self::Refuse];

    /// The database's name, as `open.cedar` has it.
    fn database(self) -> &'static str {
        match self {
            Self::Allow => "open",
            Self::Refuse => "closed",
        }
    }
}

/// The database that differs from the others in secrets alone.
const TWIN: &str = "twin";

/// Plans that keep the order of rows, so that rows of the two editions can be compared one by one. The planner knows
/// nothing of the data, and so plans the same for both.
const SETTINGS: &[&str] = &[
    "enable_hashjoin=off",
    "enable_hashagg=off",
    "enable_mergejoin=off",
    "max_parallel_workers_per_gather=0",
    "geqo=off",
    "jit=off",
    "autovacuum=off",
    "log_statement=none",
    "log_connections=off",
    "log_disconnections=off",
    "log_min_messages=fatal",
    "log_min_error_statement=fatal",
];

/// Everything is open but what cannot be understood: masking alone has to hold.
const OPEN: &str = include_str!("open.cedar");

/// A server and the gate before it. The gate is dropped first.
pub struct Arena {
    gate: Gate,
    server: Postgres,
    relay: PathBuf,
    _policies: TempDir,
    pub edition: Edition,
}

impl Arena {
    pub fn open(rng: &mut Rng) -> Result<Self> {
        let [edition, other] = secret::editions(rng, world::SECRETS);
        let server = Postgres::with(Release::Debian, Tls::Required, SETTINGS)?;
        let worlds = Terms::ALL.map(|terms| (terms.database(), &edition));
        for (database, edition) in worlds.into_iter().chain([(TWIN, &other)]) {
            server.superuser("postgres", &format!("create database {database}"))?;
            server.superuser(database, &world::script(edition)).with_context(|| format!("filling {database}"))?;
            // A question that takes longer is not worth its time.
            server.superuser("postgres", &format!("alter database {database} set statement_timeout = '1s'"))?;
        }
        let policies = place::temporary()?;
        std::fs::write(policies.path().join("open.cedar"), OPEN)?;
        let site = place::repository().join("policies/site.cedarschema");
        std::fs::copy(site, policies.path().join("site.cedarschema"))?;
        let setup = Setup { policies: Some(policies.path().to_owned()), classes: world::CLASSES, ..Setup::default() };
        let gate = Gate::with(&server, &setup)?;
        let relay = client::stage(&std::env::current_exe()?, &gate.place())?;
        Ok(Self { gate, server, relay, _policies: policies, edition })
    }

    /// Fresh connections to all three.
    pub fn trio(&self, terms: Terms) -> Result<Trio> {
        let socket = self.server.socket();
        let command = self.gate.workload(&self.server, [self.relay.as_os_str(), "relay".as_ref()]);
        Ok(Trio {
            gate: Peer::workload(command, terms.database()).with_context(|| self.gate.log())?,
            direct: Peer::direct(&socket, terms.database())?,
            twin: Peer::direct(&socket, TWIN)?,
        })
    }
}

/// The same session three times: through the gate, past it, and in the twin.
pub struct Trio {
    gate: Peer,
    direct: Peer,
    twin: Peer,
}

/// What came of one question.
#[derive(Clone, Copy)]
pub struct Answers<'a> {
    /// What the workload saw.
    pub seen: &'a Reply,
    pub direct: &'a Reply,
    pub twin: &'a Reply,
}

/// Three replies to one question.
#[derive(Default)]
pub struct Replies {
    gate: Reply,
    direct: Reply,
    twin: Reply,
}

impl Replies {
    pub fn answers(&self) -> Answers<'_> {
        Answers { seen: &self.gate, direct: &self.direct, twin: &self.twin }
    }

    /// The same as if there were no gate: to see whether a leak would have been noticed.
    pub fn without_gate(&self) -> Answers<'_> {
        Answers { seen: &self.direct, ..self.answers() }
    }

    /// Whether the session goes on.
    pub fn is_alive(&self) -> bool {
        !(self.gate.closed || self.direct.closed || self.twin.closed)
    }
}

impl Trio {
    /// Asks past the gate first, and nobody else when the server is too slow for it.
    pub fn ask(&mut self, script: &Script) -> Result<Replies> {
        let direct = self.direct.ask(script).context("directly")?;
        if direct.is_too_slow() {
            return Ok(Replies { direct, ..Replies::default() });
        }
        let twin = self.twin.ask(script).context("in the twin")?;
        let gate = self.gate.ask(script).context("through the gate")?;
        Ok(Replies { gate, direct, twin })
    }
}
