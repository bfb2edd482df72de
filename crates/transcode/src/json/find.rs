//! Where a string of JSON needs a closer look: quotes, backslashes and control characters.
//!
//! Sixteen bytes at a time in a vector register, eight in a plain one where there are fewer. A rest is looked at together with what
//! stands before it, a short text with what stands behind it.

use wide::u8x16;

use crate::ink::{NEAR, Near, halves};

/// What [`scan`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// The first byte that cannot stand in a JSON string as it is; the length if there is none.
    pub(crate) special: usize,
    /// Whether everything before it is ASCII.
    pub(crate) ascii: bool,
}

/// What a block of bytes holds, a bit for each byte.
#[derive(Clone, Copy)]
struct Marks {
    special: u32,
    high: u32,
}

/// The first byte that cannot stand in a JSON string as it is; the length if there is none.
#[inline]
pub(crate) fn special(bytes: &[u8]) -> usize {
    scan(bytes).special
}

/// As [`special`], and whether the bytes before are ASCII.
#[inline]
pub(crate) fn scan(bytes: &[u8]) -> Found {
    let (mut at, mut high) = (0, 0);
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let marks = block16(block);
        if marks.special != 0 {
            return found(at, marks, high);
        }
        high |= marks.high;
        at += 16;
    }
    rest(bytes, at, high)
}

/// The first of these bytes that cannot stand in a JSON string as it is; their number if there is none.
#[inline]
pub(crate) fn special_of(block: &[u8; NEAR]) -> usize {
    block32(block).special.trailing_zeros() as usize
}

/// Whether a short text is ASCII that can stand in a JSON string.
#[inline]
pub(crate) fn is_plain(near: Near<'_>) -> bool {
    let marks = block32(near.bytes());
    u64::from(marks.special | marks.high) & ((1 << near.len()) - 1) == 0
}

#[inline]
fn block32(block: &[u8; NEAR]) -> Marks {
    let [first, last] = halves(block).map(marks);
    Marks { special: first.special | last.special << 16, high: first.high | last.high << 16 }
}

/// Fewer than sixteen bytes at the end, from `at` on.
#[inline]
fn rest(bytes: &[u8], at: usize, high: u32) -> Found {
    if at == bytes.len() {
        return Found { special: at, ascii: high == 0 };
    }
    if let Some(block) = bytes.last_chunk::<16>() {
        // What stands before `at` holds nothing special, and whether it is ASCII is known.
        let before = bytes.len() - 16;
        let (marks, known) = (block16(block), at - before);
        return found(before, Marks { high: marks.high >> known << known, ..marks }, high);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let (first, last) = (block8(u64::from_le_bytes(*first)), block8(u64::from_le_bytes(*last)));
        let shift = bytes.len() - 8;
        let marks = Marks { special: first.special | last.special << shift, high: first.high | last.high << shift };
        return found_within(bytes.len(), marks);
    }
    let mut word = FILLER;
    for byte in bytes.iter().rev() {
        word = word << 8 | u64::from(*byte);
    }
    found_within(bytes.len(), block8(word))
}

/// Eight letters that are nothing special.
const FILLER: u64 = u64::from_le_bytes([b'a'; 8]);

/// What `marks`, of a block at `at`, say of the whole.
#[inline]
fn found(at: usize, marks: Marks, high: u32) -> Found {
    let place = marks.special.trailing_zeros().min(16);
    let before = marks.high & ((1 << place) - 1);
    Found { special: at + place as usize, ascii: (high | before) == 0 }
}

/// The same of a block that is all there is.
#[inline]
fn found_within(length: usize, marks: Marks) -> Found {
    let found = found(0, marks, 0);
    Found { special: found.special.min(length), ..found }
}

#[inline]
fn block16(block: &[u8; 16]) -> Marks {
    marks(u8x16::new(*block))
}

#[inline]
fn marks(bytes: u8x16) -> Marks {
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    Marks { special: (control | is(b'"') | is(b'\\')).to_bitmask(), high: bytes.to_bitmask() }
}

/// Eight bytes; marks behind the first special byte may be wrong, which nobody asks about.
#[inline]
fn block8(word: u64) -> Marks {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |limit: u8, word: u64| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let quotes = below(1, word ^ (ONES * u64::from(b'"')));
    let slashes = below(1, word ^ (ONES * u64::from(b'\\')));
    // The high bits of eight bytes side by side.
    let gathered = |bits: u64| ((bits & HIGH) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    Marks { special: gathered(below(0x20, word) | quotes | slashes) as u32, high: gathered(word) as u32 }
}

#[cfg(test)]
mod tests {
    use super::{Found, NEAR, Near, is_plain, scan, special_of};

    fn is_special(byte: u8) -> bool {
        byte < 0x20 || byte == b'"' || byte == b'\\'
    }

    #[test]
    fn what_stands_behind_a_short_text_is_not_judged() {
        for place in 0..NEAR {
            for byte in 0..=u8::MAX {
                let mut block = [b'a'; NEAR];
                block[place] = byte;
                assert_eq!(special_of(&block), if is_special(byte) { place } else { NEAR }, "{byte} at {place}");
                for length in 0..=NEAR {
                    let plain = place >= length || !(is_special(byte) || byte >= 0x80);
                    assert_eq!(
                        is_plain(Near::new(&block, length).expect("short")),
                        plain,
                        "{byte} at {place} of {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_byte_at_every_place_is_judged_alike() {
        for length in (0..=35).chain([40, 47, 48, 49, 100]) {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    for filler in [b'a', 0xff, 0x20, 0x80] {
                        let mut text = vec![filler; length];
                        text[place] = byte;
                        let expected = if is_special(byte) { place } else { length };
                        let ascii = text[..expected].is_ascii();
                        let found = Found { special: expected, ascii };
                        assert_eq!(scan(&text), found, "{byte} at {place} of {length}");
                    }
                }
            }
        }
    }
}
