//! One side's frames, read as they pass.

use std::ops::Range;

use super::{Broken, CONTROL_MAX, Frame, HEAD_MAX, Opcode, frame::unmask, utf8::Utf8};

/// Reads what one side sends, in whatever pieces it comes.
#[derive(Debug)]
pub struct FrameReader {
    is_workload: bool,
    state: State,
    /// The message whose frames are not all here.
    message: Option<Message>,
    /// The payload of the control frame under way, unmasked.
    control: Vec<u8>,
}

/// Where in a frame the next byte stands.
#[derive(Clone, Copy, Debug)]
enum State {
    Head {
        bytes: [u8; HEAD_MAX],
        have: usize,
    },
    /// In a payload after so many of its bytes; at least one is to come.
    Payload {
        frame: Frame,
        kind: Kind,
        at: u64,
    },
    Closed,
}

/// A message of several frames.
#[derive(Clone, Debug)]
enum Message {
    Text(Utf8),
    Binary,
}

/// What a frame belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// What a reader found in the bytes that it was fed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// So many of the bytes were taken.
    pub taken: usize,
    /// `None` while a frame's head is not whole.
    pub piece: Option<Piece>,
}

/// A part of one frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    pub kind: Kind,
    /// These of the bytes are payload. They are the last that were taken.
    pub payload: Range<usize>,
    /// What they are masked with, and where in the payload they stand, for [`unmask`].
    pub mask: Option<([u8; 4], u64)>,
    /// Whether the frame ends with them.
    pub ends_frame: bool,
    /// Whether the message ends with them.
    pub ends_message: bool,
}

impl FrameReader {
    /// Reads what a workload sends: every frame is masked (RFC 6455, section 5.1).
    pub const fn of_workload() -> Self {
        Self::new(true)
    }

    /// Reads what a server sends: no frame is masked.
    pub const fn of_server() -> Self {
        Self::new(false)
    }

    const fn new(is_workload: bool) -> Self {
        Self { is_workload, state: State::START, message: None, control: Vec::new() }
    }

    /// Takes bytes up to the end of the first run of payload among them, or of the first frame that has none. The rest
    /// is to be handed in again.
    ///
    /// Text is UTF-8 across frames and pieces, and the bytes that break it are not taken.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Broken> {
        let mut taken = 0;
        let (frame, kind, at) = loop {
            match &mut self.state {
                State::Payload { frame, kind, at } => break (*frame, *kind, *at),
                State::Closed if bytes.len() > taken => return Err(Broken::AfterClose),
                State::Closed => return Ok(Progress { taken, piece: None }),
                State::Head { bytes: head, have } => {
                    let Some(byte) = bytes.get(taken) else { return Ok(Progress { taken, piece: None }) };
                    taken += 1;
                    if let Some(place) = head.get_mut(*have) {
                        *place = *byte;
                    }
                    *have += 1;
                    let Some((frame, _)) = Frame::read(head.get(..*have).unwrap_or_default())? else { continue };
                    break (frame, self.begin(frame)?, 0);
                }
            }
        };
        let available = bytes.len() - taken;
        let length = usize::try_from(frame.length - at).unwrap_or(available).min(available);
        let payload = taken..taken + length;
        self.look(kind, frame.key, at, bytes.get(payload.clone()).unwrap_or_default())?;
        let at_end = at + length as u64;
        let ends_frame = at_end == frame.length;
        self.state = State::Payload { frame, kind, at: at_end };
        if ends_frame {
            self.end(kind, frame.is_final)?;
        }
        let mask = frame.key.map(|key| (key, at));
        let ends_message = ends_frame && frame.is_final;
        Ok(Progress { taken: payload.end, piece: Some(Piece { kind, payload, mask, ends_frame, ends_message }) })
    }

    /// The payload of the control frame that ended last, unmasked.
    pub fn control(&self) -> &[u8] {
        &self.control
    }

    /// Whether this side has said that it sends nothing more.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Takes the head of a frame, and says what it belongs to.
    fn begin(&mut self, frame: Frame) -> Result<Kind, Broken> {
        match (self.is_workload, frame.key) {
            (true, None) => return Err(Broken::Unmasked),
            (false, Some(_)) => return Err(Broken::Masked),
            (true, Some(_)) | (false, None) => {}
        }
        if frame.opcode.is_control() {
            self.control.clear();
        }
        let (kind, message) = match (frame.opcode, &self.message) {
            (Opcode::Close, _) => return Ok(Kind::Close),
            (Opcode::Ping, _) => return Ok(Kind::Ping),
            (Opcode::Pong, _) => return Ok(Kind::Pong),
            (Opcode::Continuation, Some(Message::Text(_))) => return Ok(Kind::Text),
            (Opcode::Continuation, Some(Message::Binary)) => return Ok(Kind::Binary),
            (Opcode::Continuation, None) => return Err(Broken::Continuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Broken::Interrupted),
            (Opcode::Text, None) => (Kind::Text, Message::Text(Utf8::default())),
            (Opcode::Binary, None) => (Kind::Binary, Message::Binary),
        };
        self.message = Some(message);
        Ok(kind)
    }

    /// Looks at a part of a payload: text has to be UTF-8, and what control frames hold is kept.
    fn look(&mut self, kind: Kind, key: Option<[u8; 4]>, at: u64, payload: &[u8]) -> Result<(), Broken> {
        if kind == Kind::Binary {
            return Ok(());
        }
        let mut block = [0; 1024];
        let mut at = at;
        for piece in payload.chunks(block.len()) {
            let clear = block.get_mut(..piece.len()).unwrap_or_default();
            clear.copy_from_slice(piece);
            if let Some(key) = key {
                unmask(key, at, clear);
            }
            at += piece.len() as u64;
            match (kind, &mut self.message) {
                (Kind::Text, Some(Message::Text(utf8))) => {
                    if !utf8.feed(clear) {
                        return Err(Broken::Text);
                    }
                }
                (Kind::Text | Kind::Binary, _) => {}
                (Kind::Close | Kind::Ping | Kind::Pong, _) => self.control.extend_from_slice(clear),
            }
        }
        debug_assert!(self.control.len() <= CONTROL_MAX);
        Ok(())
    }

    /// Ends a frame.
    fn end(&mut self, kind: Kind, is_final: bool) -> Result<(), Broken> {
        self.state = State::START;
        match kind {
            Kind::Ping | Kind::Pong => {}
            Kind::Close => {
                require_close(&self.control)?;
                self.state = State::Closed;
            }
            Kind::Text | Kind::Binary if !is_final => {}
            Kind::Text | Kind::Binary => match self.message.take() {
                Some(Message::Text(utf8)) if !utf8.is_whole() => return Err(Broken::Text),
                Some(Message::Text(_) | Message::Binary) | None => {}
            },
        }
        Ok(())
    }
}

impl State {
    const START: Self = Self::Head { bytes: [0; HEAD_MAX], have: 0 };
}

/// A close frame holds nothing, or a code that may be sent and a reason in UTF-8 (RFC 6455, section 7.4, and IANA's
/// registry).
fn require_close(payload: &[u8]) -> Result<(), Broken> {
    match payload.split_first_chunk::<2>() {
        None if payload.is_empty() => Ok(()),
        None => Err(Broken::CloseCode(0)),
        Some((code, reason)) => match u16::from_be_bytes(*code) {
            1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => Ok(()),
            1000..=1003 | 1007..=1014 | 3000..=4999 => Err(Broken::Text),
            code => Err(Broken::CloseCode(code)),
        },
    }
}

#[cfg(test)]
mod tests;
