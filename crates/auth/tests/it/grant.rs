//! What applications are given in a browser's session: how long it lasts, what it counts for, what ends it.
use std::time::Duration;

use proto::auth::v1::{
    self as wire,
    authorize_response::Outcome,
    consent_service_client::ConsentServiceClient,
    membership::Role,
    o_auth_client::{IdTokenAlgorithm, RefreshMode},
};
use testkit::System;
use tonic::Code;

use crate::{
    OWNER, OWNER_PASSWORD, Platform, assert_refused,
    authorize::{asks, authorize, decide, parameter, redeem, redirected, signed_in},
    browser::{BROWSER, begin, browser_code, browser_of, browsers, exchange_session, owner_browser, sign_out},
    channel,
    client::{App, clients, register, web},
    ended::at_an_app,
    exchange,
    keys::published,
    oauth,
    operator::operator,
    organizations, password_of, platform, platform_on, refresh_grant, sign_in, tokens,
};

const DAY: u64 = 24 * 60 * 60;

async fn refreshed(platform: &Platform, app: &App, refresh_token: &str) -> Result<wire::TokenResponse, String> {
    tokens(&platform.system, wire::TokenRequest { client: app.proof(), ..refresh_grant(refresh_token) }).await
}

async fn dead(platform: &Platform, access_token: &str) {
    assert_refused(exchange(&platform.system, access_token).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

/// A code that an application got without a question.
async fn silent_code(platform: &Platform, app: &App, session: &str) -> String {
    parameter(&redirected(authorize(platform, asks(app, "openid"), session).await), "code").expect("it is granted")
}

#[tokio::test]
async fn auth_s09_single_sign_on_without_refresh_tokens_ends_nobodys_sessions_and_lasts_no_longer_than_its_token() {
    let system = System::builder(&[&auth::SERVICE]).set("auth.sessions_per_user", 2).start().await;
    let platform = platform_on(system).await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid", "offline_access"])).await;
    let session = owner_browser(&platform).await;
    for _ in 0..5 {
        let answer = signed_in(&platform, &app, &session, "openid").await;
        assert_eq!(answer.refresh_token, "");
    }
    exchange(&platform.system, &owner.access).await.expect("the other device goes on");
    exchange_session(&platform.system, &session).await.expect("so does the browser");
    let lives = format!(
        "select distinct extract(epoch from expire_time - create_time)::int, scope from auth.sessions where client = '{}'",
        app.id
    );
    let rows = platform.system.sql(&lives).await;
    assert_eq!(rows, [[Some("300".to_owned()), Some("openid".to_owned())]], "as long as the access token");
    // One that is refreshed lasts, and counts: the oldest has to go.
    let online = signed_in(&platform, &app, &session, "openid").await;
    let offline = signed_in(&platform, &app, &session, "openid offline_access").await;
    dead(&platform, &owner.access).await;
    exchange_session(&platform.system, &session).await.expect("the browser is the second");
    platform.owner().await;
    let gone = exchange_session(&platform.system, &session).await;
    assert_refused(gone, Code::Unauthenticated, "CREDENTIAL_INVALID");
    dead(&platform, &online.access_token).await;
    exchange(&platform.system, &offline.access_token).await.expect("it was meant to outlive the browser");
}

#[tokio::test]
async fn auth_s08_signing_out_ends_codes_too_and_a_new_sign_in_takes_them_over() {
    let platform = platform().await;
    let system = &platform.system;
    let (_, app, session) = at_an_app(&platform).await;
    let (before, after) = (silent_code(&platform, &app, &session).await, silent_code(&platform, &app, &session).await);
    let code = browser_code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    let fresh = begin(system, &code, &session).await.expect("the code is good");
    let answer = tokens(system, redeem(&app, &before)).await.expect("the same person goes on");
    let out = wire::EndBrowserSessionRequest { session: fresh, confirmed: true, ..Default::default() };
    assert!(sign_out(system, out).await.ended);
    dead(&platform, &answer.access_token).await;
    assert_eq!(tokens(system, redeem(&app, &after)).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_s09_a_browser_that_is_ended_from_the_list_of_devices_takes_its_codes_and_grants_along() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let session = owner_browser(&platform).await;
    let online = signed_in(&platform, &app, &session, "openid").await;
    let code = silent_code(&platform, &app, &session).await;
    let mut users = crate::users(system, &owner).await;
    let list = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let listed = users.list_sessions(list).await.expect("his own").into_inner().sessions;
    let browser = listed.into_iter().find(|session| session.client == "workos-browser").expect("it is listed");
    users.delete_session(wire::DeleteSessionRequest { name: browser.name }).await.expect("his own");
    dead(&platform, &online.access_token).await;
    assert_eq!(tokens(system, redeem(&app, &code)).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_s08_an_id_token_ends_the_applications_session_where_the_browsers_has_expired() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid", "offline_access"])).await;
    let session = owner_browser(&platform).await;
    let answer = signed_in(&platform, &app, &session, "openid offline_access").await;
    let other = signed_in(&platform, &app, &session, "openid offline_access").await;
    platform.system.clock().advance(Duration::from_secs(10 * DAY));
    let answer = wire::TokenResponse {
        id_token: answer.id_token,
        ..refreshed(&platform, &app, &answer.refresh_token).await.expect("in use")
    };
    let other = refreshed(&platform, &app, &other.refresh_token).await.expect("in use");
    platform.system.clock().advance(Duration::from_secs(5 * DAY));
    let refused = exchange_session(&platform.system, &session).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let request =
        wire::EndBrowserSessionRequest { session, id_token_hint: answer.id_token.clone(), ..Default::default() };
    let forged = wire::EndBrowserSessionRequest { id_token_hint: format!("{}x", answer.id_token), ..request.clone() };
    assert!(sign_out(&platform.system, forged).await.ended, "nobody is signed in");
    let answer = refreshed(&platform, &app, &answer.refresh_token).await.expect("a forged hint ends nothing");
    assert!(sign_out(&platform.system, request).await.ended);
    assert_eq!(refreshed(&platform, &app, &answer.refresh_token).await.err().as_deref(), Some("invalid_grant"));
    refreshed(&platform, &app, &other.refresh_token).await.expect("the hint names one session");
}

#[tokio::test]
async fn auth_s03_introspection_and_userinfo_show_that_a_refresh_token_has_arrived() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid", "offline_access"])).await;
    let session = owner_browser(&platform).await;
    for by_userinfo in [false, true] {
        let first = signed_in(&platform, &app, &session, "openid offline_access").await;
        let second = refreshed(&platform, &app, &first.refresh_token).await.expect("rotated");
        platform.system.clock().advance(Duration::from_secs(31));
        let same = refreshed(&platform, &app, &first.refresh_token).await.expect("the answer may be lost");
        assert_eq!(same.refresh_token, second.refresh_token);
        if by_userinfo {
            let ask = wire::GetUserInfoRequest { access_token: second.access_token };
            oauth(&platform.system).get_user_info(ask).await.expect("good");
        } else {
            let ask = wire::IntrospectRequest { token: second.access_token, client: app.proof() };
            assert!(oauth(&platform.system).introspect(ask).await.expect("it answers").into_inner().active);
        }
        assert_eq!(refreshed(&platform, &app, &first.refresh_token).await.err().as_deref(), Some("invalid_grant"));
        assert_eq!(
            refreshed(&platform, &app, &second.refresh_token).await.err().as_deref(),
            Some("invalid_grant"),
            "the session has ended"
        );
    }
}

#[tokio::test]
async fn auth_s11_a_token_that_is_kept_and_a_browser_live_while_they_are_used_and_ninety_days_at_most() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let keep = wire::OAuthClient { refresh_mode: RefreshMode::Keep.into(), ..web(&["openid", "offline_access"]) };
    let app = register(&platform, &owner, keep).await;
    let (session, idle) = (owner_browser(&platform).await, owner_browser(&platform).await);
    let kept = signed_in(&platform, &app, &session, "openid offline_access").await.refresh_token;
    let paused = signed_in(&platform, &app, &session, "openid offline_access").await.refresh_token;
    for _ in 0..6 {
        platform.system.clock().advance(Duration::from_secs(13 * DAY));
        let answer = refreshed(&platform, &app, &kept).await.expect("used every 13 days");
        assert_eq!(answer.refresh_token, kept, "it stays");
        exchange_session(&platform.system, &session).await.expect("used every 13 days");
    }
    assert_eq!(refreshed(&platform, &app, &paused).await.err().as_deref(), Some("invalid_grant"));
    let gone = exchange_session(&platform.system, &idle).await;
    assert_refused(gone, Code::Unauthenticated, "CREDENTIAL_INVALID");
    platform.system.clock().advance(Duration::from_secs(13 * DAY));
    assert_eq!(refreshed(&platform, &app, &kept).await.err().as_deref(), Some("invalid_grant"), "91 days");
    let gone = exchange_session(&platform.system, &session).await;
    assert_refused(gone, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_o10_a_client_that_expects_somebody_gets_a_code_for_nobody_else() {
    let platform = platform().await;
    let owner = platform.owner().await;
    platform.user(&owner, "bob", Role::Editor).await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let (ada, bob) = (owner_browser(&platform).await, browser_of(&platform, "bob").await);
    let hint = signed_in(&platform, &app, &ada, "openid").await.id_token;
    signed_in(&platform, &app, &bob, "openid").await;
    platform.system.clock().advance(Duration::from_secs(400));
    let expects = |hint: &str, prompt: &str| wire::AuthorizationParameters {
        id_token_hint: hint.to_owned(),
        prompt: prompt.to_owned(),
        ..asks(&app, "openid")
    };
    let uri = redirected(authorize(&platform, expects(&hint, "none"), &ada).await);
    assert!(parameter(&uri, "code").is_some(), "an expired hint is a hint: {uri}");
    let uri = redirected(authorize(&platform, expects(&hint, "none"), &bob).await);
    assert_eq!(parameter(&uri, "error").as_deref(), Some("login_required"));
    for bad in [format!("{hint}x"), "garbage".to_owned(), owner.access.clone()] {
        let uri = redirected(authorize(&platform, expects(&bad, ""), &ada).await);
        assert_eq!(parameter(&uri, "error").as_deref(), Some("invalid_request"));
        assert_eq!(parameter(&uri, "state").as_deref(), Some("s 1"));
    }
    let Outcome::SignIn(asked) = authorize(&platform, expects(&hint, ""), &bob).await else { panic!("a code for Bob") };
    let go_on = |session: &str, request: &str| {
        let request = wire::ContinueAuthorizationRequest {
            request: request.to_owned(),
            session: session.to_owned(),
            browser: BROWSER.to_owned(),
        };
        let mut browsers = browsers(&platform.system);
        async move { browsers.continue_authorization(request).await.expect("his").into_inner().outcome.expect("set") }
    };
    let Outcome::SignIn(asked) = go_on(&bob, &asked.request).await else { panic!("a code for Bob") };
    let uri = redirected(go_on(&ada, &asked.request).await);
    assert!(parameter(&uri, "code").is_some(), "{uri}");
    // A pushed request carries it too.
    let request = wire::PushAuthorizationRequest { client: app.proof(), parameters: Some(expects(&hint, "none")) };
    let pushed = oauth(&platform.system).push_authorization(request).await.expect("it answers").into_inner();
    let by = wire::AuthorizationParameters {
        client_id: app.id.clone(),
        request_uri: pushed.request_uri,
        ..Default::default()
    };
    let uri = redirected(authorize(&platform, by, &bob).await);
    assert_eq!(parameter(&uri, "error").as_deref(), Some("login_required"));
    let long = redirected(authorize(&platform, expects("", &"login ".repeat(11)), &ada).await);
    assert_eq!(parameter(&long, "error").as_deref(), Some("invalid_request"), "66 bytes of prompt");
}

#[tokio::test]
async fn auth_j06_j09_an_id_token_is_a_hint_though_the_key_that_signed_it_is_gone() {
    let mut platform = platform().await;
    let owner = platform.owner().await;
    let es256 = wire::OAuthClient { id_token_algorithm: IdTokenAlgorithm::Es256.into(), ..web(&["openid"]) };
    let apps = [register(&platform, &owner, web(&["openid"])).await, register(&platform, &owner, es256).await];
    let session = owner_browser(&platform).await;
    let mut hints = Vec::new();
    for app in &apps {
        hints.push(signed_in(&platform, app, &session, "openid").await.id_token);
    }
    let before = published(&platform.system).await;
    operator(&platform.system, auth::Config::default()).await.rotate_keys().await.expect("his secrets open the keys");
    platform.system.clock().advance(Duration::from_secs(3 * 60 * 60));
    platform.system.restart().await;
    let after = published(&platform.system).await;
    assert!(after.len() == 1 && after != before, "the old key is gone");
    for (app, hint) in apps.iter().zip(&hints) {
        let expects = |hint: &str| wire::AuthorizationParameters {
            id_token_hint: hint.to_owned(),
            prompt: "none".to_owned(),
            ..asks(app, "openid")
        };
        let uri = redirected(authorize(&platform, expects(hint), &session).await);
        assert!(parameter(&uri, "code").is_some(), "{uri}");
        let uri = redirected(authorize(&platform, expects(&format!("{hint}x")), &session).await);
        assert_eq!(parameter(&uri, "error").as_deref(), Some("invalid_request"), "a forged one is none");
        let refused = exchange(&platform.system, hint).await;
        assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    }
    for hint in hints {
        let session = owner_browser(&platform).await;
        let bye = "https://app.example/bye".to_owned();
        let out = wire::EndBrowserSessionRequest {
            session,
            id_token_hint: hint,
            post_logout_redirect_uri: bye.clone(),
            ..Default::default()
        };
        let done = sign_out(&platform.system, out).await;
        assert_eq!((done.ended, done.redirect_uri), (true, bye));
    }
}

#[tokio::test]
async fn auth_o12_a_consent_ends_with_the_membership_and_one_that_is_left_over_is_taken_back() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let session = browser_of(&platform, "bob").await;
    signed_in(&platform, &app, &session, "openid").await;
    let count = async || system.sql("select count(*) from auth.consents").await.remove(0).remove(0).expect("a number");
    assert_eq!(count().await, "1");
    let kept = system.sql("create table kept as select * from auth.consents").await;
    assert!(kept.is_empty());
    let membership = platform.membership(&owner, &bob.name).await.name;
    let end = wire::DeleteMembershipRequest { name: membership, ..Default::default() };
    organizations(system, &owner).await.delete_membership(end).await.expect("the owner may");
    assert_eq!(count().await, "0", "it was about that organization");
    // As a membership has left it that ended before.
    system.sql("insert into auth.consents select * from kept").await;
    let signed = sign_in(system, &bob.email, &password_of("bob"), "").await;
    let mut own = ConsentServiceClient::new(channel(system, &signed).await);
    let list = wire::ListConsentsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let name = own.list_consents(list).await.expect("his own").into_inner().consents.remove(0).name;
    own.delete_consent(wire::DeleteConsentRequest { name }).await.expect("his own");
    assert_eq!(count().await, "0");
    let log = "select organization_id from auth.audit_event where action = 'consent.deleted'";
    assert_eq!(
        system.sql(log).await,
        [[Some("00000000-0000-0000-0000-000000000000".to_owned())]],
        "he belongs nowhere"
    );
}

#[tokio::test]
async fn a_deletion_of_a_client_that_was_cut_short_is_finished_by_whoever_asks_again_and_by_the_purge() {
    let mut platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid", "offline_access"])).await;
    let kept = register(&platform, &owner, web(&["openid", "offline_access"])).await;
    let session = owner_browser(&platform).await;
    signed_in(&platform, &kept, &session, "openid offline_access").await;
    signed_in(&platform, &app, &session, "openid offline_access").await;
    // As `kill -9` between the two transactions leaves it: the client is gone, what it was given is not.
    let traces = async |platform: &Platform| {
        let sql = format!(
            "select (select count(*) from auth.consents where client = '{id}') + (select count(*) from auth.sessions where client = '{id}')",
            id = app.id
        );
        platform.system.sql(&sql).await.remove(0).remove(0).expect("a number")
    };
    let again = format!(
        "insert into auth.consents select gen_random_uuid(), user_id, '{id}', organization_id, 'openid', now(), now() from auth.memberships \
         where organization_id <> '00000000-0000-0000-0000-000000000000' limit 1",
        id = app.id
    );
    assert_eq!(traces(&platform).await, "2");
    let delete =
        wire::DeleteOAuthClientRequest { name: app.name.clone(), request_id: "d1".to_owned(), ..Default::default() };
    let mut service = clients(&platform, &owner).await;
    service.delete_o_auth_client(delete.clone()).await.expect("the owner may");
    assert_eq!(traces(&platform).await, "0");
    platform.system.sql(&again).await;
    assert_eq!(traces(&platform).await, "1");
    service.delete_o_auth_client(delete.clone()).await.expect("the same request once more");
    assert_eq!(traces(&platform).await, "0");
    platform.system.sql(&again).await;
    let other = wire::DeleteOAuthClientRequest { request_id: String::new(), ..delete };
    assert_refused(service.delete_o_auth_client(other).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    assert_eq!(traces(&platform).await, "0");
    platform.system.sql(&again).await;
    platform.system.restart().await;
    testkit::eventually("the purge has run", || async { (traces(&platform).await == "0").then_some(()) }).await;
    let left = platform.system.sql(&format!("select count(*) from auth.consents where client = '{}'", kept.id)).await;
    assert_eq!(left[0][0].as_deref(), Some("1"), "that of a client that is there stays");
}

#[tokio::test]
async fn auth_o12_of_two_consents_at_the_same_time_none_is_lost() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let scopes = ["openid", "email", "profile", "offline_access", "organization:read", "membership:read"];
    let app = register(&platform, &owner, web(&scopes)).await;
    let session = owner_browser(&platform).await;
    let mut requests = Vec::new();
    for scope in scopes {
        let Outcome::Consent(asked) = authorize(&platform, asks(&app, scope), &session).await else {
            panic!("it is new")
        };
        requests.push(asked.request);
    }
    let decisions = requests.iter().map(|request| decide(&platform, request, &session, true));
    for decided in futures::future::join_all(decisions).await {
        redirected(decided.expect("his"));
    }
    let mut own = ConsentServiceClient::new(channel(&platform.system, &owner).await);
    let list = wire::ListConsentsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let mut listed = own.list_consents(list).await.expect("his own").into_inner().consents.remove(0).scopes;
    listed.sort_unstable();
    let mut wanted = scopes.map(str::to_owned).to_vec();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
}
