//! What the classifier says of a text, and where that falls short of what the server did.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use portcullis::{
    request::sql::{self, Resource},
    sql::{Catalogue, Classified},
};

use crate::oracle::Observed;

/// Objects below come with the server: `FirstNormalObjectId`.
const FIRST_USER_OID: u32 = 16384;
/// How the classifier writes the schema of temporary relations, and the server begins its name.
const TEMPORARY: (&str, &str) = ("pg_temp", "pg_temp_");

/// A text's classification, with the catalogue that it was made by.
pub struct Claim<'a> {
    pub classified: Arc<Classified>,
    pub catalogue: &'a Catalogue,
}

/// One thing that the server did and the classifier did not say.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Loss {
    /// A relation of the text itself.
    Relation(String),
    /// That a relation is written.
    Write(String),
    /// That columns are read.
    Columns(String, String),
    /// A relation that was locked for more than reading.
    Lock(String),
    /// A relation that was read beneath what the text names.
    Beneath(String),
    /// Statements: completed, and said.
    Statements(usize, usize),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relation(name) => write!(f, "relation {name}"),
            Self::Write(name) => write!(f, "write of {name}"),
            Self::Columns(name, columns) => write!(f, "columns {columns} of {name}"),
            Self::Lock(name) => write!(f, "lock of {name}"),
            Self::Beneath(name) => write!(f, "reading of {name} beneath"),
            Self::Statements(completed, said) => write!(f, "{completed} statements completed, {said} said"),
        }
    }
}

/// Tables by schema and name, with the columns that are said to be read, and whether they are said to be written.
type Said<'a> = BTreeMap<(&'a str, &'a str), (BTreeSet<&'a str>, bool)>;

impl Claim<'_> {
    /// Why the text is not completely understood; then it is denied, and nothing is lost.
    pub fn unknown(&self) -> Option<String> {
        let is_unknown = self.classified.footprint.sql().any(|access| access.operation == sql::Operation::Unknown);
        is_unknown.then(|| self.classified.footprint.caveats.first().cloned().unwrap_or_default())
    }

    /// Everything that was lost.
    pub fn losses(&self, observed: &Observed, links: &Links) -> BTreeSet<Loss> {
        let said = self.said();
        let mut losses = BTreeSet::new();
        for (oid, named) in &observed.named {
            let Some((schema, name)) = self.name(*oid, observed) else {
                losses.insert(Loss::Relation(format!("number {oid}")));
                continue;
            };
            let shown = format!("{schema}.{name}");
            let Some((columns, writes)) = said.get(&claimed(&schema, &name)) else {
                losses.insert(Loss::Relation(shown));
                continue;
            };
            if named.writes && !writes {
                losses.insert(Loss::Write(shown.clone()));
            }
            let lost = self.columns(*oid, &named.columns).filter(|column| !columns.contains(column));
            let lost: Vec<&str> = lost.collect();
            // Of temporary relations no columns are known, and everything is masked.
            if !lost.is_empty() && !schema.starts_with(TEMPORARY.1) {
                losses.insert(Loss::Columns(shown, lost.join(", ")));
            }
        }
        if !self.goes_beyond(links) {
            losses.extend(self.lost_locks(observed, &said, links));
        }
        let said = self.classified.statements.len();
        if observed.error.is_none() && observed.completed != said {
            losses.insert(Loss::Statements(observed.completed, said));
        }
        losses
    }

    /// Whether the text does more than its own words say, by an access of its own: it defines or maintains objects that are
    /// no tables, which are the database's by no name of their own; it calls functions of the database; or it writes where
    /// triggers are. What these do is theirs, and their locks are not compared.
    pub fn goes_beyond(&self, links: &Links) -> bool {
        self.defines() || self.calls() || {
            let written = self.said().into_iter().filter(|(_, (_, writes))| *writes);
            let written = written.filter_map(|((schema, name), _)| self.oid(schema, name)).collect();
            links.reached(written).iter().any(|oid| links.triggered.contains(oid))
        }
    }

    fn defines(&self) -> bool {
        use sql::Operation::{AlterObject, AlterSchema, CreateObject, CreateSchema, DropObject, DropSchema, Maintain};
        const OBJECTS: [sql::Operation; 7] =
            [CreateObject, AlterObject, DropObject, CreateSchema, AlterSchema, DropSchema, Maintain];
        let mut accesses = self.classified.footprint.sql();
        accesses.any(|access| OBJECTS.contains(&access.operation) && matches!(access.resource, Resource::Database(_)))
    }

    fn calls(&self) -> bool {
        let mut accesses = self.classified.footprint.sql();
        accesses.any(|access| matches!(&access.resource, Resource::Function(called) if called.schema != "pg_catalog"))
    }

    fn lost_locks(&self, observed: &Observed, said: &Said<'_>, links: &Links) -> Vec<Loss> {
        let named: BTreeSet<u32> = said.keys().filter_map(|(schema, name)| self.oid(schema, name)).collect();
        let reached = links.reached(named);
        let mut losses = Vec::new();
        for (oid, locked) in observed.locked.iter().filter(|(oid, _)| **oid >= FIRST_USER_OID) {
            let Some((schema, name)) = self.name(*oid, observed) else { continue };
            let now = locked.name.as_ref().is_some_and(|(schema, name)| said.contains_key(&claimed(schema, name)));
            if reached.contains(oid) || now || said.contains_key(&claimed(&schema, &name)) {
                continue;
            }
            let shown = format!("{schema}.{name}");
            losses.push(if locked.writes { Loss::Lock(shown) } else { Loss::Beneath(shown) });
        }
        losses
    }

    fn said(&self) -> Said<'_> {
        let mut said = Said::new();
        for access in self.classified.footprint.sql() {
            let Resource::Table(table) = &access.resource else { continue };
            let (columns, writes) = said.entry((&table.schema, &table.name)).or_default();
            columns.extend(table.columns.iter().map(String::as_str));
            *writes |= access.operation != sql::Operation::Select;
        }
        said
    }

    /// A relation's name by the catalogue of before, or by the server of after.
    fn name(&self, oid: u32, observed: &Observed) -> Option<(String, String)> {
        let known = self.catalogue.relations.get(&oid);
        let before = known.map(|relation| (relation.schema.clone(), relation.name.clone()));
        before.or_else(|| observed.names.get(&oid).cloned())
    }

    fn oid(&self, schema: &str, name: &str) -> Option<u32> {
        let mut relations = self.catalogue.relations.values();
        relations.find(|known| claimed(&known.schema, &known.name) == (schema, name)).map(|relation| relation.oid)
    }

    /// Names of attribute numbers; zero stands for all.
    fn columns<'a>(&'a self, oid: u32, numbers: &'a BTreeSet<i32>) -> impl Iterator<Item = &'a str> {
        let columns = self.catalogue.relations.get(&oid).into_iter().flat_map(|relation| &relation.columns);
        let wanted = columns.filter(|column| numbers.contains(&0) || numbers.contains(&i32::from(column.number)));
        wanted.map(|column| column.name.as_str())
    }
}

/// A relation's name as the classifier writes it.
fn claimed<'a>(schema: &'a str, name: &'a str) -> (&'a str, &'a str) {
    (if schema.starts_with(TEMPORARY.1) { TEMPORARY.0 } else { schema }, name)
}

/// What a relation brings with it, by the server's own rules: children, parents, the relations of views, of rules and
/// of foreign keys, and sequences of columns.
#[derive(Debug, Default)]
pub struct Links {
    brings: BTreeMap<u32, Vec<u32>>,
    /// Relations with triggers of the database's own.
    triggered: BTreeSet<u32>,
}

impl Links {
    /// Pairs of relations of which the first brings the second.
    pub const QUERY: &str = "
        select inhparent, inhrelid from pg_catalog.pg_inherits
        union select inhrelid, inhparent from pg_catalog.pg_inherits
        union select r.ev_class, d.refobjid from pg_catalog.pg_rewrite r join pg_catalog.pg_depend d
            on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass
        union select conrelid, confrelid from pg_catalog.pg_constraint where contype = 'f'
        union select confrelid, conrelid from pg_catalog.pg_constraint where contype = 'f'
        union select d.refobjid, d.objid from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass
            and d.refclassid = 'pg_catalog.pg_class'::regclass
        union select a.adrelid, d.refobjid from pg_catalog.pg_attrdef a join pg_catalog.pg_depend d
            on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = a.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass
        union select p.polrelid, d.refobjid from pg_catalog.pg_policy p join pg_catalog.pg_depend d
            on d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass";

    pub const TRIGGERS: &str = "select distinct tgrelid from pg_catalog.pg_trigger where not tgisinternal";

    pub fn new(pairs: impl IntoIterator<Item = (u32, u32)>, triggered: BTreeSet<u32>) -> Self {
        let mut brings: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (from, to) in pairs {
            brings.entry(from).or_default().push(to);
        }
        Self { brings, triggered }
    }

    /// Everything that these bring, and they themselves.
    fn reached(&self, from: BTreeSet<u32>) -> BTreeSet<u32> {
        let mut reached = from.clone();
        let mut open: Vec<u32> = from.into_iter().collect();
        while let Some(oid) = open.pop() {
            let next = self.brings.get(&oid).into_iter().flatten();
            open.extend(next.copied().filter(|oid| reached.insert(*oid)));
        }
        reached
    }
}
