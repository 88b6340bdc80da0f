//! Bodies of messages, masked as they stream.
//!
//! Pure: bytes in, bytes out, a bounded number of them held. What is masked is said by a [`BodyPlan`], made once for a
//! target and its obligations; a [`BodyMask`] takes one body, and fails rather than let pass what it cannot read.

pub mod encoding;
mod error;
pub mod events;
pub mod form;
pub mod json;
mod media;
pub mod path;
mod plan;
mod text;
pub mod xml;

use std::sync::Arc;

pub use self::{
    encoding::Encoding,
    error::{BodyError, Unmaskable},
    media::{Format, MEDIA_TYPE_MAX, MediaType},
    path::{Path, PathError},
    plan::BodyPlan,
};
use self::{
    encoding::{Decoder, Encoder},
    events::EventsMask,
    form::FormMask,
    json::{Documents, JsonMask},
    text::TextMask,
    xml::XmlMask,
};
use super::Masker;

/// Most bytes that one body holds back, all that is decoded on the way not counted.
pub const HELD_MAX: usize = 8 << 20;

/// Masks one body as it streams.
///
/// A body that is not encoded and in which nothing is masked comes out as it came, byte for byte. One that is encoded is
/// encoded anew.
pub struct BodyMask {
    /// What undoes the encodings, the last one first.
    decoders: Vec<Decoder>,
    mask: Mask,
    /// What does the encodings again, the first one first.
    encoders: Vec<Encoder>,
}

enum Mask {
    Json(JsonMask),
    Events(EventsMask),
    Form(FormMask),
    Xml(XmlMask),
    Text(TextMask),
}

impl BodyMask {
    /// `encodings` in the order in which they were applied.
    ///
    /// Fails where nothing of such a body can be masked, or not all that the plan wants: policy decides then.
    pub fn new(
        plan: &Arc<BodyPlan>,
        masker: &Arc<Masker>,
        media_type: &MediaType,
        encodings: &[Encoding],
    ) -> Result<Self, Unmaskable> {
        if encodings.len() > encoding::ENCODINGS_MAX {
            return Err(Unmaskable::Encodings { got: encodings.len() });
        }
        let essence = || media_type.essence().to_owned();
        if let Some(charset) = media_type.charset().filter(|_| !media_type.is_utf8()) {
            return Err(Unmaskable::Charset(charset.to_owned()));
        }
        let mask = match media_type.format() {
            Format::Json => Mask::Json(JsonMask::new(plan, masker, Documents::One)),
            Format::JsonLines => Mask::Json(JsonMask::new(plan, masker, Documents::Lines)),
            Format::Events => Mask::Events(EventsMask::new(plan, masker)),
            Format::Form => Mask::Form(FormMask::new(plan, masker)),
            Format::Xml => Mask::Xml(XmlMask::new(plan, masker)),
            Format::Text if plan.has_paths() => return Err(Unmaskable::NoPaths(essence())),
            Format::Text => Mask::Text(TextMask::new(plan, masker)),
            Format::Binary => return Err(Unmaskable::MediaType(essence())),
        };
        let unknown = |encoding: &Encoding| Unmaskable::Encoding(encoding.name().to_owned());
        let decoders = encodings.iter().rev().map(|encoding| Decoder::new(*encoding).map_err(|_| unknown(encoding)));
        let encoders = encodings.iter().map(|encoding| Encoder::new(*encoding).map_err(|_| unknown(encoding)));
        Ok(Self { decoders: decoders.collect::<Result<_, _>>()?, mask, encoders: encoders.collect::<Result<_, _>>()? })
    }

    /// Takes the next bytes, and appends what is to be sent for them. After an error nothing more may be sent.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        if self.decoders.is_empty() {
            return self.mask.feed(bytes, out);
        }
        let mut masked = Vec::new();
        decode(&mut self.decoders, bytes, &mut |plain| self.mask.feed(plain, &mut masked))?;
        encode(&mut self.encoders, masked, out)
    }

    /// Takes the end of the body, and appends the rest.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let is_encoded = self.decoders.iter().any(Decoder::has_begun);
        let mut masked = Vec::new();
        while !self.decoders.is_empty() {
            let decoder = self.decoders.remove(0);
            let rest = &mut self.decoders;
            decoder.finish(&mut |decoded| decode(rest, decoded, &mut |plain| self.mask.feed(plain, &mut masked)))?;
        }
        self.mask.finish(&mut masked)?;
        if !is_encoded {
            out.append(&mut masked);
            return Ok(());
        }
        let mut encoders = self.encoders.as_mut_slice();
        let mut bytes = masked;
        while let Some((first, rest)) = encoders.split_first_mut() {
            let mut encoded = Vec::new();
            first.feed(&bytes, &mut encoded)?;
            first.finish(&mut encoded)?;
            bytes = encoded;
            encoders = rest;
        }
        out.append(&mut bytes);
        Ok(())
    }
}

/// Undoes one encoding after the other.
fn decode(
    decoders: &mut [Decoder],
    bytes: &[u8],
    each: &mut dyn FnMut(&[u8]) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    match decoders.split_first_mut() {
        Some((first, rest)) => first.feed(bytes, &mut |decoded| decode(rest, decoded, each)),
        None => each(bytes),
    }
}

/// Does one encoding after the other.
fn encode(encoders: &mut [Encoder], bytes: Vec<u8>, out: &mut Vec<u8>) -> Result<(), BodyError> {
    let mut bytes = bytes;
    for encoder in encoders {
        let mut encoded = Vec::new();
        encoder.feed(&bytes, &mut encoded)?;
        bytes = encoded;
    }
    out.append(&mut bytes);
    Ok(())
}

impl Mask {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        match self {
            Self::Json(mask) => mask.feed(bytes, out),
            Self::Events(mask) => mask.feed(bytes, out),
            Self::Form(mask) => mask.feed(bytes, out),
            Self::Xml(mask) => mask.feed(bytes, out),
            Self::Text(mask) => mask.feed(bytes, out),
        }
    }

    fn finish(self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        match self {
            Self::Json(mask) => mask.finish(out),
            Self::Events(mask) => mask.finish(out),
            Self::Form(mask) => mask.finish(out),
            Self::Xml(mask) => mask.finish(out),
            Self::Text(mask) => {
                mask.finish(out);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
