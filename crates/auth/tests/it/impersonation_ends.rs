//! An administrator acts as somebody else: how that ends, with whatever it rests on.
use std::time::Duration;

use bytes::Bytes;
use proto::auth::v1::{self as wire, membership::Role, user_service_client::UserServiceClient};
use testkit::System;
use tonic::{Code, Status};

use crate::{
    Platform, Signed, assert_refused, exchange,
    impersonation::{act, me},
    organizations, platform, refusal, users, with,
};

/// Somebody, somebody else who acts as him, and what she holds.
struct Pair {
    user: wire::User,
    users: Signed,
    admin: wire::User,
    admins: Signed,
    acting: Signed,
    session: String,
    held: Bytes,
}

async fn pair(platform: &Platform, owner: &Signed, name: &str) -> Pair {
    let system = &platform.system;
    let (user, users) = platform.signed_user(owner, name, Role::Viewer).await;
    let (admin, admins) = platform.signed_user(owner, &format!("{name}-admin"), Role::Admin).await;
    let (acting, session) = act(system, &admins, &user.name).await;
    let held = exchange(system, &acting.access).await.expect("good");
    get_me(system, &held).await.expect("good");
    Pair { user, users, admin, admins, acting, session, held }
}

async fn get_me(system: &System, held: &Bytes) -> Result<(), Status> {
    UserServiceClient::new(with(system, "gateway", held.clone())).get_user(me()).await.map(drop)
}

/// What she holds is refused at once, and gives nothing new.
async fn over(system: &System, pair: &Pair, what: &str) {
    let (code, reason) = refusal(&get_me(system, &pair.held).await.expect_err(what));
    assert_eq!(code, Code::Unauthenticated, "{what}");
    assert!(["CREDENTIAL_INVALID", "TOKEN_STALE"].contains(&reason.as_str()), "{what}: {reason}");
    let again = exchange(system, &pair.acting.access).await.expect_err(what);
    assert_eq!(refusal(&again), (Code::Unauthenticated, "CREDENTIAL_INVALID".to_owned()), "{what}");
}

async fn changed(platform: &Platform, owner: &Signed, user: &str, path: &str, membership: wire::Membership) {
    let name = platform.membership(owner, user).await.name;
    let request = wire::UpdateMembershipRequest {
        membership: Some(wire::Membership { name, ..membership }),
        update_mask: Some(prost_types::FieldMask { paths: vec![path.to_owned()] }),
        ..Default::default()
    };
    organizations(&platform.system, owner).await.update_membership(request).await.expect("the owner may");
}

async fn with_role(platform: &Platform, owner: &Signed, user: &str, role: Role) {
    let membership = wire::Membership { role: role.into(), ..Default::default() };
    changed(platform, owner, user, "role", membership).await;
}

async fn left(platform: &Platform, owner: &Signed, user: &str) {
    let request =
        wire::DeleteMembershipRequest { name: platform.membership(owner, user).await.name, ..Default::default() };
    organizations(&platform.system, owner).await.delete_membership(request).await.expect("the owner may");
}

async fn all_ended(system: &System, signed: &Signed) {
    let all = wire::RevokeAllSessionsRequest { parent: "users/me".to_owned(), keep_current: true };
    users(system, signed).await.revoke_all_sessions(all).await.expect("his own");
}

#[tokio::test]
async fn auth_impersonation_ends_when_the_user_says_so_or_is_a_member_no_more() {
    let platform = platform().await;
    let (system, owner) = (&platform.system, &platform.owner().await);
    let ended = pair(&platform, owner, "anna").await;
    let delete = wire::DeleteSessionRequest { name: ended.session.clone() };
    users(system, &ended.users).await.delete_session(delete).await.expect("it is among his own");
    over(system, &ended, "the user ends it").await;
    get_me(system, &exchange(system, &ended.users.access).await.expect("good")).await.expect("his own goes on");
    let ended = pair(&platform, owner, "bob").await;
    all_ended(system, &ended.users).await;
    over(system, &ended, "the user ends all others").await;
    let ended = pair(&platform, owner, "charles").await;
    left(&platform, owner, &ended.user.name).await;
    over(system, &ended, "the user's membership ends").await;
    let ended = pair(&platform, owner, "dora").await;
    let disable = wire::DisableUserRequest { name: ended.user.name.clone() };
    users(system, owner).await.disable_user(disable).await.expect("it manages him");
    over(system, &ended, "the user is disabled").await;
    let ended = pair(&platform, owner, "emil").await;
    with_role(&platform, owner, &ended.user.name, Role::Owner).await;
    over(system, &ended, "the user holds more than who acts as him").await;
}

#[tokio::test]
async fn auth_impersonation_ends_with_the_sign_in_and_the_right_of_who_acts() {
    let platform = platform().await;
    let (system, owner) = (&platform.system, &platform.owner().await);
    let ended = pair(&platform, owner, "anna").await;
    let all = wire::RevokeAllSessionsRequest { parent: "users/me".to_owned(), keep_current: false };
    users(system, &ended.admins).await.revoke_all_sessions(all).await.expect("her own");
    over(system, &ended, "she signs out everywhere").await;
    let rows = "select count(*) from auth.sessions where impersonator_id is not null";
    assert_eq!(system.sql(rows).await[0][0].as_deref(), Some("0"), "it goes with her session");
    let ended = pair(&platform, owner, "bob").await;
    let disable = wire::DisableUserRequest { name: ended.admin.name.clone() };
    users(system, owner).await.disable_user(disable).await.expect("it manages her");
    over(system, &ended, "she is disabled").await;
    let ended = pair(&platform, owner, "charles").await;
    with_role(&platform, owner, &ended.admin.name, Role::Editor).await;
    over(system, &ended, "she is an administrator no more").await;
    with_role(&platform, owner, &ended.admin.name, Role::Admin).await;
    exchange(system, &ended.acting.access).await.expect("within its time it is as good as her right");
    let ended = pair(&platform, owner, "dora").await;
    left(&platform, owner, &ended.admin.name).await;
    over(system, &ended, "her membership ends").await;
    get_me(system, &exchange(system, &ended.users.access).await.expect("good")).await.expect("the user goes on");
}

#[tokio::test]
async fn auth_impersonation_ends_by_itself_after_fifteen_minutes() {
    let platform = platform().await;
    let (system, owner) = (&platform.system, &platform.owner().await);
    let ended = pair(&platform, owner, "bob").await;
    system.clock().advance(Duration::from_secs(14 * 60));
    let held = exchange(system, &ended.acting.access).await.expect("not yet");
    assert_refused(get_me(system, &ended.held).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    get_me(system, &held).await.expect("not yet");
    system.clock().advance(Duration::from_secs(66));
    assert_refused(exchange(system, &ended.acting.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    system.clock().advance(Duration::from_secs(60));
    assert_refused(get_me(system, &held).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}
