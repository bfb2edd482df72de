//! Token exchange, refresh by clients of every mode, and narrowing: nothing is ever widened.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proto::auth::v1::{self as wire, membership::Role, o_auth_client::RefreshMode};
use serde_json::Value;
use tonic::Code;

use crate::{
    Signed, assert_refused,
    authorize::signed_in,
    browser::owner_browser,
    client::{App, clients, credentials, machine, register, web},
    exchange, oauth, organizations, platform, refresh_grant, tokens,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(crate) fn request(app: &App, subject: &str) -> wire::TokenRequest {
    wire::TokenRequest {
        grant_type: GRANT.to_owned(),
        client: app.proof(),
        subject_token: subject.to_owned(),
        subject_token_type: ACCESS_TOKEN.to_owned(),
        ..wire::TokenRequest::default()
    }
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn an_actor_gets_a_smaller_token_of_its_own_that_falls_with_the_session() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let backend = register(&platform, &owner, machine(Role::Viewer, &["organization:read", "membership:read"])).await;
    let front = wire::OAuthClient {
        actors: vec![backend.id.clone()],
        ..web(&["openid", "organization:read", "organization:write"])
    };
    let front = register(&platform, &owner, front).await;
    let session = owner_browser(&platform).await;
    let subject = signed_in(&platform, &front, &session, "openid organization:read organization:write").await;
    let answer = tokens(&platform.system, request(&backend, &subject.access_token)).await.expect("it is an actor");
    assert_eq!((answer.scope.as_str(), answer.issued_token_type.as_str()), ("organization:read", ACCESS_TOKEN));
    assert_eq!((answer.refresh_token.as_str(), answer.id_token.as_str()), ("", ""));
    let (old, new) = (claims(&subject.access_token), claims(&answer.access_token));
    assert_eq!(
        (new["act"]["sub"].as_str(), new["client_id"].as_str()),
        (Some(backend.id.as_str()), Some(backend.id.as_str()))
    );
    assert!(new["exp"].as_i64() <= old["exp"].as_i64() && new["sub"] == old["sub"] && new["org"] == old["org"]);
    let signed = Signed { access: answer.access_token.clone(), refresh: String::new() };
    let get = wire::GetOrganizationRequest { name: platform.organization.clone() };
    organizations(&platform.system, &signed).await.get_organization(get).await.expect("within the scope");
    let own = wire::TokenRequest { scope: "organization:read".to_owned(), ..request(&front, &subject.access_token) };
    let own = tokens(&platform.system, own).await.expect("its own token");
    assert!(claims(&own.access_token)["act"].is_null(), "nobody else acts");
    let wider = wire::TokenRequest {
        scope: "organization:read membership:read".to_owned(),
        ..request(&backend, &subject.access_token)
    };
    assert_eq!(tokens(&platform.system, wider).await.err().as_deref(), Some("invalid_scope"));
    let elsewhere = wire::TokenRequest {
        audience: vec!["https://other.example".to_owned()],
        ..request(&backend, &subject.access_token)
    };
    assert_eq!(tokens(&platform.system, elsewhere).await.err().as_deref(), Some("invalid_target"));
    let out = wire::EndBrowserSessionRequest { session, confirmed: true, ..Default::default() };
    crate::browser::sign_out(&platform.system, out).await;
    assert_refused(exchange(&platform.system, &answer.access_token).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let dead = tokens(&platform.system, request(&backend, &subject.access_token)).await;
    assert_eq!(dead.err().as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn a_token_out_of_an_exchange_cannot_be_revoked_and_that_is_said() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let backend = register(&platform, &owner, machine(Role::Viewer, &["organization:read"])).await;
    let front = wire::OAuthClient { actors: vec![backend.id.clone()], ..web(&["openid", "organization:read"]) };
    let front = register(&platform, &owner, front).await;
    let session = owner_browser(&platform).await;
    let subject = signed_in(&platform, &front, &session, "openid organization:read").await;
    let answer = tokens(&platform.system, request(&backend, &subject.access_token)).await.expect("it is an actor");
    let revoke = |token: &str| wire::RevokeRequest { token: token.to_owned(), client: backend.proof() };
    let told = oauth(&platform.system).revoke(revoke(&answer.access_token)).await.expect("it answers").into_inner();
    assert_eq!(told.error.expect("not done").error, "unsupported_token_type");
    exchange(&platform.system, &answer.access_token).await.expect("it lives as long as it says");
    let told = oauth(&platform.system).revoke(revoke(&subject.access_token)).await.expect("it answers").into_inner();
    assert!(told.error.is_none(), "another client's token is nobody's");
    exchange(&platform.system, &subject.access_token).await.expect("nor is it touched");
}

#[tokio::test]
async fn who_is_no_actor_gets_nothing() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let backend = register(&platform, &owner, machine(Role::Viewer, &["organization:read"])).await;
    let front = register(&platform, &owner, web(&["openid", "organization:read"])).await;
    let session = owner_browser(&platform).await;
    let subject = signed_in(&platform, &front, &session, "openid organization:read").await;
    let own = tokens(&platform.system, credentials(&backend, "")).await.expect("it may").access_token;
    for (subject, error) in [
        (subject.access_token.as_str(), "invalid_request"),
        (owner.access.as_str(), "invalid_request"),
        (own.as_str(), "invalid_request"),
        (subject.id_token.as_str(), "invalid_request"),
        ("garbage", "invalid_request"),
        ("", "invalid_request"),
    ] {
        assert_eq!(tokens(&platform.system, request(&backend, subject)).await.err().as_deref(), Some(error));
    }
    let cli = wire::TokenRequest { client: crate::cli(), ..request(&backend, &owner.access) };
    assert_eq!(tokens(&platform.system, cli).await.err().as_deref(), Some("unauthorized_client"));
    for change in [
        (|request| request.requested_token_type = "urn:ietf:params:oauth:token-type:id_token".to_owned())
            as fn(&mut wire::TokenRequest),
        |request| request.actor_token = "x".to_owned(),
        |request| request.subject_token_type = "urn:ietf:params:oauth:token-type:id_token".to_owned(),
    ] {
        let mut request = request(&front, &subject.access_token);
        change(&mut request);
        assert_eq!(tokens(&platform.system, request).await.err().as_deref(), Some("invalid_request"));
    }
}

#[tokio::test]
async fn auth_s05_a_strict_clients_reuse_ends_the_session_and_one_that_keeps_its_token_keeps_it() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let session = owner_browser(&platform).await;
    let of_mode =
        |mode: RefreshMode| wire::OAuthClient { refresh_mode: mode.into(), ..web(&["openid", "offline_access"]) };
    let strict = register(&platform, &owner, of_mode(RefreshMode::Strict)).await;
    let refresh = |app: &App, token: &str| {
        let request = wire::TokenRequest { client: app.proof(), ..refresh_grant(token) };
        tokens(&platform.system, request)
    };
    let first = signed_in(&platform, &strict, &session, "openid offline_access").await;
    let second = refresh(&strict, &first.refresh_token).await.expect("rotated");
    assert_ne!(first.refresh_token, second.refresh_token);
    assert_eq!(refresh(&strict, &first.refresh_token).await.err().as_deref(), Some("invalid_grant"));
    assert_eq!(
        refresh(&strict, &second.refresh_token).await.err().as_deref(),
        Some("invalid_grant"),
        "the session has ended"
    );
    let first = signed_in(&platform, &strict, &session, "openid offline_access").await;
    let second = refresh(&strict, &first.refresh_token).await.expect("rotated");
    let greedy =
        wire::TokenRequest { client: strict.proof(), scope: "email".to_owned(), ..refresh_grant(&first.refresh_token) };
    assert_eq!(tokens(&platform.system, greedy).await.err().as_deref(), Some("invalid_grant"));
    let dead = refresh(&strict, &second.refresh_token).await;
    assert_eq!(dead.err().as_deref(), Some("invalid_grant"), "reuse is reuse, whatever it asks for");
    let keep = register(&platform, &owner, of_mode(RefreshMode::Keep)).await;
    let first = signed_in(&platform, &keep, &session, "openid offline_access").await;
    for _ in 0..3 {
        assert_eq!(refresh(&keep, &first.refresh_token).await.expect("kept").refresh_token, first.refresh_token);
    }
}

#[tokio::test]
async fn auth_o11_a_refresh_narrows_and_never_widens_and_follows_the_registration() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let session = owner_browser(&platform).await;
    let app = register(&platform, &owner, web(&["offline_access", "organization:read", "membership:read"])).await;
    let first = signed_in(&platform, &app, &session, "offline_access organization:read").await;
    let refresh = |token: &str, scope: &str| {
        let scope = scope.to_owned();
        let request = wire::TokenRequest { client: app.proof(), scope, ..refresh_grant(token) };
        tokens(&platform.system, request)
    };
    let wider = refresh(&first.refresh_token, "organization:read membership:read").await;
    assert_eq!(wider.err().as_deref(), Some("invalid_scope"));
    let narrow = refresh(&first.refresh_token, "organization:read").await.expect("narrower");
    assert_eq!(narrow.scope, "organization:read");
    let full = refresh(&narrow.refresh_token, "").await.expect("the grant is what it was");
    assert_eq!(full.scope, "offline_access organization:read");
    let shrunk =
        wire::OAuthClient { name: app.name.clone(), scopes: vec!["offline_access".to_owned()], ..Default::default() };
    let request = wire::UpdateOAuthClientRequest { oauth_client: Some(shrunk), ..Default::default() };
    clients(&platform, &owner).await.update_o_auth_client(request).await.expect("the owner may");
    let held = Signed { access: full.access_token.clone(), refresh: String::new() };
    let get = wire::GetOrganizationRequest { name: platform.organization.clone() };
    let refused = organizations(&platform.system, &held).await.get_organization(get).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    assert_eq!(refresh(&full.refresh_token, "").await.expect("good").scope, "offline_access");
}

#[tokio::test]
async fn auth_h02_the_audit_log_says_which_application_acted_and_who_exchanged_what() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let scopes = ["organization:read", "organization:write", "membership:read"];
    let last = register(&platform, &owner, machine(Role::Viewer, &scopes)).await;
    let between = wire::OAuthClient { actors: vec![last.id.clone()], ..machine(Role::Viewer, &scopes) };
    let between = register(&platform, &owner, between).await;
    let front = wire::OAuthClient { actors: vec![between.id.clone()], ..web(&scopes) };
    let front = register(&platform, &owner, front).await;
    let session = owner_browser(&platform).await;
    let subject = signed_in(&platform, &front, &session, &scopes.join(" ")).await;
    let second = tokens(system, request(&between, &subject.access_token)).await.expect("it is an actor").access_token;
    let third = tokens(system, request(&last, &second)).await.expect("it is an actor").access_token;
    let own = tokens(system, request(&front, &subject.access_token)).await.expect("its own token").access_token;
    assert_eq!(claims(&third)["act"]["act"]["sub"].as_str(), Some(between.id.as_str()));
    let told = system
        .sql("select acting, details->>'client', actor from auth.audit_event where action = 'token.exchanged' order by audit_id")
        .await;
    let by = Some(platform.owner.clone());
    let row = |acting: &str, client: &App| vec![Some(acting.to_owned()), Some(client.id.clone()), by.clone()];
    assert_eq!(told, [row(&between.name, &front), row(&last.name, &between), row("", &front)]);
    let rename = |title: &str| wire::UpdateOrganizationRequest {
        organization: Some(wire::Organization {
            name: platform.organization.clone(),
            display_name: title.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    for (access, title) in [(&third, "By the last"), (&own, "By the first")] {
        let signed = Signed { access: access.clone(), refresh: String::new() };
        organizations(system, &signed).await.update_organization(rename(title)).await.expect("within the scope");
    }
    let refused = Signed { access: third.clone(), refresh: String::new() };
    let create = crate::new_user(&platform.organization, "eve", Role::Viewer);
    let refused = crate::users(system, &refused).await.create_user(create).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let changed = system
        .sql("select acting, actor from auth.audit_event where method like '%/UpdateOrganization' order by audit_id")
        .await;
    assert_eq!(changed, [vec![Some(last.name.clone()), by.clone()], vec![Some(String::new()), by.clone()]]);
    let kept = testkit::eventually("the refusal is kept", || async {
        let rows = system
            .sql("select acting, actor from auth.audit_event where method like '%/CreateUser' and outcome = 2")
            .await;
        rows.into_iter().next()
    })
    .await;
    assert_eq!(kept, [Some(last.name.clone()), by]);
}
