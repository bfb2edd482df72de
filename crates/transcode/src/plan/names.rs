//! Names to indexes: an open-addressed hash table over all spellings, at most half full.
//!
//! The table holds hashes and indexes only; the names themselves stay where they are. They come from the contract, never
//! from a request; a foreign contract with colliding names makes its own messages slower and nothing else.

/// The table.
#[derive(Debug)]
pub(crate) struct Names {
    /// Hash, and index plus one; 0 is free.
    slots: Box<[(u32, u16)]>,
}

impl Names {
    /// Builds the table; of equal names the first wins.
    pub(super) fn new<'n>(names: impl Iterator<Item = (&'n str, u16)> + Clone) -> Self {
        let size = (names.clone().count() * 2).next_power_of_two();
        let mut slots = vec![(0, 0); size].into_boxed_slice();
        for (name, index) in names {
            let hash = hash(name.as_bytes());
            let mut at = hash as usize & (size - 1);
            while slots[at].1 != 0 {
                at = (at + 1) & (size - 1);
            }
            slots[at] = (hash, index + 1);
        }
        Self { slots }
    }

    /// The index whose spellings, which `spellings` knows, hold `name`.
    pub(super) fn find<'n, S: AsRef<str> + 'n>(
        &self,
        name: &str,
        spellings: impl Fn(usize) -> Option<(&'n S, &'n S)>,
    ) -> Option<usize> {
        let hash = hash(name.as_bytes());
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (known, index) = *self.slots.get(at)?;
            let index = usize::from(index).checked_sub(1)?;
            if known == hash
                && let Some((first, second)) = spellings(index)
                && (first.as_ref() == name || second.as_ref() == name)
            {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
    }
}

/// A multiplicative hash, eight bytes at a time.
fn hash(name: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = name.len() as u64;
    let mut chunks = name.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        state = (state.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    let rest = chunks.remainder().iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    state = (state.rotate_left(23) ^ rest).wrapping_mul(FACTOR);
    (state >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn every_name_is_found_and_no_other() {
        let names: Vec<String> = (0..500).map(|number| format!("field_{number}")).collect();
        let table = Names::new(names.iter().enumerate().map(|(index, name)| (name.as_str(), index as u16)));
        let find = |name: &str| table.find(name, |index| names.get(index).map(|name| (name, name)));
        for (index, name) in names.iter().enumerate() {
            assert_eq!(find(name), Some(index));
        }
        for absent in ["", "field_", "field_500", "FIELD_1"] {
            assert_eq!(find(absent), None);
        }
        let empty = Names::new(std::iter::empty());
        assert_eq!(empty.find("x", |_| None::<(&String, &String)>), None);
    }
}
