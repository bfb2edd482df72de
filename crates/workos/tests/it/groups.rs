//! Who leaves a group has lost what is shared with it: with the next call in one process, as soon as it is heard over separate ones, and also
//! when whoever took him out was gone before he could say so. What services hold of groups for a while is not waited out.
use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually_within;
use tokio::time::Instant;

use crate::{
    client::{Client, name},
    person::Person,
    platform::{Site, shared},
};

/// As long as services believe what they have read of groups.
const BELIEVED: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// A machine may be too slow to tell what was heard from what grew old.
const ATTEMPTS: usize = 5;

/// A document that is shared with a group, in which there is another one, in which there is a member without a role.
struct Crew {
    owner: Client,
    member: Client,
    user: String,
    outer: String,
    inner: String,
    document: String,
}

impl Crew {
    async fn new(client: &Client, owner: &Person) -> Crew {
        let (person, by_owner) = (owner.member(client, "Crew", None).await, owner.sign_in(client).await);
        let organization = &owner.organization;
        let make = async |kind: &str, body: Value| {
            name(&by_owner.post(format!("/v1/{organization}/{kind}"), &body).good().await).to_owned()
        };
        let outer = make("groups", json!({"displayName": "Outer"})).await;
        let inner = make("groups", json!({"displayName": "Inner"})).await;
        let document = make("documents", json!({"title": "Shared with a group"})).await;
        let grant = json!({"principal": format!("{outer}#member"), "role": "READER"});
        by_owner.post(format!("/v1/{document}/grants"), &grant).good().await;
        let member = person.sign_in(client).await;
        let crew = Crew { owner: by_owner, member, user: person.user, outer, inner, document };
        crew.change(&crew.outer, "addMembers", &crew.inner).await;
        crew
    }

    async fn change(&self, group: &str, verb: &str, member: &str) {
        self.owner.post(format!("/v1/{group}:{verb}"), &json!({"members": [member]})).good().await;
    }

    /// What he gets when he asks for the document.
    async fn gets(&self) -> u16 {
        self.member.get(format!("/v1/{}", self.document)).send().await.status.as_u16()
    }

    /// He is put in, and loses what he has by what is done then, before it was old.
    async fn loses(&self, put_in: (&str, &str), taken: impl AsyncFn()) {
        for _ in 0..ATTEMPTS {
            let began = Instant::now();
            self.change(put_in.0, "addMembers", put_in.1).await;
            let is = async |status: u16| {
                let look = || async { (self.gets().await == status).then_some(()) };
                eventually_within(PATIENCE, "the document follows the groups", look).await;
            };
            is(200).await;
            taken().await;
            is(403).await;
            // What was read while he was in is younger than this.
            if began.elapsed() < BELIEVED {
                return;
            }
        }
        panic!("what is held was waited out {ATTEMPTS} times: nobody hears of changes");
    }
}

#[tokio::test]
async fn auth_b03_who_leaves_a_group_loses_what_it_holds_with_the_next_call() {
    let shared = shared().await;
    let crew = Crew::new(&shared.platform.client(), &shared.owner).await;
    let Crew { outer, inner, user, .. } = &crew;
    assert_eq!(crew.gets().await, 403);
    for (group, member) in [(inner, user), (outer, inner), (outer, user)] {
        // By one way alone, whichever it is.
        if (group, member) == (outer, user) {
            crew.change(inner, "removeMembers", user).await;
        }
        crew.change(group, "addMembers", member).await;
        assert_eq!(crew.gets().await, 200, "{member} is in {group}");
        crew.change(group, "removeMembers", member).await;
        assert_eq!(crew.gets().await, 403, "{member} has left {group}");
        if group == inner {
            crew.change(inner, "addMembers", user).await;
        }
    }
    crew.change(outer, "addMembers", inner).await;
    crew.change(inner, "addMembers", user).await;
    assert_eq!(crew.gets().await, 200);
    crew.owner.delete(format!("/v1/{inner}")).good().await;
    assert_eq!(crew.gets().await, 403, "the group by which he was in it has ended");
}

#[tokio::test]
async fn auth_b03_who_is_taken_out_by_somebody_who_is_gone_then_has_lost_it_too() {
    let shared = shared().await;
    let crew = Crew::new(&shared.platform.client(), &shared.owner).await;
    let id: api::Id = crew.inner.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
    // As a call leaves it that is given up once its transaction is committed: the rows, and the event in the outbox.
    let taken = format!(
        "delete from auth.group_members where group_id = '{id}';
         update auth.groups set version = version + 1 where group_id = '{id}';
         insert into auth.outbox_event (event_id, lane, organization_id, aggregate_type, aggregate_id, epoch, aggregate_version, type, payload, headers)
           select gen_random_uuid(), lane, organization_id, aggregate_type, aggregate_id, epoch, aggregate_version + 1, type, payload, headers
           from auth.outbox_event where aggregate_id = '{id}' and type = 'group.updated' order by aggregate_version desc limit 1",
        id = id.uuid()
    );
    let site: &Site = shared.platform.site();
    crew.loses((&crew.inner, &crew.user), async || drop(site.sql(&taken).await)).await;
}

/// In other processes than that of auth.
pub(crate) async fn changes_are_heard_in_other_processes(client: &Client, owner: &Person) {
    let crew = Crew::new(client, owner).await;
    let Crew { outer, inner, user, .. } = &crew;
    crew.loses((inner, user), async || crew.change(inner, "removeMembers", user).await).await;
    crew.change(inner, "addMembers", user).await;
    crew.change(outer, "removeMembers", inner).await;
    crew.loses((outer, inner), async || crew.change(outer, "removeMembers", inner).await).await;
}
