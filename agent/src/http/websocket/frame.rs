//! Heads of frames, and writing of whole ones (RFC 6455, section 5.2).

use super::{Broken, CONTROL_MAX};

/// The head of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    pub opcode: Opcode,
    /// Whether it ends its message.
    pub is_final: bool,
    /// Bytes of the payload.
    pub length: u64,
    /// What the payload is masked with.
    pub key: Option<[u8; 4]>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn of(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Whether it may stand between the frames of a message.
    pub const fn is_control(self) -> bool {
        self.bits() >= 0x8
    }
}

impl Frame {
    /// Reads the head at the start of `bytes`, and says how many bytes it took; `None` while it is not whole.
    ///
    /// What is wrong is refused as soon as it is seen: reserved bits, unknown opcodes, lengths in more bytes than they
    /// need, control frames in pieces or with more than [`CONTROL_MAX`] bytes.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Broken> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Broken::Reserved(first >> 4 & 0x7));
        }
        let (is_final, opcode) = (first & 0x80 != 0, Opcode::of(first & 0xf).ok_or(Broken::Opcode(first & 0xf))?);
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        if opcode.is_control() && (!is_final || usize::from(second & 0x7f) > CONTROL_MAX) {
            return Err(Broken::Control);
        }
        let Some((length, rest)) = length(second & 0x7f, rest)? else { return Ok(None) };
        let (key, rest) = match (second & 0x80 != 0, rest.split_first_chunk::<4>()) {
            (false, _) => (None, rest),
            (true, Some((key, rest))) => (Some(*key), rest),
            (true, None) => return Ok(None),
        };
        Ok(Some((Self { opcode, is_final, length, key }, bytes.len() - rest.len())))
    }

    /// Writes a frame of this payload, whatever length the head says.
    pub fn write(opcode: Opcode, is_final: bool, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        let mask_bit = if key.is_some() { 0x80 } else { 0 };
        out.push(opcode.bits() | if is_final { 0x80 } else { 0 });
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ ..=125), _) => out.push(length | mask_bit),
            (_, Ok(length)) => {
                out.push(126 | mask_bit);
                out.extend_from_slice(&length.to_be_bytes());
            }
            (_, Err(_)) => {
                out.push(127 | mask_bit);
                out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(key.as_ref().map_or(&[], |key| key));
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = key {
            unmask(key, 0, out.get_mut(start..).unwrap_or_default());
        }
    }

    /// Writes the frame that ends a conversation. Of the reason goes what fits.
    pub fn write_close(code: u16, reason: &str, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        let reason = reason.get(..reason.floor_char_boundary(CONTROL_MAX - 2)).unwrap_or_default();
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        Self::write(Opcode::Close, true, &payload, key, out);
    }
}

/// Masks or unmasks the part of a payload that begins at its byte `at` (RFC 6455, section 5.3).
pub fn unmask(key: [u8; 4], at: u64, payload: &mut [u8]) {
    let mut turned = key;
    turned.rotate_left((at % 4) as usize);
    let (words, rest) = payload.as_chunks_mut::<4>();
    let wide = u32::from_ne_bytes(turned);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned) {
        *byte ^= key;
    }
}

/// The length that the seven bits say, or that stands behind them.
fn length(bits: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Broken> {
    let (length, min, rest) = match bits {
        126 => match rest.split_first_chunk::<2>() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), 126, rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((length, rest)) => (u64::from_be_bytes(*length), 1 << 16, rest),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if (min..1 << 63).contains(&length) { Ok(Some((length, rest))) } else { Err(Broken::Length(length)) }
}

#[cfg(test)]
mod tests;
