//! What a session has given, or what was begun in it, ends with it: codes, devices let in, requests, a step-up; and what rests on a consent ends
//! with the consent. Also in the moment in which it is taken.
use proto::auth::v1::{
    self as wire, authorize_response::Outcome, consent_service_client::ConsentServiceClient, login_step::Step,
};
use tokio::sync::oneshot;
use tonic::Code;

use crate::{
    OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused,
    at_work::CONSENT,
    authorize::{asks, authorize, consent, decide, parameter, redeem, redirected, signed_in},
    browser::{BROWSER, begin, browser_code, owner_browser, sign_out},
    channel,
    client::{App, clients, register, web},
    code_grant, device, exchange, logins,
    meanwhile::{COMMIT, Place, while_it_waits},
    oauth, password_answer, platform, step_up, token, tokens, users,
};

fn out(session: &str) -> wire::EndBrowserSessionRequest {
    wire::EndBrowserSessionRequest { session: session.to_owned(), confirmed: true, ..Default::default() }
}

/// The owner, an application that he has signed in at, and his browser's session.
pub(crate) async fn at_an_app(platform: &Platform) -> (Signed, App, String) {
    let owner = platform.owner().await;
    let app = register(platform, &owner, web(&["openid"])).await;
    let session = owner_browser(platform).await;
    signed_in(platform, &app, &session, "openid").await;
    (owner, app, session)
}

/// What an application gets without a question: nothing when the browser's session has ended.
async fn silently(platform: &Platform, app: &App, session: &str) -> Option<wire::TokenResponse> {
    let request = wire::AuthorizeRequest {
        parameters: Some(asks(app, "openid")),
        session: session.to_owned(),
        browser: BROWSER.to_owned(),
    };
    let outcome = oauth(&platform.system).authorize(request).await.ok()?.into_inner().outcome.expect("set");
    let Outcome::RedirectUri(uri) = outcome else { return None };
    tokens(&platform.system, redeem(app, &parameter(&uri, "code")?)).await.ok()
}

#[tokio::test]
async fn auth_s08_a_code_that_is_asked_for_while_its_browser_signs_out_gives_no_session() {
    let platform = platform().await;
    let system = &platform.system;
    let (_, app, session) = at_an_app(&platform).await;
    let ((asked, is_asked), (ends, is_ending), (tried, is_tried)) =
        (oneshot::channel(), oneshot::channel(), oneshot::channel());
    // The browser is looked up, then signed out up to the commit; then the code is given and redeemed, and then comes the commit.
    let given = async {
        let given = silently(&platform, &app, &session).await;
        tried.send(()).expect("the sign-out waits for it");
        given
    };
    let given = while_it_waits(system, CONSENT, given, async {
        asked.send(()).expect("the sign-out waits for it");
        is_ending.await
    });
    let signing_out = async {
        is_asked.await.expect("it is asked for");
        sign_out(system, out(&session)).await
    };
    let signing_out = while_it_waits(system, COMMIT, signing_out, async {
        ends.send(()).expect("the code waits for it");
        is_tried.await
    });
    let ((given, _), (ended, _)) = Box::pin(async { tokio::join!(given, signing_out) }).await;
    assert!(ended.ended);
    if let Some(given) = given {
        let refused = exchange(system, &given.access_token).await;
        assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    }
    let left = format!("select count(*) from auth.sessions where client = '{}'", app.id);
    assert_eq!(system.sql(&left).await[0][0].as_deref(), Some("0"));
    // Nothing was given because of the sign-out, and for no other reason.
    let fresh = owner_browser(&platform).await;
    let given =
        silently(&platform, &app, &fresh).await.expect("a browser that is signed in gets it without a question");
    exchange(system, &given.access_token).await.expect("good");
}

#[tokio::test]
async fn auth_s08_a_device_that_a_browser_let_in_stays_outside_once_the_browser_has_signed_out() {
    let platform = platform().await;
    let system = &platform.system;
    let app = device::tv(&platform).await;
    let session = owner_browser(&platform).await;
    let (one, other) = (device::begin(&platform, &app, "openid").await, device::begin(&platform, &app, "openid").await);
    for codes in [&one, &other] {
        device::decide(&platform, &session, &codes.user_code, true).await.expect("it waits");
    }
    let code = browser_code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    let fresh = begin(system, &code, &session).await.expect("the code is good");
    let inside = device::poll(&platform, &app, &one.device_code).await.expect("the same person goes on");
    assert!(sign_out(system, out(&fresh)).await.ended);
    let answer = device::poll(&platform, &app, &other.device_code).await.map(drop);
    assert_eq!(answer.expect_err("who let it in has gone"), "invalid_grant");
    exchange(system, &inside.access_token).await.expect("what is inside is a session of its own");
}

#[tokio::test]
async fn auth_s08_what_was_asked_in_a_browser_is_not_decided_after_it_has_signed_out() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let session = owner_browser(&platform).await;
    let asked = consent(authorize(&platform, asks(&app, "openid"), &session).await);
    let push = wire::PushAuthorizationRequest { client: app.proof(), parameters: Some(asks(&app, "openid")) };
    let pushed = oauth(system).push_authorization(push).await.expect("it answers").into_inner().request_uri;
    assert!(sign_out(system, out(&session)).await.ended);
    let fresh = owner_browser(&platform).await;
    for session in [&session, &fresh] {
        let decided = decide(&platform, &asked.request, session, true).await.map(drop);
        assert_refused(decided, Code::FailedPrecondition, "FLOW_INVALID");
    }
    let by = wire::AuthorizationParameters { client_id: app.id.clone(), request_uri: pushed, ..Default::default() };
    assert!(matches!(authorize(&platform, by, &session).await, Outcome::SignIn(_)), "nobody is signed in");
}

async fn end(platform: &Platform, by: &Signed, session: &Signed) {
    let id = step_up::claims(&session.access)["sid"].as_str().expect("set").to_owned();
    let request = wire::DeleteSessionRequest { name: format!("users/me/sessions/{id}") };
    users(&platform.system, by).await.delete_session(request).await.expect("his own");
}

#[tokio::test]
async fn auth_s09_a_step_up_ends_with_the_session_in_which_it_was_begun() {
    let platform = platform().await;
    let system = &platform.system;
    let (kept, one, other) = (platform.owner().await, platform.owner().await, platform.owner().await);
    let asked = step_up::begin(&platform, &one).await;
    end(&platform, &kept, &one).await;
    let ended = logins(system).continue_login(password_answer(&asked.flow, OWNER, OWNER_PASSWORD)).await;
    assert_refused(ended, Code::FailedPrecondition, "FLOW_INVALID");
    let asked = step_up::begin(&platform, &other).await;
    let done = logins(system).continue_login(password_answer(&asked.flow, OWNER, OWNER_PASSWORD)).await;
    let Some(Step::Done(done)) = done.expect("right").into_inner().step else { panic!("complete") };
    end(&platform, &kept, &other).await;
    assert_eq!(token(system, code_grant(&done.code)).await.err().as_deref(), Some("invalid_grant"));
}

async fn take_back(platform: &Platform, owner: &Signed) -> Result<(), tonic::Status> {
    let mut own = ConsentServiceClient::new(channel(&platform.system, owner).await);
    let list = wire::ListConsentsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let name = own.list_consents(list).await.expect("his own").into_inner().consents.remove(0).name;
    own.delete_consent(wire::DeleteConsentRequest { name }).await.map(drop)
}

#[tokio::test]
async fn auth_o12_a_consent_is_taken_back_while_its_application_is_deleted() {
    let platform = platform().await;
    let system = &platform.system;
    let (owner, app, session) = at_an_app(&platform).await;
    redirected(authorize(&platform, asks(&app, "openid"), &session).await);
    let mut service = clients(&platform, &owner).await;
    let delete = wire::DeleteOAuthClientRequest { name: app.name.clone(), ..Default::default() };
    // Codes are deleted by then, and the consents are not.
    let between = Place("device_codes", "share", "delete from device_codes%");
    let deleted = service.delete_o_auth_client(delete);
    let (deleted, taken) = while_it_waits(system, between, deleted, take_back(&platform, &owner)).await;
    deleted.expect("neither waits for the other for ever");
    taken.expect("neither waits for the other for ever");
    let left = format!("select count(*) from auth.consents where client = '{}'", app.id);
    assert_eq!(system.sql(&left).await[0][0].as_deref(), Some("0"));
}
