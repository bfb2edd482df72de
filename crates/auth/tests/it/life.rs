//! The life of accounts and organizations: what ends with them, and what does not.
use std::time::Duration;

use proto::auth::v1::{self as wire, membership::Role};
use tonic::Code;

use crate::{
    OPERATORS, OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused, channel, exchange, organizations, password_of,
    platform, refresh_grant, sign_in, token, try_password, users, with,
};

async fn get_me(platform: &Platform, held: bytes::Bytes) -> Result<(), tonic::Status> {
    let channel = with(&platform.system, "gateway", held);
    let request = wire::GetUserRequest { name: "users/me".to_owned() };
    proto::auth::v1::user_service_client::UserServiceClient::new(channel).get_user(request).await.map(drop)
}

async fn refused_everywhere(platform: &Platform, signed: &Signed, held: bytes::Bytes) {
    assert_refused(get_me(platform, held).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let refused = token(&platform.system, refresh_grant(&signed.refresh)).await.err();
    assert_eq!(refused.as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn auth_b03_s06_a_disabled_user_is_out_everywhere_and_after_a_crash_until_enabled() {
    let mut platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let held = exchange(&platform.system, &signed.access).await.expect("good");
    get_me(&platform, held.clone()).await.expect("good");
    let disable = wire::DisableUserRequest { name: bob.name.clone() };
    let disabled = users(&platform.system, &owner).await.disable_user(disable.clone()).await.expect("it manages him");
    assert_eq!(disabled.into_inner().state(), wire::user::State::Disabled);
    refused_everywhere(&platform, &signed, held.clone()).await;
    let again = try_password(&platform.system, &bob.email, &password_of("bob")).await;
    assert_refused(again, Code::Unauthenticated, "SIGN_IN_REFUSED");
    users(&platform.system, &owner).await.disable_user(disable).await.expect("a repeat changes nothing");
    platform.system.crash().await;
    // The system of a test is ready with revocations of its own before those of the service are read.
    testkit::eventually("the revocation is there again", || async {
        get_me(&platform, held.clone()).await.is_err().then_some(())
    })
    .await;
    refused_everywhere(&platform, &signed, held.clone()).await;
    let enable = wire::EnableUserRequest { name: bob.name.clone() };
    users(&platform.system, &owner).await.enable_user(enable).await.expect("it manages him");
    refused_everywhere(&platform, &signed, held).await;
    sign_in(&platform.system, &bob.email, &password_of("bob"), "").await;
}

#[tokio::test]
async fn auth_p18_only_the_managing_organization_disables_a_user_and_nobody_above() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, admin) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let disable = |name: &str| wire::DisableUserRequest { name: name.to_owned() };
    let refused = users(&platform.system, &admin).await.disable_user(disable(&platform.owner)).await;
    assert_refused(refused, Code::PermissionDenied, "ROLE_TOO_HIGH");
    let operator = sign_in(&platform.system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    for name in [bob.name.as_str(), "users/00000000000000000000000001"] {
        let refused = users(&platform.system, &operator).await.disable_user(disable(name)).await;
        assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    }
    let oneself = users(&platform.system, &owner).await.disable_user(disable(&platform.owner)).await;
    assert_refused(oneself, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn auth_s09_all_sessions_end_or_all_but_this_one() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, here) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let there = sign_in(&platform.system, &bob.email, &password_of("bob"), "").await;
    let all = |keep_current| wire::RevokeAllSessionsRequest { parent: "users/me".to_owned(), keep_current };
    users(&platform.system, &here).await.revoke_all_sessions(all(true)).await.expect("his own");
    exchange(&platform.system, &here.access).await.expect("this one goes on");
    assert_refused(exchange(&platform.system, &there.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    users(&platform.system, &here).await.revoke_all_sessions(all(false)).await.expect("his own");
    assert_refused(exchange(&platform.system, &here.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

pub(crate) async fn second_organization(platform: &Platform, signed: &Signed) -> String {
    let organization = wire::Organization { display_name: "Second".to_owned(), ..Default::default() };
    let request = wire::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
    organizations(&platform.system, signed).await.create_organization(request).await.expect("he may").into_inner().name
}

#[tokio::test]
async fn auth_b03_a_deleted_organization_is_out_until_its_owner_takes_that_back() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let second = second_organization(&platform, &owner).await;
    let inside = sign_in(&platform.system, OWNER, OWNER_PASSWORD, &second).await;
    let held = exchange(&platform.system, &inside.access).await.expect("good");
    let (_, viewer) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let delete = wire::DeleteOrganizationRequest { name: second.clone() };
    let refused = organizations(&platform.system, &viewer).await.delete_organization(delete.clone()).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let deleted = organizations(&platform.system, &inside).await.delete_organization(delete).await.expect("owner");
    let deleted = deleted.into_inner();
    assert!(deleted.state() == wire::organization::State::Deleted && deleted.purge_time.is_some());
    refused_everywhere(&platform, &inside, held).await;
    exchange(&platform.system, &owner.access).await.expect("the other organization goes on");
    let back = wire::UndeleteOrganizationRequest { name: second.clone() };
    let refused = organizations(&platform.system, &viewer).await.undelete_organization(back.clone()).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    organizations(&platform.system, &owner).await.undelete_organization(back).await.expect("its owner");
    sign_in(&platform.system, OWNER, OWNER_PASSWORD, &second).await;
}

#[tokio::test]
async fn auth_b03_operators_suspend_an_organization_and_nobody_else() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let held = exchange(&platform.system, &owner.access).await.expect("good");
    let suspend = wire::SuspendOrganizationRequest { name: platform.organization.clone() };
    let refused = organizations(&platform.system, &owner).await.suspend_organization(suspend.clone()).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let operator = sign_in(&platform.system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let mut client = organizations(&platform.system, &operator).await;
    client.suspend_organization(suspend).await.expect("operators may");
    refused_everywhere(&platform, &owner, held).await;
    let resume = wire::ResumeOrganizationRequest { name: platform.organization.clone() };
    client.resume_organization(resume).await.expect("operators may");
    platform.owner().await;
    let own = wire::SuspendOrganizationRequest { name: OPERATORS.to_owned() };
    assert_refused(client.suspend_organization(own).await, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn auth_t03_a_member_leaves_and_the_last_owner_does_not() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let own = platform.membership(&owner, &platform.owner).await.name;
    let name = platform.membership(&owner, &bob.name).await.name;
    let leave = |name: &str| wire::LeaveOrganizationRequest { name: name.to_owned() };
    let mut client = organizations(&platform.system, &signed).await;
    assert_refused(client.leave_organization(leave(&own)).await, Code::PermissionDenied, "ACCESS_DENIED");
    client.leave_organization(leave(&name)).await.expect("his own");
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let last = organizations(&platform.system, &owner).await.leave_organization(leave(&own)).await;
    assert_refused(last, Code::FailedPrecondition, "LAST_OWNER");
    let delete = wire::DeleteUserRequest { name: "users/me".to_owned() };
    let last = users(&platform.system, &owner).await.delete_user(delete).await;
    assert_refused(last, Code::FailedPrecondition, "LAST_OWNER");
}

#[tokio::test]
async fn a_deleted_account_is_out_at_once_and_erased_after_thirty_days() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let held = exchange(&platform.system, &signed.access).await.expect("good");
    let mut client = users(&platform.system, &signed).await;
    let renamed = wire::User { name: bob.name.clone(), display_name: "Robert".to_owned(), ..Default::default() };
    let rename = wire::UpdateUserRequest { user: Some(renamed), update_mask: None };
    assert_eq!(client.update_user(rename).await.expect("his own").into_inner().display_name, "Robert");
    client.delete_user(wire::DeleteUserRequest { name: bob.name.clone() }).await.expect("his own");
    refused_everywhere(&platform, &signed, held).await;
    let again = try_password(&platform.system, &bob.email, &password_of("bob")).await;
    assert_refused(again, Code::Unauthenticated, "SIGN_IN_REFUSED");
    platform.system.clock().advance(Duration::from_secs(31 * 24 * 3600));
    let mut system = platform.system;
    // The purge runs at each start, and every ten minutes.
    system.restart().await;
    testkit::eventually("the account is erased", || async {
        let rows = system.sql("select email || display_name from auth.users where state = 3").await;
        (rows[0][0].as_deref() == Some("")).then_some(())
    })
    .await;
    assert_eq!(system.sql("select count(*) from auth.passwords").await[0][0].as_deref(), Some("1"));
}

#[tokio::test]
async fn a_new_organization_belongs_to_who_made_it_once_for_each_request() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, bob) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let organization = wire::Organization { display_name: "Bob's".to_owned(), ..Default::default() };
    let request = wire::CreateOrganizationRequest {
        organization: Some(organization),
        request_id: "7".to_owned(),
        ..Default::default()
    };
    let mut client = organizations(&platform.system, &bob).await;
    let first = client.create_organization(request.clone()).await.expect("anybody may").into_inner();
    assert_eq!(client.create_organization(request).await.expect("the first answer").into_inner(), first);
    let signed = sign_in(&platform.system, "bob@example.com", &password_of("bob"), &first.name).await;
    let list = wire::ListMembershipsRequest { parent: first.name.clone(), ..Default::default() };
    let members = organizations(&platform.system, &signed).await.list_memberships(list).await.expect("its owner");
    assert_eq!(members.into_inner().memberships[0].role(), Role::Owner);
    drop(channel(&platform.system, &signed).await);
}
