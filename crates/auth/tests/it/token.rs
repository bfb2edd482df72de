//! The token endpoint with codes, and the exchange to internal tokens.
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proto::auth::v1::{
    self as wire, list_verify_keys_response::verify_key::Use, o_auth_service_client::OAuthServiceClient,
    token_service_client::TokenServiceClient,
};
use serde_json::Value;
use tonic::Code;

use crate::{
    OWNER, OWNER_PASSWORD, Platform, VERIFIER, assert_refused, cli, code, code_grant, exchange, platform, public,
    refresh_grant, token, users,
};

async fn owner_code(platform: &Platform) -> String {
    code(&platform.system, OWNER, OWNER_PASSWORD, &platform.organization).await
}

fn claims(access: &str) -> (Value, Value) {
    let mut parts = access.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let mut json = || serde_json::from_slice(&parts.next().expect("three parts")).expect("JSON");
    (json(), json())
}

#[tokio::test]
async fn from_sign_in_to_jwt_to_biscuit_to_ones_own_record() {
    let platform = platform().await;
    let signed = platform.owner().await;
    let (header, claims) = claims(&signed.access);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("ES256"), Some("at+jwt")));
    for (claim, value) in [
        ("iss", "http://localhost:8080"),
        ("aud", "http://localhost:8080"),
        ("sub", &platform.owner["users/".len()..]),
        ("org", &platform.organization["organizations/".len()..]),
        ("client_id", "workos-cli"),
        ("scope", "*"),
    ] {
        assert_eq!(claims[claim].as_str(), Some(value), "{claim}");
    }
    assert_eq!(claims["exp"].as_i64().expect("number") - claims["iat"].as_i64().expect("number"), 300);
    assert_eq!(claims["roles"], serde_json::json!(["owner"]));
    let me =
        users(&platform.system, &signed).await.get_user(wire::GetUserRequest { name: "users/me".to_owned() }).await;
    let me = me.expect("his own record").into_inner();
    assert_eq!((me.name.as_str(), me.email.as_str()), (platform.owner.as_str(), OWNER));
    assert_eq!(me.managing_organization, platform.organization);
}

#[tokio::test]
async fn the_published_key_verifies_an_access_token() {
    let platform = platform().await;
    let signed = platform.owner().await;
    let mut client = TokenServiceClient::new(platform.system.as_workload("gateway").channel("auth"));
    let keys = client.list_verify_keys(wire::ListVerifyKeysRequest {}).await.expect("for workloads").into_inner().keys;
    let (header, _) = claims(&signed.access);
    let key = keys.iter().find(|key| Some(key.kid.as_str()) == header["kid"].as_str()).expect("the kid is published");
    assert_eq!((key.r#use(), key.public_key.len(), key.public_key[0]), (Use::Edge, 65, 4));
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["http://localhost:8080"]);
    let key = jsonwebtoken::DecodingKey::from_ec_der(&key.public_key);
    jsonwebtoken::decode::<Value>(&signed.access, &key, &validation).expect("an independent reading agrees");
    assert_eq!(keys.iter().filter(|key| key.r#use() == Use::Internal).count(), 1);
}

#[tokio::test]
async fn auth_o03_a_wrong_verifier_burns_the_code() {
    let platform = platform().await;
    let longer = format!("{VERIFIER}{}", "a".repeat(100));
    for verifier in ["aBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", &VERIFIER[..42], &longer] {
        let code = owner_code(&platform).await;
        let wrong = wire::TokenRequest { code_verifier: verifier.to_owned(), ..code_grant(&code) };
        assert_eq!(token(&platform.system, wrong).await.err().as_deref(), Some("invalid_grant"));
        assert_eq!(
            token(&platform.system, code_grant(&code)).await.err().as_deref(),
            Some("invalid_grant"),
            "the code is burnt"
        );
    }
}

#[tokio::test]
async fn auth_o03_a_verifier_of_another_length_is_refused_though_it_meets_the_challenge() {
    let platform = platform().await;
    let system = &platform.system;
    for (length, good) in [(42, false), (43, true), (128, true), (129, false)] {
        let verifier = VERIFIER.chars().cycle().take(length).collect::<String>();
        let start = wire::StartLoginRequest { code_challenge: crate::challenge(&verifier), ..crate::start_login() };
        let flow = crate::logins(system).start_login(start).await.expect("the client is built in").into_inner().flow;
        let step = crate::logins(system).continue_login(crate::password_answer(&flow, OWNER, OWNER_PASSWORD)).await;
        let step = step.expect("right").into_inner();
        let chosen = crate::organization_answer(&step.flow, &platform.organization);
        let step = crate::logins(system).continue_login(chosen).await.expect("a member").into_inner();
        let Some(wire::login_step::Step::Done(done)) = step.step else { panic!("complete") };
        let grant = wire::TokenRequest { code_verifier: verifier, ..code_grant(&done.code) };
        let refused = (!good).then_some("invalid_grant");
        assert_eq!(token(system, grant.clone()).await.err().as_deref(), refused, "{length}");
        assert_eq!(token(system, grant).await.err().as_deref(), Some("invalid_grant"), "the code is used up");
    }
}

#[tokio::test]
async fn auth_o04_a_code_used_twice_ends_what_it_began() {
    let platform = platform().await;
    let code = owner_code(&platform).await;
    let signed = token(&platform.system, code_grant(&code)).await.expect("the first use");
    exchange(&platform.system, &signed.access).await.expect("good until now");
    assert_eq!(token(&platform.system, code_grant(&code)).await.err().as_deref(), Some("invalid_grant"));
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_eq!(token(&platform.system, refresh_grant(&signed.refresh)).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_o04_of_two_parallel_uses_of_a_code_nothing_survives() {
    let platform = platform().await;
    let code = owner_code(&platform).await;
    let (one, other) =
        tokio::join!(token(&platform.system, code_grant(&code)), token(&platform.system, code_grant(&code)));
    let signed = one.or(other).expect("one of them was first");
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_o05_o08_other_redirects_clients_grants_and_late_codes_are_refused() {
    let platform = platform().await;
    let code = owner_code(&platform).await;
    for (request, error) in [
        (wire::TokenRequest { client: public("other"), ..code_grant(&code) }, "invalid_client"),
        (wire::TokenRequest { client: None, ..code_grant(&code) }, "invalid_client"),
        (wire::TokenRequest { grant_type: "password".to_owned(), ..code_grant(&code) }, "unsupported_grant_type"),
        (wire::TokenRequest { grant_type: String::new(), ..code_grant(&code) }, "invalid_request"),
        (wire::TokenRequest { code_verifier: String::new(), ..code_grant(&code) }, "invalid_request"),
        (wire::TokenRequest { grant_type: "refresh_token".to_owned(), ..code_grant(&code) }, "invalid_request"),
        (wire::TokenRequest { code: "unknown".to_owned(), ..code_grant(&code) }, "invalid_grant"),
        (
            wire::TokenRequest { redirect_uri: "http://127.0.0.1:49153/callback".to_owned(), ..code_grant(&code) },
            "invalid_grant",
        ),
    ] {
        assert_eq!(token(&platform.system, request).await.err().as_deref(), Some(error));
    }
    let late = owner_code(&platform).await;
    platform.system.clock().advance(Duration::from_secs(61));
    assert_eq!(token(&platform.system, code_grant(&late)).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn an_expired_or_foreign_access_token_is_not_exchanged() {
    let platform = platform().await;
    let clock = platform.system.clock();
    let before = clock.now();
    let signed = platform.owner().await;
    let after = clock.now();
    let changed = format!("{}x", &signed.access[..signed.access.len() - 1]);
    for access in ["", "a.b.c", signed.refresh.as_str(), changed.as_str()] {
        assert_refused(exchange(&platform.system, access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    }
    // It lives 300 s from a moment in between, and a leeway of 5 s longer; a slow machine may use up most of that.
    clock.advance((before + Duration::from_secs(301) - clock.now()).unsigned_abs());
    exchange(&platform.system, &signed.access).await.expect("within the leeway");
    clock.advance((after + Duration::from_secs(307) - clock.now()).unsigned_abs());
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn only_the_gateway_reaches_the_token_endpoint_and_the_exchange() {
    let platform = platform().await;
    let signed = platform.owner().await;
    for workload in ["document", "workflow", "notification"] {
        let channel = || platform.system.as_workload(workload).channel("auth");
        let request = wire::ExchangeCredentialRequest { access_token: signed.access.clone(), ..Default::default() };
        let refused = TokenServiceClient::new(channel()).exchange_credential(request).await;
        assert_eq!(refused.expect_err("not its business").code(), Code::PermissionDenied);
        let refused = OAuthServiceClient::new(channel()).token(refresh_grant(&signed.refresh)).await;
        assert_eq!(refused.expect_err("not its business").code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn keys_and_sessions_survive_a_crash() {
    let mut platform = platform().await;
    let signed = platform.owner().await;
    platform.system.crash().await;
    exchange(&platform.system, &signed.access).await.expect("the same keys");
    let next = token(&platform.system, refresh_grant(&signed.refresh)).await.expect("the same session");
    exchange(&platform.system, &next.access).await.expect("the new token too");
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_session_and_nothing_else() {
    let platform = platform().await;
    let (phone, laptop) = (platform.owner().await, platform.owner().await);
    let mut client = OAuthServiceClient::new(platform.system.as_workload("gateway").channel("auth"));
    for (given, client_id) in [("garbage", "workos-cli"), (phone.refresh.as_str(), "other")] {
        let request = wire::RevokeRequest { token: given.to_owned(), client: public(client_id) };
        client.revoke(request).await.expect("nobody's token is no error");
    }
    exchange(&platform.system, &phone.access).await.expect("still good");
    let request = wire::RevokeRequest { token: phone.refresh.clone(), client: cli() };
    client.revoke(request.clone()).await.expect("revoked");
    client.revoke(request).await.expect("again");
    assert_refused(exchange(&platform.system, &phone.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &laptop.access).await.expect("another session");
    assert_eq!(platform.system.published("auth", "credentials.revoked").await.len(), 1);
}
