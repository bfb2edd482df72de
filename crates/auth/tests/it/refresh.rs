//! Refresh tokens: rotation, the window for lost answers, reuse, ends.
use std::time::Duration;

use futures::future::join_all;
use proto::auth::v1::{self as wire, membership::Role};
use testkit::System;
use tonic::Code;

use crate::{Signed, assert_refused, exchange, organizations, platform, refresh_grant, token};

async fn refresh(system: &System, refresh_token: &str) -> Result<Signed, String> {
    token(system, refresh_grant(refresh_token)).await
}

#[tokio::test]
async fn auth_s02_a_lost_answer_and_parallel_refreshes_give_the_same_successor() {
    let platform = platform().await;
    let signed = platform.owner().await;
    let answers = join_all((0..20).map(|_| refresh(&platform.system, &signed.refresh))).await;
    let successors: Vec<_> = answers.into_iter().map(|answer| answer.expect("all are served").refresh).collect();
    assert!(successors.iter().all(|successor| *successor == successors[0] && *successor != signed.refresh));
    let rows = platform.system.sql("select counter from auth.sessions").await;
    assert_eq!(rows[0][0].as_deref(), Some("1"), "one step");
}

#[tokio::test]
async fn auth_s01_a_token_two_steps_old_ends_the_session() {
    let platform = platform().await;
    let first = platform.owner().await;
    let second = refresh(&platform.system, &first.refresh).await.expect("rotated");
    let third = refresh(&platform.system, &second.refresh).await.expect("rotated");
    exchange(&platform.system, &third.access).await.expect("good until now");
    assert_eq!(refresh(&platform.system, &first.refresh).await.err().as_deref(), Some("invalid_grant"));
    assert_refused(exchange(&platform.system, &third.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_eq!(refresh(&platform.system, &third.refresh).await.err().as_deref(), Some("invalid_grant"));
    assert_eq!(platform.system.published("auth", "credentials.revoked").await.len(), 1);
    let told = "select resource, actor from auth.audit_event where action = 'session.ended' and outcome = 2 and reason = 'REFRESH_REUSED'";
    let told = platform.system.sql(told).await;
    assert_eq!((told.len(), told[0][1].as_ref()), (1, Some(&platform.owner)));
    assert!(told[0][0].as_deref().is_some_and(|session| session.starts_with(&format!("{}/sessions/", platform.owner))));
    let notice = crate::mail::notice(&platform.system).await;
    assert_eq!((notice.purpose().as_str_name(), notice.email.as_str()), ("NOTICE_TOKEN_REUSED", crate::OWNER));
}

#[tokio::test]
async fn auth_s03_the_token_before_is_reuse_once_its_successor_was_used_and_the_window_is_over() {
    let platform = platform().await;
    let first = platform.owner().await;
    let second = refresh(&platform.system, &first.refresh).await.expect("rotated");
    exchange(&platform.system, &second.access).await.expect("confirms the successor");
    platform.system.clock().advance(Duration::from_secs(20));
    let same = refresh(&platform.system, &first.refresh).await.expect("within the window");
    assert_eq!(same.refresh, second.refresh);
    platform.system.clock().advance(Duration::from_secs(11));
    assert_eq!(refresh(&platform.system, &first.refresh).await.err().as_deref(), Some("invalid_grant"));
    assert_eq!(
        refresh(&platform.system, &second.refresh).await.err().as_deref(),
        Some("invalid_grant"),
        "the session has ended"
    );
}

#[tokio::test]
async fn auth_s04_the_window_does_not_slide() {
    let platform = platform().await;
    let first = platform.owner().await;
    let second = refresh(&platform.system, &first.refresh).await.expect("rotated");
    for _ in 0..15 {
        platform.system.clock().advance(Duration::from_secs(20));
        assert_eq!(refresh(&platform.system, &first.refresh).await.expect("never confirmed").refresh, second.refresh);
    }
    let last = refresh(&platform.system, &first.refresh).await.expect("never confirmed");
    exchange(&platform.system, &last.access).await.expect("confirms the successor");
    assert_eq!(refresh(&platform.system, &first.refresh).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_s06_a_forged_token_touches_nothing_and_a_removed_member_gets_none() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let mut forged = signed.refresh.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("ASCII");
    for wrong in ["", "wos_rt_", "x", forged.as_str(), signed.access.as_str()] {
        let error = if wrong.is_empty() { "invalid_request" } else { "invalid_grant" };
        assert_eq!(refresh(&platform.system, wrong).await.err().as_deref(), Some(error));
    }
    let next = refresh(&platform.system, &signed.refresh).await.expect("the session is untouched");
    let name = platform.membership(&owner, &bob.name).await.name;
    let request = wire::DeleteMembershipRequest { name, ..wire::DeleteMembershipRequest::default() };
    organizations(&platform.system, &owner).await.delete_membership(request).await.expect("the owner may");
    assert_eq!(refresh(&platform.system, &next.refresh).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_s06_a_changed_password_and_a_disabled_account_end_the_other_sessions_refresh_tokens() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, changes) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let other = crate::sign_in(system, &bob.email, &crate::password_of("bob"), "").await;
    let request = wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: crate::password_of("bob"),
        new_password: crate::password_of("new"),
    };
    crate::users(system, &changes).await.change_password(request).await.expect("his own");
    assert_eq!(refresh(system, &other.refresh).await.err().as_deref(), Some("invalid_grant"));
    let changes = refresh(system, &changes.refresh).await.expect("the session that changed it goes on");
    let disable = wire::DisableUserRequest { name: bob.name };
    crate::users(system, &owner).await.disable_user(disable).await.expect("his organization manages him");
    assert_eq!(refresh(system, &changes.refresh).await.err().as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_s11_a_session_ends_by_a_pause_and_in_any_case_after_ninety_days() {
    const DAY: u64 = 24 * 60 * 60;
    let platform = platform().await;
    let paused = platform.owner().await;
    let mut used = platform.owner().await;
    for _ in 0..6 {
        platform.system.clock().advance(Duration::from_secs(13 * DAY));
        used = refresh(&platform.system, &used.refresh).await.expect("used every 13 days");
    }
    assert_eq!(refresh(&platform.system, &paused.refresh).await.err().as_deref(), Some("invalid_grant"));
    platform.system.clock().advance(Duration::from_secs(13 * DAY));
    assert_eq!(refresh(&platform.system, &used.refresh).await.err().as_deref(), Some("invalid_grant"), "91 days");
}

#[tokio::test]
async fn the_oldest_session_ends_when_there_are_too_many() {
    let system = System::builder(&[&auth::SERVICE]).set("auth.sessions_per_user", 2).start().await;
    let platform = crate::platform_on(system).await;
    let first = platform.owner().await;
    let second = platform.owner().await;
    let third = platform.owner().await;
    assert_refused(exchange(&platform.system, &first.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &second.access).await.expect("kept");
    exchange(&platform.system, &third.access).await.expect("kept");
}
