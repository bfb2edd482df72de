//! Sign-ins at work while a user's credentials are voided: what was proven before gives no session afterwards, at whatever step it was.
use proto::auth::v1::{
    self as wire, authorize_response::Outcome, continue_login_request::Answer, login_step::Step, membership::Role,
};
use testkit::System;
use tonic::{Code, Status};

use crate::{
    OPERATORS, OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused,
    authorize::{asks, authorize, consent, decide, parameter, redeem},
    browser,
    client::{App, register, web},
    code, code_grant, device, exchange,
    factor::{self, enrolled},
    meanwhile::{Place, while_it_waits},
    organizations, password_of, platform,
    proven::verify,
    sign_in, token, tokens, try_password, users,
};

/// Where a sign-in waits that has read what it tests: its attempt cannot be counted.
const READ: Place = Place("sign_in_attempts", "share", "%sign_in_attempts%");

/// Where somebody waits who lets an application or a device in.
pub(crate) const CONSENT: Place = Place("consents", "exclusive", "%consents%");

/// Where somebody waits who has kept a consent, and has not given the code yet.
const CODE: Place = Place("authorization_codes", "share", "insert into authorization_codes%");

pub(crate) async fn revoke_all(system: &System, signed: &Signed, keep_current: bool) {
    let request = wire::RevokeAllSessionsRequest { parent: "users/me".to_owned(), keep_current };
    users(system, signed).await.revoke_all_sessions(request).await.expect("his own");
}

#[track_caller]
fn assert_begins_again(answer: Result<wire::LoginStep, Status>) {
    assert_refused(answer.map(drop), Code::FailedPrecondition, "FLOW_INVALID");
}

#[tokio::test]
async fn auth_o20_a_password_that_is_tested_while_the_address_is_proven_signs_nobody_in() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let password = password_of("bob");
    let given = try_password(system, &bob.email, &password);
    assert_begins_again(Box::pin(while_it_waits(system, READ, given, verify(system, &bob.email))).await.0);
}

#[tokio::test]
async fn auth_s09_a_sign_in_at_work_ends_with_all_sessions() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let waits = factor::waiting(&platform, &bob).await;
    let answer = factor::answer(system, &waits, Answer::RecoveryCode(bob.recovery[0].clone()));
    assert_begins_again(while_it_waits(system, READ, answer, revoke_all(system, &bob.signed, true)).await.0);
    let waits = factor::waiting(&platform, &bob).await;
    revoke_all(system, &bob.signed, true).await;
    assert_begins_again(factor::answer(system, &waits, Answer::RecoveryCode(bob.recovery[1].clone())).await);
    let waits = factor::waiting(&platform, &bob).await;
    let step = factor::answer(system, &waits, Answer::RecoveryCode(bob.recovery[2].clone())).await;
    let Some(Step::Done(done)) = step.expect("nothing was voided since").step else { panic!("signed in") };
    token(system, code_grant(&done.code)).await.expect("the code is good");
}

#[tokio::test]
async fn auth_s09_who_answers_a_sign_in_that_has_ended_uses_nothing_up() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let ended = factor::waiting(&platform, &bob).await;
    revoke_all(system, &bob.signed, true).await;
    let right = factor::shown(system, &bob.secret, 0);
    let code = Answer::RecoveryCode(bob.recovery[0].clone());
    for given in [Answer::Totp("000000".to_owned()), Answer::Totp(right.clone()), code.clone()] {
        assert_begins_again(factor::answer(system, &ended, given).await);
    }
    assert_eq!(crate::lockout::failures(&platform).await, Vec::<i64>::new(), "no guess was looked at");
    for given in [Answer::Totp(right), code] {
        let waits = factor::waiting(&platform, &bob).await;
        let step = factor::answer(system, &waits, given).await.expect("it is as good as before");
        assert!(matches!(step.step, Some(Step::Done(_))));
    }
}

#[tokio::test]
async fn a_sign_in_at_work_ends_when_an_operator_revokes() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let operator = crate::operator::operator(system, auth::Config::default()).await;
    let revoke = async { operator.revoke(&bob.email).await.expect("there is such an account") };
    let password = password_of("bob");
    let given = try_password(system, &bob.email, &password);
    assert_begins_again(Box::pin(while_it_waits(system, READ, given, revoke)).await.0);
}

/// A device that has asked to be let in, and the owner, in a browser too.
struct Door {
    app: App,
    browser: String,
    owner: Signed,
    codes: wire::AuthorizeDeviceResponse,
}

impl Door {
    async fn of(platform: &Platform) -> Self {
        let app = device::tv(platform).await;
        let codes = device::begin(platform, &app, "openid").await;
        Self { browser: browser::owner_browser(platform).await, owner: platform.owner().await, app, codes }
    }
}

#[tokio::test]
async fn auth_o15_a_device_that_is_let_in_while_all_sessions_end_stays_outside() {
    let platform = platform().await;
    let system = &platform.system;
    let Door { app, browser, owner, codes } = Door::of(&platform).await;
    let approve = device::decide(&platform, &browser, &codes.user_code, true);
    let (decided, ()) = while_it_waits(system, CONSENT, approve, revoke_all(system, &owner, false)).await;
    assert_refused(decided, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let answer = device::poll(&platform, &app, &codes.device_code).await.map(drop);
    assert_eq!(answer.expect_err("nobody has let it in"), "authorization_pending");
}

#[tokio::test]
async fn auth_s09_codes_that_were_given_before_all_sessions_ended_are_worth_nothing() {
    let platform = platform().await;
    let system = &platform.system;
    let Door { app, browser, owner, codes } = Door::of(&platform).await;
    device::decide(&platform, &browser, &codes.user_code, true).await.expect("it waits");
    let native = code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    let pages = browser::browser_code(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    revoke_all(system, &owner, true).await;
    assert_eq!(token(system, code_grant(&native)).await.err().as_deref(), Some("invalid_grant"));
    let begun = browser::begin(system, &pages, "").await;
    assert_refused(begun, Code::FailedPrecondition, "FLOW_INVALID");
    let answer = device::poll(&platform, &app, &codes.device_code).await.map(drop);
    assert_eq!(answer.expect_err("it was let in before"), "invalid_grant");
    exchange(system, &owner.access).await.expect("the one that ended the others goes on");
    sign_in(system, OWNER, OWNER_PASSWORD, OPERATORS).await;
}

#[tokio::test]
async fn auth_b03_a_consent_given_while_its_membership_ends_ends_with_it() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let app = register(&platform, &owner, web(&["openid", "organization:read"])).await;
    let session = browser::browser_of(&platform, "bob").await;
    let asked = consent(authorize(&platform, asks(&app, "openid organization:read"), &session).await);
    let name = platform.membership(&owner, &bob.name).await.name;
    let mut client = organizations(system, &owner).await;
    let remove = client.delete_membership(wire::DeleteMembershipRequest { name, ..Default::default() });
    let given = decide(&platform, &asked.request, &session, true);
    let (given, removed) = Box::pin(while_it_waits(system, CODE, given, remove)).await;
    removed.expect("the owner may");
    let left = system.sql("select count(*) from auth.consents").await;
    assert_eq!(left[0][0].as_deref(), Some("0"), "nothing is allowed any more");
    if let Ok(Outcome::RedirectUri(uri)) = given {
        let code = parameter(&uri, "code").expect("it was given before");
        assert_eq!(tokens(system, redeem(&app, &code)).await.map(drop), Err("invalid_grant".to_owned()));
    }
}
