//! The structural gate: what a token may look like, decided on raw bytes before any cache, signature or Datalog.
//!
//! Anybody who holds a token can append blocks to it, and biscuit-auth looks at its limits only between steps: a small hostile
//! block could hold a core for seconds. So an appended block may contain nothing but a few bounded checks, which is all that
//! narrowing needs. The gate reads every occurrence of every field and refuses what it does not know, so it cannot be made to
//! see another token than the decoder behind it. It allocates nothing and never recurses.
use mesh::wire::{Fields, Malformed, Value};

mod check;

/// Largest token, in bytes.
pub const BYTES_MAX: usize = 4096;
/// Most appended blocks: gateway, and three hops.
pub const BLOCKS_MAX: usize = 4;
/// Most checks in all appended blocks together.
const CHECKS_MAX: usize = 16;
/// Most checks in one appended block.
const CHECKS_PER_BLOCK_MAX: usize = 8;
/// Most symbols in one appended block.
const SYMBOLS_MAX: usize = 64;

/// Why a token was refused. Said in logs only: the caller hears CREDENTIAL_INVALID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Above [`BYTES_MAX`].
    #[error("the token is too large")]
    Size,
    /// Not protobuf as the format wants it.
    #[error("the token cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// A field that the format does not have, or that stands too often.
    #[error("the token has a field that has no place there")]
    Field,
    /// A required field is absent.
    #[error("the token lacks a field")]
    Missing,
    /// Above [`BLOCKS_MAX`].
    #[error("the token has too many blocks")]
    Blocks,
    /// Not Ed25519, or of a wrong length.
    #[error("the token has a key or signature of another kind")]
    Key,
    /// A third-party block.
    #[error("the token has a third-party block")]
    External,
    /// A fact, rule, scope, public key or context in an appended block.
    #[error("an appended block holds more than checks")]
    MoreThanChecks,
    /// Too many checks, queries, predicates, terms, expressions or operations.
    #[error("an appended block is too large in some part")]
    Bounds,
    /// An operator outside comparison, equality, contains and prefix, or a malformed expression.
    #[error("an appended block uses an operation that is not allowed")]
    Operation,
}

/// Checks the structure of a token.
///
/// # Errors
/// What is wrong with it.
pub fn check(token: &[u8]) -> Result<(), Refused> {
    if token.len() > BYTES_MAX {
        return Err(Refused::Size);
    }
    let (mut key_id, mut authority, mut proof, mut blocks, mut checks) = (0, 0, 0, 0, 0);
    for field in Fields::of(token) {
        match field? {
            (1, value) => {
                small(value)?;
                key_id += 1;
            }
            (2, value) => {
                signed_block(value.bytes()?)?;
                authority += 1;
            }
            (3, value) => {
                blocks += 1;
                if blocks > BLOCKS_MAX {
                    return Err(Refused::Blocks);
                }
                checks += appended(signed_block(value.bytes()?)?)?;
            }
            (4, value) => {
                check_proof(value.bytes()?)?;
                proof += 1;
            }
            _ => return Err(Refused::Field),
        }
    }
    if checks > CHECKS_MAX {
        return Err(Refused::Bounds);
    }
    exactly_once([key_id, authority, proof])
}

/// A signed block: its bytes.
fn signed_block(message: &[u8]) -> Result<&[u8], Refused> {
    let (mut block, mut key, mut signature, mut version) = (None, 0, 0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, value) if block.is_none() => block = Some(value.bytes()?),
            (2, value) => {
                public_key(value.bytes()?)?;
                key += 1;
            }
            (3, value) => {
                length(value, 64)?;
                signature += 1;
            }
            (4, _) => return Err(Refused::External),
            (5, value) => {
                if small(value)? > 1 {
                    return Err(Refused::Field);
                }
                version += 1;
            }
            _ => return Err(Refused::Field),
        }
    }
    exactly_once([key, signature])?;
    if version > 1 {
        return Err(Refused::Field);
    }
    block.ok_or(Refused::Missing)
}

fn public_key(message: &[u8]) -> Result<(), Refused> {
    let (mut algorithm, mut key) = (0, 0);
    for field in Fields::of(message) {
        match field? {
            // Only Ed25519: ids of revocation are signature bytes, and those of ECDSA can be changed by anybody.
            (1, Value::Varint(0)) => algorithm += 1,
            (1, _) => return Err(Refused::Key),
            (2, value) => {
                length(value, 32)?;
                key += 1;
            }
            _ => return Err(Refused::Field),
        }
    }
    exactly_once([algorithm, key])
}

fn check_proof(message: &[u8]) -> Result<(), Refused> {
    let mut seen = 0;
    for field in Fields::of(message) {
        match field? {
            (1, value) => length(value, 32)?,
            (2, value) => length(value, 64)?,
            _ => return Err(Refused::Field),
        }
        seen += 1;
    }
    exactly_once([seen])
}

/// An appended block: only symbols, a version and checks. Gives the number of checks.
fn appended(block: &[u8]) -> Result<usize, Refused> {
    let (mut symbols, mut version, mut checks) = (0, 0, 0);
    for field in Fields::of(block) {
        match field? {
            (1, value) => {
                value.bytes()?;
                symbols += 1;
            }
            (3, value) => {
                if !(3..=6).contains(&small(value)?) {
                    return Err(Refused::Field);
                }
                version += 1;
            }
            (6, value) => {
                checks += 1;
                if checks > CHECKS_PER_BLOCK_MAX {
                    return Err(Refused::Bounds);
                }
                check::check(value.bytes()?)?;
            }
            (2 | 4 | 5 | 7 | 8, _) => return Err(Refused::MoreThanChecks),
            _ => return Err(Refused::Field),
        }
    }
    if symbols > SYMBOLS_MAX {
        return Err(Refused::Bounds);
    }
    exactly_once([version])?;
    Ok(checks)
}

/// A number that fits into 32 bits, so that no decoder may cut it to another one.
fn small(value: Value<'_>) -> Result<u32, Refused> {
    u32::try_from(value.varint()?).map_err(|_| Refused::Field)
}

fn length(value: Value<'_>, expected: usize) -> Result<(), Refused> {
    if value.bytes()?.len() == expected { Ok(()) } else { Err(Refused::Key) }
}

fn exactly_once<const N: usize>(counts: [usize; N]) -> Result<(), Refused> {
    match counts {
        counts if counts.iter().all(|count| *count == 1) => Ok(()),
        counts if counts.contains(&0) => Err(Refused::Missing),
        _ => Err(Refused::Field),
    }
}
