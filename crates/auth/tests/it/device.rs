//! Device authorization: codes, polls, the decision in a browser, wrong codes.
use std::time::Duration;

use proto::auth::v1::{
    self as wire, consent_service_client::ConsentServiceClient, membership::Role, o_auth_client::Kind,
};
use tonic::{Code, Status};

use crate::{
    Platform, assert_refused,
    browser::{browser_of, browsers, owner_browser},
    channel,
    client::{App, register, web},
    exchange, oauth, platform, refresh_grant, tokens,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(crate) async fn tv(platform: &Platform) -> App {
    let owner = platform.owner().await;
    let native =
        wire::OAuthClient { kind: Kind::Native.into(), ..web(&["openid", "organization:read", "offline_access"]) };
    register(platform, &owner, native).await
}

pub(crate) async fn begin(platform: &Platform, app: &App, scope: &str) -> wire::AuthorizeDeviceResponse {
    let request = wire::AuthorizeDeviceRequest { client: app.proof(), scope: scope.to_owned() };
    oauth(&platform.system).authorize_device(request).await.expect("the endpoint answers").into_inner()
}

pub(crate) async fn poll(platform: &Platform, app: &App, code: &str) -> Result<wire::TokenResponse, String> {
    let request = wire::TokenRequest {
        grant_type: GRANT.to_owned(),
        client: app.proof(),
        device_code: code.to_owned(),
        ..wire::TokenRequest::default()
    };
    tokens(&platform.system, request).await
}

async fn find(platform: &Platform, session: &str, network: &str, code: &str) -> Result<wire::DeviceShown, Status> {
    let request = wire::FindDeviceRequest {
        user_code: code.to_owned(),
        session: session.to_owned(),
        network: network.to_owned(),
    };
    browsers(&platform.system).find_device(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn decide(platform: &Platform, session: &str, code: &str, approve: bool) -> Result<(), Status> {
    let request = wire::DecideDeviceRequest {
        user_code: code.to_owned(),
        session: session.to_owned(),
        network: "10.0.0.1".to_owned(),
        approve,
    };
    browsers(&platform.system).decide_device(request).await.map(|_| ())
}

#[tokio::test]
async fn auth_o15_a_device_polls_until_somebody_decides() {
    let platform = platform().await;
    let app = tv(&platform).await;
    let session = owner_browser(&platform).await;
    let codes = begin(&platform, &app, "openid organization:read").await;
    assert_eq!((codes.expire_after.expect("set").seconds, codes.interval.expect("set").seconds), (600, 5));
    let (letters, code) = (codes.user_code.replace('-', ""), codes.device_code.as_str());
    assert!(letters.len() == 8 && letters.bytes().all(|letter| b"BCDFGHJKLMNPQRSTVWXZ".contains(&letter)), "{letters}");
    let error = |answer: Result<wire::TokenResponse, String>| answer.map(|_| ()).expect_err("not yet");
    assert_eq!(error(poll(&platform, &app, code).await), "authorization_pending");
    assert_eq!(error(poll(&platform, &app, code).await), "slow_down");
    platform.system.clock().advance(Duration::from_secs(6));
    assert_eq!(error(poll(&platform, &app, code).await), "slow_down", "the interval is longer by now");
    platform.system.clock().advance(Duration::from_secs(16));
    assert_eq!(error(poll(&platform, &app, code).await), "authorization_pending");
    decide(&platform, &session, &letters.to_lowercase(), true).await.expect("it waits");
    platform.system.clock().advance(Duration::from_secs(16));
    let other = App { id: "workos-cli".to_owned(), ..app.clone() };
    assert_eq!(error(poll(&platform, &other, code).await), "invalid_grant");
    let answer = poll(&platform, &app, code).await.expect("let in");
    assert_eq!((answer.scope.as_str(), answer.refresh_token.as_str()), ("openid organization:read", ""));
    assert_ne!(answer.id_token, "");
    exchange(&platform.system, &answer.access_token).await.expect("good");
    assert_eq!(error(poll(&platform, &app, code).await), "invalid_grant", "the code is used up");
    let denied = begin(&platform, &app, "").await;
    decide(&platform, &session, &denied.user_code, false).await.expect("it waits");
    assert_eq!(error(poll(&platform, &app, &denied.device_code).await), "access_denied");
    let late = begin(&platform, &app, "").await;
    platform.system.clock().advance(Duration::from_secs(601));
    assert_eq!(error(poll(&platform, &app, &late.device_code).await), "expired_token");
    assert_refused(
        decide(&platform, &session, &late.user_code, true).await,
        Code::PermissionDenied,
        "USER_CODE_INVALID",
    );
    assert_eq!(begin(&platform, &app, "document:read").await.error.expect("refused").error, "invalid_scope");
}

#[tokio::test]
async fn auth_o12_letting_a_device_in_is_a_consent_whose_end_is_that_of_the_device() {
    let platform = platform().await;
    let app = tv(&platform).await;
    let owner = platform.owner().await;
    let session = owner_browser(&platform).await;
    let codes = begin(&platform, &app, "openid offline_access").await;
    decide(&platform, &session, &codes.user_code, true).await.expect("it waits");
    let answer = poll(&platform, &app, &codes.device_code).await.expect("let in");
    let slow = begin(&platform, &app, "organization:read").await;
    decide(&platform, &session, &slow.user_code, true).await.expect("it waits");
    let denied = begin(&platform, &app, "openid").await;
    decide(&platform, &session, &denied.user_code, false).await.expect("it waits");
    let mut own = ConsentServiceClient::new(channel(&platform.system, &owner).await);
    let list = wire::ListConsentsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let listed = own.list_consents(list).await.expect("his own").into_inner().consents;
    assert_eq!((listed.len(), &listed[0].client), (1, &app.id));
    assert_eq!(listed[0].scopes, ["openid", "offline_access", "organization:read"]);
    own.delete_consent(wire::DeleteConsentRequest { name: listed[0].name.clone() }).await.expect("his own");
    let refused = exchange(&platform.system, &answer.access_token).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let refresh = wire::TokenRequest { client: app.proof(), ..refresh_grant(&answer.refresh_token) };
    assert_eq!(tokens(&platform.system, refresh).await.err().as_deref(), Some("invalid_grant"));
    assert_eq!(
        poll(&platform, &app, &slow.device_code).await.err().as_deref(),
        Some("invalid_grant"),
        "not yet polled"
    );
}

#[tokio::test]
async fn auth_o17_looking_a_code_up_shows_the_client_and_approves_nothing() {
    let platform = platform().await;
    let app = tv(&platform).await;
    let session = owner_browser(&platform).await;
    let codes = begin(&platform, &app, "openid").await;
    let shown = find(&platform, &session, "10.0.0.1", &codes.user_code).await.expect("it waits");
    assert_eq!(shown.client.expect("shown").display_name, "Harbor Planner");
    assert_eq!((shown.scopes, shown.user_code), (vec!["openid".to_owned()], codes.user_code.clone()));
    assert_eq!(poll(&platform, &app, &codes.device_code).await.err().as_deref(), Some("authorization_pending"));
    let nobody = find(&platform, "", "10.0.0.1", &codes.user_code).await;
    assert_refused(nobody, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_o16_ten_wrong_codes_shut_the_entry_for_session_and_network() {
    let platform = platform().await;
    let app = tv(&platform).await;
    let owner = platform.owner().await;
    platform.user(&owner, "bob", Role::Editor).await;
    let (session, bob) = (owner_browser(&platform).await, browser_of(&platform, "bob").await);
    let codes = begin(&platform, &app, "openid").await;
    let guesses = (0..40).map(|_| find(&platform, &session, "10.0.0.1", "BCDF-GHJK"));
    for answer in futures::future::join_all(guesses).await {
        assert_refused(answer, Code::PermissionDenied, "USER_CODE_INVALID");
    }
    let rows = platform.system.sql("select failures from auth.device_attempts").await;
    assert!(rows.iter().all(|row| row[0].as_deref() == Some("10")), "locked guesses are not looked at: {rows:?}");
    for (session, network) in [(&session, "10.0.0.1"), (&session, "10.0.0.2"), (&bob, "10.0.0.1")] {
        let answer = find(&platform, session, network, &codes.user_code).await;
        assert_refused(answer, Code::PermissionDenied, "USER_CODE_INVALID");
    }
    find(&platform, &bob, "10.0.0.3", &codes.user_code).await.expect("others go on");
    platform.system.clock().advance(Duration::from_secs(601));
    let codes = begin(&platform, &app, "openid").await;
    find(&platform, &session, "10.0.0.1", &codes.user_code).await.expect("the time is over");
}
