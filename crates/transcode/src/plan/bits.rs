//! A set of small indexes: which fields of a message, or members of a oneof, have been met.
//!
//! The first 64 are one word, the first 256 need no allocation; messages with more fields are rare.

/// The set.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    first: u64,
    words: [u64; 3],
    far: Vec<u64>,
}

impl Bits {
    /// Adds an index; whether it is new.
    #[inline]
    pub(crate) fn insert(&mut self, index: usize) -> bool {
        if index >= 64 {
            return self.insert_far(index);
        }
        let before = self.first;
        self.first |= 1 << index;
        before != self.first
    }

    #[cold]
    fn insert_far(&mut self, index: usize) -> bool {
        let (word, bit) = (index / 64 - 1, 1 << (index % 64));
        let word = match self.words.get_mut(word) {
            Some(word) => word,
            None => {
                let word = word - self.words.len();
                if self.far.len() <= word {
                    self.far.resize(word + 1, 0);
                }
                &mut self.far[word]
            }
        };
        let before = *word;
        *word |= bit;
        before != *word
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn indexes_are_new_once_near_and_far() {
        let mut bits = Bits::default();
        for index in [0, 63, 64, 255, 256, 1_000] {
            assert!(bits.insert(index), "{index}");
            assert!(!bits.insert(index), "{index}");
        }
        assert!(bits.insert(1) && bits.insert(5_000));
        let mut bits = Bits::default();
        assert!((0..600).all(|index| bits.insert(index)));
        assert!(!(0..600).any(|index| bits.insert(index)));
    }
}
