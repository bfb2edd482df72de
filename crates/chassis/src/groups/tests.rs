//! What is held is believed for a while, until a change is heard of, and for no token that came after it.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use api::{CallContext, Decision, Id, Parts, Subject};
use authz::CustomRole;
use events::{Delivery, Envelope};
use futures::future::join_all;
use proto::auth::v1::{
    ListRevocationsRequest, ListRevocationsResponse, ListUserGroupsResponse, list_verify_keys_response::VerifyKey,
};
use tokio::sync::Semaphore;

use super::*;
use crate::identity::Source;

const OF: OrganizationId = OrganizationId(Id::ZERO);
const BY: UserId = UserId(Id::ZERO);

/// Says in how many reads it is asked: a group of that number.
struct Counting {
    reads: AtomicUsize,
    away: AtomicBool,
    /// Links that he holds.
    links: Mutex<Vec<Link>>,
    /// A read ends when it gets one.
    open: Semaphore,
}

impl Source for Counting {
    fn keys(&self) -> BoxFuture<'_, Result<Vec<VerifyKey>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn revocations(&self, _: ListRevocationsRequest) -> BoxFuture<'_, Result<ListRevocationsResponse, Error>> {
        Box::pin(std::future::ready(Ok(ListRevocationsResponse::default())))
    }

    fn groups(&self, request: ListUserGroupsRequest) -> BoxFuture<'_, Result<ListUserGroupsResponse, Error>> {
        Box::pin(async move {
            let group = format!("{}/groups/{}", request.parent, self.reads.fetch_add(1, Ordering::SeqCst) + 1);
            self.open.acquire().await.expect("never closed").forget();
            match self.away.load(Ordering::SeqCst) {
                true => Err(Error::unavailable("auth")),
                false => Ok(ListUserGroupsResponse {
                    groups: vec![group],
                    links: self.links.lock().expect("not poisoned").clone(),
                }),
            }
        })
    }
}

struct World {
    groups: Groups,
    source: Arc<Counting>,
    clock: Clock,
    /// Keeps the source.
    _identity: Identity,
}

impl World {
    /// So many reads come back by themselves.
    async fn new(open: usize) -> World {
        let (reads, away, open) = (AtomicUsize::new(0), AtomicBool::new(false), Semaphore::new(open));
        let links = Mutex::default();
        let (source, clock) = (Arc::new(Counting { reads, away, links, open }), Clock::default());
        let identity = Identity::new(clock.clone(), |_, _| Arc::clone(&source) as Arc<dyn Source>);
        let groups = Groups::new(&identity, clock.clone());
        // Nothing counts that was read in the moment of a change, and it begins with one.
        tokio::time::advance(Duration::from_millis(1)).await;
        World { groups, source, clock, _identity: identity }
    }

    fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }

    /// Which read the answer is of, for a token issued then; `None` when the groups are not known.
    async fn read(&self, issued: i64) -> Option<usize> {
        let principals = self.groups.principals(&self.caller(None, issued, &[])).await;
        let group = principals.names().iter().find_map(|name| name.strip_suffix("#member")?.split_once("/groups/"))?;
        group.1.parse().ok()
    }

    fn caller(&self, role: Option<Role>, issued: i64, custom_roles: &[Id]) -> Caller {
        Caller::seal(Parts {
            subject: Subject::User(BY),
            organization: Some(OF),
            role,
            custom_roles: custom_roles.iter().map(ToString::to_string).collect(),
            scopes: Arc::from(["*".to_owned()]),
            decision: Decision::Granted,
            peer: String::new(),
            issued: Some(issued),
            session: None,
            acting: None,
            token: None,
            context: CallContext::default(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_held_until_it_is_old_or_a_change_of_the_organization_is_heard_of() {
    let world = World::new(100).await;
    let before = world.now() - 60;
    assert_eq!(world.read(before).await, Some(1));
    tokio::time::advance(AGE - Duration::from_millis(1)).await;
    assert_eq!(world.read(before).await, Some(1), "not old yet");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.read(before).await, Some(2), "old");
    tokio::time::advance(Duration::from_millis(1)).await;
    world.groups.changed(OrganizationId(api::Ids::default().next()));
    assert_eq!(world.read(before).await, Some(2), "another organization");
    world.groups.changed(OF);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.read(before).await, Some(3), "a change");
    world.groups.all_changed();
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.read(before).await, Some(4), "anything may have changed");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_decided_by_what_was_read_before_it_was_issued() {
    let world = World::new(100).await;
    let first = world.now();
    assert_eq!(world.read(first).await, Some(1));
    assert_eq!(world.read(first).await, Some(1), "the token that it was read for");
    assert_eq!(world.read(first - 1).await, Some(1), "an older one");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.read(first + 2).await, Some(2), "a newer one");
    assert_eq!(world.read(first).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn callers_who_come_at_once_ask_once_and_a_change_meanwhile_is_read_anew() {
    let world = World::new(0).await;
    let before = world.now() - 60;
    let many = join_all((0..50).map(|_| world.read(before)));
    tokio::pin!(many);
    assert!(futures::poll!(&mut many).is_pending());
    assert_eq!(world.source.reads.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    world.groups.changed(OF);
    tokio::time::advance(Duration::from_millis(1)).await;
    let late = world.read(before);
    tokio::pin!(late);
    assert!(futures::poll!(&mut late).is_pending());
    assert_eq!(world.source.reads.load(Ordering::SeqCst), 2, "the read under way may have seen what was before");
    world.source.open.add_permits(2);
    assert!(many.await.iter().all(|read| *read == Some(1)));
    assert_eq!(late.await, Some(2));
    assert_eq!(world.read(before).await, Some(2), "what came back late does not stay");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_holds_up_nobody() {
    let world = World::new(0).await;
    let before = world.now() - 60;
    {
        let given_up = world.read(before);
        tokio::pin!(given_up);
        assert!(futures::poll!(&mut given_up).is_pending());
    }
    world.source.open.add_permits(1);
    assert_eq!(world.read(before).await, Some(2), "a read that nobody waits for has ended");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_lacks_names_and_is_asked_for_again() {
    let world = World::new(100).await;
    let caller = world.caller(None, world.now() - 60, &[]);
    world.source.away.store(true, Ordering::SeqCst);
    let unknown = world.groups.principals(&caller).await;
    assert!(!unknown.are_whole());
    assert_eq!(unknown.names().len(), 2, "himself and all members");
    world.source.away.store(false, Ordering::SeqCst);
    assert!(!world.groups.principals(&caller).await.are_whole(), "a source that is away is left alone for a moment");
    tokio::time::advance(REST).await;
    let known = world.groups.principals(&caller).await;
    assert!(known.are_whole());
    assert_eq!(known.names().len(), 3);
    // Held for a while, also when the source goes away again; then nothing is known.
    world.source.away.store(true, Ordering::SeqCst);
    assert!(world.groups.principals(&caller).await.are_whole());
    tokio::time::advance(AGE).await;
    assert!(!world.groups.principals(&caller).await.are_whole());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_does_not_come_ends() {
    let world = World::new(0).await;
    assert!(!world.groups.principals(&world.caller(None, world.now() - 60, &[])).await.are_whole());
}

#[tokio::test(start_paused = true)]
async fn who_reads_everything_by_a_role_is_in_no_need_of_groups() {
    let world = World::new(100).await;
    let (all, reads) = (["document:read", "file:read"], || world.source.reads.load(Ordering::SeqCst));
    let viewer = world.groups.readers(&world.caller(Some(Role::Viewer), world.now(), &[]), &all).await;
    assert!(viewer.are_whole() && viewer.hold(&[viewers(OF)]) && !viewer.hold(&[holders(OF, "file:read")]));
    let role = |permissions: &[&str]| {
        let id = api::Ids::default().next();
        let permissions = permissions.iter().map(|permission| (*permission).to_owned()).collect();
        world.groups.0.directory.put(CustomRole { organization: OF, id, version: 1, permissions });
        id
    };
    let (some, every) = (role(&["document:read"]), role(&["document:read", "file:read"]));
    let reader = world.groups.readers(&world.caller(None, world.now(), &[every]), &all).await;
    assert!(reader.hold(&[holders(OF, "file:read")]) && !reader.hold(&[viewers(OF)]));
    assert_eq!(reads(), 0);
    let half = world.groups.readers(&world.caller(None, world.now(), &[some]), &all).await;
    assert!(half.hold(&[holders(OF, "document:read")]) && !half.hold(&[holders(OF, "file:read")]));
    assert_eq!((reads(), half.names().len()), (1, 5), "his files are shared with groups, and with his role");
}

/// An event of groups as it comes.
fn event<E: proto::Event + prost::Message>(event: &E) -> Delivery {
    let id = api::Ids::default().next();
    let envelope = Envelope {
        event_id: id.uuid(),
        kind: E::TYPE.to_owned(),
        source: "auth".to_owned(),
        subject: String::new(),
        organization: OF,
        aggregate_type: "group".to_owned(),
        aggregate_id: id,
        version: 2,
        epoch: 0,
        actor: String::new(),
        request_id: String::new(),
        traceparent: String::new(),
        time: Clock::default().now(),
        schema: E::full_name(),
    };
    Delivery { envelope, payload: event.encode_to_vec().into(), attempt: 1 }
}

#[tokio::test(start_paused = true)]
async fn only_what_changes_who_is_in_a_group_ends_what_is_held() {
    let world = World::new(100).await;
    let before = world.now() - 60;
    assert_eq!(world.read(before).await, Some(1));
    let (name, member) = (format!("{}/groups/1", OF.name()), vec![BY.name()]);
    let renamed = GroupUpdated { name: name.clone(), ..GroupUpdated::default() };
    assert!(world.groups.heard(&event(&renamed)));
    assert!(
        !world.groups.heard(&event(&proto::auth::v1::GroupCreated { name: name.clone() })),
        "nobody is in a new one"
    );
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.read(before).await, Some(1));
    let newer = Delivery { payload: vec![0xff].into(), ..event(&renamed) };
    let changes = [
        event(&GroupUpdated { added: member.clone(), ..renamed.clone() }),
        event(&GroupUpdated { removed: member, ..renamed }),
        event(&GroupDeleted { name }),
        newer,
    ];
    for (change, read) in changes.iter().zip(2..) {
        assert!(world.groups.heard(change));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(world.read(before).await, Some(read), "{}", change.envelope.kind);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_member_opens_ends_what_is_held_of_him_alone() {
    let world = World::new(100).await;
    let (before, name) = (world.now() - 60, format!("{}/links/{}", OF.name(), Id::ZERO));
    assert_eq!(world.read(before).await, Some(1));
    let other = UserId(api::Ids::default().next());
    for (user, read) in [(other.name(), 1), (BY.name(), 2), (String::new(), 3)] {
        assert!(world.groups.heard(&event(&LinkOpened { name: name.clone(), user: user.clone() })));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(world.read(before).await, Some(read), "{user}");
    }
    assert!(world.groups.heard(&event(&LinkDeleted { name })));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.read(before).await, Some(4), "who held it is known to its owner alone");
}

#[tokio::test(start_paused = true)]
async fn a_link_ends_with_its_time_however_young_what_was_read_is() {
    let world = World::new(100).await;
    let name = |at: u8| format!("{}/links/{}", OF.name(), Id::derive(Id::ZERO, &[at]));
    let ends = |at: u8, seconds| {
        let end = world.clock.now() + Duration::from_secs(seconds);
        Link { name: name(at), expire_time: Some(api::timestamp(end)) }
    };
    *world.source.links.lock().expect("not poisoned") =
        vec![ends(1, 3), ends(2, 60), Link { name: name(3), expire_time: None }];
    let caller = world.caller(None, world.now() - 60, &[]);
    let (principals, belief) = world.groups.believed(&caller).await;
    let holds = |principals: &Principals, at| principals.hold(&[format!("{}#holder", name(at))]);
    assert!(holds(&principals, 1) && holds(&principals, 2) && !holds(&principals, 3), "what has no end is none");
    assert!(world.groups.hold(&belief));
    world.clock.advance(Duration::from_secs(3));
    assert!(!world.groups.hold(&belief), "one has ended");
    let principals = world.groups.principals(&caller).await;
    assert!(!holds(&principals, 1) && holds(&principals, 2), "its owner still told it");
    assert_eq!(world.source.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_goes_by_the_roles_that_token_and_directory_say_now() {
    let world = World::new(100).await;
    let (there, gone) = (api::Ids::default().next(), api::Ids::default().next());
    let role = CustomRole { organization: OF, id: there, version: 1, permissions: std::collections::HashSet::new() };
    world.groups.0.directory.put(role);
    let named = |role: Id| Principal::CustomRole(role).name(OF);
    let editor = world.groups.principals(&world.caller(Some(Role::Editor), world.now() - 60, &[there, gone])).await;
    assert!(editor.hold(&[named(there)]) && !editor.hold(&[named(gone)]));
    let built_in = |role| Principal::Role(role).name(OF);
    assert!(editor.hold(&[built_in(Role::Viewer)]) && editor.hold(&[built_in(Role::Editor)]));
    assert!(!editor.hold(&[built_in(Role::Admin)]));
    world.groups.0.directory.remove(OF, there);
    let member = world.groups.principals(&world.caller(None, world.now() - 60, &[there])).await;
    assert!(!member.hold(&[named(there)]) && !member.hold(&[built_in(Role::Viewer)]));
    assert_eq!(world.source.reads.load(Ordering::SeqCst), 1, "roles are not asked for");
    world.source.away.store(true, Ordering::SeqCst);
    tokio::time::advance(AGE).await;
    let unknown = world.groups.principals(&world.caller(Some(Role::Viewer), world.now() - 60, &[])).await;
    assert!(!unknown.are_whole() && unknown.hold(&[built_in(Role::Viewer)]), "what is known counts");
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_does_not_decide_by_what_is_no_longer_believed() {
    let world = World::new(100).await;
    let caller = world.caller(None, world.now() - 60, &[]);
    let (principals, belief) = world.groups.believed(&caller).await;
    assert!(principals.are_whole() && world.groups.hold(&belief));
    world.groups.changed(OF);
    assert!(!world.groups.hold(&belief), "a change was heard of");
    tokio::time::advance(Duration::from_millis(1)).await;
    let (_, belief) = world.groups.believed(&caller).await;
    let (_, same) = world.groups.believed(&caller).await;
    tokio::time::advance(AGE - Duration::from_millis(1)).await;
    assert!(world.groups.hold(&belief) && world.groups.hold(&same));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!world.groups.hold(&belief) && !world.groups.hold(&same), "it is old");
    world.source.away.store(true, Ordering::SeqCst);
    let (unknown, belief) = world.groups.believed(&caller).await;
    world.groups.changed(OF);
    assert!(!unknown.are_whole() && world.groups.hold(&belief), "what is not known cannot change");
}

#[test]
fn notes_are_cleared_away_now_and_then_and_not_with_each_new_one() {
    let (mut notes, looks, many) = (Notes::new(), AtomicUsize::new(0), 20 * NOTES_MAX);
    let counts = |note: &bool| {
        looks.fetch_add(1, Ordering::Relaxed);
        *note
    };
    for key in 0..many {
        notes.add(key, true, counts);
    }
    assert!(looks.load(Ordering::Relaxed) <= 2 * many, "{looks:?} looks at {many} notes that all count");
    assert_eq!(notes.of.len(), many);
    notes.of.values_mut().for_each(|note| *note = false);
    for key in many..4 * many {
        notes.add(key, false, counts);
    }
    assert!(notes.of.len() <= NOTES_MAX, "{} are over", notes.of.len());
}
