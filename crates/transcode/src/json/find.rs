//! Where a string of JSON needs a closer look: quotes, backslashes and control characters.
//!
//! Eight bytes at a time in one register, and 32 at a time where a text is long: the fixed-size loop is
//! what the compiler turns into vector instructions.

/// The first byte that cannot stand in a JSON string as it is; the length if there is none.
#[inline]
pub(crate) fn special(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at == 16 {
            at += plain_blocks(&bytes[at..]);
        }
    }
    bytes[at..].iter().position(|byte| is_special(*byte)).map_or(bytes.len(), |found| at + found)
}

/// Bytes in whole blocks that hold nothing special.
fn plain_blocks(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks_exact(32);
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |found, byte| found | is_special(*byte));
    blocks.take_while(is_plain).count() * 32
}

#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of every special byte; exact up to the first one, which is all that is asked.
#[inline]
fn marks(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |limit: u8, word: u64| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let quotes = below(1, word ^ (ONES * u64::from(b'"')));
    let slashes = below(1, word ^ (ONES * u64::from(b'\\')));
    (below(0x20, word) | quotes | slashes) & HIGH
}

#[cfg(test)]
mod tests {
    use super::{is_special, special};

    #[test]
    fn every_byte_at_every_place_is_judged_alike() {
        for length in [1, 7, 8, 9, 16, 17, 40, 49, 100] {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    for filler in [b'a', 0xff, 0x20, 0x80] {
                        let mut text = vec![filler; length];
                        text[place] = byte;
                        let expected = if is_special(byte) { place } else { length };
                        assert_eq!(special(&text), expected, "{byte} at {place} of {length}");
                    }
                }
            }
        }
    }
}
