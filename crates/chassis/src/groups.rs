//! Which groups callers are in: asked of the service that owns them when a share is to be decided, and held for a moment.
//!
//! What must hold:
//! - Who has left a group, or whose group has ended, has lost what is shared with it when the event is heard, and [`AGE`] after the change
//!   at the latest, however the group was reached.
//! - A token issued after a change is not decided by what was read before it: to the second, and as far as clocks agree.
//! - What cannot be read gives nobody anything, and says so: [`Principals`] then lack names, and refuse nothing for want of a share.
//! - Only who decides by shares pays. What is held costs a look into a map; callers who come at once ask once.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use api::{Caller, Clock, Error, OrganizationId, Principals, UserId, holders, viewers};
use authz::Directory;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use moka::sync::Cache;
use proto::{
    Role,
    auth::v1::{ListUserGroupsRequest, ListUserGroupsResponse},
};
use tokio::time::Instant;

use crate::{
    identity::{Identity, Sources},
    telemetry::metrics,
};

/// How long what was read is believed without hearing of a change.
const AGE: Duration = Duration::from_secs(10);
/// Time a read may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the source is left alone after a read has failed: who needs no groups does not wait for it with each call.
const REST: Duration = Duration::from_millis(500);
/// Names held at most, of all callers together.
const NAMES_MAX: u64 = 200_000;
/// Notes of changes and of reads under way that may lie around before those that are over are cleared away.
const NOTES_MAX: usize = 1024;

type Key = (OrganizationId, UserId);
type Read = Shared<BoxFuture<'static, Option<Principals>>>;

/// Knows the groups of callers. Clones share what is held.
#[derive(Clone)]
pub struct Groups(Arc<Inner>);

struct Inner {
    sources: Sources,
    directory: Directory,
    clock: Clock,
    held: Cache<Key, Arc<Held>>,
    running: Mutex<HashMap<Key, Running>>,
    changes: RwLock<Changes>,
    /// When the last read failed, unless one has succeeded since.
    failed: Mutex<Option<Instant>>,
}

/// What a read is good for.
#[derive(Clone, Copy)]
struct Stamp {
    begun: Instant,
    /// Tokens issued in this second or before were there when it began.
    covers: i64,
}

struct Held {
    stamp: Stamp,
    principals: Principals,
}

struct Running {
    stamp: Stamp,
    answer: WeakShared<BoxFuture<'static, Option<Principals>>>,
}

/// When changes were heard of last.
struct Changes {
    all: Instant,
    of: HashMap<OrganizationId, Instant>,
}

impl Groups {
    pub(crate) fn new(identity: &Identity, clock: Clock) -> Groups {
        let (sources, directory) = (identity.sources(), identity.directory());
        let weight = |_: &Key, held: &Arc<Held>| u32::try_from(held.principals.names().len()).unwrap_or(u32::MAX);
        let held = Cache::builder().max_capacity(NAMES_MAX).weigher(weight).time_to_live(AGE).build();
        let changes = RwLock::new(Changes { all: Instant::now(), of: HashMap::new() });
        let (running, failed) = (Mutex::default(), Mutex::default());
        Groups(Arc::new(Inner { sources, directory, clock, held, running, changes, failed }))
    }

    /// Names under which something may be shared with the caller.
    pub async fn principals(&self, caller: &Caller) -> Principals {
        let (Some(user), Ok(organization)) = (caller.user(), caller.organization()) else { return Principals::none() };
        self.of(organization, user, caller.issued()).await
    }

    /// The same with the names of those whom a role, built-in or of the organization's own making, allows these permissions to read in the
    /// whole organization. Groups add nothing to who has all of them, and are not asked for.
    pub async fn readers(&self, caller: &Caller, permissions: &[&str]) -> Principals {
        let (Some(user), Ok(organization)) = (caller.user(), caller.organization()) else { return Principals::none() };
        if caller.role().is_some_and(|role| role as i32 >= Role::Viewer as i32) {
            return Principals::without_groups(organization, user).and([viewers(organization)]).suffice();
        }
        let held = permissions.iter().filter(|permission| self.0.directory.grants(caller, permission));
        let held: Vec<_> = held.map(|permission| holders(organization, permission)).collect();
        if held.len() == permissions.len() {
            return Principals::without_groups(organization, user).and(held).suffice();
        }
        self.of(organization, user, caller.issued()).await.and(held)
    }

    /// Groups of an organization changed: nothing that was read before counts.
    pub fn changed(&self, organization: OrganizationId) {
        // Who tells of a change is there.
        self.0.note(None);
        let mut changes = self.0.changes.write().unwrap_or_else(PoisonError::into_inner);
        if changes.of.len() >= NOTES_MAX {
            // What was read before these is not believed any more in any case.
            changes.of.retain(|_, heard| heard.elapsed() <= AGE + TIMEOUT);
        }
        changes.of.insert(organization, Instant::now());
    }

    /// Any group may have changed.
    pub(crate) fn all_changed(&self) {
        self.0.changes.write().unwrap_or_else(PoisonError::into_inner).all = Instant::now();
    }

    async fn of(&self, organization: OrganizationId, user: UserId, issued: Option<i64>) -> Principals {
        let key = (organization, user);
        let issued = issued.unwrap_or_else(|| self.0.now());
        if let Some(held) = self.0.held.get(&key)
            && self.0.good(key, held.stamp, issued)
        {
            return held.principals.clone();
        }
        let answer = if self.0.rests() { None } else { self.read(key, issued).await };
        answer.unwrap_or_else(|| Principals::without_groups(organization, user))
    }

    /// The read under way, if it is good for this token, else a new one.
    fn read(&self, key: Key, issued: i64) -> Read {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Running { stamp, answer }) = running.get(&key)
            && self.0.good(key, *stamp, issued)
            && let Some(answer) = answer.upgrade()
        {
            return answer;
        }
        if running.len() >= NOTES_MAX {
            running.retain(|_, read| read.answer.upgrade().is_some());
        }
        let stamp = Stamp { begun: Instant::now(), covers: issued.max(self.0.now() - 1) };
        let answer = Arc::clone(&self.0).begin(key, stamp).boxed().shared();
        if let Some(answer) = answer.downgrade() {
            running.insert(key, Running { stamp, answer });
        }
        answer
    }
}

impl Inner {
    fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }

    /// A read has failed just now.
    fn rests(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|failed| failed.elapsed() < REST)
    }

    fn note(&self, failed: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner), failed)
    }

    /// Young enough, begun after the last change that was heard of, and after the token was issued.
    fn good(&self, (organization, _): Key, stamp: Stamp, issued: i64) -> bool {
        if stamp.begun.elapsed() >= AGE || issued > stamp.covers {
            return false;
        }
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        stamp.begun > changes.all && changes.of.get(&organization).is_none_or(|heard| stamp.begun > *heard)
    }

    async fn ask(&self, request: ListUserGroupsRequest) -> Result<ListUserGroupsResponse, Error> {
        let away = || Error::unavailable("the source of groups");
        let source = self.sources.current().ok_or_else(away)?;
        tokio::time::timeout(TIMEOUT, source.groups(request)).await.unwrap_or_else(|_| Err(away()))
    }

    async fn begin(self: Arc<Self>, key: Key, stamp: Stamp) -> Option<Principals> {
        let (organization, user) = key;
        match self.ask(ListUserGroupsRequest { parent: organization.name(), user: user.name() }).await {
            Ok(read) => {
                metrics::groups_read("done");
                self.note(None);
                let principals = Principals::of_member(organization, user, read.groups);
                self.held.insert(key, Arc::new(Held { stamp, principals: principals.clone() }));
                Some(principals)
            }
            Err(error) => {
                metrics::groups_read("failed");
                if self.note(Some(Instant::now())).is_none() {
                    let message = error.message();
                    tracing::warn!(error.message = message, "shares with groups do not count: they cannot be read");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
