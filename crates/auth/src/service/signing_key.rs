//! Signing keys: made when missing, announced in time, opened again when there are new ones.
//!
//! They are made under an advisory lock, so that of several instances one makes them. Every instance looks every minute: far more often
//! than the ten minutes for which a key is announced.
use std::sync::Arc;

use api::{CallContext, Clock, Id, OrganizationId};
use db::{Record, Tx};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Auth, PageRequest, longest_life};
use crate::{
    config::Config,
    credential::{GoneKey, KeyUse, Keyring, NewKey, PublicKey, StoredKey, Vault, VaultError},
    error::Error,
    model::{KeyState, KeyTimes, states, successor},
    store,
};

/// A public key with its state.
pub(crate) struct KeyShown {
    /// The key.
    pub(crate) key: PublicKey,
    /// Its state now.
    pub(crate) state: KeyState,
}

impl Auth {
    /// Opens the signing keys; makes those that are missing, announces successors that are due.
    ///
    /// # Errors
    /// The database is away, or the wrapping key is not the one that sealed the keys.
    pub(crate) async fn turn_keys(&self) -> Result<(), Error> {
        let context = CallContext::background("auth-keys", &self.ids);
        self.turn(&context, false).await.map(drop)
    }

    /// Announces successors of all keys that have none, whatever their age.
    pub(crate) async fn rotate_keys(&self, context: &CallContext) -> Result<Vec<KeyShown>, Error> {
        let made = self.turn(context, true).await?;
        let shown = self.signing_keys()?;
        Ok(shown.into_iter().filter(|shown| made.contains(&shown.key.kid)).collect())
    }

    /// All keys that are not gone, oldest first.
    pub(crate) fn signing_keys(&self) -> Result<Vec<KeyShown>, Error> {
        let (keys, now) = (self.keys()?, self.clock.now());
        let mut shown = Vec::with_capacity(keys.public.len());
        for kind in KeyUse::TURNED {
            let of_kind: Vec<_> = keys.public.iter().filter(|key| key.kind == kind).collect();
            let times: Vec<KeyTimes> = of_kind.iter().map(|key| key.times).collect();
            let known = of_kind.into_iter().zip(states(&times, now)).filter(|(_, state)| *state != KeyState::Gone);
            shown.extend(known.map(|(key, state)| KeyShown { key: key.clone(), state }));
        }
        shown.sort_by_key(|shown| shown.key.key_id);
        Ok(shown)
    }

    /// A page of them. There are few: the token is the number of the last.
    pub(crate) fn signing_key_page(
        &self,
        context: &CallContext,
        request: &PageRequest,
    ) -> Result<(Vec<KeyShown>, String), Error> {
        let (after, size) = self.page(context, "signingKeys", request)?;
        let rank = |key: &KeyShown| Id::from_uuid(Uuid::from_u128(key.key.key_id.into()));
        let rest = self.signing_keys()?.into_iter().filter(|key| rank(key) > after);
        Ok(self.cut(context, "signingKeys", rest.take(size + 1).collect(), size, rank))
    }

    /// One look under the lock; gives the kids of new keys.
    async fn turn(&self, context: &CallContext, early: bool) -> Result<Vec<String>, Error> {
        let tx = self.db.system("look after the signing keys", context).await?;
        let keeper = Keeper { vault: &self.vault, config: &self.config, now: self.clock.now() };
        let (keys, made) = keeper.look(&tx, early).await?;
        let known = self.keys.borrow().as_ref().map(|ring| ring.public.clone());
        let stale = known.is_none_or(|known| {
            keys.iter().filter(|key| key.kind != KeyUse::Refresh).count() != known.len()
                || keys.iter().any(|key| known.iter().any(|old| old.kid == key.kid && old.times != key.times))
        });
        let ring = match stale {
            true => {
                // A client may come with the ID token of a sign-in for as long as that may go on.
                let since = keeper.now - Duration::try_from(self.config.session_life).map_err(Error::fault)?;
                let gone = store::key::gone(&tx, since, keeper.now).await?;
                Some(open(&self.vault, &keys, gone, &self.clock)?)
            }
            false => None,
        };
        tx.commit().await?;
        if let Some(ring) = ring {
            let of_mesh = ring.public.iter().filter(|key| key.kind == KeyUse::Internal);
            let of_mesh =
                of_mesh.map(|key| authz::VerifyKey { key_id: key.key_id, public_key: key.bytes.clone().into() });
            self.verify_keys.replace(of_mesh.collect());
            self.keys.send_replace(Some(Arc::new(ring)));
        }
        Ok(made)
    }
}

/// Looks after the keys, for the service and for an operator at the machine.
pub(super) struct Keeper<'a> {
    /// Seals their private halves.
    pub(super) vault: &'a Vault,
    /// Says how long they sign.
    pub(super) config: &'a Config,
    /// Now.
    pub(super) now: OffsetDateTime,
}

impl Keeper<'_> {
    /// Makes the keys that are missing and announces successors that are due, under the lock; `early`, whatever the age of the present
    /// ones. Gives all keys, and the kids of new ones.
    pub(super) async fn look(&self, tx: &Tx, early: bool) -> Result<(Vec<StoredKey>, Vec<String>), Error> {
        store::key::lock(tx).await?;
        let mut keys = store::key::list(tx, self.now).await?;
        let mut made = Vec::new();
        for kind in KeyUse::ALL {
            let times: Vec<KeyTimes> = keys.iter().filter(|key| key.kind == kind).map(|key| key.times).collect();
            let activate = match times.is_empty() {
                true => Some(self.now),
                false if !KeyUse::TURNED.contains(&kind) => None,
                false => successor(&times, self.age(kind), early, self.now),
            };
            let Some(activate) = activate else { continue };
            let expire = activate + longest_life(self.config) + Duration::HOUR;
            store::key::retire(tx, kind, expire).await?;
            keys.iter_mut().filter(|key| key.kind == kind && key.times.expire.is_none()).for_each(|key| {
                key.times.expire = Some(expire);
            });
            let key = self.make(tx, kind, activate).await?;
            made.push(key.kid.clone());
            keys.push(key);
        }
        store::key::forget(tx, self.now).await?;
        Ok((keys, made))
    }

    async fn make(&self, tx: &Tx, kind: KeyUse, activate: OffsetDateTime) -> Result<StoredKey, Error> {
        let number = store::key::newest(tx).await? + 1;
        let key = NewKey::make(self.vault, kind, number, activate)?;
        store::key::insert(tx, &key, self.now).await?;
        tracing::info!(kind = ?kind, key = key.kid, "signing key made");
        tx.audit(
            Record::done("signing_key.created").about(format!("signingKeys/{}", key.kid)).of(OrganizationId::SYSTEM),
        );
        Ok(key.stored())
    }

    fn age(&self, kind: KeyUse) -> Duration {
        let age = if kind == KeyUse::Internal { self.config.internal_key_age } else { self.config.edge_key_age };
        Duration::try_from(age).unwrap_or(Duration::DAY)
    }
}

/// Opens the keys; who cannot must not replace them either.
pub(super) fn open(vault: &Vault, keys: &[StoredKey], gone: Vec<GoneKey>, clock: &Clock) -> Result<Keyring, Error> {
    Keyring::open(vault, keys, gone, clock).map_err(|VaultError| Error::fault(WRONG_KEY))
}

const WRONG_KEY: &str = "the signing keys in the database do not open with this wrapping key: restore the file `wrapping-key` of the data folder \
                         or the configured wrapping_key that made them";
