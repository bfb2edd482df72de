//! Lockout: what guesses cost, whom they shut out and whom not.
use std::time::Duration;

use chassis::Engine;
use futures::future::join_all;
use proto::auth::v1::{self as wire, continue_login_request::Answer, login_step::Step, membership::Role};
use testkit::System;
use tonic::Code;

use crate::{
    OWNER, OWNER_PASSWORD, Platform, assert_refused, factor, logins,
    mail::{answer_on, code_for, mails, moving, token_of},
    password_of, platform, platform_on,
    proven::mark_proven,
    try_password, try_password_on,
};

const WRONG: &str = "wrong but long enough";

#[tokio::test]
async fn auth_p06_five_wrong_attempts_lock_for_a_growing_time_and_a_right_one_resets() {
    let platform = platform().await;
    let system = &platform.system;
    for _ in 0..5 {
        assert_refused(try_password(system, OWNER, WRONG).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    }
    assert_refused(try_password(system, OWNER, OWNER_PASSWORD).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    assert_eq!(failures(&platform).await, [5], "a locked attempt is not counted");
    system.clock().advance(Duration::from_secs(31));
    assert_refused(try_password(system, OWNER, WRONG).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    system.clock().advance(Duration::from_secs(31));
    assert_refused(try_password(system, OWNER, OWNER_PASSWORD).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    system.clock().advance(Duration::from_secs(31));
    try_password(system, "  Ada@example.com", OWNER_PASSWORD).await.expect_err("blanks make another identifier");
    sign_in_fully(&platform, "").await;
    assert_eq!(failures(&platform).await, [1], "only the other identifier is counted");
}

#[tokio::test]
async fn auth_p06_many_parallel_guesses_are_five() {
    let platform = platform().await;
    let guesses = (0..200).map(|_| try_password(&platform.system, "nobody@example.com", WRONG));
    for answer in join_all(guesses).await {
        assert_refused(answer, Code::Unauthenticated, "SIGN_IN_REFUSED");
    }
    assert_eq!(failures(&platform).await, [5], "each one that was tested is counted");
}

#[tokio::test]
async fn auth_p06_parallel_guesses_after_the_free_ones_are_tested_one_at_a_time() {
    let platform = platform().await;
    for _ in 0..5 {
        try_password(&platform.system, OWNER, WRONG).await.expect_err("wrong");
    }
    platform.system.clock().advance(Duration::from_secs(31));
    for answer in join_all((0..20).map(|_| try_password(&platform.system, OWNER, WRONG))).await {
        assert_refused(answer, Code::Unauthenticated, "SIGN_IN_REFUSED");
    }
    assert_eq!(failures(&platform).await, [6]);
}

#[tokio::test]
async fn honest_parallel_sign_ins_of_one_person_all_succeed() {
    let platform = platform().await;
    let answers = join_all((0..20).map(|_| try_password(&platform.system, OWNER, OWNER_PASSWORD))).await;
    for answer in answers {
        answer.expect("the password is right");
    }
    assert_eq!(failures(&platform).await, Vec::<i64>::new());
    let rows = platform.system.sql("select sum(pending) from auth.sign_in_attempts").await;
    assert_eq!(rows[0][0].as_deref(), Some("0"), "every place was given back");
}

#[tokio::test]
async fn an_attempt_whose_end_nobody_reported_counts_as_a_failure() {
    let platform = platform().await;
    try_password(&platform.system, OWNER, WRONG).await.expect_err("wrong");
    platform.system.sql("update auth.sign_in_attempts set pending = 4, pending_until = '-infinity'").await;
    try_password(&platform.system, OWNER, WRONG).await.expect_err("wrong");
    assert_eq!(failures(&platform).await, [6]);
    assert_refused(
        try_password(&platform.system, OWNER, OWNER_PASSWORD).await,
        Code::Unauthenticated,
        "SIGN_IN_REFUSED",
    );
}

#[tokio::test]
async fn auth_p07_guesses_from_elsewhere_do_not_shut_the_owner_out() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Editor).await;
    let mine = sign_in_fully(&platform, "").await;
    let bobs = match try_password(system, &bob.email, &password_of("bob")).await.expect("right").step {
        Some(Step::Done(done)) => done.device,
        _ => panic!("one organization needs no choice"),
    };
    for _ in 0..20 {
        for answer in join_all((0..50).map(|_| try_password(system, OWNER, WRONG))).await {
            answer.expect_err("wrong or locked");
        }
        system.clock().advance(Duration::from_secs(60));
    }
    for mark in ["", "wos_dv_forged", bobs.as_str()] {
        let answer = try_password_on(system, mark, OWNER, OWNER_PASSWORD).await;
        assert_refused(answer, Code::Unauthenticated, "SIGN_IN_REFUSED");
    }
    let again = try_password_on(system, &mine, OWNER, OWNER_PASSWORD).await.expect("his own device");
    assert!(matches!(again.step, Some(Step::ChooseOrganization(_))));
}

#[tokio::test]
async fn auth_p07_guesses_from_elsewhere_leave_the_link_to_a_new_address_alone() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, _, mail) = moving(&platform, &owner).await;
    for _ in 0..5 {
        try_password(system, &bob.email, WRONG).await.expect_err("wrong");
    }
    let verify = |password: &str| wire::VerifyEmailRequest { token: token_of(&mail), password: password.to_owned() };
    for _ in 0..4 {
        assert_refused(mails(system).verify_email(verify(WRONG)).await, Code::PermissionDenied, "SIGN_IN_REFUSED");
    }
    mails(system).verify_email(verify(&password_of("bob"))).await.expect("whoever guesses elsewhere has no link");
}

#[tokio::test]
async fn auth_p07_a_sign_in_by_mail_knows_the_device_too() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = factor::enrolled(&platform).await;
    mark_proven(system, "bob@example.com").await;
    let flow = factor::waiting(&platform, &bob).await;
    let code = factor::shown(system, &bob.secret, 0);
    let Some(Step::Done(done)) = factor::answer(system, &flow, Answer::Totp(code)).await.expect("right").step else {
        panic!("one organization needs no choice")
    };
    // Somebody who knows the password guesses at the app.
    let waits = factor::waiting(&platform, &bob).await;
    for _ in 0..5 {
        factor::answer(system, &waits, Answer::Totp("000000".to_owned())).await.expect_err("wrong");
    }
    let code = factor::shown(system, &bob.secret, 30);
    for (count, mark) in [(1, ""), (2, done.device.as_str())] {
        let (flow, mailed) = code_for(system, &bob.user.email, count).await;
        let asked = answer_on(system, mark, &flow, &mailed).await.expect("right");
        let answered = factor::answer(system, &asked.flow, Answer::Totp(code.clone())).await;
        match mark {
            "" => assert_refused(answered, Code::Unauthenticated, "FACTOR_REFUSED"),
            _ => assert!(matches!(answered.expect("his own device").step, Some(Step::Done(_)))),
        }
    }
}

#[tokio::test]
async fn auth_p06_a_hundred_failures_in_a_row_shut_the_password_until_it_is_reset() {
    let platform = platform().await;
    let system = &platform.system;
    let mark = sign_in_fully(&platform, "").await;
    try_password(system, OWNER, WRONG).await.expect_err("counted");
    system.sql("update auth.sign_in_attempts set failures = 89 where failures > 0").await;
    try_password(system, OWNER, WRONG).await.expect_err("the ninetieth");
    system.clock().advance(Duration::from_secs(30 * 24 * 3600));
    assert_refused(try_password(system, OWNER, OWNER_PASSWORD).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    for _ in 0..10 {
        system.clock().advance(Duration::from_secs(3601));
        try_password_on(system, &mark, OWNER, WRONG).await.expect_err("wrong");
    }
    assert_eq!(failures(&platform).await, [10, 90]);
    system.clock().advance(Duration::from_secs(3601));
    let last = try_password_on(system, &mark, OWNER, OWNER_PASSWORD).await;
    assert_refused(last, Code::Unauthenticated, "SIGN_IN_REFUSED");
}

#[tokio::test]
async fn auth_p08_the_limits_hold_without_redis() {
    let system = System::builder(&[&auth::SERVICE]).without(Engine::Redis).start().await;
    let platform = platform_on(system).await;
    for _ in 0..5 {
        try_password(&platform.system, OWNER, WRONG).await.expect_err("wrong");
    }
    let locked = try_password(&platform.system, OWNER, OWNER_PASSWORD).await;
    assert_refused(locked, Code::Unauthenticated, "SIGN_IN_REFUSED");
}

/// The whole sign-in of the owner; gives the mark for the device.
pub(crate) async fn sign_in_fully(platform: &Platform, mark: &str) -> String {
    let asked = try_password_on(&platform.system, mark, OWNER, OWNER_PASSWORD).await.expect("right");
    let chosen = crate::organization_answer(&asked.flow, &platform.organization);
    let done = logins(&platform.system).continue_login(chosen).await.expect("member").into_inner();
    match done.step {
        Some(Step::Done(done)) => done.device,
        _ => panic!("the sign-in is complete"),
    }
}

/// Failures counted, smallest first.
pub(crate) async fn failures(platform: &Platform) -> Vec<i64> {
    let sql = "select failures from auth.sign_in_attempts where failures > 0 order by failures";
    let rows = platform.system.sql(sql).await;
    rows.into_iter().map(|row| row[0].as_deref().expect("not null").parse().expect("a number")).collect()
}
