//! Where a string of JSON needs a closer look: quotes, backslashes and control characters.
//!
//! Eight bytes at a time in one register, and 32 at a time where a text is long: the fixed-size loop is
//! what the compiler turns into vector instructions.

/// What [`scan`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// The first byte that cannot stand in a JSON string as it is; the length if there is none.
    pub(crate) special: usize,
    /// Whether everything before it is ASCII.
    pub(crate) ascii: bool,
}

/// The first byte that cannot stand in a JSON string as it is; the length if there is none.
#[inline]
pub(crate) fn special(bytes: &[u8]) -> usize {
    scan(bytes).special
}

/// As [`special`], and whether the bytes before are ASCII.
#[inline]
pub(crate) fn scan(bytes: &[u8]) -> Found {
    let (mut at, mut all) = (0, 0);
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let marks = marks(word);
        if marks != 0 {
            let place = marks.trailing_zeros();
            all |= word & ((1 << (place - 7)) - 1);
            return Found { special: at + place as usize / 8, ascii: all & HIGH == 0 };
        }
        all |= word;
        at += 8;
        if at == 16 {
            let (used, seen) = plain_blocks(&bytes[at..]);
            at += used;
            all |= u64::from(seen);
        }
    }
    let mut ascii = all & HIGH == 0;
    while let Some(byte) = bytes.get(at).filter(|byte| !is_special(**byte)) {
        ascii &= byte.is_ascii();
        at += 1;
    }
    Found { special: at, ascii }
}

/// How many bytes in whole blocks hold nothing special, and all their bits together.
// Inlined into its callers it is no longer turned into vector instructions: half the speed on long texts.
#[inline(never)]
fn plain_blocks(bytes: &[u8]) -> (usize, u8) {
    let (mut used, mut seen) = (0, 0);
    for block in bytes.chunks_exact(32) {
        if block.iter().fold(false, |found, byte| found | is_special(*byte)) {
            break;
        }
        seen |= block.iter().fold(0, |all, byte| all | byte);
        used += 32;
    }
    (used, seen)
}

const HIGH: u64 = 0x8080_8080_8080_8080;

#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of every special byte; exact up to the first one, which is all that is asked.
#[inline]
fn marks(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |limit: u8, word: u64| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let quotes = below(1, word ^ (ONES * u64::from(b'"')));
    let slashes = below(1, word ^ (ONES * u64::from(b'\\')));
    (below(0x20, word) | quotes | slashes) & HIGH
}

#[cfg(test)]
mod tests {
    use super::{Found, is_special, scan};

    #[test]
    fn every_byte_at_every_place_is_judged_alike() {
        for length in [1, 7, 8, 9, 16, 17, 40, 49, 100] {
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
