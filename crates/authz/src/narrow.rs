//! Narrowing: before a token leaves, it is bound to the method called, to what that method calls in turn, and to a short time.
//! A method that calls nothing gets a sealed token for one resource: useless elsewhere, and nobody can go on with it. The gateway
//! leaves the resource open (docs/adr/0022): its token goes to the service that owns them all, and one token for all resources
//! is what makes a warm request free of signing and of verifying.
use std::time::Duration;

use api::{Clock, Error};
use biscuit_auth::{UnverifiedBiscuit, error};
use bytes::Bytes;
use moka::sync::Cache;
use proto::Method;
use sha2::{Digest, Sha256};

use crate::{gate, observe, vocabulary::narrowing};

/// How long a narrowed token is used again.
const REUSE: Duration = Duration::from_secs(10);
/// Narrowed tokens held at most.
const HELD_MAX: u64 = 100_000;
/// Life of a narrowed token: reuse, the longest deadline of a call, and some clock skew.
const LIFE_SECS: i64 = 75;
/// The same for streams, whose handler may call on late; the authority block ends it anyway.
const STREAM_LIFE_SECS: i64 = 600;

/// Narrows tokens and keeps the result for a few seconds.
#[derive(Clone)]
pub(crate) struct Narrowing {
    held: Cache<[u8; 32], Bytes>,
    clock: Clock,
    at_edge: bool,
}

impl Narrowing {
    /// `at_edge`: this is the gateway.
    pub(crate) fn new(clock: Clock, at_edge: bool) -> Self {
        Self { held: Cache::builder().max_capacity(HELD_MAX).time_to_live(REUSE).build(), clock, at_edge }
    }

    /// The token for one call.
    pub(crate) fn narrow(
        &self,
        token: &Bytes,
        method: &'static Method,
        resource: Option<&str>,
    ) -> Result<Bytes, Error> {
        let access = method.access.as_ref().ok_or_else(Error::denied)?;
        let leaf = access.closure.len() <= 1;
        let resource = resource.filter(|_| leaf && !self.at_edge);
        let key = key(token, method.rpc, resource);
        if let Some(narrowed) = self.held.get(&key) {
            return Ok(narrowed);
        }
        gate::check(token).map_err(|refused| Error::credential_invalid().caused_by(refused))?;
        let life = if method.is_unary() { LIFE_SECS } else { STREAM_LIFE_SECS };
        let end = self.clock.now().unix_timestamp() + life;
        let narrowed = append(token, &access.closure, end, resource, leaf).map_err(refused)?;
        // What does not pass the gate would be refused at the other end, with less to go by.
        gate::check(&narrowed).map_err(|refused| {
            observe::refused("narrowing");
            Error::denied().caused_by(refused)
        })?;
        self.held.insert(key, narrowed.clone());
        Ok(narrowed)
    }
}

fn append(token: &[u8], rpcs: &[&str], end: i64, resource: Option<&str>, seal: bool) -> Result<Bytes, error::Token> {
    let narrowed = UnverifiedBiscuit::from(token)?.append(narrowing(rpcs, end, resource)?)?;
    let narrowed = if seal { narrowed.seal()? } else { narrowed };
    narrowed.to_vec().map(Bytes::from)
}

fn refused(error: error::Token) -> Error {
    match error {
        // The method's `calls` do not name what is called: the contract must say it.
        error::Token::AppendOnSealed | error::Token::AlreadySealed => Error::denied().caused_by(error),
        error => Error::credential_invalid().caused_by(error),
    }
}

fn key(token: &[u8], rpc: &str, resource: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((token.len() as u64).to_le_bytes());
    hash.update(token);
    hash.update((rpc.len() as u64).to_le_bytes());
    hash.update(rpc);
    hash.update(resource.map_or(&b"-"[..], |_| b"+"));
    hash.update(resource.unwrap_or_default());
    hash.finalize().into()
}
