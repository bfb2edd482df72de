//! Signing keys: announced before they sign, kept until the last of what they signed has expired, replaced without a failure.
use std::time::Duration;

use proto::auth::v1::{
    self as wire, list_verify_keys_response::verify_key::Use, signing_key::State,
    signing_key_service_client::SigningKeyServiceClient, token_service_client::TokenServiceClient,
};
use testkit::{System, eventually};
use tonic::Code;

use crate::{
    OPERATORS, OWNER, OWNER_PASSWORD, assert_refused, channel, exchange, platform, refresh_grant, sign_in, token,
};

pub(crate) async fn published(system: &System) -> Vec<String> {
    let mut client = TokenServiceClient::new(system.as_workload("gateway").channel("auth"));
    let keys = client.list_verify_keys(wire::ListVerifyKeysRequest {}).await.expect("for workloads").into_inner().keys;
    keys.into_iter().filter(|key| key.r#use() == Use::Edge).map(|key| key.kid).collect()
}

pub(crate) fn kid(access: &str) -> String {
    jsonwebtoken::decode_header(access).expect("a header").kid.expect("a kid")
}

#[tokio::test]
async fn auth_j09_j10_keys_replace_each_other_and_no_token_fails() {
    let platform = platform().await;
    let system = &platform.system;
    let operator = sign_in(system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let mut keys = SigningKeyServiceClient::new(channel(system, &operator).await);
    let before = published(system).await;
    assert_eq!(before.len(), 1);
    let made = keys.rotate_signing_keys(wire::RotateSigningKeysRequest {}).await.expect("an operator may").into_inner();
    assert_eq!(made.signing_keys.len(), 3, "internal tokens, access tokens, ID tokens");
    assert!(made.signing_keys.iter().all(|key| key.state() == State::Announced));
    let again =
        keys.rotate_signing_keys(wire::RotateSigningKeysRequest {}).await.expect("an operator may").into_inner();
    assert!(again.signing_keys.is_empty(), "a successor is on its way");
    assert_eq!(published(system).await.len(), 2, "published before it signs");
    let mut signed = platform.owner().await;
    assert_eq!(kid(&signed.access), before[0]);
    // Through the turn: each token is good, and so is the one before it.
    for _ in 0..12 {
        system.clock().advance(Duration::from_secs(60));
        exchange(system, &signed.access).await.expect("signed by a key that is active or retiring");
        signed = token(system, refresh_grant(&signed.refresh)).await.expect("the session goes on");
        exchange(system, &signed.access).await.expect("whichever key signs");
    }
    assert_ne!(kid(&signed.access), before[0], "the successor signs");
    let operator = sign_in(system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let keys = SigningKeyServiceClient::new(channel(system, &operator).await);
    let list = wire::ListSigningKeysRequest::default();
    let listed = eventually("the revocations are read again", || async {
        keys.clone().list_signing_keys(list.clone()).await.ok().map(tonic::Response::into_inner)
    })
    .await;
    let states: Vec<_> = listed.signing_keys.iter().map(wire::SigningKey::state).collect();
    assert_eq!(states.iter().filter(|state| **state == State::Active).count(), 3);
    assert_eq!(states.iter().filter(|state| **state == State::Retiring).count(), 3);
    let owner = platform.owner().await;
    let denied = SigningKeyServiceClient::new(channel(system, &owner).await);
    // After so long a jump of the clock a verifier has no list of revoked sign-ins until it has read it again.
    let refused = eventually("the owner of an organization is refused", || async {
        denied
            .clone()
            .rotate_signing_keys(wire::RotateSigningKeysRequest {})
            .await
            .err()
            .filter(|status| status.code() != Code::Unavailable)
    });
    assert_refused(Err::<(), _>(refused.await), Code::PermissionDenied, "ACCESS_DENIED");
}

/// Keys of this kind, as an operator sees them.
async fn listed(system: &System, kind: Use) -> Vec<wire::SigningKey> {
    let operator = sign_in(system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let mut keys = SigningKeyServiceClient::new(channel(system, &operator).await);
    let all = keys.list_signing_keys(wire::ListSigningKeysRequest::default()).await.expect("an operator may");
    all.into_inner().signing_keys.into_iter().filter(|key| key.r#use() == kind).collect()
}

async fn revoke(system: &System, name: &str) -> Result<Option<wire::SigningKey>, tonic::Status> {
    let operator = sign_in(system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let mut keys = SigningKeyServiceClient::new(channel(system, &operator).await);
    let request = wire::RevokeSigningKeyRequest { name: name.to_owned() };
    keys.revoke_signing_key(request).await.map(|answer| answer.into_inner().successor)
}

fn me() -> wire::GetUserRequest {
    wire::GetUserRequest { name: "users/me".to_owned() }
}

#[tokio::test]
async fn auth_b03_a_revoked_key_ends_the_access_tokens_it_has_signed_and_signs_nobody_out() {
    let mut platform = platform().await;
    let signed = platform.owner().await;
    let mut at_work = crate::users(&platform.system, &signed).await;
    at_work.get_user(me()).await.expect("good");
    let key = listed(&platform.system, Use::Edge).await.remove(0);
    let successor = revoke(&platform.system, &key.name).await.expect("an operator may").expect("one signs at once");
    assert_eq!((successor.state(), successor.r#use()), (State::Active, Use::Edge));
    // What was given for it asks for more, and gets nothing.
    assert_refused(at_work.get_user(me()).await, Code::Unauthenticated, "TOKEN_STALE");
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let next = token(&platform.system, refresh_grant(&signed.refresh)).await.expect("the session goes on");
    assert_eq!(format!("signingKeys/{}", kid(&next.access)), successor.name);
    crate::users(&platform.system, &next).await.get_user(me()).await.expect("good");
    assert_eq!(published(&platform.system).await, [kid(&next.access)]);
    let again = revoke(&platform.system, &key.name).await.expect("it is as wanted");
    assert!(again.is_none(), "nothing was to be done: {again:?}");
    assert_refused(revoke(&platform.system, "signingKeys/nothing").await, Code::NotFound, "RESOURCE_NOT_FOUND");
    let mut denied = SigningKeyServiceClient::new(channel(&platform.system, &next).await);
    let request = wire::RevokeSigningKeyRequest { name: successor.name };
    assert_refused(denied.revoke_signing_key(request).await, Code::PermissionDenied, "ACCESS_DENIED");
    platform.system.crash().await;
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &next.access).await.expect("of the successor");
}

#[tokio::test]
async fn auth_b03_a_revoked_key_of_the_mesh_is_replaced_under_the_calls() {
    let platform = platform().await;
    let system = &platform.system;
    let signed = platform.owner().await;
    let mut at_work = crate::users(system, &signed).await;
    let key = listed(system, Use::Internal).await.remove(0);
    revoke(system, &key.name).await.expect("an operator may").expect("one signs at once");
    assert_refused(at_work.get_user(me()).await, Code::Unauthenticated, "TOKEN_STALE");
    crate::users(system, &signed).await.get_user(me()).await.expect("the credential is good, another key signs");
    let kept = system.sql("select count(*) from auth.signing_keys where revoke_time is not null and sealed_key <> ''");
    assert_eq!(kept.await[0][0].as_deref(), Some("0"), "its private half is forgotten");
}

#[tokio::test]
async fn auth_b03_an_announced_key_that_is_revoked_gets_another() {
    let platform = platform().await;
    let system = &platform.system;
    let operator = sign_in(system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let mut keys = SigningKeyServiceClient::new(channel(system, &operator).await);
    let made = keys.rotate_signing_keys(wire::RotateSigningKeysRequest {}).await.expect("an operator may").into_inner();
    let announced = made.signing_keys.iter().find(|key| key.r#use() == Use::Edge).expect("announced");
    let next = revoke(system, &announced.name).await.expect("an operator may").expect("another is announced");
    assert_eq!(next.state(), State::Announced);
    let states: Vec<_> = listed(system, Use::Edge).await.iter().map(wire::SigningKey::state).collect();
    assert_eq!(states, [State::Active, State::Announced]);
    let active = listed(system, Use::Edge).await.remove(0);
    let begins = revoke(system, &active.name).await.expect("an operator may").expect("the announced one begins");
    assert_eq!((begins.name, begins.state), (next.name, State::Active.into()));
}

#[tokio::test]
async fn a_key_that_is_due_is_replaced_by_itself_and_its_private_half_is_forgotten() {
    let mut platform = platform().await;
    let before = published(&platform.system).await;
    let day = Duration::from_secs(24 * 60 * 60);
    platform.system.clock().advance(day * 90);
    platform.system.restart().await;
    assert_eq!(published(&platform.system).await.len(), 2, "the successor is announced");
    platform.system.clock().advance(Duration::from_secs(3 * 60 * 60));
    platform.system.restart().await;
    let after = published(&platform.system).await;
    assert!(after.len() == 1 && after != before, "the old key is gone");
    let kept = platform
        .system
        .sql("select count(*) from auth.signing_keys where expire_time is not null and sealed_key <> ''")
        .await;
    assert_eq!(kept[0][0].as_deref(), Some("0"));
    let signed = platform.owner().await;
    assert_eq!(kid(&signed.access), after[0]);
    exchange(&platform.system, &signed.access).await.expect("good");
}
