//! What the server says beside rows: errors, notices, notifications, settings.
//!
//! Where masked data was touched, nothing is passed on that could hold a value of it: what remains is chosen
//! from words that are known to be none.

use bytes::Bytes;

use super::{
    codec::{CodecError, backend, write},
    rows::Shield,
};
use crate::{mask::REDACTED, sql::Catalogue};

/// What an error says in place of words that might quote masked values.
const WITHHELD: &[u8] = b"the server's words are withheld, because the statement touches masked data";

/// `raise_exception`, in place of a code that a function chose.
const RAISED: &[u8] = b"P0001";

/// The server's own checks whose errors name a constraint of the catalogue.
const CONSTRAINT_CHECKS: [&[u8]; 9] = [
    b"_bt_check_unique",
    b"check_exclusion_or_unique_constraint",
    b"ExecConstraints",
    b"ReportNotNullViolationError",
    b"ExecPartitionCheckEmitError",
    b"ExecWithCheckOptions",
    b"ri_ReportViolation",
    b"ATRewriteTable",
    b"ExecEvalConstraintCheck",
];

/// Settings that the server reports whose values are words of its own.
const FIXED_SETTINGS: [&[u8]; 9] = [
    b"client_encoding",
    b"default_transaction_read_only",
    b"in_hot_standby",
    b"integer_datetimes",
    b"IntervalStyle",
    b"is_superuser",
    b"server_encoding",
    b"server_version",
    b"standard_conforming_strings",
];

impl Shield {
    /// An error or notice as the workload may read it; `None`: as it came.
    pub fn notice(&self, tag: u8, body: &[u8]) -> Result<Option<Bytes>, CodecError> {
        let parts = backend::notice(body)?;
        if self.is_sensitive() {
            return Ok(Some(self.withheld(tag, &parts)));
        }
        let scanned: Vec<_> = parts.iter().map(|(kind, text)| (*kind, self.words(text))).collect();
        if scanned.iter().all(|(_, found)| found.is_none()) {
            return Ok(None);
        }
        let fields =
            scanned.iter().zip(&parts).map(|((kind, found), (_, text))| (*kind, found.as_deref().unwrap_or(text)));
        Ok(Some(write::notice(tag, fields)))
    }

    /// Severity, a code that the server knows, and names that the catalogue has.
    ///
    /// A function of the database may raise errors whose code and names are values (`RAISE … USING COLUMN = ssn`).
    fn withheld(&self, tag: u8, parts: &[(u8, &[u8])]) -> Bytes {
        let part = |wanted| parts.iter().find(|(kind, _)| *kind == wanted).map(|(_, text)| *text);
        let is_raised = part(b'F').is_some_and(is_of_a_language);
        let is_check = part(b'R').is_some_and(|routine| CONSTRAINT_CHECKS.contains(&routine)) && !is_raised;
        let names = Names::of(self.catalogue(), part(b's'), part(b't'));
        let kept = parts.iter().filter_map(|&(kind, text)| match kind {
            b'S' | b'V' => Some((kind, text)),
            b'C' => Some((kind, if is_raised { RAISED } else { text })),
            b'M' => Some((kind, WITHHELD)),
            b's' | b't' if names.is_relation() => Some((kind, text)),
            b'c' if names.has_column(text) => Some((kind, text)),
            b'n' if is_check => Some((kind, text)),
            _ => None,
        });
        write::notice(tag, kept)
    }

    /// A setting that the server reports; `None`: as it came.
    pub fn parameter(&self, body: &[u8]) -> Result<Option<Bytes>, CodecError> {
        let (name, value) = backend::parameter(body)?;
        if self.calls_unknown() && !FIXED_SETTINGS.contains(&name) {
            return Ok(Some(write::parameter(name, REDACTED.as_bytes())));
        }
        Ok(self.words(value).map(|value| write::parameter(name, &value)))
    }

    /// What another session sent, in whose place nobody knows what it read; `None`: as it came.
    ///
    /// `is_judged` tells that this is the shield of the LISTEN: then policy masks what this workload reads.
    pub fn notification(&self, body: &[u8], is_judged: bool) -> Result<Option<Bytes>, CodecError> {
        let (process, channel, payload) = backend::notification(body)?;
        if is_judged && !payload.is_empty() {
            return Ok(Some(write::notification(process, channel, REDACTED.as_bytes())));
        }
        Ok(self.words(payload).map(|payload| write::notification(process, channel, &payload)))
    }
}

/// Whether a source file of the server runs functions in a procedural language: their errors are what they please.
fn is_of_a_language(file: &[u8]) -> bool {
    let name = file.rsplit(|byte| *byte == b'/').next().unwrap_or(file);
    [&b"pl_"[..], b"plperl", b"plpy", b"pltcl"].iter().any(|language| name.starts_with(language))
}

/// The relation that an error names, if the catalogue has it.
struct Names<'a>(Option<&'a crate::sql::Relation>);

impl<'a> Names<'a> {
    fn of(catalogue: &'a Catalogue, schema: Option<&[u8]>, table: Option<&[u8]>) -> Self {
        let (Some(schema), Some(table)) = (schema, table) else { return Self(None) };
        let mut relations = catalogue.relations.values();
        Self(relations.find(|relation| relation.name.as_bytes() == table && relation.schema.as_bytes() == schema))
    }

    fn is_relation(&self) -> bool {
        self.0.is_some()
    }

    fn has_column(&self, name: &[u8]) -> bool {
        self.0.is_some_and(|relation| relation.columns.iter().any(|column| column.name.as_bytes() == name))
    }
}
