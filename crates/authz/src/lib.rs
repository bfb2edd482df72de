//! Internal tokens: mint, gate, narrow, verify, decide, revoke. No I/O: keys, revocations and directory are
//! handed in from outside.
//!
//! What must hold:
//! - Nothing fails open: what cannot be decided is refused or UNAVAILABLE.
//! - No byte of a token reaches Datalog before the structural gate and the signatures; values are bound, never formatted.
//! - A token is good in one organization; a request that names another is refused as if it did not exist.
//! - Narrowing only ever takes away.
//! - Only this crate seals an [`api::Caller`], only it names biscuit-auth, and no type of biscuit-auth leaves it.

pub mod api_key;
mod decide;
mod directory;
pub mod gate;
mod keys;
mod memo;
mod mint;
mod narrow;
mod observe;
mod peers;
mod revoke;
mod verify;
mod vocabulary;

pub use directory::{CustomRole, Directory};
pub use keys::{KeyError, Keys, VerifyKey, generate_key};
pub use mint::{Acting, CUSTOM_ROLES_MAX, LIFE_MAX, Mint, Subject};
pub use revoke::{Kind, Revocation, Revocations, STALE_AFTER};
pub use verify::{Presented, Verifier};
pub use vocabulary::Credential;
