//! A coarse sweep over raw bytes: which kinds of content could be there at all.
//!
//! A window of sixty-four bytes becomes one bit mask for each class of bytes ([`Planes`]); candidates
//! are found by shifting and combining masks. Windows overlap by [`OVERLAP`] bytes, so that no pattern
//! hides on a border, and no window needs to know of another.
//!
//! No pattern asks what stands beside a value: on the wire that is the next value's length.

use super::{
    aws, email, iban, jwt,
    kind::{Kind, Kinds},
    pem,
    planes::{Planes, WINDOW},
    ssn,
};

/// Bytes that two neighbouring windows share: one less than the longest pattern of bits.
const OVERLAP: usize = 16;

/// Whether any of these kinds could be in these bytes.
pub(super) fn any(bytes: &[u8], wanted: Kinds) -> bool {
    !fastest_sweep(bytes, wanted, Kinds::NONE).is_empty()
}

/// Which of these kinds could be in these bytes.
pub(super) fn kinds(bytes: &[u8], wanted: Kinds) -> Kinds {
    fastest_sweep(bytes, wanted, wanted)
}

#[cfg(target_arch = "x86_64")]
fn fastest_sweep(bytes: &[u8], wanted: Kinds, enough: Kinds) -> Kinds {
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn sweep_avx2(bytes: &[u8], wanted: Kinds, enough: Kinds) -> Kinds {
        sweep(bytes, wanted, enough)
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { sweep_avx2(bytes, wanted, enough) };
    }
    sweep(bytes, wanted, enough)
}

#[cfg(not(target_arch = "x86_64"))]
fn fastest_sweep(bytes: &[u8], wanted: Kinds, enough: Kinds) -> Kinds {
    sweep(bytes, wanted, enough)
}

/// Sweeps until something was seen, and `enough` with it.
#[inline(always)]
fn sweep(bytes: &[u8], wanted: Kinds, enough: Kinds) -> Kinds {
    let mut seen = Kinds::NONE;
    let mut start = 0;
    while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
        let candidates = match rest.first_chunk() {
            Some(window) => candidates(window, Place { bytes, start }, wanted),
            None => candidates(&padded(rest), Place { bytes, start }, wanted),
        };
        seen = seen.union(candidates);
        if !seen.is_empty() && seen.union(enough) == seen {
            break;
        }
        start += WINDOW - OVERLAP;
    }
    seen
}

/// The last bytes, filled up with zeros, which belong to no pattern.
fn padded(rest: &[u8]) -> [u8; WINDOW] {
    let mut window = [0; WINDOW];
    window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    window
}

/// Where a window stands in what is swept.
#[derive(Clone, Copy)]
struct Place<'a> {
    bytes: &'a [u8],
    start: usize,
}

impl Place<'_> {
    /// Whether one of the positions that a mask names passes a closer look.
    #[inline(always)]
    fn has(self, mut mask: u64, passes: impl Fn(usize) -> bool) -> bool {
        while mask != 0 {
            if passes(self.start + mask.trailing_zeros() as usize) {
                return true;
            }
            mask &= mask - 1;
        }
        false
    }
}

/// Which kinds could be in this window.
#[inline(always)]
fn candidates(window: &[u8; WINDOW], place: Place<'_>, wanted: Kinds) -> Kinds {
    let planes = Planes::of(window);
    let mut seen = Kinds::NONE;
    for kind in Kind::ALL {
        if wanted.contains(kind) && could_hold(&planes, place, kind) {
            seen = seen.with(kind);
        }
    }
    seen
}

#[inline(always)]
fn could_hold(planes: &Planes, place: Place<'_>, kind: Kind) -> bool {
    let bytes = place.bytes;
    match kind {
        Kind::Card => card(planes) != 0,
        Kind::Ssn => written_ssn(planes) != 0 || place.has(bare_ssn(planes), |start| ssn::is_named(bytes, start)),
        Kind::Email => place.has(planes.at, |at| email::is_likely(bytes, at)),
        Kind::Iban => place.has(iban_head(planes), |start| iban::end_of_number(bytes, start).is_some()),
        Kind::AwsId => place.has(aws_id(planes), |start| aws::is_id_at(bytes, start)),
        Kind::AwsSecret => place.has(long_word(planes), |within| aws::is_secret_near(bytes, within)),
        Kind::Jwt => place.has(jwt(planes), |end| jwt::head_ends_at(bytes, end)),
        Kind::PrivateKey => place.has(dashes(planes), |start| pem::label_ends_at(bytes, start)),
    }
}

/// Thirteen digits, or the first groups of a printed number: 4-4-4 or 4-6-4.
#[inline(always)]
fn card(planes: &Planes) -> u64 {
    let (digit, separator) = (planes.digit, planes.separator);
    let plain = run(digit, 8) & run(digit, 8) >> 5;
    let groups = run(digit, 4) & separator >> 4 & run(digit, 4) >> 5;
    let fours = separator >> 9 & run(digit, 4) >> 10;
    let six = run(digit, 2) >> 9 & separator >> 11 & run(digit, 4) >> 12;
    plain | groups & (fours | six)
}

/// `AAA-GG-SSSS`.
#[inline(always)]
fn written_ssn(planes: &Planes) -> u64 {
    let (digit, separator) = (planes.digit, planes.separator);
    digit & run(digit, 2) >> 1 & separator >> 3 & run(digit, 2) >> 4 & separator >> 6 & run(digit, 4) >> 7
}

/// Nine digits at the beginning of a run. They count only behind a word in the same value, so that
/// their beginning is no artefact of the wire.
#[inline(always)]
fn bare_ssn(planes: &Planes) -> u64 {
    run(planes.digit, 8) & planes.digit >> 8 & !(planes.digit << 1)
}

/// Two letters, two digits and eleven more, or the first groups of a printed number: 4-4-3.
#[inline(always)]
fn iban_head(planes: &Planes) -> u64 {
    let (base64, separator) = (planes.base64, planes.separator);
    let head = run(planes.letter, 2) & run(planes.digit, 2) >> 2;
    let plain = run(base64, 8) >> 4 & run(base64, 8) >> 7;
    let printed = separator >> 4 & run(base64, 4) >> 5 & separator >> 9 & run(base64, 2) >> 10 & base64 >> 12;
    head & (plain | printed)
}

/// `A??A` and at least twelve letters or digits more.
#[inline(always)]
fn aws_id(planes: &Planes) -> u64 {
    planes.upper_a_j & planes.upper_a_j >> 3 & run(planes.base64, 16)
}

/// `J` behind two letters or digits.
#[inline(always)]
fn jwt(planes: &Planes) -> u64 {
    planes.upper_a_j & run(planes.base64, 2) << 2
}

/// Each run of at least sixteen.
#[inline(always)]
fn long_word(planes: &Planes) -> u64 {
    let words = run(planes.base64, 16);
    words & !(words << 1)
}

/// Five dashes, or other separators, at the beginning of a run.
#[inline(always)]
fn dashes(planes: &Planes) -> u64 {
    run(planes.separator, 4) & planes.separator >> 4 & !(planes.separator << 1)
}

/// Where a run of so many begins; a power of two.
#[inline(always)]
fn run(mask: u64, length: u32) -> u64 {
    let (mut runs, mut reach) = (mask, 1);
    while reach < length {
        runs &= runs >> reach;
        reach *= 2;
    }
    runs
}
