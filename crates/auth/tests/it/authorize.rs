//! The authorization endpoint from request to tokens: sign-in, consent, pushed requests, OpenID Connect.
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proto::auth::v1::{
    self as wire,
    authorize_response::{Consent, Outcome},
    consent_service_client::ConsentServiceClient,
    membership::Role,
    o_auth_client::Kind,
};
use serde_json::Value;
use tonic::Code;

use crate::{
    OWNER, OWNER_PASSWORD, Platform, Signed, VERIFIER, assert_refused,
    browser::{BROWSER, browser_code, browser_of, browsers, exchange_session, owner_browser, sign_out},
    challenge, channel,
    client::{App, clients, register, web},
    exchange, oauth, platform, refresh_grant, tokens, with,
};

const REDIRECT: &str = "https://app.example/cb";

pub(crate) fn asks(app: &App, scope: &str) -> wire::AuthorizationParameters {
    wire::AuthorizationParameters {
        client_id: app.id.clone(),
        redirect_uri: REDIRECT.to_owned(),
        response_type: "code".to_owned(),
        scope: scope.to_owned(),
        state: "s 1".to_owned(),
        code_challenge: challenge(VERIFIER),
        code_challenge_method: "S256".to_owned(),
        nonce: "n-0".to_owned(),
        ..wire::AuthorizationParameters::default()
    }
}

pub(crate) async fn authorize(
    platform: &Platform,
    parameters: wire::AuthorizationParameters,
    session: &str,
) -> Outcome {
    let request = wire::AuthorizeRequest {
        parameters: Some(parameters),
        session: session.to_owned(),
        browser: BROWSER.to_owned(),
    };
    let answer = oauth(&platform.system).authorize(request).await.expect("the endpoint answers").into_inner();
    answer.outcome.expect("there is always one")
}

pub(crate) fn consent(outcome: Outcome) -> Consent {
    match outcome {
        Outcome::Consent(consent) => consent,
        Outcome::RedirectUri(uri) => panic!("no consent is asked for, but {uri}"),
        _ => panic!("no consent is asked for"),
    }
}

pub(crate) fn redirected(outcome: Outcome) -> String {
    match outcome {
        Outcome::RedirectUri(uri) => uri,
        Outcome::Refused(error) => panic!("nobody is redirected, but {error:?}"),
        _ => panic!("nobody is redirected"),
    }
}

/// A parameter of the answer to the client.
pub(crate) fn parameter(uri: &str, name: &str) -> Option<String> {
    let (_, query) = uri.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.replace("%20", " ").replace("%3A", ":").replace("%2F", "/"))
}

pub(crate) async fn decide(
    platform: &Platform,
    request: &str,
    session: &str,
    approve: bool,
) -> Result<Outcome, tonic::Status> {
    let request = wire::DecideAuthorizationRequest {
        request: request.to_owned(),
        session: session.to_owned(),
        browser: BROWSER.to_owned(),
        approve,
    };
    let answer = browsers(&platform.system).decide_authorization(request).await?.into_inner();
    Ok(answer.outcome.expect("there is always one"))
}

pub(crate) fn redeem(app: &App, code: &str) -> wire::TokenRequest {
    wire::TokenRequest {
        grant_type: "authorization_code".to_owned(),
        client: app.proof(),
        code: code.to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        code_verifier: VERIFIER.to_owned(),
        ..wire::TokenRequest::default()
    }
}

/// The whole way: request, consent, code, tokens.
pub(crate) async fn signed_in(platform: &Platform, app: &App, session: &str, scope: &str) -> wire::TokenResponse {
    let uri = match authorize(platform, asks(app, scope), session).await {
        Outcome::Consent(asked) => {
            redirected(decide(platform, &asked.request, session, true).await.expect("his request"))
        }
        outcome => redirected(outcome),
    };
    let code = parameter(&uri, "code").expect("approved");
    tokens(&platform.system, redeem(app, &code)).await.expect("the code is good")
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn auth_o09_o10_from_sign_in_over_consent_to_tokens_with_state_issuer_and_nonce() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid", "profile", "email", "organization:read"])).await;
    let Outcome::SignIn(asked) = authorize(&platform, asks(&app, "openid email"), "").await else {
        panic!("nobody is signed in");
    };
    let shown = asked.client.expect("shown");
    assert_eq!(
        (shown.display_name.as_str(), shown.redirect_origin.as_str()),
        ("Harbor Planner", "https://app.example")
    );
    let session = owner_browser(&platform).await;
    let request = wire::ContinueAuthorizationRequest {
        request: asked.request.clone(),
        session: session.clone(),
        browser: BROWSER.to_owned(),
    };
    let other = wire::ContinueAuthorizationRequest { browser: VERIFIER.to_owned(), ..request.clone() };
    let refused = browsers(&platform.system).continue_authorization(other).await;
    assert_refused(refused, Code::FailedPrecondition, "FLOW_INVALID");
    let next = browsers(&platform.system).continue_authorization(request.clone()).await.expect("his").into_inner();
    let asked = consent(next.outcome.expect("set"));
    assert_eq!((asked.email.as_str(), asked.organization.as_str()), (OWNER, "Analytical Engines"));
    assert_eq!(asked.scopes, ["openid", "email"]);
    let again = browsers(&platform.system).continue_authorization(request).await;
    assert_refused(again, Code::FailedPrecondition, "FLOW_INVALID");
    let uri = redirected(decide(&platform, &asked.request, &session, true).await.expect("his"));
    assert!(uri.starts_with("https://app.example/cb?code="), "{uri}");
    assert_eq!(parameter(&uri, "state").as_deref(), Some("s 1"));
    assert_eq!(parameter(&uri, "iss").as_deref(), Some("http://localhost:8080"));
    let code = parameter(&uri, "code").expect("approved");
    let answer = tokens(&platform.system, redeem(&app, &code)).await.expect("the code is good");
    assert_eq!(
        (answer.scope.as_str(), answer.refresh_token.as_str()),
        ("openid email", ""),
        "no offline_access, no refresh token"
    );
    let id = claims(&answer.id_token);
    assert_eq!((id["nonce"].as_str(), id["aud"].as_str()), (Some("n-0"), Some(app.id.as_str())));
    assert_eq!(id["sub"].as_str(), Some(&platform.owner["users/".len()..]));
    let info = wire::GetUserInfoRequest { access_token: answer.access_token.clone() };
    let info = oauth(&platform.system).get_user_info(info).await.expect("openid").into_inner();
    assert_eq!(
        (info.email.as_str(), info.name.as_str(), info.sub.as_str()),
        (OWNER, "", id["sub"].as_str().expect("text"))
    );
    let cli = wire::GetUserInfoRequest { access_token: owner.access.clone() };
    assert_refused(oauth(&platform.system).get_user_info(cli).await, Code::PermissionDenied, "SCOPE_MISSING");
    let parts: Vec<_> = answer.id_token.split('.').collect();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).expect("base64url")).expect("JSON");
    assert_eq!(header["alg"].as_str(), Some("RS256"));
    assert_refused(exchange(&platform.system, &answer.id_token).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_o09_every_error_carries_state_and_issuer_and_o06_none_before_the_uri_is_good() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let session = owner_browser(&platform).await;
    for (change, error) in [
        ((|p| p.code_challenge.clear()) as fn(&mut wire::AuthorizationParameters), "invalid_request"),
        (|p| p.code_challenge_method = "plain".to_owned(), "invalid_request"),
        (|p| p.response_type = "token".to_owned(), "unsupported_response_type"),
        (|p| p.scope = "organization:read".to_owned(), "invalid_scope"),
    ] {
        let mut sent = asks(&app, "openid");
        change(&mut sent);
        let Outcome::Refused(shown) = authorize(&platform, sent.clone(), "").await else {
            panic!("nobody has signed in: a link must not lead through here to where its maker likes")
        };
        assert_eq!(shown.error, error);
        let uri = redirected(authorize(&platform, sent, &session).await);
        assert_eq!(parameter(&uri, "error").as_deref(), Some(error));
        assert_eq!(parameter(&uri, "state").as_deref(), Some("s 1"));
        assert_eq!(parameter(&uri, "iss").as_deref(), Some("http://localhost:8080"));
    }
    let silent = wire::AuthorizationParameters { prompt: "none".to_owned(), ..asks(&app, "openid") };
    let uri = redirected(authorize(&platform, silent, "").await);
    assert_eq!(parameter(&uri, "error").as_deref(), Some("login_required"), "a silent request shows nothing");
    for uri in ["", "https://app.example/cb/", "https://evil.example/cb", "javascript:alert(1)"] {
        let sent = wire::AuthorizationParameters { redirect_uri: uri.to_owned(), ..asks(&app, "openid") };
        let Outcome::Refused(error) = authorize(&platform, sent, "").await else { panic!("{uri} was taken") };
        assert_eq!(error.error, "invalid_request");
    }
    let unknown = App { id: "0".repeat(26), ..app };
    let Outcome::Refused(error) = authorize(&platform, asks(&unknown, "openid"), "").await else { panic!("taken") };
    assert_eq!(error.error, "invalid_client");
}

#[tokio::test]
async fn auth_o12_consent_is_asked_for_new_scopes_and_its_end_is_that_of_all_tokens() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app =
        register(&platform, &owner, web(&["openid", "offline_access", "organization:read", "membership:read"])).await;
    let session = owner_browser(&platform).await;
    let answer = signed_in(&platform, &app, &session, "openid offline_access organization:read").await;
    assert_ne!(answer.refresh_token, "", "offline_access");
    redirected(authorize(&platform, asks(&app, "organization:read"), &session).await);
    let asked = consent(authorize(&platform, asks(&app, "organization:read membership:read"), &session).await);
    let denied = redirected(decide(&platform, &asked.request, &session, false).await.expect("his"));
    assert_eq!(parameter(&denied, "error").as_deref(), Some("access_denied"));
    let forced = wire::AuthorizationParameters { prompt: "consent".to_owned(), ..asks(&app, "openid") };
    consent(authorize(&platform, forced, &session).await);
    let mut own = ConsentServiceClient::new(channel(&platform.system, &owner).await);
    let list = wire::ListConsentsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let listed = own.list_consents(list.clone()).await.expect("his own").into_inner().consents;
    assert_eq!(
        (listed.len(), listed[0].client.as_str(), listed[0].client_display_name.as_str()),
        (1, app.id.as_str(), "Harbor Planner")
    );
    assert_eq!(listed[0].scopes, ["openid", "offline_access", "organization:read"]);
    let biscuit = exchange(&platform.system, &answer.access_token).await.expect("good");
    let third = Signed { access: answer.access_token.clone(), refresh: String::new() };
    let refused = ConsentServiceClient::new(channel(&platform.system, &third).await).list_consents(list).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    own.delete_consent(wire::DeleteConsentRequest { name: listed[0].name.clone() }).await.expect("his own");
    let get = wire::GetOrganizationRequest { name: platform.organization.clone() };
    let held =
        crate::OrganizationServiceClient::new(with(&platform.system, "gateway", biscuit)).get_organization(get).await;
    assert_refused(held, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let refresh = wire::TokenRequest { client: app.proof(), ..refresh_grant(&answer.refresh_token) };
    assert_eq!(tokens(&platform.system, refresh).await.err().as_deref(), Some("invalid_grant"));
    consent(authorize(&platform, asks(&app, "organization:read"), &session).await);
}

#[tokio::test]
async fn auth_o12_a_public_client_is_asked_for_each_time_and_o13_only_by_its_own_session() {
    let platform = platform().await;
    let owner = platform.owner().await;
    platform.user(&owner, "bob", Role::Editor).await;
    let native = wire::OAuthClient { kind: Kind::Native.into(), ..web(&["openid"]) };
    let app = register(&platform, &owner, native).await;
    assert_eq!(app.secret, "");
    let session = owner_browser(&platform).await;
    for _ in 0..2 {
        let asked = consent(authorize(&platform, asks(&app, "openid"), &session).await);
        redirected(decide(&platform, &asked.request, &session, true).await.expect("his"));
    }
    let bob = browser_of(&platform, "bob").await;
    let asked = consent(authorize(&platform, asks(&app, "openid"), &session).await);
    for stranger in [bob.as_str(), ""] {
        let forged = decide(&platform, &asked.request, stranger, true).await;
        assert_refused(forged.map(|_| ()), Code::FailedPrecondition, "FLOW_INVALID");
    }
    let asked = consent(authorize(&platform, asks(&app, "openid"), &session).await);
    let elsewhere = wire::DecideAuthorizationRequest {
        request: asked.request,
        session,
        browser: VERIFIER.to_owned(),
        approve: true,
    };
    let forged = browsers(&platform.system).decide_authorization(elsewhere).await;
    assert_refused(forged, Code::FailedPrecondition, "FLOW_INVALID");
}

#[tokio::test]
async fn auth_o10_an_old_sign_in_is_repeated_and_one_that_is_fresh_enough_is_not() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let session = owner_browser(&platform).await;
    signed_in(&platform, &app, &session, "openid").await;
    let aged = |max_age: &str, prompt: &str| wire::AuthorizationParameters {
        max_age: max_age.to_owned(),
        prompt: prompt.to_owned(),
        ..asks(&app, "openid")
    };
    platform.system.clock().advance(Duration::from_secs(10));
    let uri = redirected(authorize(&platform, aged("1", "none"), &session).await);
    assert_eq!(parameter(&uri, "error").as_deref(), Some("login_required"));
    assert!(parameter(&redirected(authorize(&platform, aged("600", "none"), &session).await), "code").is_some());
    for (max_age, prompt) in [("1", ""), ("", "login")] {
        let Outcome::SignIn(asked) = authorize(&platform, aged(max_age, prompt), &session).await else {
            panic!("too old")
        };
        assert!(asked.again, "an identity provider is to ask him again");
        let go_on = |session: &str, request: &str| wire::ContinueAuthorizationRequest {
            request: request.to_owned(),
            session: session.to_owned(),
            browser: BROWSER.to_owned(),
        };
        let still = browsers(&platform.system).continue_authorization(go_on(&session, &asked.request)).await;
        let Some(Outcome::SignIn(asked)) = still.expect("his").into_inner().outcome else {
            panic!("the old one counts")
        };
        let code = browser_code(&platform.system, OWNER, OWNER_PASSWORD, &platform.organization).await;
        let fresh = crate::browser::begin(&platform.system, &code, "").await.expect("good");
        let done = browsers(&platform.system).continue_authorization(go_on(&fresh, &asked.request)).await;
        redirected(done.expect("his").into_inner().outcome.expect("set"));
    }
}

#[tokio::test]
async fn auth_o22_a_pushed_request_is_good_once_for_its_client_and_a_minute() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let other = register(&platform, &owner, web(&["openid"])).await;
    let session = owner_browser(&platform).await;
    signed_in(&platform, &app, &session, "openid").await;
    let push = |app: &App, client| {
        let request = wire::PushAuthorizationRequest { client, parameters: Some(asks(app, "openid")) };
        let mut endpoint = oauth(&platform.system);
        async move { endpoint.push_authorization(request).await.expect("the endpoint answers").into_inner() }
    };
    let by = |app: &App, uri: &str| wire::AuthorizationParameters {
        client_id: app.id.clone(),
        request_uri: uri.to_owned(),
        ..wire::AuthorizationParameters::default()
    };
    assert_eq!(push(&app, crate::public(&app.id)).await.error.expect("refused").error, "invalid_client");
    let pushed = push(&app, app.proof()).await;
    assert_eq!((pushed.error, pushed.expire_after.expect("set").seconds), (None, 60));
    let refused = |outcome| match outcome {
        Outcome::Refused(error) => assert_eq!(error.error, "invalid_request"),
        _ => panic!("it was taken"),
    };
    refused(authorize(&platform, by(&other, &pushed.request_uri), &session).await);
    let uri = redirected(authorize(&platform, by(&app, &pushed.request_uri), &session).await);
    assert!(parameter(&uri, "code").is_some());
    refused(authorize(&platform, by(&app, &pushed.request_uri), &session).await);
    let late = push(&app, app.proof()).await;
    platform.system.clock().advance(Duration::from_secs(61));
    refused(authorize(&platform, by(&app, &late.request_uri), &session).await);
    refused(authorize(&platform, by(&app, "https://evil.example/request"), &session).await);
}

#[tokio::test]
async fn a_client_of_another_organization_signs_only_its_members_in() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let (bob, _) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let session = browser_of(&platform, "bob").await;
    consent(authorize(&platform, asks(&app, "openid"), &session).await);
    let name = platform.membership(&owner, &bob.name).await.name;
    let request = wire::DeleteMembershipRequest { name, ..Default::default() };
    crate::organizations(&platform.system, &owner).await.delete_membership(request).await.expect("the owner may");
    let session = browser_of(&platform, "bob").await;
    exchange_session(&platform.system, &session).await.expect("he can sign in, to nothing");
    let uri = redirected(authorize(&platform, asks(&app, "openid"), &session).await);
    assert_eq!(parameter(&uri, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_consent_page_of_ones_own_reads_and_decides_the_request_of_its_session() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid", "organization:read"])).await;
    let session = owner_browser(&platform).await;
    let asked = consent(authorize(&platform, asks(&app, "organization:read"), &session).await);
    let name = format!("authorizationRequests/{}", asked.request);
    let biscuit = exchange_session(&platform.system, &session).await.expect("good");
    let mut page = ConsentServiceClient::new(with(&platform.system, "gateway", biscuit));
    let found = page.get_authorization_request(wire::GetAuthorizationRequestRequest { name: name.clone() }).await;
    let found = found.expect("it waits for him").into_inner();
    assert_eq!(
        (found.client_display_name.as_str(), found.organization),
        ("Harbor Planner", platform.organization.clone())
    );
    let mut other = ConsentServiceClient::new(channel(&platform.system, &owner).await);
    let refused =
        other.approve_authorization_request(wire::ApproveAuthorizationRequestRequest { name: name.clone() }).await;
    assert_refused(refused, Code::FailedPrecondition, "FLOW_INVALID");
    let done =
        page.approve_authorization_request(wire::ApproveAuthorizationRequestRequest { name: name.clone() }).await;
    assert!(parameter(&done.expect("his").into_inner().redirect_uri, "code").is_some());
    let again = page.deny_authorization_request(wire::DenyAuthorizationRequestRequest { name }).await;
    assert_refused(again, Code::FailedPrecondition, "FLOW_INVALID");
}

#[tokio::test]
async fn auth_s06_s08_an_id_token_signs_out_and_ends_what_was_begun_without_offline_access() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid", "offline_access"])).await;
    let session = owner_browser(&platform).await;
    let online = signed_in(&platform, &app, &session, "openid").await;
    let offline = signed_in(&platform, &app, &session, "openid offline_access").await;
    let other = register(&platform, &owner, web(&["openid"])).await;
    let request = wire::EndBrowserSessionRequest {
        session: session.clone(),
        id_token_hint: online.id_token.clone(),
        post_logout_redirect_uri: "https://app.example/bye".to_owned(),
        state: "x".to_owned(),
        ..Default::default()
    };
    let refused = [
        wire::EndBrowserSessionRequest {
            post_logout_redirect_uri: "https://evil.example/".to_owned(),
            ..request.clone()
        },
        wire::EndBrowserSessionRequest { client_id: other.id.clone(), ..request.clone() },
        wire::EndBrowserSessionRequest { id_token_hint: format!("{}x", online.id_token), ..request.clone() },
    ];
    for request in refused {
        assert_eq!(sign_out(&platform.system, request).await.error.expect("refused").error, "invalid_request");
    }
    let foreign = wire::TokenRequest { client: other.proof(), ..refresh_grant(&offline.refresh_token) };
    assert_eq!(tokens(&platform.system, foreign).await.err().as_deref(), Some("invalid_grant"));
    let done = sign_out(&platform.system, request).await;
    assert_eq!((done.ended, done.redirect_uri.as_str()), (true, "https://app.example/bye?state=x"));
    assert_refused(exchange_session(&platform.system, &session).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchange(&platform.system, &online.access_token).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &offline.access_token).await.expect("it was meant to outlive the browser");
    let delete = wire::DeleteOAuthClientRequest { name: app.name.clone(), ..Default::default() };
    clients(&platform, &owner).await.delete_o_auth_client(delete).await.expect("the owner may");
    assert_refused(
        exchange(&platform.system, &offline.access_token).await,
        Code::Unauthenticated,
        "CREDENTIAL_INVALID",
    );
}
