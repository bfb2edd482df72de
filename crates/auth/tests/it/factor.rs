//! Second factors: how they are enrolled, what a sign-in asks for, and what no longer counts.
use std::time::Duration;

use futures::future::join_all;
use mesh::client::Channel;
use proto::auth::v1::{
    self as wire, continue_login_request::Answer, factor_service_client::FactorServiceClient, login_step::Step,
    membership::Role,
};
use testkit::System;
use tonic::{Code, Status};
use totp_rs::{Algorithm, Builder, Secret};

use crate::{
    Platform, Signed, assert_refused, channel, code_grant, exchange, logins, password_of, platform, sign_in, token,
    try_password, users,
};

/// A user with an authenticator app.
pub(crate) struct Enrolled {
    pub(crate) user: wire::User,
    pub(crate) signed: Signed,
    pub(crate) factor: String,
    pub(crate) secret: String,
    pub(crate) recovery: Vec<String>,
}

pub(crate) async fn factors(system: &System, signed: &Signed) -> FactorServiceClient<Channel> {
    FactorServiceClient::new(channel(system, signed).await)
}

fn new_factor() -> wire::CreateMfaFactorRequest {
    let factor = wire::MfaFactor { display_name: "Phone".to_owned(), ..wire::MfaFactor::default() };
    wire::CreateMfaFactorRequest { parent: "users/me".to_owned(), mfa_factor: Some(factor) }
}

/// What the app shows, so many seconds from now.
pub(crate) fn shown(system: &System, secret: &str, offset: i64) -> String {
    let secret = Secret::try_from_base32(secret).expect("base32");
    let totp = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(secret).build().expect("160 bits");
    let time = system.clock().now().unix_timestamp() + offset;
    totp.generate(time.try_into().expect("after 1970")).to_string()
}

fn confirm(name: &str, code: String) -> wire::ConfirmMfaFactorRequest {
    wire::ConfirmMfaFactorRequest { name: name.to_owned(), code }
}

pub(crate) fn second(flow: &str, answer: Answer) -> wire::ContinueLoginRequest {
    wire::ContinueLoginRequest { flow: flow.to_owned(), answer: Some(answer), device: String::new() }
}

/// Bob with an app; his session is the one that enrolled it, of class 1. The confirming code was that of the step before.
pub(crate) async fn enrolled(platform: &Platform) -> Enrolled {
    let owner = platform.owner().await;
    let (user, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let mut client = factors(&platform.system, &signed).await;
    let made = client.create_mfa_factor(new_factor()).await.expect("his own").into_inner();
    let code = shown(&platform.system, &made.secret, -30);
    let confirmed = client.confirm_mfa_factor(confirm(&made.name, code)).await.expect("right").into_inner();
    let (factor, secret, recovery) = (made.name, made.secret, confirmed.recovery_codes);
    Enrolled { user, signed, factor, secret, recovery }
}

/// A flow of Bob's that waits for the second factor.
pub(crate) async fn waiting(platform: &Platform, bob: &Enrolled) -> String {
    let step = try_password(&platform.system, &bob.user.email, &password_of("bob")).await.expect("right");
    assert!(matches!(step.step, Some(Step::SecondFactor(_))), "a second factor is asked for");
    step.flow
}

pub(crate) async fn answer(system: &System, flow: &str, answer: Answer) -> Result<wire::LoginStep, Status> {
    logins(system).continue_login(second(flow, answer)).await.map(tonic::Response::into_inner)
}

fn done(step: wire::LoginStep) -> wire::login_step::DoneStep {
    match step.step {
        Some(Step::Done(done)) => done,
        _ => panic!("the sign-in is complete"),
    }
}

/// Bob signed in with both factors; the code of the present step is used.
pub(crate) async fn signed_strongly(platform: &Platform, bob: &Enrolled) -> Signed {
    let flow = waiting(platform, bob).await;
    let code = shown(&platform.system, &bob.secret, 0);
    let done = done(answer(&platform.system, &flow, Answer::Totp(code)).await.expect("right"));
    token(&platform.system, code_grant(&done.code)).await.expect("the code is good")
}

#[tokio::test]
async fn an_app_is_enrolled_shown_and_asked_for() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    assert_eq!((bob.recovery.len(), bob.secret.len()), (10, 32));
    let list = wire::ListMfaFactorsRequest { parent: bob.user.name.clone(), ..wire::ListMfaFactorsRequest::default() };
    let listed =
        factors(&platform.system, &bob.signed).await.list_mfa_factors(list).await.expect("his own").into_inner();
    let seen: Vec<_> = listed
        .mfa_factors
        .iter()
        .map(|factor| (factor.kind().as_str_name(), factor.confirmed, factor.remaining_codes, factor.secret.as_str()))
        .collect();
    assert_eq!(seen, [("TOTP", true, 0, ""), ("RECOVERY_CODES", true, 10, "")]);
    let step = try_password(&platform.system, &bob.user.email, &password_of("bob")).await.expect("right");
    let Some(Step::SecondFactor(asked)) = step.step else { panic!("a second factor is asked for") };
    assert_eq!(asked.methods().map(|method| method.as_str_name()).collect::<Vec<_>>(), ["TOTP", "RECOVERY_CODE"]);
    let stored =
        platform.system.sql("select encode(sealed_secret, 'escape') from auth.mfa_factors where kind = 1").await;
    assert!(!stored[0][0].as_deref().expect("set").contains(&bob.secret), "a dump holds no usable secret");
    assert_eq!(platform.system.published("auth", "mfa_factor.confirmed").await.len(), 1);
}

#[tokio::test]
async fn auth_p09_a_code_counts_once_and_only_near_its_time() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    let system = &platform.system;
    system.clock().advance(Duration::from_secs(60));
    let flow = waiting(&platform, &bob).await;
    for away in [-90, 90] {
        let code = shown(system, &bob.secret, away);
        let refused = answer(system, &flow, Answer::Totp(code)).await;
        assert_refused(refused, Code::Unauthenticated, "FACTOR_REFUSED");
    }
    let late = shown(system, &bob.secret, -30);
    done(answer(system, &flow, Answer::Totp(late.clone())).await.expect("one step behind, and the flow goes on"));
    let flow = waiting(&platform, &bob).await;
    assert_refused(answer(system, &flow, Answer::Totp(late)).await, Code::Unauthenticated, "FACTOR_REFUSED");
    let early = shown(system, &bob.secret, 30);
    done(answer(system, &flow, Answer::Totp(early)).await.expect("one step ahead"));
    let flow = waiting(&platform, &bob).await;
    let between = shown(system, &bob.secret, 0);
    let refused = answer(system, &flow, Answer::Totp(between)).await;
    assert_refused(refused, Code::Unauthenticated, "FACTOR_REFUSED");
}

#[tokio::test]
async fn auth_p09_of_two_parallel_uses_one_wins() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    let (one, other) = (waiting(&platform, &bob).await, waiting(&platform, &bob).await);
    let code = shown(&platform.system, &bob.secret, 0);
    let answers = join_all([&one, &other].map(|flow| answer(&platform.system, flow, Answer::Totp(code.clone())))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[tokio::test]
async fn auth_p09_before_confirmation_an_app_counts_for_nothing() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let mut client = factors(&platform.system, &signed).await;
    let made = client.create_mfa_factor(new_factor()).await.expect("his own").into_inner();
    let step = try_password(&platform.system, &bob.email, &password_of("bob")).await.expect("right");
    assert!(matches!(step.step, Some(Step::Done(_))), "the password is enough");
    let wrong = client.confirm_mfa_factor(confirm(&made.name, "000000".to_owned())).await;
    assert_refused(wrong, Code::Unauthenticated, "FACTOR_REFUSED");
    let got = client.get_mfa_factor(wire::GetMfaFactorRequest { name: made.name }).await.expect("his own").into_inner();
    assert!(!got.confirmed && got.secret.is_empty() && got.otpauth_uri.is_empty());
    for _ in 0..4 {
        client.create_mfa_factor(new_factor()).await.expect("five may be");
    }
    assert_refused(client.create_mfa_factor(new_factor()).await, Code::FailedPrecondition, "FACTOR_LIMIT");
    let none = wire::RegenerateRecoveryCodesRequest { parent: "users/me".to_owned() };
    assert_refused(client.regenerate_recovery_codes(none).await, Code::FailedPrecondition, "FACTOR_MISSING");
}

#[tokio::test]
async fn auth_p10_wrong_codes_delay_the_app_and_leave_the_password_alone() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    let system = &platform.system;
    let flow = waiting(&platform, &bob).await;
    for _ in 0..5 {
        let refused = answer(system, &flow, Answer::Totp("000000".to_owned())).await;
        assert_refused(refused, Code::Unauthenticated, "FACTOR_REFUSED");
    }
    assert_eq!(crate::lockout::failures(&platform).await, [5], "the password has no failure");
    let flow = waiting(&platform, &bob).await;
    let right = shown(system, &bob.secret, 0);
    let locked = answer(system, &flow, Answer::Totp(right)).await;
    assert_refused(locked, Code::Unauthenticated, "FACTOR_REFUSED");
    done(answer(system, &flow, Answer::RecoveryCode(bob.recovery[0].clone())).await.expect("counted apart"));
    assert_eq!(crate::lockout::failures(&platform).await, Vec::<i64>::new(), "a full sign-in resets all");
}

#[tokio::test]
async fn auth_p11_half_a_sign_in_is_nothing() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    let system = &platform.system;
    let flow = waiting(&platform, &bob).await;
    assert_refused(exchange(system, &flow).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_eq!(token(system, code_grant(&flow)).await.err().as_deref(), Some("invalid_grant"));
    let skipped = crate::organization_answer(&flow, &platform.organization);
    assert_refused(logins(system).continue_login(skipped).await, Code::FailedPrecondition, "FLOW_INVALID");
    let repeated = crate::password_answer(&flow, &bob.user.email, &password_of("bob"));
    assert_refused(logins(system).continue_login(repeated).await, Code::FailedPrecondition, "FLOW_INVALID");
    let others = other_secret(&platform).await;
    let foreign = answer(system, &flow, Answer::Totp(shown(system, &others, 0))).await;
    assert_refused(foreign, Code::Unauthenticated, "FACTOR_REFUSED");
    system.clock().advance(Duration::from_secs(301));
    let late = answer(system, &flow, Answer::Totp(shown(system, &bob.secret, 0))).await;
    assert_refused(late, Code::FailedPrecondition, "FLOW_INVALID");
}

/// The secret of somebody else's confirmed app.
async fn other_secret(platform: &Platform) -> String {
    let owner = platform.owner().await;
    let (_, signed) = platform.signed_user(&owner, "carol", Role::Editor).await;
    let mut client = factors(&platform.system, &signed).await;
    let made = client.create_mfa_factor(new_factor()).await.expect("her own").into_inner();
    let code = shown(&platform.system, &made.secret, -30);
    client.confirm_mfa_factor(confirm(&made.name, code)).await.expect("right");
    made.secret
}

#[tokio::test]
async fn auth_p12_a_recovery_code_counts_once_and_a_new_set_kills_the_old() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    let system = &platform.system;
    let mut left = Vec::new();
    for code in &bob.recovery[..8] {
        let flow = waiting(&platform, &bob).await;
        let spelled = Answer::RecoveryCode(code.to_uppercase().replace('-', " "));
        left.extend(done(answer(system, &flow, spelled).await.expect("good once")).recovery_codes_left);
    }
    assert_eq!(left, [9, 8, 7, 6, 5, 4, 3, 2], "the user hears how few are left");
    let flow = waiting(&platform, &bob).await;
    let used = answer(system, &flow, Answer::RecoveryCode(bob.recovery[0].clone())).await;
    assert_refused(used, Code::Unauthenticated, "FACTOR_REFUSED");
    let regenerate = wire::RegenerateRecoveryCodesRequest { parent: bob.user.name.clone() };
    let weak = factors(system, &bob.signed).await.regenerate_recovery_codes(regenerate.clone()).await;
    assert_refused(weak, Code::Unauthenticated, "STEP_UP_REQUIRED");
    let strong = signed_strongly(&platform, &bob).await;
    let fresh = factors(system, &strong).await.regenerate_recovery_codes(regenerate).await.expect("both factors");
    let flow = waiting(&platform, &bob).await;
    let old = answer(system, &flow, Answer::RecoveryCode(bob.recovery[9].clone())).await;
    assert_refused(old, Code::Unauthenticated, "FACTOR_REFUSED");
    let new = fresh.into_inner().recovery_codes.remove(0);
    done(answer(system, &flow, Answer::RecoveryCode(new)).await.expect("of the new set"));
}

#[tokio::test]
async fn auth_p03_a_password_of_eight_characters_is_good_only_beside_a_second_factor() {
    let platform = platform().await;
    let bob = enrolled(&platform).await;
    let system = &platform.system;
    let change = |current: &str, new: &str| wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: current.to_owned(),
        new_password: new.to_owned(),
    };
    let owner = platform.owner().await;
    let alone = users(system, &owner).await.change_password(change(crate::OWNER_PASSWORD, "vK4 rqz8")).await;
    assert_refused(alone, Code::InvalidArgument, "PASSWORD_UNFIT");
    let strong = signed_strongly(&platform, &bob).await;
    let mut client = users(system, &strong).await;
    for unfit in ["vK4 rqz", "password1", "bob@exam", "abcdefgh"] {
        let refused = client.change_password(change(&password_of("bob"), unfit)).await;
        if unfit == "bob@exam" {
            refused.expect("a part of a name is no name");
            client.change_password(change(unfit, &password_of("bob"))).await.expect("back again");
        } else {
            assert_refused(refused, Code::InvalidArgument, "PASSWORD_UNFIT");
        }
    }
    client.change_password(change(&password_of("bob"), "vK4 rqz8")).await.expect("beside the app");
    let delete = wire::DeleteMfaFactorRequest { name: bob.factor.clone() };
    let mut own = factors(system, &strong).await;
    let refused = own.delete_mfa_factor(delete.clone()).await;
    assert_refused(refused, Code::FailedPrecondition, "PASSWORD_TOO_SHORT_ALONE");
    client.change_password(change("vK4 rqz8", &password_of("new"))).await.expect("long enough to stand alone");
    own.delete_mfa_factor(delete.clone()).await.expect("the last one");
    own.delete_mfa_factor(delete).await.expect("gone already");
    let step = try_password(system, &bob.user.email, &password_of("new")).await.expect("right");
    assert!(matches!(step.step, Some(Step::Done(_))), "no second factor is asked for");
    assert_eq!(system.sql("select count(*) from auth.recovery_codes").await[0][0].as_deref(), Some("0"));
}

#[tokio::test]
async fn a_confirmed_app_ends_all_other_sessions() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, here) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let there = sign_in(&platform.system, &bob.email, &password_of("bob"), "").await;
    let mut client = factors(&platform.system, &here).await;
    let made = client.create_mfa_factor(new_factor()).await.expect("his own").into_inner();
    let code = shown(&platform.system, &made.secret, 0);
    client.confirm_mfa_factor(confirm(&made.name, code)).await.expect("right");
    assert_refused(exchange(&platform.system, &there.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &here.access).await.expect("the one that enrolled it goes on");
    let carol = platform.signed_user(&owner, "carol", Role::Editor).await.1;
    let mut other = factors(&platform.system, &carol).await;
    let foreign = other.get_mfa_factor(wire::GetMfaFactorRequest { name: made.name.clone() }).await;
    assert_refused(foreign, Code::PermissionDenied, "ACCESS_DENIED");
    let renamed = made.name.replace(&bob.name, "users/me");
    let hidden = other.delete_mfa_factor(wire::DeleteMfaFactorRequest { name: renamed }).await;
    hidden.expect("hers has no such factor");
    assert_eq!(platform.system.sql("select count(*) from auth.mfa_factors").await[0][0].as_deref(), Some("2"));
}
