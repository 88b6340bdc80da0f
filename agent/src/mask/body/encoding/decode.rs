//! Undoing an encoding, with an eye on what is made larger than it could honestly be.

use std::io::Write;

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, HeapAlloc, HuffmanCode};
use flate2::{Decompress, FlushDecompress, Status, write::GzDecoder};
use zstd::{
    stream::raw::{DParameter, Decoder as ZstdDecoder, Operation},
    zstd_safe::{InBuffer, OutBuffer},
};

use super::{DECODED_MAX, Encoding, RATIO_MAX, UNJUDGED};
use crate::mask::body::BodyError;

/// Encoded bytes that are taken at once. Of gzip they make half a mebibyte at most.
const PIECE: usize = 512;
/// Most decoded bytes that are handed on at once, but for gzip.
const ROOM: usize = 1 << 14;
/// Greatest window, as a power of two: RFC 9659, section 3.
const ZSTD_WINDOW: u32 = 23;

/// Decodes a body as it streams.
pub struct Decoder {
    encoding: Encoding,
    state: State,
    /// The encoded body has ended.
    is_over: bool,
    has_begun: bool,
    taken: u64,
    made: u64,
}

enum State {
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Deflate(Decompress),
    Brotli(Box<BrotliState<HeapAlloc<u8>, HeapAlloc<u32>, HeapAlloc<HuffmanCode>>>),
    Zstd(ZstdDecoder<'static>),
}

/// What became of some encoded bytes.
struct Step {
    taken: usize,
    made: usize,
    is_over: bool,
}

impl Decoder {
    pub fn new(encoding: Encoding) -> Result<Self, BodyError> {
        let corrupt = || BodyError::Corrupt { encoding: encoding.name() };
        let state = match encoding {
            Encoding::Gzip => State::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            Encoding::Deflate => State::Deflate(Decompress::new(true)),
            Encoding::Brotli => State::Brotli(Box::new(BrotliState::new_strict(
                HeapAlloc::new(0),
                HeapAlloc::new(0),
                HeapAlloc::new(HuffmanCode::default()),
            ))),
            Encoding::Zstd => {
                let mut decoder = ZstdDecoder::new().map_err(|_| corrupt())?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).map_err(|_| corrupt())?;
                State::Zstd(decoder)
            }
        };
        Ok(Self { encoding, state, is_over: false, has_begun: false, taken: 0, made: 0 })
    }

    /// Takes encoded bytes, and hands on what they say, piece by piece.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        for piece in bytes.chunks(PIECE) {
            self.has_begun = true;
            self.taken += piece.len() as u64;
            let mut rest = piece;
            let mut room = [0; ROOM];
            let mut is_full = false;
            while !rest.is_empty() || is_full {
                if self.is_over && !self.goes_on() {
                    if rest.is_empty() {
                        break;
                    }
                    return Err(self.trailing());
                }
                let step = self.step(rest, &mut room, each)?;
                self.judge(step.made)?;
                each(room.get(..step.made).unwrap_or_default())?;
                rest = rest.get(step.taken..).unwrap_or_default();
                self.is_over = step.is_over;
                is_full = step.made == ROOM && !step.is_over;
                if step.taken == 0 && step.made == 0 {
                    if rest.is_empty() {
                        break;
                    }
                    return Err(self.corrupt());
                }
            }
        }
        Ok(())
    }

    /// Whether there was a single byte.
    pub const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes the end of the body. A body without a single byte is none, and not encoded either.
    pub fn finish(mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), BodyError>) -> Result<(), BodyError> {
        let corrupt = self.corrupt();
        if let State::Gzip(decoder) = &mut self.state
            && self.has_begun
        {
            decoder.try_finish().map_err(|_| corrupt.clone())?;
            let made = std::mem::take(decoder.get_mut());
            self.judge(made.len())?;
            each(&made)?;
            self.is_over = true;
        }
        if self.is_over || !self.has_begun { Ok(()) } else { Err(corrupt) }
    }

    fn step(
        &mut self,
        bytes: &[u8],
        room: &mut [u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), BodyError>,
    ) -> Result<Step, BodyError> {
        let (corrupt, trailing) = (self.corrupt(), self.trailing());
        match &mut self.state {
            State::Gzip(decoder) => {
                let taken = decoder.write(bytes).map_err(|_| corrupt)?;
                let made = std::mem::take(decoder.get_mut());
                if taken == 0 && !bytes.is_empty() {
                    return Err(trailing);
                }
                self.judge(made.len())?;
                each(&made)?;
                Ok(Step { taken, made: 0, is_over: false })
            }
            State::Deflate(decoder) => {
                let (before, made_before) = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(bytes, room, FlushDecompress::None).map_err(|_| corrupt.clone())?;
                Ok(Step {
                    taken: usize::try_from(decoder.total_in() - before).map_err(|_| corrupt.clone())?,
                    made: usize::try_from(decoder.total_out() - made_before).map_err(|_| corrupt)?,
                    is_over: status == Status::StreamEnd,
                })
            }
            State::Brotli(decoder) => {
                let (mut left, mut taken, mut made) = (bytes.len(), 0, 0);
                let (mut free, mut total) = (room.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left, &mut taken, bytes, &mut free, &mut made, room, &mut total, decoder,
                );
                match result {
                    BrotliResult::ResultFailure => Err(corrupt),
                    BrotliResult::ResultSuccess => Ok(Step { taken, made, is_over: true }),
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {
                        Ok(Step { taken, made, is_over: false })
                    }
                }
            }
            State::Zstd(decoder) => {
                let (mut from, mut to) = (InBuffer::around(bytes), OutBuffer::around(room));
                let left = decoder.run(&mut from, &mut to).map_err(|_| corrupt)?;
                Ok(Step { taken: from.pos(), made: to.pos(), is_over: left == 0 })
            }
        }
    }

    /// Whether more may follow what has ended: frames of zstd follow each other (RFC 8878, section 3.1).
    fn goes_on(&self) -> bool {
        self.encoding == Encoding::Zstd
    }

    fn judge(&mut self, made: usize) -> Result<(), BodyError> {
        self.made += made as u64;
        let encoding = self.encoding.name();
        if self.made > DECODED_MAX {
            return Err(BodyError::Decoded { encoding });
        }
        if self.made > UNJUDGED && self.made / RATIO_MAX > self.taken {
            return Err(BodyError::Bomb { encoding });
        }
        Ok(())
    }

    fn corrupt(&self) -> BodyError {
        BodyError::Corrupt { encoding: self.encoding.name() }
    }

    fn trailing(&self) -> BodyError {
        BodyError::Trailing { encoding: self.encoding.name() }
    }
}
