//! What services of this process hold of groups ends with each change: at once when whoever made it says so, and soon when he was gone before
//! he could. It is never waited out.
use std::{sync::Arc, time::Duration};

use api::{CallContext, Caller, Decision, OrganizationId, Parts, Subject, UserId};
use proto::auth::v1::{self as wire, membership::Role};
use testkit::eventually;
use tokio::time::Instant;

use crate::{
    Platform,
    group::{add, group, groups, remove},
    platform,
};

/// As long as services believe what they have read of groups.
const BELIEVED: Duration = Duration::from_secs(10);
/// A machine may be too slow to tell what was heard from what grew old.
const ATTEMPTS: usize = 5;

/// Somebody whose token is older than anything that is read here.
fn caller(platform: &Platform, user: &str) -> Caller {
    let id = |name: &str| name.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
    Caller::seal(Parts {
        subject: Subject::User(UserId(id(user))),
        organization: Some(OrganizationId(id(&platform.organization))),
        role: None,
        custom_roles: Arc::default(),
        scopes: Arc::from(["*".to_owned()]),
        decision: Decision::Granted,
        peer: String::new(),
        issued: Some(platform.system.clock().now().unix_timestamp() - 60),
        session: None,
        acting: None,
        token: None,
        context: CallContext::default(),
    })
}

/// He goes by the name of this group.
async fn goes_by(platform: &Platform, user: &str, group: &str) -> bool {
    let principals = platform.system.host().groups().principals(&caller(platform, user)).await;
    assert!(principals.are_whole(), "auth is here");
    principals.hold(&[format!("{group}#member")])
}

#[tokio::test]
async fn auth_b03_what_is_held_of_groups_ends_with_each_change() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let (outer, inner) = (group(&platform, &owner, "Outer").await.name, group(&platform, &owner, "Inner").await.name);
    assert!(!goes_by(&platform, &bob, &outer).await);
    add(&platform, &owner, &inner, &[&bob]).await.expect("he is a member");
    assert!(goes_by(&platform, &bob, &inner).await && !goes_by(&platform, &bob, &outer).await);
    add(&platform, &owner, &outer, &[&inner]).await.expect("two levels");
    assert!(goes_by(&platform, &bob, &outer).await);
    remove(&platform, &owner, &outer, &[&inner]).await;
    assert!(goes_by(&platform, &bob, &inner).await && !goes_by(&platform, &bob, &outer).await);
    add(&platform, &owner, &outer, &[&inner]).await.expect("two levels");
    assert!(goes_by(&platform, &bob, &outer).await);
    remove(&platform, &owner, &inner, &[&bob]).await;
    assert!(!goes_by(&platform, &bob, &inner).await && !goes_by(&platform, &bob, &outer).await);
    add(&platform, &owner, &inner, &[&bob]).await.expect("he is a member");
    assert!(goes_by(&platform, &bob, &outer).await);
    let delete = wire::DeleteGroupRequest { name: inner.clone(), ..Default::default() };
    groups(&platform, &owner).await.delete_group(delete).await.expect("the owner may");
    assert!(!goes_by(&platform, &bob, &inner).await && !goes_by(&platform, &bob, &outer).await);
}

#[tokio::test]
async fn auth_b03_a_change_is_heard_of_though_whoever_made_it_was_gone_once_it_was_committed() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let crew = group(&platform, &owner, "Crew").await.name;
    // As a call leaves it that is given up in the moment of its commit: the rows, and the event in the outbox.
    let taken = "delete from auth.group_members;
         update auth.groups set version = version + 1;
         insert into auth.outbox_event (event_id, lane, organization_id, aggregate_type, aggregate_id, epoch, aggregate_version, type, payload, headers)
           select gen_random_uuid(), lane, organization_id, aggregate_type, aggregate_id, epoch, aggregate_version + 1, type, payload, headers
           from auth.outbox_event where type = 'group.updated' order by aggregate_version desc limit 1";
    for _ in 0..ATTEMPTS {
        let began = Instant::now();
        add(&platform, &owner, &crew, &[&bob]).await.expect("he is a member");
        assert!(goes_by(&platform, &bob, &crew).await);
        platform.system.sql(taken).await;
        eventually("it is heard of", || async { (!goes_by(&platform, &bob, &crew).await).then_some(()) }).await;
        // What was read while he was in is younger than this.
        if began.elapsed() < BELIEVED {
            return;
        }
    }
    panic!("what is held was waited out {ATTEMPTS} times: nobody hears of changes");
}
