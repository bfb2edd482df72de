//! Signing in by the link of a mail: good in the flow that asked for it, and nowhere else.
use std::time::Duration;

use proto::auth::v1::{self as wire, continue_login_request::Answer, login_step::Step};
use testkit::System;
use tonic::{Code, Status};

use crate::{
    OWNER, OWNER_PASSWORD, assert_refused,
    browser::begin_flow,
    logins,
    mail::{deliveries, delivery, mails, queue_is_empty, take, token_of},
    password_answer, platform,
};

async fn ask(system: &System, flow: &str, email: &str) {
    let request = wire::RequestEmailCodeRequest { flow: flow.to_owned(), email: email.to_owned() };
    let answer = logins(system).request_email_code(request).await.expect("one answer for all").into_inner();
    assert_eq!(answer, wire::RequestEmailCodeResponse {});
}

/// What the link of the newest mail carries, once there are so many.
async fn link(system: &System, count: usize) -> String {
    let mail = take(system, &delivery(system, "email.code_requested", count).await).await.expect("on its way");
    assert!(mail.link.starts_with("http://localhost:8080/auth/link/magic?token="), "{}", mail.link);
    token_of(&mail)
}

async fn answer(system: &System, flow: &str, token: &str) -> Result<wire::LoginStep, Status> {
    let answer = Some(Answer::EmailLink(token.to_owned()));
    let request = wire::ContinueLoginRequest { flow: flow.to_owned(), answer, ..Default::default() };
    logins(system).continue_login(request).await.map(tonic::Response::into_inner)
}

fn is_organization(step: &wire::LoginStep) -> bool {
    matches!(step.step, Some(Step::ChooseOrganization(_)))
}

#[tokio::test]
async fn auth_p15_a_link_signs_in_the_flow_that_asked_once_and_no_other() {
    let platform = platform().await;
    let system = &platform.system;
    crate::proven::mark_proven(system, "ada@example.com").await;
    let (flow, elsewhere) = (begin_flow(system).await, begin_flow(system).await);
    ask(system, &flow, OWNER).await;
    let old = link(system, 1).await;
    ask(system, &flow, OWNER).await;
    let token = link(system, 2).await;
    for (place, wrong) in [(&elsewhere, token.as_str()), (&flow, &old), (&flow, ""), (&flow, &token[1..])] {
        assert_refused(answer(system, place, wrong).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    }
    let verify =
        mails(system).verify_email(wire::VerifyEmailRequest { token: token.clone(), ..Default::default() }).await;
    assert_refused(verify, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    let step = answer(system, &flow, &token).await.expect("here it was asked for, and what was wrong used up nothing");
    assert!(is_organization(&step));
    assert_refused(answer(system, &flow, &token).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    let other = logins(system).continue_login(password_answer(&elsewhere, OWNER, OWNER_PASSWORD)).await;
    assert!(is_organization(&other.expect("a foreign link has ended nothing").into_inner()));
}

#[tokio::test]
async fn auth_p02_a_link_for_an_unknown_address_is_asked_for_alike_and_never_sent() {
    let platform = platform().await;
    let system = &platform.system;
    let (known, unknown) = (begin_flow(system).await, begin_flow(system).await);
    ask(system, &unknown, "nobody@example.com").await;
    ask(system, &known, OWNER).await;
    queue_is_empty(system).await;
    assert_eq!(deliveries(system, "email.code_requested").await.len(), 1);
    let waiting = system.sql("select count(*) from auth.login_flows where mail_expire_time > expire_time").await;
    assert_eq!(waiting[0][0].as_deref(), Some("2"), "both wait alike");
    for flow in [&known, &unknown] {
        assert_refused(answer(system, flow, "guessed").await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    }
}

#[tokio::test]
async fn auth_p17_a_mail_that_comes_late_still_signs_in_and_nothing_else_in_that_flow_does() {
    let platform = platform().await;
    let system = &platform.system;
    let (flow, second) = (begin_flow(system).await, begin_flow(system).await);
    ask(system, &flow, OWNER).await;
    let name = delivery(system, "email.code_requested", 1).await;
    system.clock().advance(Duration::from_secs(20 * 60));
    let token = token_of(&take(system, &name).await.expect("it is still to be sent"));
    system.clock().advance(Duration::from_secs(9 * 60));
    let late = logins(system).continue_login(password_answer(&flow, OWNER, OWNER_PASSWORD)).await;
    assert_refused(late, Code::FailedPrecondition, "FLOW_INVALID");
    let request = wire::RequestEmailCodeRequest { flow: second.clone(), email: OWNER.to_owned() };
    assert_refused(logins(system).request_email_code(request).await, Code::FailedPrecondition, "FLOW_INVALID");
    assert!(is_organization(&answer(system, &flow, &token).await.expect("ten minutes from its sending")));
    let flow = begin_flow(system).await;
    ask(system, &flow, OWNER).await;
    let token = link(system, 2).await;
    system.clock().advance(Duration::from_secs(601));
    assert_refused(answer(system, &flow, &token).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
}

#[tokio::test]
async fn auth_p15_a_link_does_not_skip_the_second_factor() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = crate::factor::enrolled(&platform).await;
    crate::proven::mark_proven(system, "bob@example.com").await;
    let flow = begin_flow(system).await;
    ask(system, &flow, &bob.user.email).await;
    let step = answer(system, &flow, &link(system, 1).await).await.expect("right").step;
    assert!(matches!(step, Some(Step::SecondFactor(_))), "the app is still asked for");
}
