//! COPY data on its way to the workload.
//!
//! The server sends one row in each message. A row is taken apart as its statement's options say, and masked by
//! the columns of the statement. Types are not told: what is masked becomes a word in text and CSV, and NULL in binary.
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "File Formats"

mod cells;

use std::sync::Arc;

use super::{
    cell,
    codec::{CodecError, Fields},
    rows::Shield,
};
use crate::{
    mask::{Masked, Method},
    sql::{CopyFormat, CopyLayout},
    target::Class,
};

/// What a binary COPY starts with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// What each column of the data is masked as.
type Masks = Vec<Option<(Class, Method)>>;

/// The data of one COPY, and how it is masked.
pub struct CopyData {
    format: Format,
    /// `None`: no masked class may be in it, and only the detectors have a say.
    masks: Option<Masks>,
    /// Whether the line with the columns' names is still to come.
    awaits_header: bool,
}

enum Format {
    /// Text or CSV that nothing has to be cut out of.
    Whole,
    Rows(Arc<CopyLayout>),
    Binary,
}

impl CopyData {
    /// The server announced data of so many columns; an error where that is not what was asked for.
    pub fn announced(
        shield: &Shield,
        layout: Option<&Arc<CopyLayout>>,
        is_binary: bool,
        columns: usize,
    ) -> Result<Self, CodecError> {
        let disagrees = Err(CodecError::Value("CopyOutResponse"));
        let asked_binary = layout.map(|layout| layout.format == CopyFormat::Binary);
        if asked_binary.is_some_and(|asked| asked != is_binary) {
            return disagrees;
        }
        let masks = match (shield.flow(), layout) {
            (None, _) => None,
            (Some(_), Some(layout)) => Some(shield.copied(layout).ok_or(CodecError::Value("CopyOutResponse"))?),
            (Some(_), None) => return disagrees,
        };
        if masks.as_ref().is_some_and(|masks| masks.len() != columns) {
            return disagrees;
        }
        let format = match (is_binary, layout, &masks) {
            (true, _, _) => Format::Binary,
            (false, Some(layout), Some(_)) => Format::Rows(layout.clone()),
            (false, _, _) => Format::Whole,
        };
        let awaits_header = layout.is_some_and(|layout| match layout.format {
            CopyFormat::Text { has_header, .. } | CopyFormat::Csv { has_header, .. } => has_header,
            CopyFormat::Binary => false,
        });
        Ok(Self { format, masks, awaits_header })
    }

    /// One message as the workload may see it. `None`: as it came.
    pub fn mask(&mut self, shield: &Shield, message: &[u8]) -> Result<Option<Vec<u8>>, CodecError> {
        let is_header = std::mem::take(&mut self.awaits_header);
        match (&self.format, &self.masks) {
            (Format::Rows(layout), Some(masks)) if !is_header => mask_row(shield, masks, layout, message).map(Some),
            (Format::Whole | Format::Rows(_), _) => Ok(shield.words(message)),
            (Format::Binary, masks) => mask_binary(shield, masks.as_ref(), message),
        }
    }
}

/// A row in text format or CSV, masked column by column.
fn mask_row(shield: &Shield, masks: &Masks, layout: &CopyLayout, message: &[u8]) -> Result<Vec<u8>, CodecError> {
    let row = message.strip_suffix(b"\n").ok_or(CodecError::Value("CopyData"))?;
    let cells = cells::split(&layout.format, row).filter(|cells| cells.len() == masks.len());
    let cells = cells.ok_or(CodecError::Value("CopyData"))?;
    let mut out = Vec::with_capacity(message.len());
    for (index, (cell, mask)) in cells.into_iter().zip(masks).enumerate() {
        if index > 0 {
            out.push(cells::delimiter(&layout.format));
        }
        let masked = match (cell.value, mask) {
            (None, _) => None,
            (Some(value), Some((class, method))) => Some(shield.apply(*method, class, &value)),
            (Some(value), None) => shield.scan(&value),
        };
        match masked {
            None => out.extend_from_slice(cell.raw),
            Some(Masked::Value(value)) => cells::write(&layout.format, &value, &mut out),
            Some(Masked::Null) => out.extend_from_slice(cells::null(&layout.format)),
        }
    }
    out.push(b'\n');
    Ok(out)
}

/// One message in binary format: masked columns, and values in which the detectors find something, become
/// NULL, which every type has. `None`: nothing to change.
fn mask_binary(shield: &Shield, masks: Option<&Masks>, message: &[u8]) -> Result<Option<Vec<u8>>, CodecError> {
    let mut fields = Fields::new("CopyData", message);
    let mut out = Vec::with_capacity(message.len());
    if message.starts_with(SIGNATURE) {
        out.extend_from_slice(fields.take(SIGNATURE.len())?);
        out.extend_from_slice(fields.take(4)?);
        cell::put(&mut out, Some(fields.value()?.unwrap_or_default()));
    }
    while !fields.is_empty() {
        let count = fields.i16()?;
        if masks.is_some_and(|masks| usize::try_from(count).is_ok_and(|count| count != masks.len())) {
            return Err(CodecError::Value("CopyData"));
        }
        out.extend_from_slice(&count.to_be_bytes());
        // A count of -1 ends the data.
        for index in 0..usize::try_from(count).unwrap_or_default() {
            let value = fields.value()?;
            let is_masked = masks.is_some_and(|masks| masks.get(index).is_none_or(Option::is_some));
            cell::put(&mut out, value.filter(|value| !is_masked && !gives_itself_away(shield, value)));
        }
    }
    Ok((out != message).then_some(out))
}

/// Whether detectors find something in a value of a type that is not told.
fn gives_itself_away(shield: &Shield, value: &[u8]) -> bool {
    shield.scan(value).is_some()
        || cell::guessed_digits(value).is_some_and(|digits| shield.scan(digits.as_bytes()).is_some())
}
