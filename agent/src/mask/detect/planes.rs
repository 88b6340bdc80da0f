//! One bit mask for each class of bytes in a window.

/// Bytes in a window: one for each bit of a mask.
pub(super) const WINDOW: usize = 64;

/// The masks of one window. Bit *n* stands for byte *n*.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) digit: u64,
    pub(super) letter: u64,
    /// Letters, digits, `+` and `/`.
    pub(super) base64: u64,
    pub(super) separator: u64,
    pub(super) at: u64,
    /// `A` and `J`, of which one stands in each key id and each token.
    pub(super) upper_a_j: u64,
}

impl Planes {
    #[inline(always)]
    pub(super) fn of(window: &[u8; WINDOW]) -> Self {
        let digit = bits(window, |byte| byte.wrapping_sub(b'0') < 10);
        let letter = bits(window, |byte| (byte | 0x20).wrapping_sub(b'a') < 26);
        Self {
            digit,
            letter,
            base64: digit | letter | bits(window, |byte| (byte == b'+') | (byte == b'/')),
            separator: bits(window, |byte| (byte == b' ') | (byte == b'-') | (byte == b'.')),
            at: bits(window, |byte| byte == b'@'),
            upper_a_j: bits(window, |byte| (byte == b'A') | (byte == b'J')),
        }
    }
}

/// The bytes of a class as bits. Written without branches, so that the compiler turns the comparison
/// into a few vector instructions.
#[inline(always)]
fn bits(window: &[u8; WINDOW], member: impl Fn(u8) -> bool) -> u64 {
    gather(&window.map(|byte| if member(byte) { 0x80 } else { 0 }))
}

/// The high bits of sixty-four bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn gather(flags: &[u8; WINDOW]) -> u64 {
    use std::arch::x86_64::{_mm_movemask_epi8, _mm_set_epi64x};
    let high = |sixteen: &[u8]| {
        let wide = sixteen.first_chunk().map_or(0, |sixteen| i128::from_le_bytes(*sixteen));
        // SAFETY: SSE2 is part of x86-64.
        let high = unsafe { _mm_movemask_epi8(_mm_set_epi64x((wide >> 64) as i64, wide as i64)) };
        high as u32
    };
    let half = |half: &[u8]| {
        let (low, rest) = half.split_at(16);
        high(low) | high(rest) << 16
    };
    let (low, rest) = flags.split_at(32);
    u64::from(half(low)) | u64::from(half(rest)) << 32
}

/// The high bits of sixty-four bytes: a multiplication moves those of eight bytes side by side.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn gather(flags: &[u8; WINDOW]) -> u64 {
    const SIDE_BY_SIDE: u64 = 0x0002_0408_1020_4081;
    let (eights, _) = flags.as_chunks::<8>();
    eights.iter().rev().fold(0, |mask, eight| {
        let high = u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080;
        mask << 8 | high.wrapping_mul(SIDE_BY_SIDE) >> 56
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{aws::is_base64, runs::is_separator},
        *,
    };

    proptest! {
        #[test]
        fn each_bit_stands_for_its_byte(block: [u8; 32]) {
            let mut bytes = [0; WINDOW];
            bytes[16..48].copy_from_slice(&block);
            let planes = Planes::of(&bytes);
            for (index, byte) in bytes.iter().enumerate() {
                prop_assert_eq!(planes.digit >> index & 1 == 1, byte.is_ascii_digit());
                prop_assert_eq!(planes.base64 >> index & 1 == 1, is_base64(*byte));
                prop_assert_eq!(planes.separator >> index & 1 == 1, is_separator(*byte));
                prop_assert_eq!(planes.at >> index & 1 == 1, *byte == b'@');
            }
        }
    }
}
