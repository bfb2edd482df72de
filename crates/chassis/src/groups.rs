//! Which groups callers are in and which links they hold: asked of the service that owns them when a share is to be decided, and held for a
//! moment. With them go the names of their roles, which the token and the directory tell now.
//!
//! What must hold:
//! - Who has left a group, or whose group or link has ended, has lost what is shared with it when the event is heard, and [`AGE`] after the
//!   change at the latest, however the group was reached. A link ends by its time without an event.
//! - A role that was taken away or has ended gives nothing with the next token or as soon as the directory says so.
//! - A token issued after a change is not decided by what was read before it: to the second, and as far as clocks agree.
//! - What cannot be read gives nobody anything, and says so: [`Principals`] then lack names, and refuse nothing for want of a share.
//! - Only who decides by shares pays. What is held costs a look into a map; callers who come at once ask once.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use api::{Caller, Clock, Error, OrganizationId, Principal, Principals, UserId, from_timestamp, holders, viewers};
use authz::Directory;
use events::Delivery;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use moka::sync::Cache;
use proto::{
    Event as _, Role,
    auth::v1::{
        GroupDeleted, GroupUpdated, LinkDeleted, LinkOpened, ListUserGroupsRequest, ListUserGroupsResponse,
        list_user_groups_response::Link,
    },
};
use time::OffsetDateTime;
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
/// Notes of changes and of reads under way that may lie around before those that are over are cleared away for the first time.
const NOTES_MAX: usize = 1024;

type Key = (OrganizationId, UserId);
type Read = Shared<BoxFuture<'static, Option<Held>>>;

/// Knows the groups and links of callers. Clones share what is held.
#[derive(Clone)]
pub struct Groups(Arc<Inner>);

struct Inner {
    sources: Sources,
    directory: Directory,
    clock: Clock,
    held: Cache<Key, Arc<Held>>,
    running: Mutex<Notes<Key, Running>>,
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
    /// When the first of the links that were read ends.
    ends: Option<OffsetDateTime>,
}

#[derive(Clone)]
struct Held {
    stamp: Stamp,
    principals: Principals,
}

struct Running {
    stamp: Stamp,
    answer: WeakShared<BoxFuture<'static, Option<Held>>>,
}

/// When changes were heard of last: of an organization, or of one member alone.
struct Changes {
    all: Instant,
    of: Notes<(OrganizationId, Option<UserId>), Instant>,
}

/// What was read of a caller's groups, for who decides by it later; the default, of who needs none, always holds.
#[derive(Default)]
pub struct Belief(Option<(Key, Stamp)>);

/// Notes of which those that are over are cleared away once there are twice as many as were left the last time, so that each costs the same
/// however many there are.
struct Notes<K, V> {
    of: HashMap<K, V>,
    room: usize,
}

impl<K: Eq + std::hash::Hash, V> Notes<K, V> {
    fn new() -> Self {
        Self { of: HashMap::new(), room: NOTES_MAX }
    }

    fn add(&mut self, key: K, note: V, counts: impl Fn(&V) -> bool) {
        if self.of.len() >= self.room {
            self.of.retain(|_, note| counts(note));
            self.room = NOTES_MAX.max(2 * self.of.len());
        }
        self.of.insert(key, note);
    }
}

impl Groups {
    pub(crate) fn new(identity: &Identity, clock: Clock) -> Groups {
        let (sources, directory) = (identity.sources(), identity.directory());
        let weight = |_: &Key, held: &Arc<Held>| u32::try_from(held.principals.names().len()).unwrap_or(u32::MAX);
        let held = Cache::builder().max_capacity(NAMES_MAX).weigher(weight).time_to_live(AGE).build();
        let changes = RwLock::new(Changes { all: Instant::now(), of: Notes::new() });
        let (running, failed) = (Mutex::new(Notes::new()), Mutex::default());
        Groups(Arc::new(Inner { sources, directory, clock, held, running, changes, failed }))
    }

    /// Names under which something may be shared with the caller.
    pub async fn principals(&self, caller: &Caller) -> Principals {
        self.believed(caller).await.0
    }

    /// The same for who waits for something before he decides by them, and then asks whether they [hold](Groups::hold).
    pub async fn believed(&self, caller: &Caller) -> (Principals, Belief) {
        let (Some(user), Ok(organization)) = (caller.user(), caller.organization()) else {
            return (Principals::none(), Belief(None));
        };
        let (principals, belief) = self.of(organization, user, caller.issued()).await;
        (principals.and(self.roles(organization, caller)), belief)
    }

    /// Names of the caller's roles.
    fn roles(&self, organization: OrganizationId, caller: &Caller) -> impl Iterator<Item = String> + use<> {
        let custom = self.0.directory.roles(caller).into_iter().map(Principal::CustomRole);
        Principal::of_role(caller.role()).chain(custom).map(move |principal| principal.name(organization))
    }

    /// Whether what was read is still believed: not old, and nothing was heard of a change since.
    #[must_use]
    pub fn hold(&self, Belief(read): &Belief) -> bool {
        read.is_none_or(|(key, stamp)| self.0.believes(key, stamp))
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
        let held = held.into_iter().chain(self.roles(organization, caller));
        self.of(organization, user, caller.issued()).await.0.and(held)
    }

    /// Groups or links of an organization changed: nothing that was read before counts.
    pub fn changed(&self, organization: OrganizationId) {
        self.heard_of((organization, None));
    }

    /// What this member alone goes by has changed.
    pub fn changed_of(&self, organization: OrganizationId, user: UserId) {
        self.heard_of((organization, Some(user)));
    }

    fn heard_of(&self, whose: (OrganizationId, Option<UserId>)) {
        // Who tells of a change is there.
        self.0.note(None);
        let mut changes = self.0.changes.write().unwrap_or_else(PoisonError::into_inner);
        // What was read before one that is older is not believed any more in any case.
        changes.of.add(whose, Instant::now(), |heard| heard.elapsed() <= AGE + TIMEOUT);
    }

    /// Hears of an event; false when it is none of groups and links.
    pub(crate) fn heard(&self, event: &Delivery) -> bool {
        match event.envelope.kind.as_str() {
            GroupUpdated::TYPE => {
                // A new name puts nobody in and takes nobody out. What cannot be read may have done so.
                let renamed = event
                    .decode()
                    .is_ok_and(|GroupUpdated { added, removed, .. }| added.is_empty() && removed.is_empty());
                if !renamed {
                    self.changed(event.envelope.organization);
                }
            }
            GroupDeleted::TYPE | LinkDeleted::TYPE => self.changed(event.envelope.organization),
            LinkOpened::TYPE => {
                // It says whose it is; if that cannot be read, it may be anybody's.
                let user = event.decode().ok().and_then(|LinkOpened { user, .. }| UserId::parse(&user).ok());
                self.heard_of((event.envelope.organization, user));
            }
            _ => return false,
        }
        true
    }

    /// Any group may have changed.
    pub(crate) fn all_changed(&self) {
        self.0.changes.write().unwrap_or_else(PoisonError::into_inner).all = Instant::now();
    }

    async fn of(&self, organization: OrganizationId, user: UserId, issued: Option<i64>) -> (Principals, Belief) {
        let key = (organization, user);
        let issued = issued.unwrap_or_else(|| self.0.now());
        if let Some(held) = self.0.held.get(&key)
            && self.0.good(key, held.stamp, issued)
        {
            return (held.principals.clone(), Belief(Some((key, held.stamp))));
        }
        let unknown = || (Principals::without_groups(organization, user), Belief(None));
        if self.0.rests() {
            return unknown();
        }
        let read = self.read(key, issued).await;
        read.map_or_else(unknown, |Held { stamp, principals }| (principals, Belief(Some((key, stamp)))))
    }

    /// The read under way, if it is good for this token, else a new one.
    fn read(&self, key: Key, issued: i64) -> Read {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Running { stamp, answer }) = running.of.get(&key)
            && self.0.good(key, *stamp, issued)
            && let Some(answer) = answer.upgrade()
        {
            return answer;
        }
        let stamp = Stamp { begun: Instant::now(), covers: issued.max(self.0.now() - 1), ends: None };
        let answer = Arc::clone(&self.0).begin(key, stamp).boxed().shared();
        if let Some(answer) = answer.downgrade() {
            running.add(key, Running { stamp, answer }, |read| read.answer.upgrade().is_some());
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

    /// Young enough, with all links still in force, begun after the last change that was heard of, and after the token was issued.
    fn good(&self, key: Key, stamp: Stamp, issued: i64) -> bool {
        issued <= stamp.covers && self.believes(key, stamp)
    }

    fn believes(&self, (organization, user): Key, stamp: Stamp) -> bool {
        if stamp.begun.elapsed() >= AGE || stamp.ends.is_some_and(|end| self.clock.now() >= end) {
            return false;
        }
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let heard = |whose| changes.of.of.get(&(organization, whose)).is_some_and(|heard| stamp.begun <= *heard);
        stamp.begun > changes.all && !heard(None) && !heard(Some(user))
    }

    async fn ask(&self, request: ListUserGroupsRequest) -> Result<ListUserGroupsResponse, Error> {
        let away = || Error::unavailable("the source of groups");
        let source = self.sources.current().ok_or_else(away)?;
        tokio::time::timeout(TIMEOUT, source.groups(request)).await.unwrap_or_else(|_| Err(away()))
    }

    /// Names of those of these links that have not ended, and when the first of them does.
    fn in_force(&self, links: Vec<Link>) -> (Vec<String>, Option<OffsetDateTime>) {
        let now = self.clock.now();
        let end = |link: &Link| link.expire_time.as_ref().and_then(from_timestamp);
        let live: Vec<_> = links.into_iter().filter_map(|link| Some((end(&link)?, link.name))).collect();
        let live = live.into_iter().filter(|(end, _)| *end > now);
        let (ends, names): (Vec<_>, Vec<_>) = live.map(|(end, name)| (end, format!("{name}#holder"))).unzip();
        (names, ends.into_iter().min())
    }

    async fn begin(self: Arc<Self>, key: Key, stamp: Stamp) -> Option<Held> {
        let (organization, user) = key;
        match self.ask(ListUserGroupsRequest { parent: organization.name(), user: user.name() }).await {
            Ok(read) => {
                metrics::groups_read("done");
                self.note(None);
                let (links, ends) = self.in_force(read.links);
                let stamp = Stamp { ends, ..stamp };
                let principals = Principals::of_member(organization, user, read.groups).and(links);
                let held = Held { stamp, principals };
                self.held.insert(key, Arc::new(held.clone()));
                Some(held)
            }
            Err(error) => {
                metrics::groups_read("failed");
                if self.note(Some(Instant::now())).is_none() {
                    let message = error.message();
                    tracing::warn!(
                        error.message = message,
                        "shares with groups and links do not count: they cannot be read"
                    );
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
