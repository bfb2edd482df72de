//! What is left of an account whose address is proven for the first time: nothing that whoever set it up could come back with, in
//! whatever way the address is proven. An account whose address was proven before keeps everything.
use proto::auth::v1::{self as wire, login_step::Step, membership::Role};
use testkit::System;
use tonic::Code;

use crate::{
    Platform, assert_refused, exchange,
    factor::{Enrolled, enrolled},
    life::second_organization,
    mail::{
        answer, code_for, delivery, invitation_token, invitations, invite, mails, notices, reset, reset_token, take,
        token_of,
    },
    password_of, platform, sign_in, try_password, users,
};

const BOB: &str = "(select user_id from auth.users where email_key = 'bob@example.com')";

/// An account that somebody has set up for an address that is not his, with a password, an app and a consent.
async fn set_up(platform: &Platform) -> Enrolled {
    let bob = enrolled(platform).await;
    let consent = format!(
        "insert into auth.consents select gen_random_uuid(), {BOB}, 'x', organization_id, 'openid', now(), now() \
         from auth.memberships where user_id = {BOB}"
    );
    platform.system.sql(&consent).await;
    bob
}

/// The user with this address has shown that it is his.
pub(crate) async fn mark_proven(system: &System, email_key: &str) {
    system.sql(&format!("update auth.users set email_verified_time = now() where email_key = '{email_key}'")).await;
}

/// Rows that sign in or act for Bob.
async fn left(system: &System) -> i64 {
    let tables = ["passwords", "mfa_factors", "recovery_codes", "passkeys", "consents", "sessions"];
    let count = |table: &str| format!("(select count(*) from auth.{table} where user_id = {BOB})");
    let sql = format!("select {}", tables.map(count).join(" + "));
    system.sql(&sql).await[0][0].as_deref().expect("a number").parse().expect("a number")
}

async fn assert_void(system: &System, bob: &Enrolled) {
    assert_eq!(left(system).await, 0, "nothing is left to come back with");
    let old = try_password(system, &bob.user.email, &password_of("bob")).await;
    assert_refused(old.map(drop), Code::Unauthenticated, "SIGN_IN_REFUSED");
    assert_refused(exchange(system, &bob.signed.access).await.map(drop), Code::Unauthenticated, "CREDENTIAL_INVALID");
    let told = system.sql("select count(*) from auth.audit_event where action = 'credentials.voided'").await;
    assert_eq!(told[0][0].as_deref(), Some("1"));
}

pub(crate) async fn verify(system: &System, email: &str) {
    let request = wire::RequestEmailVerificationRequest { email: email.to_owned() };
    mails(system).request_email_verification(request).await.expect("one answer for all");
    let name = delivery(system, "email.verification_requested", 1).await;
    let token = token_of(&take(system, &name).await.expect("it is on its way"));
    let request = wire::VerifyEmailRequest { token, ..Default::default() };
    mails(system).verify_email(request).await.expect("proven");
}

#[tokio::test]
async fn auth_o20_a_link_that_proves_an_address_leaves_nothing_of_who_set_the_account_up() {
    let platform = platform().await;
    let bob = set_up(&platform).await;
    verify(&platform.system, &bob.user.email).await;
    assert_void(&platform.system, &bob).await;
    // The first one told of the app.
    let notice = delivery(&platform.system, "security.notice", 2).await;
    let notice = take(&platform.system, &notice).await.expect("it is on its way");
    assert_eq!((notice.purpose().as_str_name(), &notice.email), ("NOTICE_FACTORS_CHANGED", &bob.user.email));
}

#[tokio::test]
async fn auth_o20_a_sign_in_by_mail_leaves_nothing_of_who_set_the_account_up() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = set_up(&platform).await;
    let (flow, code) = code_for(system, &bob.user.email, 1).await;
    let step = answer(system, &flow, &code).await.expect("right").step;
    assert!(matches!(step, Some(Step::Done(_))), "the app of somebody else is not asked for");
    assert_void(system, &bob).await;
}

#[tokio::test]
async fn auth_o20_an_invitation_leaves_nothing_of_who_set_the_account_up_but_the_session_that_accepts() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = set_up(&platform).await;
    let owner = platform.owner().await;
    let second = second_organization(&platform, &owner).await;
    let inside = sign_in(system, crate::OWNER, crate::OWNER_PASSWORD, &second).await;
    let request = wire::CreateInvitationRequest { parent: second, ..invite(&platform, &bob.user.email, Role::Viewer) };
    invitations(system, &inside).await.create_invitation(request).await.expect("the owner may");
    let token = invitation_token(system, 1).await;
    let accept = wire::AcceptInvitationRequest { token };
    invitations(system, &bob.signed).await.accept_invitation(accept).await.expect("it is his");
    assert_eq!(left(system).await, 1, "who reads the mailbox stays signed in here");
    exchange(system, &bob.signed.access).await.expect("this session goes on");
    let old = try_password(system, &bob.user.email, &password_of("bob")).await;
    assert_refused(old.map(drop), Code::Unauthenticated, "SIGN_IN_REFUSED");
}

#[tokio::test]
async fn auth_o20_a_reset_leaves_nothing_but_the_new_password() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = set_up(&platform).await;
    let token = reset_token(system, &bob.user.email, 1).await;
    reset(system, &token, &password_of("new")).await.expect("good");
    assert_eq!(left(system).await, 1, "the new password");
    let step = try_password(system, &bob.user.email, &password_of("new")).await.expect("right").step;
    assert!(matches!(step, Some(Step::Done(_))), "the app of somebody else is not asked for");
    assert_refused(exchange(system, &bob.signed.access).await.map(drop), Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_o20_a_new_address_leaves_nothing_of_who_set_the_account_up() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = set_up(&platform).await;
    let change = wire::ChangeEmailRequest { name: "users/me".to_owned(), email: "robert@example.com".to_owned() };
    users(system, &bob.signed).await.change_email(change).await.expect("asked");
    let mail = take(system, &delivery(system, "email.verification_requested", 1).await).await.expect("on its way");
    let verify = wire::VerifyEmailRequest { token: token_of(&mail), password: password_of("bob") };
    mails(system).verify_email(verify).await.expect("proven");
    system.sql("update auth.users set email_key = 'bob@example.com' where email_key = 'robert@example.com'").await;
    assert_void(system, &bob).await;
    // The first one told of the app, before there was another address.
    let told = notices(system, 3).await;
    let told: Vec<_> = told[1..].iter().map(|(purpose, email)| (purpose.as_str(), email.as_str())).collect();
    assert!(told.contains(&("NOTICE_EMAIL_CHANGED", "bob@example.com")), "{told:?}");
    assert!(told.contains(&("NOTICE_FACTORS_CHANGED", "robert@example.com")), "whose it is now hears of it: {told:?}");
}

#[tokio::test]
async fn an_address_proven_before_voids_nothing() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = set_up(&platform).await;
    mark_proven(system, "bob@example.com").await;
    let before = left(system).await;
    let (flow, code) = code_for(system, &bob.user.email, 1).await;
    let step = answer(system, &flow, &code).await.expect("right").step;
    assert!(matches!(step, Some(Step::SecondFactor(_))), "his app is asked for");
    assert_eq!(left(system).await, before);
    exchange(system, &bob.signed.access).await.expect("his session goes on");
}

#[tokio::test]
async fn the_first_owners_address_counts_as_proven_so_his_password_stays() {
    let platform = platform().await;
    let system = &platform.system;
    let (flow, code) = code_for(system, crate::OWNER, 1).await;
    answer(system, &flow, &code).await.expect("right");
    try_password(system, crate::OWNER, crate::OWNER_PASSWORD).await.expect("he has chosen it himself");
}
