//! What has been revoked: held in memory by every verifier, kept fresh from outside.
//!
//! A token falls when it was issued before the `not_before` of an entry that matches one of its ids, or one of a person who acts
//! as its user. An entry marked `renew` (a role or group changed) leaves the credential good: the gateway exchanges it again.
//! Without contact for 30 s the set is stale: methods marked `sensitive` are refused, others go on until tokens expire.
use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use api::{Clock, from_timestamp};
use time::OffsetDateTime;

use crate::vocabulary::{Claims, Credential};

/// Age at which the set counts as stale.
pub const STALE_AFTER: Duration = Duration::from_secs(30);
/// From so many entries on, those that no token can be affected by any more are dropped with the next that is pushed.
const ENTRIES_MAX: usize = 1_000_000;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A session.
    Sid,
    /// A user, everywhere.
    User,
    /// A user in one organization; the id is `user/organization`.
    Member,
    /// An organization.
    Tenant,
    /// A delegation.
    Delegation,
    /// A signing key.
    Kid,
    /// An API key.
    Key,
    /// An OAuth client, whoever it acts for.
    Client,
}

impl Kind {
    const COUNT: usize = 8;

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "sid" => Self::Sid,
            "user" => Self::User,
            "member" => Self::Member,
            "tenant" => Self::Tenant,
            "delegation" => Self::Delegation,
            "kid" => Self::Kid,
            "key" => Self::Key,
            "client" => Self::Client,
            _ => return None,
        })
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What it is about.
    pub kind: Kind,
    /// Which one.
    pub id: String,
    /// Tokens issued before this are void.
    pub not_before: OffsetDateTime,
    /// From here on no token can be affected any more.
    pub keep_until: OffsetDateTime,
    /// The edge credential stays good.
    pub renew: bool,
}

impl Revocation {
    /// Reads an entry as `auth` lists it; `None` when a kind or time is not understood.
    #[must_use]
    pub fn parse(entry: &proto::auth::v1::Revocation) -> Option<Self> {
        let not_before = from_timestamp(entry.not_before.as_ref()?)?;
        let keep_until = from_timestamp(entry.keep_until.as_ref()?)?;
        Some(Self { kind: Kind::parse(&entry.kind)?, id: entry.id.clone(), not_before, keep_until, renew: entry.renew })
    }
}

/// What the set says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// Exchange the credential again.
    Renew,
    /// Void.
    Ended,
}

/// End and renewal of one id, in whole seconds. Both are kept: a later renewal must not hide an end.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    end_before: i64,
    renew_before: i64,
    keep_until: i64,
}

#[derive(Debug, Default)]
struct Set {
    held: [HashMap<String, Entry>; Kind::COUNT],
    /// What was pushed since the last load began, which may not have it.
    pushed: Vec<Revocation>,
    /// How many were pushed ever.
    count: usize,
}

/// The set in force. Clones share it.
#[derive(Clone, Debug)]
pub struct Revocations {
    set: Arc<RwLock<Set>>,
    refreshed: Arc<AtomicI64>,
    clock: Clock,
}

impl Revocations {
    /// An empty set that counts as stale until it is loaded.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { set: Arc::default(), refreshed: Arc::new(AtomicI64::new(i64::MIN)), clock }
    }

    /// The signing key with this number was revoked: what it has signed is void, and the credential behind that is not.
    pub(crate) fn has_key(&self, key_id: u32) -> bool {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        set.held[Kind::Kid as usize].get(&key_id.to_string()).is_some_and(|entry| entry.end_before > 0)
    }

    /// How many entries were pushed: asked for before a load begins.
    #[must_use]
    pub fn pushed(&self) -> usize {
        self.set.read().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Puts these entries in the place of all others, and counts as a refresh. What was pushed since `seen` was read by
    /// [`Revocations::pushed`] stays: the load may be older.
    pub fn replace(&self, seen: usize, entries: Vec<Revocation>) {
        let mut next = Set::default();
        entries.into_iter().for_each(|entry| next.add(entry));
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        let newer = set.count.saturating_sub(seen).min(set.pushed.len());
        let known = set.pushed.len() - newer;
        next.pushed = set.pushed.split_off(known);
        next.pushed.clone().into_iter().for_each(|entry| next.add(entry));
        next.count = set.count;
        *set = next;
        drop(set);
        self.refreshed();
    }

    /// Adds an entry that was pushed.
    pub fn insert(&self, entry: Revocation) {
        let now = self.clock.now().unix_timestamp();
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        if set.len() >= ENTRIES_MAX {
            set.forget(now);
        }
        set.count += 1;
        set.pushed.push(entry.clone());
        set.add(entry);
    }

    /// The set is known to be complete now.
    pub fn refreshed(&self) {
        self.refreshed.store(self.clock.now().unix_timestamp(), Ordering::Relaxed);
    }

    /// Never loaded, or without contact for [`STALE_AFTER`].
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let age = self.clock.now().unix_timestamp().saturating_sub(self.refreshed.load(Ordering::Relaxed));
        age >= i64::try_from(STALE_AFTER.as_secs()).unwrap_or(i64::MAX)
    }

    /// What the set says of a token with these claims.
    pub(crate) fn standing(&self, claims: &Claims) -> Standing {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        let mut standing = Standing::Good;
        let mut ask = |kind: Kind, id: &str| {
            let Some(entry) = set.held[kind as usize].get(id) else { return };
            // The end of a key is none of a credential: another key signs what it is exchanged for next.
            if claims.issued < entry.end_before && kind != Kind::Kid {
                standing = Standing::Ended;
            } else if claims.issued < entry.renew_before.max(entry.end_before) && standing == Standing::Good {
                standing = Standing::Renew;
            }
        };
        ask(Kind::User, &claims.subject);
        match &claims.credential {
            Credential::Session(id) => ask(Kind::Sid, id),
            Credential::Delegation(id) => ask(Kind::Delegation, id),
            Credential::Key(id) => ask(Kind::Key, id),
        }
        if let Some(tenant) = &claims.tenant {
            ask(Kind::Tenant, tenant);
            ask(Kind::Member, &claims.member);
        }
        if let Some(person) = &claims.impersonator {
            ask(Kind::User, &person.user);
            ask(Kind::Member, &person.member);
            ask(Kind::Sid, &person.session);
        }
        ask(Kind::Client, &claims.client);
        ask(Kind::Kid, &claims.key_id);
        standing
    }
}

impl Set {
    fn len(&self) -> usize {
        self.held.iter().map(HashMap::len).sum()
    }

    fn forget(&mut self, now: i64) {
        for entries in &mut self.held {
            entries.retain(|_, entry| entry.keep_until > now);
        }
    }

    fn add(&mut self, revocation: Revocation) {
        let entry = self.held[revocation.kind as usize].entry(revocation.id).or_default();
        // Rounded up: a token of the same second as the revocation is void.
        let before = revocation.not_before.unix_timestamp() + i64::from(revocation.not_before.nanosecond() > 0);
        let slot = if revocation.renew { &mut entry.renew_before } else { &mut entry.end_before };
        *slot = (*slot).max(before);
        entry.keep_until = entry.keep_until.max(revocation.keep_until.unix_timestamp());
    }
}
