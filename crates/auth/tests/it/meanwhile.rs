//! What is revoked while tokens are given: whatever a token rests on, a later change of it voids the token.
use std::time::Duration;

use bytes::Bytes;
use prost_types::FieldMask;
use proto::auth::v1::{
    self as wire, membership::Role, organization_service_client::OrganizationServiceClient,
    token_service_client::TokenServiceClient,
};
use testkit::{System, eventually, holding_until};
use tonic::Code;

use crate::{Platform, assert_refused, code, code_grant, exchange, organizations, password_of, platform, tokens, with};

/// Moves the clock to the beginning of a second, so that what follows has most of it before it.
fn begin_a_second(system: &System) {
    let rest = 1_050_000 - u64::from(system.clock().now().microsecond());
    system.clock().advance(Duration::from_micros(rest));
}

/// Where somebody's work is held back: by a lock on this table in this mode, at a statement like this.
pub(crate) struct Place(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

/// At its commit, when it publishes something.
pub(crate) const COMMIT: Place = Place("outbox_event", "share", "insert into outbox_event%");

/// Lets somebody's work come to a place and no further, does something else, and lets the work go on once that is done, or waits for the work.
pub(crate) async fn while_it_waits<T, U>(
    system: &System,
    Place(table, mode, statement): Place,
    work: impl Future<Output = T>,
    meanwhile: impl Future<Output = U>,
) -> (T, U) {
    // A row, for the holder would not hear of a new table before its transaction ends.
    system.sql(&format!("create table auth.after_{table} (at timestamptz)")).await;
    let held = format!(
        "select 1 from pg_locks where granted and relation = 'auth.{table}'::regclass and mode in ('ShareLock', 'ExclusiveLock') \
         and database = (select oid from pg_database where datname = current_database())"
    );
    let waits = format!(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query like '{statement}'"
    );
    let seen = async |sql: &str| eventually("a lock", || async { system.sql(sql).await.pop() }).await;
    let work = async {
        seen(&held).await;
        work.await
    };
    let meanwhile = async {
        seen(&waits).await;
        let done = meanwhile.await;
        system.sql(&format!("insert into auth.after_{table} values (now())")).await;
        done
    };
    let until = holding_until(&format!(
        "exists (select from auth.after_{table}) or exists (select from pg_locks r, pg_locks w where not r.granted and not w.granted \
         and pg_backend_pid() = any(pg_blocking_pids(r.pid)) and r.pid = any(pg_blocking_pids(w.pid)))"
    ));
    let block = format!("begin; lock table auth.{table} in {mode} mode; {until}; commit");
    let (_, worked, done) = tokio::join!(system.sql(&block), work, meanwhile);
    system.sql(&format!("drop table auth.after_{table}")).await;
    (worked, done)
}

async fn assert_void(platform: &Platform, token: Bytes) {
    let mut client = OrganizationServiceClient::new(with(&platform.system, "gateway", token));
    let answer = client.get_organization(wire::GetOrganizationRequest { name: platform.organization.clone() }).await;
    assert_refused(answer, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_b03_who_is_removed_while_his_exchange_waits_holds_nothing() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let membership = platform.membership(&owner, &bob.name).await;
    let mut client = organizations(system, &owner).await;
    let lower = wire::Membership { name: membership.name.clone(), role: Role::Viewer.into(), ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec!["role".to_owned()] });
    let lower = wire::UpdateMembershipRequest { membership: Some(lower), update_mask, ..Default::default() };
    let remove = wire::DeleteMembershipRequest { name: membership.name, ..Default::default() };
    begin_a_second(system);
    // Tokens of this second are void: the exchange waits for the next, and meanwhile he is removed.
    client.update_membership(lower).await.expect("the owner may");
    let (given, removed) = tokio::join!(exchange(system, &signed.access), client.delete_membership(remove));
    removed.expect("the owner may");
    if let Ok(token) = given {
        assert_void(&platform, token).await;
    }
    assert_refused(exchange(system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_b03_a_token_given_while_a_removal_is_committed_is_void() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let membership = platform.membership(&owner, &bob.name).await;
    let mut client = organizations(system, &owner).await;
    let remove = wire::DeleteMembershipRequest { name: membership.name, ..Default::default() };
    let given = async {
        // Seconds after the removal was written, and it is still not committed.
        system.clock().advance(Duration::from_secs(2));
        exchange(system, &signed.access).await
    };
    let (removed, given) = while_it_waits(system, COMMIT, client.delete_membership(remove), given).await;
    removed.expect("the owner may");
    if let Ok(token) = given {
        assert_void(&platform, token).await;
    }
}

#[tokio::test]
async fn auth_b03_a_code_redeemed_while_a_removal_is_committed_gives_no_session() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Admin).await;
    let code = code(system, &bob.email, &password_of("bob"), &platform.organization).await;
    let membership = platform.membership(&owner, &bob.name).await;
    let mut client = organizations(system, &owner).await;
    let remove = wire::DeleteMembershipRequest { name: membership.name, ..Default::default() };
    let sessions = "select count(*) from auth.sessions";
    let before = system.sql(sessions).await;
    let mut redeemed = Box::pin(tokens(system, code_grant(&code)));
    // He waits for the removal, or has his answer before it is committed.
    let begun = async {
        let waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() \
                     and query like '%from organizations%for share'";
        let waits = eventually("he waits for the removal", || async { system.sql(waits).await.pop() });
        tokio::select! {
            answer = &mut redeemed => Some(answer),
            _ = waits => None,
        }
    };
    let removal = while_it_waits(system, COMMIT, client.delete_membership(remove), begun);
    let (removed, early) = Box::pin(removal).await;
    removed.expect("the owner may");
    let answer = match early {
        Some(answer) => answer,
        None => redeemed.await,
    };
    assert_eq!(answer.map(drop), Err("invalid_grant".to_owned()));
    assert_eq!(system.sql(sessions).await, before);
}

#[tokio::test]
async fn the_list_of_revocations_comes_in_pages_that_fit_into_a_message() {
    let platform = platform().await;
    let fill = "insert into auth.revocations (kind, id, renew, not_before, keep_until) \
         select 'member', repeat('x', 50) || n, false, now(), now() + interval '1 hour' from generate_series(1, 60000) n";
    platform.system.sql(fill).await;
    let mut client = TokenServiceClient::new(platform.system.as_workload("document").channel("auth"));
    let answer = client.list_revocations(wire::ListRevocationsRequest::default()).await;
    assert!(!answer.expect("for workloads").into_inner().revocations.is_empty());
}
