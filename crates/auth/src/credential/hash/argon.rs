//! One thread's Argon2id: what is hashed with which parameters, and the memory it is done in.
//!
//! The memory stays from one hash to the next. Otherwise it is mapped anew for each, page by page, and what it leaves free is taken up
//! piecemeal by whoever asks the allocator next (ADR 0061).
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
};

use super::PasswordHash;
use crate::{credential::Password, error::Error};

/// Makes and tests hashes, one at a time.
pub(super) struct Hasher {
    pepper: [u8; 32],
    memory: Vec<Block>,
}

impl Hasher {
    pub(super) fn new(pepper: [u8; 32]) -> Self {
        Self { pepper, memory: Vec::new() }
    }

    /// Lets the memory go until the next hash.
    pub(super) fn rest(&mut self) {
        self.memory = Vec::new();
    }

    /// The hash of a new password, under a salt of its own.
    pub(super) fn make(&mut self, password: &Password) -> Result<PasswordHash, Error> {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let params = Params::new(19 * 1024, 2, 1, None).map_err(Error::fault)?;
        let salt = Salt::generate();
        let hash = phc::PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params).map_err(Error::fault)?,
            salt: Some(salt),
            hash: Some(self.output(password, (algorithm, version, params), &salt)?),
        };
        Ok(PasswordHash(hash.to_string()))
    }

    /// Whether it is the password of this hash, made with whatever parameters.
    pub(super) fn test(&mut self, password: &Password, hash: &PasswordHash) -> Result<bool, Error> {
        let hash = phc::PasswordHash::new(&hash.0).map_err(Error::fault)?;
        let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
            return Err(Error::fault("a stored password hash without salt or hash"));
        };
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(Error::fault)?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from).map_err(Error::fault)?;
        let params = Params::try_from(&hash).map_err(Error::fault)?;
        // Outputs are compared in constant time.
        Ok(self.output(password, (algorithm, version, params), &salt)? == expected)
    }

    fn output(
        &mut self,
        password: &Password,
        (algorithm, version, params): (Algorithm, Version, Params),
        salt: &Salt,
    ) -> Result<Output, Error> {
        let blocks = params.block_count();
        if self.memory.len() < blocks {
            self.memory.resize(blocks, Block::new());
        }
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN));
        let output = output.ok_or_else(|| Error::fault("a password hash that is too long"))?;
        let argon2 = Argon2::new_with_secret(&self.pepper, algorithm, version, params).map_err(Error::fault)?;
        let memory = &mut self.memory[..blocks];
        argon2.hash_password_into_with_memory(password.bytes(), salt, output, memory).map_err(Error::fault)?;
        Output::new(output).map_err(Error::fault)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{CustomizedPasswordHasher, PasswordVerifier};

    use super::*;

    fn password(text: &str) -> Password {
        Password::present("password", text).expect("it is short")
    }

    /// The same memory serves hashes of all sizes, one after the other and after a rest, and they are those of the library's own way.
    #[test]
    fn memory_that_was_used_changes_no_hash() {
        let (pepper, mut hasher) = ([7; 32], Hasher::new([7; 32]));
        let library =
            Argon2::new_with_secret(&pepper, Algorithm::Argon2id, Version::V0x13, Params::DEFAULT).expect("valid");
        let of = |text: &str, (memory, passes): (u32, u32), version| {
            let params = Params::new(memory, passes, 1, None).expect("valid");
            let hash = library.hash_password_customized(
                text.as_bytes(),
                b"sixteen bytes of",
                Some("argon2id"),
                version,
                params,
            );
            PasswordHash(hash.expect("hashed").to_string())
        };
        let hashes = [
            of("one", (64, 3), None),
            of("two", (19 * 1024, 2), None),
            of("three", (32, 1), Some(16)),
            of("four", (2048, 1), None),
        ];
        for _ in 0..2 {
            for (hash, text) in hashes.iter().zip(["one", "two", "three", "four"]) {
                assert!(hasher.test(&password(text), hash).expect("tested"), "{text}");
                assert!(!hasher.test(&password("five"), hash).expect("tested"), "{text}");
            }
            let made = hasher.make(&password("six")).expect("made");
            assert!(library.verify_password(b"six", made.0.as_str()).is_ok());
            assert!(library.verify_password(b"seven", made.0.as_str()).is_err());
            hasher.rest();
        }
        assert!(hasher.test(&password("one"), &PasswordHash("$argon2id$v=19$m=64,t=3,p=1".to_owned())).is_err());
    }
}
