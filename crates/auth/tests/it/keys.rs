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
