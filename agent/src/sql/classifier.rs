//! Text to what it touches, with a cache.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Catalogue, Classified, SessionState,
    analysis::{Analysed, Analysis, Earlier, Remarks},
    cache::Cache,
    catalogue::Names,
    scan,
};
use crate::request::{
    ACCESSES_MAX, Access, Facts, Footprint, Operation, Resource,
    sql::{self, Database},
};

/// Most statements in one text.
pub const STATEMENTS_MAX: usize = 1024;

/// Classifies statements against one catalogue, with a cache by text.
///
/// It is shared by all sessions on one database with one upstream user; a new survey makes a new one.
#[derive(Debug)]
pub struct Classifier {
    names: Names,
    cache: Cache,
}

impl Classifier {
    pub fn new(catalogue: Catalogue) -> Self {
        Self { names: Names::new(catalogue), cache: Cache::new() }
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.names.catalogue
    }

    /// Says what a text would touch, and what its statements are.
    ///
    /// Text that cannot be read, parsed or understood gives an access [`sql::Operation::Unknown`] and a caveat.
    pub fn classify(&self, text: &Bytes, state: &SessionState) -> Arc<Classified> {
        if let Some(known) = self.cache.find(text)
            && holds(&known, state)
        {
            return known;
        }
        let classified = Arc::new(self.classify_afresh(text, state));
        if !classified.depends_on_session && state.temporary.is_empty() {
            self.cache.keep(text, &classified);
        }
        classified
    }

    /// Classifies without the cache.
    pub fn classify_afresh(&self, text: &[u8], state: &SessionState) -> Classified {
        let text = match scan::readable(text) {
            Ok(text) => text,
            Err(reason) => return self.unknown(reason.to_string()),
        };
        let parsed = match pg_query::parse(text, 0) {
            Ok(parsed) => parsed.protobuf.stmts,
            Err(reason) => return self.unknown(explained(&reason)),
        };
        if parsed.len() > STATEMENTS_MAX {
            return self.unknown(format!("the text has more than {STATEMENTS_MAX} statements"));
        }
        // Later statements see what earlier ones have made.
        let mut state = state.clone();
        let mut earlier = Earlier::default();
        let mut footprint = Footprint::default();
        let mut statements = Vec::with_capacity(parsed.len());
        let mut remarks = Remarks::default();
        for raw in &parsed {
            let analysed = Analysis::new(&self.names, &state, &earlier).run(raw.stmt.as_deref());
            earlier.note(&analysed);
            let Analysed { statement, footprint: touched, remarks: noted } = analysed;
            self.unite(&mut footprint, touched);
            state.apply(&statement);
            remarks.merge(noted);
            statements.push(statement);
        }
        Classified {
            footprint: Arc::new(footprint),
            statements,
            unknown_relations: remarks.unknown_relations,
            unqualified: remarks.unqualified,
            depends_on_session: remarks.depends_on_session,
            numbers_inert: !remarks.numbers_matter,
        }
    }

    fn unknown(&self, caveat: String) -> Classified {
        let footprint =
            Footprint { accesses: vec![self.unknown_access()], caveats: vec![caveat], ..Footprint::default() };
        Classified { footprint: Arc::new(footprint), ..Classified::default() }
    }

    fn unknown_access(&self) -> Access {
        Access {
            operation: Operation::Sql(sql::Operation::Unknown),
            resource: Resource::Database(Database { name: self.names.catalogue.database.clone() }),
            facts: Facts { verb: "UNKNOWN", ..Facts::default() },
        }
    }

    /// Adds what one statement touches to what the text does.
    fn unite(&self, footprint: &mut Footprint, other: Footprint) {
        footprint.predicates.extend(other.predicates);
        for caveat in other.caveats {
            if !footprint.caveats.contains(&caveat) {
                footprint.caveats.push(caveat);
            }
        }
        for access in other.accesses {
            if footprint.accesses.len() > ACCESSES_MAX {
                return;
            }
            if footprint.accesses.len() == ACCESSES_MAX {
                footprint.caveats.push(format!("the text needs more than {ACCESSES_MAX} accesses"));
                footprint.accesses.push(self.unknown_access());
                return;
            }
            if !footprint.accesses.contains(&access) {
                footprint.accesses.push(access);
            }
        }
    }
}

/// Whether an answer from the cache holds for a session: none of its names is a temporary relation there.
fn holds(known: &Classified, state: &SessionState) -> bool {
    state.temporary.is_empty() || !state.temporary.keys().any(|name| known.unqualified.contains(name))
}

/// Says why a text could not be parsed, in few words: the decoder of trees names every level of a deep one.
fn explained(reason: &pg_query::Error) -> String {
    match reason {
        pg_query::Error::Decode(_) => "the statement is nested too deeply".to_owned(),
        reason => {
            let mut text = reason.to_string();
            if let Some((end, _)) = text.char_indices().nth(REASON_CHARS_MAX) {
                text.truncate(end);
            }
            text
        }
    }
}

/// Longest reason that is passed on from the parser, in characters.
const REASON_CHARS_MAX: usize = 200;
