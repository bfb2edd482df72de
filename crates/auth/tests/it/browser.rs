//! Sessions of browsers: begun by a sign-in, used as a credential, ended by signing out.
use proto::auth::v1::{self as wire, browser_service_client::BrowserServiceClient, login_step::Step, membership::Role};
use testkit::System;
use tonic::{Code, Status};

use crate::{
    OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused,
    authorize::signed_in,
    challenge,
    client::{register, web},
    exchange, logins, organization_answer, password_answer, password_of, platform, token, users, with,
};
use mesh::client::Channel;

/// What a browser keeps for the length of a flow.
pub(crate) const BROWSER: &str = "kBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

pub(crate) fn browsers(system: &System) -> BrowserServiceClient<Channel> {
    BrowserServiceClient::new(system.as_workload("gateway").channel("auth"))
}

/// Begins a sign-in as the gateway's pages do.
pub(crate) async fn begin_flow(system: &System) -> String {
    let start = wire::StartLoginRequest {
        client_id: "workos-browser".to_owned(),
        redirect_uri: "workos:browser".to_owned(),
        code_challenge: challenge(BROWSER),
        code_challenge_method: "S256".to_owned(),
        ..wire::StartLoginRequest::default()
    };
    logins(system).start_login(start).await.expect("the client is built in").into_inner().flow
}

/// A code for the browser's own client, as the gateway's pages get it.
pub(crate) async fn browser_code(system: &System, email: &str, password: &str, organization: &str) -> String {
    let flow = begin_flow(system).await;
    let step =
        logins(system).continue_login(password_answer(&flow, email, password)).await.expect("right").into_inner();
    let step = match &step.step {
        Some(Step::ChooseOrganization(_)) => {
            let chosen = logins(system).continue_login(organization_answer(&step.flow, organization)).await;
            chosen.expect("he is a member").into_inner()
        }
        _ => step,
    };
    match step.step {
        Some(Step::Done(done)) => done.code,
        _ => panic!("the sign-in waits for another answer"),
    }
}

pub(crate) async fn begin(system: &System, code: &str, replaced: &str) -> Result<String, Status> {
    let request = wire::BeginBrowserSessionRequest {
        code: code.to_owned(),
        browser: BROWSER.to_owned(),
        replaced: replaced.to_owned(),
    };
    browsers(system).begin_browser_session(request).await.map(|session| session.into_inner().session)
}

/// The owner's browser: the secret of its session.
pub(crate) async fn owner_browser(platform: &Platform) -> String {
    let code = browser_code(&platform.system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    begin(&platform.system, &code, "").await.expect("the code is good")
}

/// The browser of somebody else.
pub(crate) async fn browser_of(platform: &Platform, name: &str) -> String {
    let email = format!("{name}@example.com");
    let code = browser_code(&platform.system, &email, &password_of(name), &platform.organization).await;
    begin(&platform.system, &code, "").await.expect("the code is good")
}

pub(crate) async fn exchange_session(system: &System, session: &str) -> Result<bytes::Bytes, Status> {
    let mut client = crate::TokenServiceClient::new(system.as_workload("gateway").channel("auth"));
    let request = wire::ExchangeCredentialRequest { session: session.to_owned(), ..Default::default() };
    client.exchange_credential(request).await.map(|answer| answer.into_inner().token)
}

pub(crate) async fn sign_out(
    system: &System,
    request: wire::EndBrowserSessionRequest,
) -> wire::EndBrowserSessionResponse {
    browsers(system).end_browser_session(request).await.expect("it answers").into_inner()
}

#[tokio::test]
async fn auth_s07_a_sign_in_gives_a_new_session_and_ends_the_one_before() {
    let platform = platform().await;
    let system = &platform.system;
    let first = owner_browser(&platform).await;
    assert_eq!(first.len(), 43);
    let biscuit = exchange_session(system, &first).await.expect("good");
    let mut me = crate::UserServiceClient::new(with(system, "gateway", biscuit));
    let own = me.get_user(wire::GetUserRequest { name: "users/me".to_owned() }).await.expect("his own record");
    assert_eq!(own.into_inner().name, platform.owner);
    let code = browser_code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    let second = begin(system, &code, &first).await.expect("the code is good");
    assert_ne!(first, second);
    assert_refused(exchange_session(system, &first).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let ended = me.get_user(wire::GetUserRequest { name: "users/me".to_owned() }).await;
    assert_refused(ended, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange_session(system, &second).await.expect("the new one is good");
    assert_refused(begin(system, &code, "").await, Code::FailedPrecondition, "FLOW_INVALID");
    let rows = system.sql("select count(*) from auth.sessions where client = 'workos-browser'").await;
    assert_eq!(rows[0][0].as_deref(), Some("1"));
}

#[tokio::test]
async fn only_the_browser_that_signed_in_gets_the_session_and_no_client_gets_its_code() {
    let platform = platform().await;
    let system = &platform.system;
    let code = browser_code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    let other = wire::BeginBrowserSessionRequest { code, browser: crate::VERIFIER.to_owned(), ..Default::default() };
    assert_refused(browsers(system).begin_browser_session(other).await, Code::FailedPrecondition, "FLOW_INVALID");
    let code = browser_code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    let grant = wire::TokenRequest {
        client: crate::public("workos-browser"),
        code_verifier: BROWSER.to_owned(),
        redirect_uri: "workos:browser".to_owned(),
        ..crate::code_grant(&code)
    };
    assert_eq!(token(system, grant).await.err().as_deref(), Some("invalid_client"));
    let code = crate::code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    assert_refused(begin(system, &code, "").await, Code::FailedPrecondition, "FLOW_INVALID");
    for secret in ["", "x", &"a".repeat(43), &"a".repeat(44)] {
        assert_refused(exchange_session(system, secret).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    }
}

#[tokio::test]
async fn auth_s08_signing_out_asks_first_and_then_ends_everything_at_once() {
    let platform = platform().await;
    let system = &platform.system;
    let session = owner_browser(&platform).await;
    let biscuit = exchange_session(system, &session).await.expect("good");
    let request = wire::EndBrowserSessionRequest { session: session.clone(), ..Default::default() };
    let asked = sign_out(system, request.clone()).await;
    assert!(!asked.ended && asked.error.is_none(), "anybody can link to the page");
    exchange_session(system, &session).await.expect("nothing has ended");
    assert!(sign_out(system, wire::EndBrowserSessionRequest { confirmed: true, ..request.clone() }).await.ended);
    assert_refused(exchange_session(system, &session).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let held = crate::UserServiceClient::new(with(system, "gateway", biscuit))
        .get_user(wire::GetUserRequest { name: "users/me".to_owned() })
        .await;
    assert_refused(held, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert!(sign_out(system, request).await.ended, "again is fine");
}

#[tokio::test]
async fn where_nobody_is_signed_in_signing_out_leads_nowhere() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let request = wire::EndBrowserSessionRequest {
        client_id: app.id.clone(),
        post_logout_redirect_uri: "https://app.example/bye".to_owned(),
        ..Default::default()
    };
    let done = sign_out(&platform.system, request.clone()).await;
    assert_eq!((done.ended, done.redirect_uri.as_str()), (true, ""), "anybody can make this link");
    let session = owner_browser(&platform).await;
    let request = wire::EndBrowserSessionRequest { session, ..request };
    assert!(!sign_out(&platform.system, request.clone()).await.ended, "he is asked");
    let done = sign_out(&platform.system, wire::EndBrowserSessionRequest { confirmed: true, ..request }).await;
    assert_eq!((done.ended, done.redirect_uri.as_str()), (true, "https://app.example/bye"), "he was told where to");
}

#[tokio::test]
async fn an_id_token_of_a_session_that_has_ended_leads_on_only_once_the_person_has_seen_where() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let session = owner_browser(&platform).await;
    let hint = signed_in(&platform, &app, &session, "openid").await.id_token;
    let request = wire::EndBrowserSessionRequest {
        session,
        id_token_hint: hint,
        post_logout_redirect_uri: "https://app.example/bye".to_owned(),
        ..Default::default()
    };
    let done = sign_out(&platform.system, request.clone()).await;
    assert_eq!((done.ended, done.redirect_uri.as_str()), (true, "https://app.example/bye"));
    let asked = sign_out(&platform.system, wire::EndBrowserSessionRequest { session: String::new(), ..request }).await;
    assert_eq!((asked.ended, asked.redirect_uri.as_str(), asked.client_id.as_str()), (false, "", app.id.as_str()));
    let confirmed = wire::EndBrowserSessionRequest {
        client_id: asked.client_id,
        post_logout_redirect_uri: "https://app.example/bye".to_owned(),
        confirmed: true,
        ..Default::default()
    };
    let done = sign_out(&platform.system, confirmed).await;
    assert_eq!((done.ended, done.redirect_uri.as_str()), (true, "https://app.example/bye"), "he was told where to");
}

#[tokio::test]
async fn a_browsers_session_is_listed_with_the_others_and_ends_with_password_and_membership() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let browser = browser_of(&platform, "bob").await;
    let list = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let listed = users(&platform.system, &signed).await.list_sessions(list).await.expect("his own").into_inner();
    let clients: Vec<_> = listed.sessions.iter().map(|session| session.client.as_str()).collect();
    assert_eq!(clients, ["workos-cli", "workos-browser"]);
    let change = wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: password_of("bob"),
        new_password: "vK4 rqz Lp8 wmN 7 and more".to_owned(),
    };
    users(&platform.system, &signed).await.change_password(change).await.expect("right");
    assert_refused(exchange_session(&platform.system, &browser).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &signed.access).await.expect("the session that changed it lives");
    let code = browser_code(&platform.system, &bob.email, "vK4 rqz Lp8 wmN 7 and more", &platform.organization).await;
    let browser = begin(&platform.system, &code, "").await.expect("the code is good");
    let name = platform.membership(&owner, &bob.name).await.name;
    let request = wire::DeleteMembershipRequest { name, ..Default::default() };
    crate::organizations(&platform.system, &owner).await.delete_membership(request).await.expect("the owner may");
    assert_refused(exchange_session(&platform.system, &browser).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let _: Signed = owner;
}
