//! Step-up: an old or weak sign-in is proven again, and goes on under a new session.
use std::time::Duration;

use proto::auth::v1::{
    self as wire, continue_login_request::Answer, login_service_client::LoginServiceClient, login_step::Step,
};
use testkit::eventually;
use tonic::Code;

use crate::{
    OWNER, OWNER_PASSWORD, REDIRECT, Signed, VERIFIER, assert_refused, challenge, channel, code_grant, exchange,
    factor::{enrolled, factors, second, shown},
    logins, password_answer, password_of, platform, refresh_grant, token, users,
};

pub(crate) fn start() -> wire::StartStepUpRequest {
    wire::StartStepUpRequest {
        client_id: "workos-cli".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        code_challenge: challenge(VERIFIER),
        code_challenge_method: "S256".to_owned(),
        state: String::new(),
    }
}

pub(crate) async fn begin(platform: &crate::Platform, signed: &Signed) -> wire::LoginStep {
    let mut client = LoginServiceClient::new(channel(&platform.system, signed).await);
    client.start_step_up(start()).await.expect("his own").into_inner()
}

#[tokio::test]
async fn auth_p16_an_old_sign_in_steps_up_before_a_sensitive_method() {
    let platform = platform().await;
    let system = &platform.system;
    let first = platform.owner().await;
    system.clock().advance(Duration::from_secs(901));
    let old = token(system, refresh_grant(&first.refresh)).await.expect("the session goes on");
    let caller = users(system, &old).await;
    // The clock has left the list of revocations behind; sensitive methods wait for it.
    eventually("the revocations are read again", || async {
        let nothing = wire::DeleteSessionRequest { name: "users/me/sessions/00000000000000000000000001".to_owned() };
        caller.clone().delete_session(nothing).await.ok()
    })
    .await;
    let change = wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: OWNER_PASSWORD.to_owned(),
        new_password: password_of("new"),
    };
    let refused = users(system, &old).await.change_password(change.clone()).await.expect_err("too old");
    let told = api::Error::from_status(&refused);
    assert_eq!((refused.code(), told.reason()), (Code::Unauthenticated, "STEP_UP_REQUIRED"));
    assert_eq!((told.metadata()["acr"].as_str(), told.metadata()["max_age"].as_str()), ("1", "900"));
    let asked = begin(&platform, &old).await;
    assert!(matches!(&asked.step, Some(Step::Password(step)) if step.email == OWNER), "it says who must answer");
    let done = logins(system).continue_login(password_answer(&asked.flow, OWNER, OWNER_PASSWORD)).await;
    let Some(Step::Done(done)) = done.expect("right").into_inner().step else {
        panic!("the organization stays as it was")
    };
    exchange(system, &old.access).await.expect("the old session lives until the code is redeemed");
    let fresh = token(system, code_grant(&done.code)).await.expect("the code is good");
    users(system, &fresh).await.change_password(change).await.expect("works after the step-up");
    assert_refused(exchange(system, &old.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_eq!(token(system, refresh_grant(&old.refresh)).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_s07_a_session_has_another_id_after_each_step_up() {
    let platform = platform().await;
    let system = &platform.system;
    let mut signed = platform.owner().await;
    let mut seen = vec![session(&signed.access)];
    for _ in 0..2 {
        let asked = begin(&platform, &signed).await;
        assert_refused(exchange(system, &asked.flow).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
        let done = logins(system).continue_login(password_answer(&asked.flow, OWNER, OWNER_PASSWORD)).await;
        let Some(Step::Done(done)) = done.expect("right").into_inner().step else { panic!("complete") };
        let next = token(system, code_grant(&done.code)).await.expect("the code is good");
        assert_refused(exchange(system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
        assert!(!seen.contains(&session(&next.access)));
        seen.push(session(&next.access));
        signed = next;
    }
    exchange(system, &signed.access).await.expect("the newest lives");
    assert_eq!(system.sql("select count(*) from auth.sessions").await[0][0].as_deref(), Some("1"));
}

#[tokio::test]
async fn only_the_caller_himself_steps_up() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", wire::membership::Role::Editor).await;
    let asked = begin(&platform, &owner).await;
    let other = logins(system).continue_login(password_answer(&asked.flow, &bob.email, &password_of("bob"))).await;
    assert_refused(other, Code::Unauthenticated, "SIGN_IN_REFUSED");
    assert_refused(logins(system).start_step_up(start()).await, Code::Unauthenticated, "CREDENTIAL_MISSING");
    let unknown = wire::StartStepUpRequest { client_id: "other".to_owned(), ..start() };
    let mut client = LoginServiceClient::new(channel(system, &owner).await);
    assert_refused(client.start_step_up(unknown).await, Code::InvalidArgument, "CLIENT_INVALID");
}

#[tokio::test]
async fn a_step_up_of_who_has_an_app_asks_for_both_factors_and_lifts_the_class() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    let system = &platform.system;
    assert_eq!(claims(&bob.signed.access)["acr"], "1");
    let asked = begin(&platform, &bob.signed).await;
    let answer = password_answer(&asked.flow, &bob.user.email, &password_of("bob"));
    let next = logins(system).continue_login(answer).await.expect("right").into_inner();
    assert!(matches!(next.step, Some(Step::SecondFactor(_))));
    let answer = second(&next.flow, Answer::Totp(shown(system, &bob.secret, 0)));
    let done = logins(system).continue_login(answer).await.expect("right").into_inner();
    let Some(Step::Done(done)) = done.step else { panic!("complete") };
    let strong = token(system, code_grant(&done.code)).await.expect("the code is good");
    let claims = claims(&strong.access);
    assert_eq!((claims["acr"].as_str(), claims["amr"].to_string()), (Some("2"), r#"["pwd","otp","mfa"]"#.to_owned()));
    let delete = wire::DeleteMfaFactorRequest { name: bob.factor.clone() };
    factors(system, &strong).await.delete_mfa_factor(delete).await.expect("class 2 may");
}

pub(crate) fn claims(access: &str) -> serde_json::Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = access.split('.').nth(1).expect("a JWT has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

fn session(access: &str) -> String {
    claims(access)["sid"].as_str().expect("set").to_owned()
}
