//! Sessions as their user sees them: which device, from where, which is this one.
use std::time::Duration;

use api::{CallContext, Ids};
use mesh::client::Channel;
use proto::auth::v1::{
    self as wire, authorize_response::Outcome, browser_service_client::BrowserServiceClient,
    login_service_client::LoginServiceClient, login_step::Step, membership::Role,
    o_auth_service_client::OAuthServiceClient,
};
use testkit::{System, eventually};
use tonic::{Code, Status};

use crate::{
    Platform, Signed, assert_refused,
    authorize::{asks, parameter, redeem},
    browser::{BROWSER, exchange_session},
    challenge,
    client::{register, web},
    code_grant, device, password_answer, password_of, platform, refresh_grant, start_login, tokens, users, with,
};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";

/// The gateway, for somebody there with this program.
fn seen(system: &System, network: &str, user_agent: &str) -> Channel {
    let context = CallContext {
        network: network.to_owned(),
        user_agent: user_agent.to_owned(),
        ..CallContext::background("test", &Ids::default())
    };
    system.host().mesh("gateway").as_workload("auth", &context)
}

/// A code by name and password, and the channel it was got by.
async fn code_by(channel: &Channel, start: wire::StartLoginRequest, name: &str) -> String {
    let mut logins = LoginServiceClient::new(channel.clone());
    let flow = logins.start_login(start).await.expect("the client is built in").into_inner().flow;
    let answer = password_answer(&flow, &format!("{name}@example.com"), &password_of(name));
    let step = logins.continue_login(answer).await.expect("right").into_inner();
    match step.step {
        Some(Step::Done(done)) => done.code,
        _ => panic!("the sign-in waits for another answer"),
    }
}

/// The secret of a new browser's session.
async fn browser_by(channel: &Channel, name: &str) -> String {
    let start = wire::StartLoginRequest {
        client_id: "workos-browser".to_owned(),
        redirect_uri: "workos:browser".to_owned(),
        code_challenge: challenge(BROWSER),
        ..start_login()
    };
    let code = code_by(channel, start, name).await;
    let request = wire::BeginBrowserSessionRequest { code, browser: BROWSER.to_owned(), replaced: String::new() };
    BrowserServiceClient::new(channel.clone()).begin_browser_session(request).await.expect("good").into_inner().session
}

async fn listed(platform: &Platform, signed: &Signed) -> Vec<wire::Session> {
    let list = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..Default::default() };
    users(&platform.system, signed).await.list_sessions(list).await.expect("his own").into_inner().sessions
}

async fn get(platform: &Platform, signed: &Signed, name: &str) -> Result<wire::Session, Status> {
    let request = wire::GetSessionRequest { name: name.to_owned() };
    users(&platform.system, signed).await.get_session(request).await.map(tonic::Response::into_inner)
}

fn shown(session: &wire::Session) -> (&str, &str, &str, &str, bool) {
    let wire::Session { client, device, network, last_network, current, .. } = session;
    (client, device, network, last_network, *current)
}

#[tokio::test]
async fn auth_s09_somebody_tells_his_devices_apart_and_ends_one_of_them() {
    let platform = platform().await;
    let owner = platform.owner().await;
    platform.user(&owner, "bob", Role::Editor).await;
    let (desk, shell) =
        (seen(&platform.system, "192.0.2.1", FIREFOX), seen(&platform.system, "2001:db8::7", "curl/8.5.0"));
    let browser = browser_by(&desk, "bob").await;
    let code = code_by(&shell, start_login(), "bob").await;
    let answer =
        OAuthServiceClient::new(shell.clone()).token(code_grant(&code)).await.expect("it answers").into_inner();
    let signed = Signed { access: answer.access_token, refresh: answer.refresh_token };
    let sessions = listed(&platform, &signed).await;
    let of_browser = ("workos-browser", "Firefox on Linux", "192.0.2.1", "192.0.2.1", false);
    let of_shell = ("workos-cli", "curl", "2001:db8::7", "2001:db8::7", true);
    assert_eq!(sessions.iter().map(shown).collect::<Vec<_>>(), [of_browser, of_shell]);
    assert_eq!((sessions[0].user_agent.as_str(), sessions[0].amr.as_slice()), (FIREFOX, ["pwd".to_owned()].as_slice()));
    let mut own = crate::UserServiceClient::new(with(
        &platform.system,
        "gateway",
        exchange_session(&platform.system, &browser).await.expect("good"),
    ));
    let request = wire::GetSessionRequest { name: sessions[0].name.clone() };
    assert!(own.get_session(request).await.expect("his own").into_inner().current, "to the browser it is this one");
    // Both are used again, a while later and from elsewhere.
    platform.system.clock().advance(Duration::from_secs(120));
    let moved = seen(&platform.system, "198.51.100.9", "curl/9");
    let visit = wire::GetBrowserSessionRequest { session: browser.clone() };
    BrowserServiceClient::new(moved.clone()).get_browser_session(visit).await.expect("good");
    let refresh = refresh_grant(&signed.refresh);
    let answer = OAuthServiceClient::new(moved).token(refresh).await.expect("it answers").into_inner();
    let signed = Signed { access: answer.access_token, refresh: answer.refresh_token };
    for (session, network) in listed(&platform, &signed).await.iter().zip(["192.0.2.1", "2001:db8::7"]) {
        assert_eq!((session.network.as_str(), session.last_network.as_str()), (network, "198.51.100.9"));
        assert!(session.user_agent != "curl/9", "what it began with stays");
    }
    let name = sessions[0].name.clone();
    let mut client = users(&platform.system, &signed).await;
    // The clock has left the list of revocations behind; sensitive methods wait for it.
    eventually("the revocations are read again", || {
        let (mut client, request) = (client.clone(), wire::DeleteSessionRequest { name: name.clone() });
        async move { client.delete_session(request).await.ok() }
    })
    .await;
    client.delete_session(wire::DeleteSessionRequest { name: name.clone() }).await.expect("it may be repeated");
    assert_refused(exchange_session(&platform.system, &browser).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(get(&platform, &signed, &name).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    assert_refused(get(&platform, &owner, &sessions[1].name).await, Code::PermissionDenied, "ACCESS_DENIED");
    assert_eq!(get(&platform, &signed, &sessions[1].name).await.expect("his own").device, "curl");
    let kept = "select (select count(*) from auth.sessions where user_agent like 'Mozilla%') \
         + (select count(*) from auth.authorization_codes where user_agent <> '' or network <> '')";
    assert_eq!(platform.system.sql(kept).await[0][0].as_deref(), Some("0"), "it goes with the session");
}

#[tokio::test]
async fn an_applications_session_is_where_its_person_said_yes_and_a_devices_where_the_device_is() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let desk = seen(&platform.system, "192.0.2.1", FIREFOX);
    let browser = browser_by(&desk, "bob").await;
    let app = register(&platform, &owner, web(&["organization:read", "offline_access"])).await;
    let request = wire::AuthorizeRequest {
        parameters: Some(asks(&app, "organization:read offline_access")),
        session: browser.clone(),
        browser: BROWSER.to_owned(),
    };
    let outcome =
        OAuthServiceClient::new(desk.clone()).authorize(request).await.expect("it answers").into_inner().outcome;
    let Some(Outcome::Consent(asked)) = outcome else { panic!("bob is asked") };
    let decide = wire::DecideAuthorizationRequest {
        request: asked.request,
        session: browser.clone(),
        browser: BROWSER.to_owned(),
        approve: true,
    };
    let decided = BrowserServiceClient::new(desk).decide_authorization(decide).await.expect("his request").into_inner();
    let Some(Outcome::RedirectUri(uri)) = decided.outcome else { panic!("bob said yes") };
    let code = parameter(&uri, "code").expect("approved");
    // The application's server redeems it, from elsewhere.
    let server =
        OAuthServiceClient::new(seen(&platform.system, "203.0.113.5", "node")).token(redeem(&app, &code)).await;
    assert!(!server.expect("it answers").into_inner().access_token.is_empty());
    let tv = device::tv(&platform).await;
    let codes = device::begin(&platform, &tv, "organization:read offline_access").await;
    device::decide(&platform, &browser, &codes.user_code, true).await.expect("it waits");
    platform.system.clock().advance(Duration::from_secs(16));
    let poll = wire::TokenRequest {
        grant_type: "urn:ietf:params:oauth:grant-type:device_code".to_owned(),
        client: tv.proof(),
        device_code: codes.device_code,
        ..wire::TokenRequest::default()
    };
    let living_room = seen(&platform.system, "192.0.2.99", "HarborTV/3.1 (Linux)");
    let answer = OAuthServiceClient::new(living_room).token(poll).await.expect("it answers").into_inner();
    assert!(!answer.refresh_token.is_empty(), "{}", answer.error);
    let sessions = listed(&platform, &signed).await;
    let of = |client: &str| sessions.iter().find(|session| session.client == client).map(shown).expect("it is listed");
    assert_eq!(of(&app.id), (app.id.as_str(), "Firefox on Linux", "192.0.2.1", "192.0.2.1", false));
    assert_eq!(of(&tv.id), (tv.id.as_str(), "HarborTV on Linux", "192.0.2.99", "192.0.2.99", false));
}

#[tokio::test]
async fn what_a_program_calls_itself_is_cut_and_never_more_than_text() {
    let platform = platform().await;
    let owner = platform.owner().await;
    platform.user(&owner, "bob", Role::Editor).await;
    let long = format!("<b>{}", "x".repeat(400));
    let code = code_by(&seen(&platform.system, "192.0.2.1", &long), start_login(), "bob").await;
    let answer = tokens(&platform.system, code_grant(&code)).await.expect("good");
    let signed = Signed { access: answer.access_token, refresh: answer.refresh_token };
    let sessions = listed(&platform, &signed).await;
    assert_eq!((sessions.len(), sessions[0].user_agent.len()), (1, 256));
    assert!(sessions[0].device.len() <= 40 && sessions[0].device.starts_with("bx"), "{}", sessions[0].device);
}
