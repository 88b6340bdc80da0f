//! Text to what it touches, with a cache.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Catalogue, Classified, Mistake, SessionState,
    analysis::{Analysed, Analysis, Earlier, Remarks},
    cache::Cache,
    catalogue::Names,
    definitions::Definitions,
    path::Path,
    scan,
};
use crate::request::{
    ACCESSES_MAX, Access, Footprint,
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
    /// Those of the same catalogue under other search paths, as long as sessions use them.
    family: Arc<Family>,
}

type Family = Mutex<HashMap<Vec<String>, Weak<Classifier>>>;

impl Classifier {
    pub fn new(catalogue: Catalogue) -> Self {
        Self { names: Names::new(catalogue), cache: Cache::new(), family: Arc::default() }
    }

    /// A classifier for what a server holds.
    pub fn surveyed(catalogue: Catalogue, definitions: Definitions) -> Self {
        Self { names: Names::read(catalogue, definitions), ..Self::new(Catalogue::default()) }
    }

    /// What is known of the functions of its catalogue.
    pub fn definitions(&self) -> &Definitions {
        &self.names.definitions
    }

    /// The classifier for sessions on the same catalogue with this search path.
    pub fn under(self: &Arc<Self>, path: &Path) -> Arc<Self> {
        let path = self.names.effective(path);
        if path == self.names.path {
            return Arc::clone(self);
        }
        let mut family = self.family.lock();
        if let Some(known) = family.get(&path).and_then(Weak::upgrade) {
            return known;
        }
        family.retain(|_, classifier| classifier.strong_count() > 0);
        let (names, family_of) = (self.names.under(path.clone()), Arc::clone(&self.family));
        let classifier = Arc::new(Self { names, cache: Cache::new(), family: family_of });
        family.insert(path, Arc::downgrade(&classifier));
        classifier
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.names.catalogue
    }

    /// Says what a text would touch, and what its statements are.
    ///
    /// Text that cannot be read, parsed or understood gives an access [`sql::Operation::Unknown`] and a caveat.
    pub fn classify(&self, text: &Bytes, state: &SessionState) -> Arc<Classified> {
        if state.path.now().is_none() || state.brought_code {
            return Arc::new(self.classify_afresh(text, state));
        }
        if let Some(known) = self.cache.find(text)
            && !state.has_own(&known.named)
        {
            return known;
        }
        let classified = Arc::new(self.classify_afresh(text, state));
        if !classified.depends_on_session && !state.has_own(&classified.named) {
            self.cache.keep(text, &classified);
        }
        classified
    }

    /// Classifies without the cache.
    pub fn classify_afresh(&self, text: &[u8], state: &SessionState) -> Classified {
        let text = match scan::readable(text) {
            Ok(text) => text,
            Err(reason) => return self.unreadable(reason.to_string(), Mistake::unreadable(reason)),
        };
        let parsed = match pg_query::parse(text, 0) {
            Ok(parsed) => parsed.protobuf.stmts,
            Err(reason) => {
                let mistake = Mistake::unparsed(&reason, text, self.names.catalogue.release);
                return self.unreadable(explained(&reason), mistake);
            }
        };
        if parsed.len() > STATEMENTS_MAX {
            return self.unreadable(format!("the text has more than {STATEMENTS_MAX} statements"), None);
        }
        // Later statements see what earlier ones have made.
        let mut state = state.clone();
        let mut earlier = Earlier { brought_code: state.brought_code, ..Earlier::default() };
        let mut footprint = Footprint::default();
        let mut statements = Vec::with_capacity(parsed.len());
        let mut remarks = Remarks::default();
        let mut names = Cow::Borrowed(&self.names);
        for raw in &parsed {
            let analysed = Analysis::new(&names, &state, &earlier).run(raw.stmt.as_deref());
            earlier.note(&analysed);
            let Analysed { statement, footprint: touched, remarks: noted } = analysed;
            if state.path.now().is_none() && touched.sql().any(looks_up) {
                self.unite(&mut footprint, self.unknown_footprint(LOST_PATH.to_owned()));
                remarks.is_premature = true;
            }
            self.unite(&mut footprint, touched);
            let before = state.path.now().cloned();
            state.apply(&statement);
            if let Some(path) = state.path.now().filter(|path| before.as_ref() != Some(*path)) {
                names = Cow::Owned(self.names.under(self.names.effective(path)));
            }
            remarks.merge(noted);
            statements.push(statement);
        }
        Classified {
            footprint: Arc::new(footprint),
            statements,
            mistake: None,
            unknown_relations: remarks.unknown_relations,
            is_premature: remarks.is_premature,
            named: remarks.named,
            depends_on_session: remarks.depends_on_session,
            numbers_inert: !remarks.numbers_matter,
        }
    }

    fn unreadable(&self, caveat: String, mistake: Option<Mistake>) -> Classified {
        Classified { footprint: Arc::new(self.unknown_footprint(caveat)), mistake, ..Classified::default() }
    }

    fn unknown_footprint(&self, caveat: String) -> Footprint {
        Footprint { accesses: vec![self.unknown_access()], caveats: vec![caveat], ..Footprint::default() }
    }

    fn unknown_access(&self) -> Access {
        Access::Sql(sql::Access {
            operation: sql::Operation::Unknown,
            resource: sql::Resource::Database(Database { name: self.names.catalogue.database.clone() }),
            facts: sql::Facts { verb: "UNKNOWN", ..sql::Facts::default() },
        })
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

/// Why a statement is unknown where the search path is.
const LOST_PATH: &str = "the search path is not known any more: set it again";

/// Whether an access may be to something else under another search path.
fn looks_up(access: &sql::Access) -> bool {
    !matches!(access.resource, sql::Resource::Setting(_))
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
