//! Bodies, read as they pass (RFC 9112, sections 6 and 7.1).
//!
//! Nothing is held but the trailer section. The bytes that a reader takes may be forwarded as they are; what of them is
//! payload is said beside, so that it can be masked and framed anew.

use std::ops::Range;

use bytes::Bytes;

use super::{
    BodyLength, CHUNK_LINE_MAX, FIELDS_MAX, Fields, Found, Limit, Malformed, TRAILERS_MAX,
    fields::{is_value, refuse_in_trailers},
};

/// Most digits of a chunk's size.
const SIZE_DIGITS_MAX: u8 = 16;

/// Reads one body, in whatever pieces it comes.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    /// Parsers differ on extensions of chunks, so that those of a workload's are refused. From a server they are
    /// framing, and go where a body is framed anew.
    extensions: bool,
    /// The trailer section so far.
    section: Vec<u8>,
    trailers: Fields,
}

/// Where in a body the next byte stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// In a payload of which so many bytes are to come, at least one.
    Exact(u64),
    UntilClose,
    /// In the line that begins a chunk, after so many digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the digits, after so many bytes of the line.
    Extension {
        size: u64,
        line: usize,
    },
    /// At the LF of that line.
    SizeEnd(u64),
    /// In a chunk of which so many bytes are to come, at least one.
    Chunk(u64),
    /// At the CR behind a chunk.
    ChunkCr,
    /// At the LF behind a chunk.
    ChunkLf,
    /// In a line of the trailer section, which begins at `start`, after so many whole lines.
    Trailers {
        start: usize,
        lines: usize,
    },
    Ended,
}

/// What a reader found in the bytes that it was fed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// So many of the bytes belong to the body.
    pub taken: usize,
    /// These of them are payload; the rest frames it. They are the last that were taken.
    pub payload: Range<usize>,
    /// Whether the body is whole. What was not taken then belongs to the next message.
    pub ended: bool,
}

impl BodyReader {
    /// Reads what follows a request's head.
    pub fn of_request(length: BodyLength) -> Self {
        Self::new(length, false)
    }

    /// Reads what follows a response's head.
    pub fn of_response(length: BodyLength) -> Self {
        Self::new(length, true)
    }

    fn new(length: BodyLength, extensions: bool) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Exact(0) => State::Ended,
            BodyLength::Exact(length) => State::Exact(length),
            BodyLength::Chunked => State::Size { size: 0, digits: 0 },
            BodyLength::UntilClose => State::UntilClose,
        };
        Self { state, extensions, section: Vec::new(), trailers: Fields::default() }
    }

    /// Whether nothing but the connection's end ends it.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Takes bytes up to the end of the first run of payload among them. Until the body has ended, the rest is to be
    /// handed in again; nothing is taken only of nothing.
    ///
    /// After an error the body has no end that can be trusted, and neither has the connection a next message.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        let mut taken = 0;
        while let Some(byte) = bytes.get(taken) {
            let available = bytes.len() - taken;
            let length = match self.state {
                State::Exact(left) | State::Chunk(left) => usize::try_from(left).unwrap_or(available).min(available),
                State::UntilClose => available,
                State::Ended => break,
                State::Size { .. }
                | State::Extension { .. }
                | State::SizeEnd(_)
                | State::ChunkCr
                | State::ChunkLf
                | State::Trailers { .. } => {
                    self.state = self.framing(*byte)?;
                    taken += 1;
                    continue;
                }
            };
            self.state = self.state.after_payload(length);
            return Ok(Progress { taken: taken + length, payload: taken..taken + length, ended: self.has_ended() });
        }
        Ok(Progress { taken, payload: taken..taken, ended: self.has_ended() })
    }

    /// Takes all bytes that belong to the body, where it does not matter which are payload. Returns how many.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut taken = 0;
        loop {
            let progress = self.feed(bytes.get(taken..).unwrap_or_default())?;
            taken += progress.taken;
            if progress.taken == 0 || progress.ended {
                return Ok(taken);
            }
        }
    }

    /// Whether the body is whole.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Takes that the connection was closed: the body must be whole, or end where the connection does.
    pub fn closed(&mut self) -> Result<(), Malformed> {
        match self.state {
            State::UntilClose | State::Ended => {
                self.state = State::Ended;
                Ok(())
            }
            State::Exact(_)
            | State::Size { .. }
            | State::Extension { .. }
            | State::SizeEnd(_)
            | State::Chunk(_)
            | State::ChunkCr
            | State::ChunkLf
            | State::Trailers { .. } => Err(Malformed::Missing("the rest of the body")),
        }
    }

    /// The fields behind a chunked body, once it has ended.
    pub const fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Takes one byte that is no payload.
    fn framing(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) => self.size(size, digits, byte),
            (State::Extension { size, .. }, b'\r') => Ok(State::SizeEnd(size)),
            (State::Extension { line: CHUNK_LINE_MAX.., .. }, _) => Err(Malformed::TooLong(Limit::ChunkLine)),
            (State::Extension { size, line }, _) if is_value(byte) => Ok(State::Extension { size, line: line + 1 }),
            (State::Extension { .. }, _) => Err(unexpected("visible characters and CRLF", byte)),
            (State::SizeEnd(0), b'\n') => Ok(State::Trailers { start: 0, lines: 0 }),
            (State::SizeEnd(size), b'\n') => Ok(State::Chunk(size)),
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::ChunkCr | State::ChunkLf, _) => {
                Err(unexpected("CRLF behind as many bytes as were announced", byte))
            }
            (State::SizeEnd(_), _) => Err(unexpected("LF behind CR", byte)),
            (State::Trailers { start, lines }, _) => self.trailer(start, lines, byte),
            (State::Exact(_) | State::UntilClose | State::Chunk(_) | State::Ended, _) => Ok(self.state),
        }
    }

    /// Takes a byte of a chunk's size, or of what stands behind it. A size is below 2^63.
    fn size(&self, size: u64, digits: u8, byte: u8) -> Result<State, Malformed> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(_), _) if digits == SIZE_DIGITS_MAX || size >> 59 != 0 => {
                Err(unexpected("a size below 2^63 in at most 16 digits", byte))
            }
            (Some(digit), _) => Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }),
            (None, b'\r') if digits > 0 => Ok(State::SizeEnd(size)),
            (None, b';' | b' ' | b'\t') if digits > 0 && self.extensions => {
                Ok(State::Extension { size, line: usize::from(digits) + 1 })
            }
            (None, _) => Err(unexpected("a size in hexadecimal digits and CRLF", byte)),
        }
    }

    /// Takes a byte of the trailer section; each line is judged before its end is taken.
    fn trailer(&mut self, start: usize, lines: usize, byte: u8) -> Result<State, Malformed> {
        if self.section.len() >= TRAILERS_MAX {
            return Err(Malformed::TooLong(Limit::Trailers));
        }
        self.section.push(byte);
        if byte != b'\n' {
            return Ok(State::Trailers { start, lines });
        }
        match self.section.get(start..).unwrap_or_default() {
            b"\r\n" => {
                self.trailers = Fields::read(&std::mem::take(&mut self.section).into(), 0, lines)?;
                Ok(State::Ended)
            }
            [.., b'\r', b'\n'] if lines == FIELDS_MAX => Err(Malformed::TooLong(Limit::Fields)),
            line @ [.., b'\r', b'\n'] => {
                refuse_in_trailers(&Fields::read(&Bytes::copy_from_slice(line), 0, 1)?)?;
                Ok(State::Trailers { start: self.section.len(), lines: lines + 1 })
            }
            _ => Err(Malformed::Byte { part: "trailer", expected: "CR before LF", found: Found(Some(byte)) }),
        }
    }
}

impl State {
    /// What follows on so many bytes of payload.
    fn after_payload(self, length: usize) -> Self {
        let length = length as u64;
        match self {
            Self::Exact(left) if left == length => Self::Ended,
            Self::Exact(left) => Self::Exact(left - length),
            Self::Chunk(left) if left == length => Self::ChunkCr,
            Self::Chunk(left) => Self::Chunk(left - length),
            other => other,
        }
    }
}

fn unexpected(expected: &'static str, byte: u8) -> Malformed {
    Malformed::Byte { part: "chunk", expected, found: Found(Some(byte)) }
}

#[cfg(test)]
mod tests;
