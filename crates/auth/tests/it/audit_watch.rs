//! The audit log as it is watched, and how long each organization keeps it.
use futures::{StreamExt, TryStreamExt};
use proto::auth::v1::{self as wire, audit_service_client::AuditServiceClient, membership::Role};
use testkit::{System, eventually};
use tonic::{Code, Status};

use crate::{Platform, Signed, assert_refused, channel, organizations, platform, refresh_grant, token};

type Entries = tonic::Streaming<wire::AuditEvent>;

async fn watch(platform: &Platform, signed: &Signed, after: Option<i64>) -> Result<Entries, Status> {
    let request = wire::WatchAuditEventsRequest { parent: platform.organization.clone(), after_sequence: after };
    let mut client = AuditServiceClient::new(channel(&platform.system, signed).await);
    client.watch_audit_events(request).await.map(tonic::Response::into_inner)
}

/// Places and actions of the next entries.
async fn next(entries: &mut Entries, count: usize) -> Vec<(i64, String)> {
    let told: Vec<_> = entries.take(count).try_collect().await.expect("the stream goes on");
    told.into_iter().map(|entry: wire::AuditEvent| (entry.sequence, entry.action)).collect()
}

fn named(platform: &Platform, name: &str) -> wire::UpdateOrganizationRequest {
    let organization =
        wire::Organization { name: platform.organization.clone(), display_name: name.to_owned(), ..Default::default() };
    wire::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() }
}

async fn rename(platform: &Platform, owner: &Signed, name: &str) {
    organizations(&platform.system, owner).await.update_organization(named(platform, name)).await.expect("he may");
}

#[tokio::test]
async fn auth_h02_the_log_is_watched_in_the_order_of_its_chain_and_taken_up_where_it_was_left() {
    let platform = platform().await;
    let owner = platform.owner().await;
    rename(&platform, &owner, "One").await;
    let mut all = watch(&platform, &owner, Some(0)).await.expect("the owner may");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(_, action)| action != "organization.updated") {
        seen.extend(next(&mut all, 1).await);
    }
    let last = seen.len();
    let places: Vec<i64> = seen.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (1..=i64::try_from(last).expect("few")).collect::<Vec<_>>(), "each once, from the first on");
    let mut live = watch(&platform, &owner, None).await.expect("the owner may");
    rename(&platform, &owner, "Two").await;
    let told = next(&mut live, 1).await;
    assert_eq!(told[0].1, "organization.updated", "from now on, and at once");
    assert_eq!(next(&mut all, 1).await, told, "the first one goes on");
    drop((all, live));
    rename(&platform, &owner, "Three").await;
    let mut again = watch(&platform, &owner, Some(told[0].0)).await.expect("the owner may");
    let (place, action) = next(&mut again, 1).await.swap_remove(0);
    assert_eq!((place, action.as_str()), (told[0].0 + 1, "organization.updated"), "nothing is lost in between");
    let ahead = watch(&platform, &owner, Some(place + 1000)).await;
    rename(&platform, &owner, "Four").await;
    assert_eq!(next(&mut ahead.expect("counts as now"), 1).await[0].0, place + 1);
    let refused = watch(&platform, &owner, Some(-2)).await.map(drop);
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    let (_, editor) = platform.signed_user(&owner, "bob", Role::Editor).await;
    assert_refused(watch(&platform, &editor, Some(0)).await.map(drop), Code::PermissionDenied, "ACCESS_DENIED");
}

fn kept(platform: &Platform, days: i32) -> wire::UpdateOrganizationRequest {
    let organization =
        wire::Organization { name: platform.organization.clone(), audit_retention_days: days, ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["audit_retention_days".to_owned()] };
    wire::UpdateOrganizationRequest { organization: Some(organization), update_mask: Some(mask), ..Default::default() }
}

/// Makes all entries so many days old, as far as the purge can tell.
async fn age(system: &System, days: i32) {
    let sql = format!(
        "set search_path = auth; alter table audit_event disable trigger audit_await; \
         update audit_event set create_time = create_time - interval '{days} days'; alter table audit_event enable trigger audit_await"
    );
    system.sql(&sql).await;
}

async fn left(system: &System, organization: &str) -> i64 {
    let id = api::OrganizationId::parse(organization).expect("a name").uuid();
    let rows = system.sql(&format!("select count(*) from auth.audit_chain where organization_id = '{id}'")).await;
    rows[0][0].as_deref().expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn auth_h02_each_organization_keeps_its_log_for_its_own_time() {
    let platform = platform().await;
    let (system, owner) = (&platform.system, platform.owner().await);
    let mut client = organizations(system, &owner).await;
    let changed = client.update_organization(kept(&platform, 60)).await.expect("an owner may").into_inner();
    assert_eq!((changed.audit_retention_days, changed.display_name.as_str()), (60, "Analytical Engines"));
    for days in [1, 29, 3651, -1] {
        let refused = client.update_organization(kept(&platform, days)).await;
        assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    }
    let (_, admin) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let shorter = organizations(system, &admin).await.update_organization(kept(&platform, 30)).await;
    assert_refused(shorter, Code::PermissionDenied, "ACCESS_DENIED");
    organizations(system, &admin).await.update_organization(named(&platform, "Engines")).await.expect("an admin may");
    crate::audit::chained(system).await;
    age(system, 59).await;
    system.sql("select auth.audit_purge('400 days', 1000)").await;
    assert_ne!(left(system, &platform.organization).await, 0, "59 days are fewer than 60");
    age(system, 2).await;
    let operators = left(system, crate::OPERATORS).await;
    system.sql("select auth.audit_purge('400 days', 1000)").await;
    assert_eq!(left(system, &platform.organization).await, 0, "61 days are more");
    assert_eq!(left(system, crate::OPERATORS).await, operators, "theirs is the platform's default");
    let back = organizations(system, &owner).await.update_organization(kept(&platform, 0)).await.expect("an owner may");
    assert_eq!(back.into_inner().audit_retention_days, 0, "the default again");
}

#[tokio::test]
async fn auth_h02_an_old_sign_in_takes_nothing_from_the_log() {
    let platform = platform().await;
    let system = &platform.system;
    let first = platform.owner().await;
    system.clock().advance(std::time::Duration::from_secs(901));
    let old = token(system, refresh_grant(&first.refresh)).await.expect("the session goes on");
    let client = organizations(system, &old).await;
    // The clock has left the list of revocations behind; sensitive methods wait for it.
    eventually("the revocations are read again", || async {
        client.clone().update_organization(named(&platform, "Engines")).await.ok()
    })
    .await;
    let refused = client.clone().update_organization(kept(&platform, 60)).await;
    assert_refused(refused, Code::Unauthenticated, "STEP_UP_REQUIRED");
    client.clone().update_organization(kept(&platform, 3650)).await.expect("more is kept");
}
