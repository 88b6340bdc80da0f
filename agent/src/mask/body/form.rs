//! Forms, encoded as in a URL: <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>.
//!
//! A field's path is its name: `/card`. A value that must be null becomes empty.

use std::sync::Arc;

use super::{
    BodyError, BodyPlan,
    path::{Paths, RuleId},
};
use crate::mask::{Masked, Masker};

/// Longest field, name and value as written.
pub const FIELD_MAX: usize = 1 << 20;

/// Masks one form.
#[derive(Debug)]
pub struct FormMask {
    plan: Arc<BodyPlan>,
    masker: Arc<Masker>,
    /// The field that has not ended.
    held: Vec<u8>,
}

impl FormMask {
    pub fn new(plan: &Arc<BodyPlan>, masker: &Arc<Masker>) -> Self {
        Self { plan: Arc::clone(plan), masker: Arc::clone(masker), held: Vec::new() }
    }

    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'&', rest) {
            let (field, after) = rest.split_at(end);
            self.hold(field)?;
            self.field(out)?;
            out.push(b'&');
            rest = after.get(1..).unwrap_or_default();
        }
        self.hold(rest)
    }

    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.field(out)
    }

    fn hold(&mut self, piece: &[u8]) -> Result<(), BodyError> {
        if self.held.len() + piece.len() > FIELD_MAX {
            return Err(BodyError::Field);
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    /// Writes the field that has ended.
    fn field(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let field = std::mem::take(&mut self.held);
        let equals = memchr::memchr(b'=', &field);
        let (name, value) = field.split_at(equals.unwrap_or(field.len()));
        let meant = decoded(name)?;
        let spelled = String::from_utf8_lossy(&meant);
        let rule = self.plan.paths.rule_at(self.plan.paths.member(Paths::ROOT, &spelled));
        self.put(name, &meant, None, out);
        if let Some(value) = value.strip_prefix(b"=") {
            out.push(b'=');
            self.put(value, &decoded(value)?, rule, out);
        }
        Ok(())
    }

    /// Writes a name or a value: what it was, or what stands in its place.
    fn put(&self, written: &[u8], meant: &[u8], rule: Option<RuleId>, out: &mut Vec<u8>) {
        let masked = match rule {
            Some(rule) => Some(self.plan.mask(&self.masker, rule, meant).unwrap_or_default()),
            None => self.plan.detectors.scan(&self.masker, meant).map(|masked| match masked {
                Masked::Value(masked) => masked,
                Masked::Null => Vec::new(),
            }),
        };
        match masked {
            Some(masked) => encode(&masked, out),
            None => out.extend_from_slice(written),
        }
    }
}

fn decoded(written: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut meant = Vec::with_capacity(written.len());
    let mut rest = written;
    while let [first, after @ ..] = rest {
        rest = after;
        meant.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let mut byte = [0];
                hex::decode_to_slice([*high, *low], &mut byte).map_err(|_| BodyError::Percent)?;
                let [byte] = byte;
                byte
            }
            (b'%', _) => return Err(BodyError::Percent),
            (byte, _) => *byte,
        });
    }
    Ok(meant)
}

fn encode(meant: &[u8], out: &mut Vec<u8>) {
    for byte in meant {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'-' | b'.' | b'_' => out.push(*byte),
            byte if byte.is_ascii_alphanumeric() => out.push(*byte),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}
