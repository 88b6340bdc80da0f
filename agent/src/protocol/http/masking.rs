//! Answers that are masked: framed anew, with a head that says nothing of the body that came.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{
    BodyLength, Malformed, ResponseHead, Version,
    write::{self, Edits},
};
use crate::{
    mask::{
        Masker,
        body::{BodyError, BodyMask, BodyPlan, Encoding, MediaType, Path, PathError, Unmaskable},
    },
    policy::Obligations,
    target::{Class, Target},
};

/// Fields of a head that speak of the very bytes of a body (RFC 9110, sections 8.8 and 14; RFC 9530; RFC 1864).
const OF_THE_BYTES: [&str; 9] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "etag",
    "repr-digest",
    "trailer",
    "transfer-encoding",
];

/// Makes what masks the answers of one target.
pub struct Masking {
    classes: Vec<(Path, Class)>,
    masker: Arc<Masker>,
    /// The obligations of the last request, and what follows from them.
    last: Option<(Arc<Obligations>, Arc<BodyPlan>)>,
}

impl Masking {
    pub fn new(target: &Target, masker: Arc<Masker>) -> Result<Self, PathError> {
        let mut classes = Vec::new();
        for (path, named) in &target.paths {
            let path = Path::parse(path)?;
            classes.extend(named.iter().map(|class| (path.clone(), class.clone())));
        }
        Ok(Self { classes, masker, last: None })
    }

    /// What masks the answer to a request under these obligations; `None`: nothing has to be.
    pub fn plan(&mut self, obligations: &Arc<Obligations>) -> Result<Option<Masks>, PathError> {
        if obligations.masks.is_empty() {
            return Ok(None);
        }
        let plan = match &self.last {
            Some((known, plan)) if Arc::ptr_eq(known, obligations) => plan.clone(),
            _ => {
                let plan = Arc::new(BodyPlan::new(&self.classes, &obligations.masks, true)?);
                self.last = Some((obligations.clone(), plan.clone()));
                plan
            }
        };
        Ok((!plan.is_empty()).then(|| Masks { plan, masker: self.masker.clone() }))
    }
}

/// What masks one answer.
pub struct Masks {
    plan: Arc<BodyPlan>,
    masker: Arc<Masker>,
}

/// Why an answer that has to be masked is not passed on.
#[derive(Debug, thiserror::Error)]
pub enum Unmasked {
    #[error("it has to be masked, and {0}")]
    Unmaskable(#[from] Unmaskable),
    #[error("it has to be masked, and does not say in one way of what type it is")]
    Untyped,
    #[error("it has to be masked, and is a part of another (status 206)")]
    Partial,
    #[error("it has to be masked: {0}")]
    Body(#[from] BodyError),
    #[error("it cannot be written: {0}")]
    Head(#[from] Malformed),
}

impl Masks {
    /// Begins an answer that has a body: what masks it, and its head as it is sent to who speaks `version`.
    pub fn begin(&self, head: &ResponseHead, version: Version) -> Result<(MaskedBody, Bytes), Unmasked> {
        if head.status() == 206 {
            return Err(Unmasked::Partial);
        }
        let fields = head.fields();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let media_type = fields.value("content-type")?.map(text);
        let media_type = media_type.as_deref().and_then(MediaType::parse).ok_or(Unmasked::Untyped)?;
        let encodings: Vec<String> = fields.values("content-encoding").map(text).collect();
        let encodings = Encoding::parse(encodings.iter().map(String::as_str))?;
        let mask = BodyMask::new(&self.plan, &self.masker, &media_type, &encodings)?;
        let is_chunked = version == Version::Http11;
        let edits = OF_THE_BYTES.into_iter().fold(Edits::default(), Edits::remove);
        let edits = match is_chunked {
            true => edits.add("Transfer-Encoding", b"chunked")?,
            false => edits.set("Connection", b"close")?,
        };
        Ok((MaskedBody { mask, is_chunked }, edits.response(head)))
    }

    /// Whether an answer of this length has anything to mask.
    pub fn concern(length: BodyLength) -> bool {
        !matches!(length, BodyLength::None | BodyLength::Exact(0))
    }
}

/// A body that is masked as it passes.
pub struct MaskedBody {
    mask: BodyMask,
    /// Otherwise it ends with the connection.
    is_chunked: bool,
}

impl MaskedBody {
    pub fn ends_with_connection(&self) -> bool {
        !self.is_chunked
    }

    /// What is sent for the next payload.
    pub fn feed(&mut self, payload: &[u8]) -> Result<Bytes, Unmasked> {
        let mut masked = Vec::new();
        self.mask.feed(payload, &mut masked)?;
        Ok(self.framed(masked))
    }

    /// What is sent at the end. Trailers stay behind: they may speak of the bytes that came.
    pub fn finish(self) -> Result<Bytes, Unmasked> {
        let Self { mask, is_chunked } = self;
        let mut masked = Vec::new();
        mask.finish(&mut masked)?;
        if !is_chunked {
            return Ok(masked.into());
        }
        let mut out = Vec::with_capacity(masked.len() + 16);
        write::chunk(&masked, &mut out);
        write::last_chunk(&Default::default(), &mut out);
        Ok(out.into())
    }

    fn framed(&self, masked: Vec<u8>) -> Bytes {
        if !self.is_chunked {
            return masked.into();
        }
        let mut out = Vec::with_capacity(masked.len() + 16);
        write::chunk(&masked, &mut out);
        out.into()
    }
}
