//! Masking what comes back: which columns, and how.
//!
//! A column's classes come from where its values come from: the relation that RowDescription names, or,
//! for an expression, everything that may have flowed into the answer. What has no class is searched for
//! content that gives itself away. When in doubt, a value is masked.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    cell::{Change, Shape},
    codec::{
        CodecError, Fields,
        backend::{self, Field},
        frontend::Formats,
        write,
    },
};
use crate::{
    mask::{Detectors, Masked, Masker, Method, REDACTED},
    policy::Obligations,
    request::{Footprint, sql::Resource},
    sql::{self, Classified, Classifier, CopyLayout, Relation, RelationKind, Statement},
    target::Class,
};

/// What lineage says of one column of the answer.
#[derive(Clone)]
struct Expected {
    mask: Option<(Class, Method)>,
    /// Whether one column of a table, and nothing else, may have flowed into it.
    is_single: bool,
}

/// The duty to mask one permitted request's answer.
pub struct Shield {
    masker: Arc<Masker>,
    obligations: Arc<Obligations>,
    detectors: Detectors,
    classifier: Arc<Classifier>,
    /// What a value of no single origin is masked as, where anything masked may have flowed into it.
    flow: Option<(Class, Method)>,
    /// The same for each column of the answer, where the statement says how many there are.
    outputs: Option<Vec<Expected>>,
    /// For each column of the answer, whether it is read from a temporary relation.
    temporary: Option<Vec<bool>>,
    /// Whether the server's own words might quote masked values.
    is_sensitive: bool,
    /// Whether it calls functions that are no part of the server, and may say and set anything.
    calls_unknown: bool,
    /// The names of the columns of classified tables, once they were asked for.
    names: OnceLock<HashSet<String>>,
    /// The result that was described last, and what that means for its columns: the same statement is
    /// described in the same bytes again and again.
    described: OnceLock<(Bytes, Formats, Arc<Columns>)>,
}

impl Shield {
    /// What the permit of `classified` asks for; `None`: nothing has to be masked.
    ///
    /// `settings_are_suspect` tells that functions ran in this session that may have put values into its settings.
    pub fn new(
        masker: &Arc<Masker>,
        obligations: &Arc<Obligations>,
        classifier: &Arc<Classifier>,
        classified: &Classified,
        settings_are_suspect: bool,
    ) -> Option<Arc<Self>> {
        if obligations.masks.is_empty() {
            return None;
        }
        let mut flow = None;
        for statement in &classified.statements {
            let classes = statement.flow_classes.iter();
            flow = stricter(flow, strictest(obligations, classes));
            if statement.opaque_flow {
                flow = stricter(flow, strictest(obligations, obligations.masks.keys()));
            }
        }
        let temporary = match classified.statements.as_slice() {
            [Statement { outputs: Some(outputs), .. }] => {
                Some(outputs.iter().map(|output| output.is_temporary && !output.opaque).collect())
            }
            _ => None,
        };
        let suspect = (settings_are_suspect && reads_settings(&classified.footprint))
            .then(|| strictest(obligations, obligations.masks.keys()))
            .flatten();
        flow = stricter(flow, suspect.clone());
        let outputs = match classified.statements.as_slice() {
            [Statement { outputs: Some(outputs), .. }] => Some(
                outputs
                    .iter()
                    .map(|output| {
                        let output = expected(obligations, classifier, output);
                        Expected { mask: stricter(output.mask, suspect.clone()), ..output }
                    })
                    .collect(),
            ),
            _ => None,
        };
        Some(Arc::new(Self {
            masker: masker.clone(),
            outputs,
            temporary,
            detectors: Detectors::for_masks(&obligations.masks),
            is_sensitive: flow.is_some() || may_quote_masked(&classified.footprint, obligations),
            calls_unknown: calls_unknown(&classified.footprint),
            names: OnceLock::new(),
            flow,
            obligations: obligations.clone(),
            classifier: classifier.clone(),
            described: OnceLock::new(),
        }))
    }

    /// Whether this shield serves these obligations under this catalogue.
    pub fn serves(&self, obligations: &Arc<Obligations>, classifier: &Arc<Classifier>) -> bool {
        Arc::ptr_eq(&self.classifier, classifier)
            && (Arc::ptr_eq(&self.obligations, obligations) || self.obligations.masks == obligations.masks)
    }

    /// Whether values of a masked class may be anywhere in the answer.
    pub fn flow(&self) -> Option<&Class> {
        self.flow.as_ref().map(|(class, _)| class)
    }

    /// A class of which this statement would store a value, though it must be masked.
    pub fn stored<'s>(&'s self, statement: &'s Statement) -> Option<&'s Class> {
        let masks = &self.obligations.masks;
        let known = statement.stored_classes.iter().find(|class| masks.contains_key(*class));
        known.or_else(|| masks.keys().next().filter(|_| statement.stored_opaque))
    }

    /// What each column of copied data is masked as; `None` where their number is not known.
    pub fn copied(&self, layout: &CopyLayout) -> Option<Vec<Option<(Class, Method)>>> {
        let masks = self.outputs.as_ref()?.iter().map(|output| {
            let is_own = layout.is_table && output.is_single;
            output.mask.clone().map(|mask| if is_own { mask } else { computed(mask) })
        });
        Some(masks.collect())
    }

    /// Whether the server's own words might quote masked values.
    pub fn is_sensitive(&self) -> bool {
        self.is_sensitive
    }

    /// Whether it calls functions that are no part of the server, and may say and set anything.
    pub fn calls_unknown(&self) -> bool {
        self.calls_unknown
    }

    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    pub fn catalogue(&self) -> &sql::Catalogue {
        self.classifier.catalogue()
    }

    /// Whether a classified table has a column of this name, so that the name is no value of anyone's.
    ///
    /// Views are not asked: whoever may make them chooses names to try them.
    pub fn is_column(&self, name: &str) -> bool {
        let named = || {
            let tables = self.catalogue().relations.values();
            let classified = tables.filter(|table| table.classified && table.kind == RelationKind::Table);
            classified.flat_map(|table| table.columns.iter().map(|column| column.name.clone())).collect()
        };
        self.names.get_or_init(named).contains(name)
    }

    /// How each column of a result is treated, by the body of its description and the formats that the
    /// workload chose for it.
    pub fn columns(&self, description: &Bytes, formats: &Formats) -> Result<Arc<Columns>, CodecError> {
        if let Some((known, known_formats, columns)) = self.described.get()
            && known == description
            && known_formats == formats
        {
            return Ok(columns.clone());
        }
        let columns = Arc::new(Columns::new(self, &backend::row_description(description)?, formats));
        // Another result may have been first; then this one is just not remembered.
        let _ = self.described.set((Bytes::copy_from_slice(description), formats.clone(), columns.clone()));
        Ok(columns)
    }

    /// Whether this shield goes by that catalogue.
    pub fn is_under(&self, classifier: &Arc<Classifier>) -> bool {
        Arc::ptr_eq(&self.classifier, classifier)
    }

    /// The same duty under another catalogue.
    pub fn under(&self, classifier: &Arc<Classifier>) -> Arc<Self> {
        Arc::new(Self {
            masker: self.masker.clone(),
            obligations: self.obligations.clone(),
            detectors: Detectors::for_masks(&self.obligations.masks),
            classifier: classifier.clone(),
            flow: self.flow.clone(),
            outputs: self.outputs.clone(),
            temporary: self.temporary.clone(),
            is_sensitive: self.is_sensitive,
            calls_unknown: self.calls_unknown,
            names: OnceLock::new(),
            described: OnceLock::new(),
        })
    }

    /// Free text without what the detectors find in it; `None`: they find nothing.
    pub fn words(&self, text: &[u8]) -> Option<Vec<u8>> {
        self.detectors.scan(&self.masker, text).map(|masked| match masked {
            Masked::Value(value) => value,
            Masked::Null => REDACTED.as_bytes().to_vec(),
        })
    }

    /// Whether none of these bytes can hold what the detectors look for.
    pub fn is_clear(&self, bytes: &[u8]) -> bool {
        !self.detectors.prefilter(bytes)
    }

    pub(super) fn scan(&self, value: &[u8]) -> Option<Masked> {
        self.detectors.scan(&self.masker, value)
    }

    pub(super) fn apply(&self, method: Method, class: &Class, value: &[u8]) -> Masked {
        self.masker.apply(method, class, value)
    }

    /// What the column at `index` of `count` is masked as.
    fn treatment(&self, field: &Field, index: usize, count: usize) -> Option<(Class, Method)> {
        let by_flow = self.output(index, count);
        if field.relation == 0 {
            return by_flow.map(computed);
        }
        let relation = self.catalogue().relations.get(&field.relation);
        let by_origin = match relation.filter(|relation| has_attribute(relation, field.column)) {
            None if self.is_of_session(index, count) => return by_flow,
            None => strictest(&self.obligations, self.obligations.masks.keys()),
            Some(relation) => strictest(&self.obligations, origin_classes(relation, field.column)),
        };
        let mask = match &self.outputs {
            // Where the server describes another number of columns, any may be any.
            Some(_) => stricter(by_origin, by_flow),
            // The origin is exact, and what flows into other columns is not about this one.
            None => by_origin,
        };
        let is_own = field.column > 0 && relation.is_some_and(|relation| holds_values(relation, field.column));
        mask.map(|mask| if is_own { mask } else { computed(mask) })
    }

    /// Whether the column at `index` of `count` is read from a temporary relation that the session knows all about:
    /// while its transaction is open, no catalogue can have it.
    fn is_of_session(&self, index: usize, count: usize) -> bool {
        let outputs = self.temporary.as_ref().filter(|outputs| outputs.len() == count);
        outputs.and_then(|outputs| outputs.get(index)).copied().unwrap_or(false)
    }

    /// What may have flowed into the column at `index` of `count` is masked as.
    fn output(&self, index: usize, count: usize) -> Option<(Class, Method)> {
        match &self.outputs {
            Some(outputs) if outputs.len() == count => outputs.get(index).and_then(|output| output.mask.clone()),
            Some(_) | None => self.flow.clone(),
        }
    }
}

/// What one column of the answer is masked as: nothing at all, not even whether there is a value, remains of what a
/// statement computes from masked values, because it would choose what remains.
fn expected(obligations: &Obligations, classifier: &Classifier, output: &sql::Output) -> Expected {
    let by_class = strictest(obligations, output.classes.iter());
    let unknown = if output.opaque { strictest(obligations, obligations.masks.keys()) } else { None };
    let mask = stricter(by_class, unknown);
    let relations = &classifier.catalogue().relations;
    let mut origins = output.columns.iter().map(|column| (relations.get(&column.relation), column.column));
    let is_first_own = origins
        .next()
        .is_some_and(|(relation, number)| relation.is_some_and(|relation| holds_values(relation, number)));
    Expected {
        mask: if output.computed { mask.map(|(class, _)| (class, Method::Null)) } else { mask },
        is_single: is_first_own && origins.next().is_none() && !output.opaque && !output.computed,
    }
}

/// The mask of what was computed from values, or may have been: nothing of it is shown, not even that it is empty or
/// NULL. Whoever chooses what is computed would choose what that says: `left(ssn, 4)`, `nullif(left(ssn, 1), '7')`,
/// `regexp_replace(ssn, '^[^7].*', '')`.
fn computed((class, _): (Class, Method)) -> (Class, Method) {
    (class, Method::Null)
}

/// Whether the values of one of the relation's columns are its own, or another's that it shows as they are.
fn holds_values(relation: &Relation, number: i16) -> bool {
    match relation.kind {
        RelationKind::Table | RelationKind::Foreign => true,
        RelationKind::View | RelationKind::MaterializedView => {
            relation.columns.iter().any(|column| column.number == number && !column.computed)
        }
        RelationKind::Sequence | RelationKind::Other => false,
    }
}

/// Whether the catalogue knows the attribute: a column, the whole row (zero) or a system column (below).
fn has_attribute(relation: &Relation, number: i16) -> bool {
    number <= 0 || relation.columns.iter().any(|column| column.number == number)
}

/// The classes of what a column's origin names: an attribute, or with number zero the whole row.
fn origin_classes(relation: &Relation, number: i16) -> impl Iterator<Item = &Class> {
    let columns = relation.columns.iter().filter(move |column| number == 0 || column.number == number);
    columns.flat_map(|column| &column.classes)
}

/// Whether an answer may show settings of the session.
fn reads_settings(footprint: &Footprint) -> bool {
    footprint.sql().any(|access| match &access.resource {
        Resource::Setting(_) => access.facts.verb == "SHOW",
        Resource::Function(function) => {
            matches!(function.name.as_str(), "current_setting" | "set_config" | "pg_show_all_settings")
        }
        Resource::Table(table) => table.schema == "pg_catalog" && table.name == "pg_settings",
        Resource::Database(_) => false,
    })
}

fn calls_unknown(footprint: &Footprint) -> bool {
    footprint.sql().any(|access| match &access.resource {
        Resource::Function(function) => function.schema != "pg_catalog",
        Resource::Table(_) | Resource::Database(_) | Resource::Setting(_) => false,
    })
}

/// Whether an error may quote values of a masked class: the request touches a table with such data, even
/// if only to compare it, or calls a function that is no part of the server and may read anything.
fn may_quote_masked(footprint: &Footprint, obligations: &Obligations) -> bool {
    footprint.sql().any(|access| match &access.resource {
        Resource::Table(table) => {
            table.classes.iter().flatten().chain(&table.read_classes).any(|class| obligations.masks.contains_key(class))
        }
        Resource::Function(_) | Resource::Database(_) | Resource::Setting(_) => false,
    }) || calls_unknown(footprint)
}

fn strictest<'a>(obligations: &Obligations, classes: impl Iterator<Item = &'a Class>) -> Option<(Class, Method)> {
    classes
        .filter_map(|class| obligations.masks.get(class).map(|method| (class, *method)))
        .max_by_key(|(_, method)| *method)
        .map(|(class, method)| (class.clone(), method))
}

fn stricter(a: Option<(Class, Method)>, b: Option<(Class, Method)>) -> Option<(Class, Method)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.1 > a.1 { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// How the columns of one result are treated.
pub struct Columns {
    columns: Vec<Column>,
    /// Whether the result names a relation or a column that the catalogue does not know.
    pub has_unknown_origin: bool,
    /// Whether detectors see on the wire all that they would see in the values.
    is_scannable_raw: bool,
    /// Whether a backslash in the values could hide content from the wire.
    has_escapes: bool,
}

struct Column {
    shape: Shape,
    mask: Option<(Class, Method)>,
}

impl Columns {
    fn new(shield: &Shield, fields: &[Field], formats: &Formats) -> Self {
        let columns: Vec<Column> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let is_binary = field.is_binary || formats.is_binary(index);
                Column {
                    shape: Shape::of(field.type_oid, is_binary),
                    mask: shield.treatment(field, index, fields.len()),
                }
            })
            .collect();
        let relations = &shield.classifier.catalogue().relations;
        Self {
            has_unknown_origin: fields.iter().enumerate().filter(|(_, field)| field.relation != 0).any(
                |(index, field)| {
                    !shield.is_of_session(index, fields.len())
                        && !relations.get(&field.relation).is_some_and(|relation| has_attribute(relation, field.column))
                },
            ),
            is_scannable_raw: columns.iter().all(|column| column.mask.is_none() && column.shape.is_scannable_raw()),
            has_escapes: columns.iter().any(|column| column.shape.has_escapes()),
            columns,
        }
    }

    /// Whether these rows, as they stand on the wire, need no look at their values.
    pub fn passes(&self, shield: &Shield, rows: &[u8]) -> bool {
        self.is_scannable_raw && !(self.has_escapes && memchr::memchr(b'\\', rows).is_some()) && shield.is_clear(rows)
    }

    /// Appends the row with `body` as the workload may see it.
    pub fn mask(&self, shield: &Shield, body: &[u8], out: &mut BytesMut) -> Result<(), CodecError> {
        let mut fields = Fields::new("DataRow", body);
        let count = backend::columns(&mut fields, "DataRow")?;
        if count != self.columns.len() {
            return Err(CodecError::Value("DataRow"));
        }
        let mut result = Ok(());
        write::message(out, b'D', |out| {
            out.put_u16(count as u16);
            result = self.columns.iter().try_for_each(|column| {
                match fields.value()? {
                    None => out.put_i32(-1),
                    Some(value) => column.mask(shield, value, out),
                }
                Ok(())
            });
        });
        result.and_then(|()| fields.end())
    }
}

impl Column {
    fn mask(&self, shield: &Shield, value: &[u8], out: &mut BytesMut) {
        let change = match &self.mask {
            Some((class, method)) => self.shape.mask(shield, class, *method, value),
            None => self.shape.scan(shield, value),
        };
        match change {
            Change::None => put_value(out, value),
            Change::Value(masked) => put_value(out, &masked),
            Change::Null => out.put_i32(-1),
        }
    }
}

fn put_value(out: &mut BytesMut, value: &[u8]) {
    out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    out.put_slice(value);
}
