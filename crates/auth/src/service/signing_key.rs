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
    model::{ANNOUNCED_FOR, KeyState, KeyTimes, RevocationKind, Succession, states, succession, successor},
    store::{self, revocation::Owner},
};

/// A public key with its state.
pub(crate) struct KeyShown {
    /// The key.
    pub(crate) key: PublicKey,
    /// Its state now.
    pub(crate) state: KeyState,
}

/// A key that was revoked.
pub(super) struct RevokedKey {
    /// What is void with it: the second of each says that it is to be renewed.
    pub(super) voids: Vec<(RevocationKind, bool)>,
    /// Kid of the key that signs instead, or was announced instead.
    pub(super) successor: Option<String>,
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

    /// Revokes a key; gives the one that takes its place, if it had one to give. Nothing that it has signed is good from the answer on, here
    /// and, within a second, anywhere else. Nobody is signed out: refresh tokens, browsers' sessions and API keys are signed by none of them.
    ///
    /// # Errors
    /// There never was such a key.
    pub(crate) async fn revoke_key(&self, context: &CallContext, kid: &str) -> Result<Option<KeyShown>, Error> {
        let tx = self.change(self.db.system("revoke a signing key", context).await?);
        let keeper = Keeper { vault: &self.vault, config: &self.config, now: self.clock.now() };
        let revoked = keeper.revoke(&tx, kid).await?.ok_or_else(|| api::Error::not_found(name(kid)))?;
        for (what, renew) in revoked.voids {
            self.revoke(&tx, what, Owner::default(), renew).await?;
        }
        tx.audit(Record::done("signing_key.revoked").about(name(kid)).of(OrganizationId::SYSTEM));
        tx.commit().await?;
        self.turn_keys().await?;
        Ok(self.signing_keys()?.into_iter().find(|shown| Some(&shown.key.kid) == revoked.successor.as_ref()))
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
            let mut published = keys.iter().filter(|key| key.kind != KeyUse::Refresh);
            published.clone().count() != known.len()
                || published.any(|key| known.iter().all(|old| old.kid != key.kid || old.times != key.times))
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

    /// Revokes a key, under the lock, and sees to who signs instead. `None` for a kid that no key ever had.
    pub(super) async fn revoke(&self, tx: &Tx, kid: &str) -> Result<Option<RevokedKey>, Error> {
        store::key::lock(tx).await?;
        let (mut voids, mut successor) = (Vec::new(), None);
        let mut keys = store::key::list(tx, self.now).await?;
        keys.retain(|key| KeyUse::TURNED.contains(&key.kind));
        if let Some(place) = keys.iter().position(|key| key.kid == kid) {
            let key = keys.swap_remove(place);
            voids.push((RevocationKind::SigningKey(key.key_id), false));
            if key.kind == KeyUse::Edge {
                // What was given for its tokens is given anew, and for those of a thief it is not.
                let internal = keys.iter().filter(|other| other.kind == KeyUse::Internal);
                voids.extend(internal.map(|other| (RevocationKind::SigningKey(other.key_id), true)));
            }
            let rest: Vec<&StoredKey> = keys.iter().filter(|other| other.kind == key.kind).collect();
            successor = self.succeed(tx, &key, &rest).await?;
        }
        let known = store::key::revoke(tx, kid, self.now).await?;
        Ok(known.then_some(RevokedKey { voids, successor }))
    }

    /// Gives a revoked key a successor, where it needs one.
    async fn succeed(&self, tx: &Tx, key: &StoredKey, rest: &[&StoredKey]) -> Result<Option<String>, Error> {
        let times: Vec<KeyTimes> = rest.iter().map(|other| other.times).collect();
        Ok(match succession(key.times, &times, self.now) {
            Succession::Stays => None,
            Succession::Begins(place) => {
                store::key::begin(tx, &rest[place].kid, self.now).await?;
                Some(rest[place].kid.clone())
            }
            Succession::Made => Some(self.make(tx, key.kind, self.now).await?.kid),
            Succession::Announced(place) => {
                let activate = self.now + ANNOUNCED_FOR;
                store::key::keep(tx, &rest[place].kid, activate + longest_life(self.config) + Duration::HOUR).await?;
                Some(self.make(tx, key.kind, activate).await?.kid)
            }
        })
    }

    async fn make(&self, tx: &Tx, kind: KeyUse, activate: OffsetDateTime) -> Result<StoredKey, Error> {
        let number = store::key::newest(tx).await? + 1;
        let key = NewKey::make(self.vault, kind, number, activate)?;
        store::key::insert(tx, &key, self.now).await?;
        tracing::info!(kind = ?kind, key = key.kid, "signing key made");
        tx.audit(Record::done("signing_key.created").about(name(&key.kid)).of(OrganizationId::SYSTEM));
        Ok(key.stored())
    }

    fn age(&self, kind: KeyUse) -> Duration {
        let age = if kind == KeyUse::Internal { self.config.internal_key_age } else { self.config.edge_key_age };
        Duration::try_from(age).unwrap_or(Duration::DAY)
    }
}

fn name(kid: &str) -> String {
    format!("signingKeys/{kid}")
}

/// Opens the keys; who cannot must not replace them either.
pub(super) fn open(vault: &Vault, keys: &[StoredKey], gone: Vec<GoneKey>, clock: &Clock) -> Result<Keyring, Error> {
    Keyring::open(vault, keys, gone, clock).map_err(|VaultError| Error::fault(WRONG_KEY))
}

const WRONG_KEY: &str = "the signing keys in the database do not open with this wrapping key: restore the file `wrapping-key` of the data folder \
                         or the configured wrapping_key that made them";
