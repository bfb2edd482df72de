//! Sign-in: flows, and one answer for all wrong ones.
use std::time::Duration;

use proto::auth::v1::{self as wire, login_step::Step, membership::Role};
use tonic::Code;

use crate::{
    OPERATORS, OWNER, OWNER_PASSWORD, assert_refused, begin, logins, organization_answer, password_answer, platform,
    start, start_login, try_password,
};

#[tokio::test]
async fn a_sign_in_goes_from_password_over_organization_to_code() {
    let platform = platform().await;
    let started = logins(&platform.system).start_login(start_login()).await.expect("started").into_inner();
    assert!(matches!(started.step, Some(Step::Password(_))));
    assert_eq!((started.flow.len(), started.expire_after.expect("set").seconds), (43, 300));
    let asked = logins(&platform.system)
        .continue_login(password_answer(&started.flow, "ADA@EXAMPLE.COM", OWNER_PASSWORD))
        .await;
    let asked = asked.expect("case does not matter in addresses").into_inner();
    let Some(Step::ChooseOrganization(step)) = asked.step else { panic!("two memberships ask for a choice") };
    let offered: Vec<_> =
        step.choices.iter().map(|choice| (choice.organization.as_str(), choice.display_name.as_str())).collect();
    assert_eq!(offered, [(platform.organization.as_str(), "Analytical Engines"), (OPERATORS, "Platform operators")]);
    let done = logins(&platform.system)
        .continue_login(organization_answer(&asked.flow, &platform.organization))
        .await
        .expect("member")
        .into_inner();
    let Some(Step::Done(done)) = done.step else { panic!("the sign-in is complete") };
    let audited = "select method from auth.audit_event where method like '%Login' order by audit_id";
    let audited: Vec<_> = platform.system.sql(audited).await.into_iter().map(|row| row[0].clone()).collect();
    let (start, next) = ("workos.auth.v1.LoginService/StartLogin", "workos.auth.v1.LoginService/ContinueLogin");
    assert_eq!(audited, [start, next, next].map(|rpc| Some(rpc.to_owned())), "one row for each call");
    let issuer = "http%3A%2F%2Flocalhost%3A8080";
    assert_eq!(done.redirect_uri, format!("{}?code={}&state=s%201&iss={issuer}", crate::REDIRECT, done.code));
}

#[tokio::test]
async fn a_flow_handle_is_good_for_one_answer_and_five_minutes() {
    let platform = platform().await;
    let system = &platform.system;
    let answer = |flow: &str| password_answer(flow, OWNER, OWNER_PASSWORD);
    let flow = begin(system).await;
    let wrong = logins(system).continue_login(password_answer(&flow, OWNER, "wrong")).await;
    assert_refused(wrong, Code::Unauthenticated, "SIGN_IN_REFUSED");
    assert_refused(logins(system).continue_login(answer(&flow)).await, Code::FailedPrecondition, "FLOW_INVALID");
    let flow = begin(system).await;
    let choice = logins(system).continue_login(organization_answer(&flow, OPERATORS)).await;
    assert_refused(choice, Code::FailedPrecondition, "FLOW_INVALID");
    let (one, other) = (logins(system), logins(system));
    let (mut one, mut other) = (one, other);
    let flow = begin(system).await;
    let (first, second) = tokio::join!(one.continue_login(answer(&flow)), other.continue_login(answer(&flow)));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    let flow = begin(system).await;
    system.clock().advance(Duration::from_secs(301));
    assert_refused(logins(system).continue_login(answer(&flow)).await, Code::FailedPrecondition, "FLOW_INVALID");
    let empty = wire::ContinueLoginRequest { flow: begin(system).await, answer: None, device: String::new() };
    assert_refused(logins(system).continue_login(empty).await, Code::InvalidArgument, "FIELD_INVALID");
}

#[tokio::test]
async fn only_registered_clients_with_pkce_begin_a_sign_in() {
    let system = start().await;
    for (request, reason) in [
        (wire::StartLoginRequest { client_id: "other".to_owned(), ..start_login() }, "CLIENT_INVALID"),
        (
            wire::StartLoginRequest { redirect_uri: "http://localhost:1/callback".to_owned(), ..start_login() },
            "CLIENT_INVALID",
        ),
        (
            wire::StartLoginRequest { redirect_uri: "https://evil.example/callback".to_owned(), ..start_login() },
            "CLIENT_INVALID",
        ),
        (wire::StartLoginRequest { code_challenge_method: "plain".to_owned(), ..start_login() }, "CHALLENGE_INVALID"),
        (wire::StartLoginRequest { code_challenge: String::new(), ..start_login() }, "CHALLENGE_INVALID"),
        (wire::StartLoginRequest { state: "\0".to_owned(), ..start_login() }, "FIELD_INVALID"),
    ] {
        assert_refused(logins(&system).start_login(request).await, Code::InvalidArgument, reason);
    }
}

#[tokio::test]
async fn auth_p01_unknown_wrong_empty_locked_unverified_and_without_password_hear_the_same() {
    let platform = platform().await;
    let system = &platform.system;
    let long_address = format!("{}@example.com", "a".repeat(300));
    // Who signs in with a provider alone has no password, and who has not followed the link of his sign-up no account yet.
    let social = platform.user(&platform.owner().await, "sam", Role::Unspecified).await;
    let removed = "with gone as (delete from auth.passwords p using auth.users u where u.user_id = p.user_id \
         and u.email = 'sam@example.com' returning 1) select count(*) from gone";
    assert_eq!(system.sql(removed).await[0][0].as_deref(), Some("1"));
    let (unverified, secret) = ("grace@example.com", crate::password_of("grace"));
    crate::mail::mails(system).sign_up(crate::mail::sign_up(unverified)).await.expect("asked");
    crate::mail::delivery(system, "email.verification_requested", 1).await;
    let mut answers = Vec::new();
    for (email, password) in [
        (OWNER, "wrong but long enough"),
        (OWNER, ""),
        ("nobody@example.com", "wrong but long enough"),
        ("nobody@example.com", OWNER_PASSWORD),
        ("no address\0", OWNER_PASSWORD),
        ("", ""),
        (long_address.as_str(), OWNER_PASSWORD),
        (social.email.as_str(), &crate::password_of("sam")),
        (unverified, &secret),
    ] {
        answers.push(try_password(system, email, password).await.expect_err("refused"));
    }
    for _ in 0..4 {
        try_password(system, OWNER, "wrong but long enough").await.expect_err("refused");
    }
    answers.push(try_password(system, OWNER, OWNER_PASSWORD).await.expect_err("locked by now"));
    let seen = |status: &tonic::Status| (status.code(), status.message().to_owned(), status.details().to_vec());
    for answer in &answers {
        assert_eq!(seen(answer), seen(&answers[0]));
    }
    assert_refused::<()>(Err(answers.remove(0)), Code::Unauthenticated, "SIGN_IN_REFUSED");
}

#[tokio::test]
async fn auth_p04_a_password_of_a_megabyte_costs_nothing() {
    let platform = platform().await;
    let answer = try_password(&platform.system, OWNER, &"x".repeat(1 << 20)).await;
    assert_refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(crate::lockout::failures(&platform).await, Vec::<i64>::new());
}

#[tokio::test]
async fn a_member_of_one_organization_chooses_nothing_and_of_none_gets_a_token_for_none() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await;
    let step = try_password(&platform.system, &bob.email, &crate::password_of("bob")).await.expect("right");
    assert!(matches!(step.step, Some(Step::Done(_))));
    let request = wire::DeleteMembershipRequest {
        name: platform.membership(&owner, &bob.name).await.name,
        ..wire::DeleteMembershipRequest::default()
    };
    crate::organizations(&platform.system, &owner).await.delete_membership(request).await.expect("the owner may");
    let signed = crate::sign_in(&platform.system, &bob.email, &crate::password_of("bob"), "").await;
    let own = crate::users(&platform.system, &signed)
        .await
        .get_user(wire::GetUserRequest { name: "users/me".to_owned() })
        .await;
    assert_eq!(own.expect("his own record").into_inner().name, bob.name);
    let other = wire::GetOrganizationRequest { name: platform.organization.clone() };
    let refused = crate::organizations(&platform.system, &signed).await.get_organization(other).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn an_organization_that_is_not_ones_own_cannot_be_chosen() {
    let platform = platform().await;
    let system = &platform.system;
    let asked = try_password(system, OWNER, OWNER_PASSWORD).await.expect("right");
    let foreign = system.organization().name();
    let refused = logins(system).continue_login(organization_answer(&asked.flow, &foreign)).await;
    assert_refused(refused, Code::PermissionDenied, "NO_MEMBERSHIP");
    let again = logins(system).continue_login(organization_answer(&asked.flow, &platform.organization)).await;
    assert_refused(again, Code::FailedPrecondition, "FLOW_INVALID");
}
