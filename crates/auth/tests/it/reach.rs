//! Nobody gives beyond the credential that he uses: keys with a few scopes, old sign-ins, people of others.
use std::time::Duration;

use prost_types::FieldMask;
use proto::auth::v1::{
    self as wire, group_service_client::GroupServiceClient, invitation_service_client::InvitationServiceClient,
    key_service_client::KeyServiceClient, membership::Role, organization_service_client::OrganizationServiceClient,
    user_service_client::UserServiceClient,
};
use testkit::eventually;
use tonic::Code;

use crate::{
    Channel, Platform, Signed, assert_refused, channel,
    client::{credentials, machine, register},
    exchange,
    group::group,
    new_user, organizations, platform, refresh_grant, token, tokens, users, with,
};

async fn with_key(platform: &Platform, by: &Signed, scopes: &[&str]) -> Channel {
    let api_key = wire::ApiKey {
        display_name: "Provisioning".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        expire_time: Some(api::timestamp(platform.system.clock().now() + time::Duration::days(1))),
        ..Default::default()
    };
    let request = wire::CreateApiKeyRequest { parent: platform.organization.clone(), api_key: Some(api_key) };
    let mut keys = KeyServiceClient::new(channel(&platform.system, by).await);
    let made = keys.create_api_key(request).await.expect("his own").into_inner();
    with(&platform.system, "gateway", exchange(&platform.system, &made.secret).await.expect("the key is good"))
}

fn role(membership: &wire::Membership, role: Role) -> wire::UpdateMembershipRequest {
    let membership = wire::Membership { name: membership.name.clone(), role: role.into(), ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec!["role".to_owned()] });
    wire::UpdateMembershipRequest { membership: Some(membership), update_mask, request_id: String::new() }
}

fn join(organization: &str, user: &str, role: Role) -> wire::CreateMembershipRequest {
    let membership = wire::Membership { user: user.to_owned(), role: role.into(), ..Default::default() };
    wire::CreateMembershipRequest {
        parent: organization.to_owned(),
        membership: Some(membership),
        request_id: String::new(),
    }
}

#[tokio::test]
async fn auth_t05_a_key_gives_no_role_that_allows_more_than_its_scopes() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let crew = group(&platform, &owner, "Crew").await.name;
    let membership = platform.membership(&owner, &bob.name).await;
    let scopes =
        ["membership:create", "membership:write", "membership:read", "user:create", "invitation:write", "group:write"];
    let channel = with_key(&platform, &owner, &scopes).await;
    let mut client = OrganizationServiceClient::new(channel.clone());
    let mut created = UserServiceClient::new(channel.clone());
    let refused = created.create_user(new_user(&platform.organization, "eve", Role::Unspecified)).await;
    assert_refused(refused, Code::PermissionDenied, "SIGN_IN_NEEDED");
    for above in [Role::Owner, Role::Editor] {
        let refused = client.update_membership(role(&membership, above)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    }
    let invitation =
        wire::Invitation { email: "eve@example.com".to_owned(), role: Role::Viewer.into(), ..Default::default() };
    let request = wire::CreateInvitationRequest {
        parent: platform.organization.clone(),
        invitation: Some(invitation),
        request_id: String::new(),
    };
    let refused = InvitationServiceClient::new(channel.clone()).create_invitation(request).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    let members = vec![bob.name.clone()];
    let add = wire::AddGroupMembersRequest { name: crew, members, request_id: String::new() };
    let refused = GroupServiceClient::new(channel).add_group_members(add).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    client.update_membership(role(&membership, Role::Unspecified)).await.expect("that gives nothing");
    let name = membership.name;
    client.delete_membership(wire::DeleteMembershipRequest { name, ..Default::default() }).await.expect("nor this");
    let refused = client.create_membership(join(&platform.organization, &bob.name, Role::Viewer)).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    client.create_membership(join(&platform.organization, &bob.name, Role::Unspecified)).await.expect("within scope");
}

#[tokio::test]
async fn a_machine_gives_what_its_registration_allows() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let membership = platform.membership(&owner, &bob.name).await;
    let app = register(&platform, &owner, machine(Role::Admin, &["membership:write"])).await;
    let access = tokens(system, credentials(&app, "")).await.expect("it may").access_token;
    let mut client = organizations(system, &Signed { access, refresh: String::new() }).await;
    let refused = client.update_membership(role(&membership, Role::Editor)).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    client.update_membership(role(&membership, Role::Unspecified)).await.expect("that gives nothing");
}

#[tokio::test]
async fn auth_p16_an_owner_is_made_by_a_fresh_sign_in_alone() {
    let platform = platform().await;
    let system = &platform.system;
    let first = platform.owner().await;
    let bob = platform.user(&first, "bob", Role::Viewer).await;
    let membership = platform.membership(&first, &bob.name).await;
    system.clock().advance(Duration::from_secs(901));
    let old = token(system, refresh_grant(&first.refresh)).await.expect("the session goes on");
    let client = organizations(system, &old).await;
    // The clock has left the list of revocations behind; sensitive methods wait for it.
    eventually("the revocations are read again", || async {
        client.clone().update_membership(role(&membership, Role::Admin)).await.ok()
    })
    .await;
    let refused = organizations(system, &old).await.update_membership(role(&membership, Role::Owner)).await;
    assert_refused(refused, Code::Unauthenticated, "STEP_UP_REQUIRED");
    let refused = users(system, &old).await.create_user(new_user(&platform.organization, "eve", Role::Owner)).await;
    assert_refused(refused, Code::Unauthenticated, "STEP_UP_REQUIRED");
    let fresh = platform.owner().await;
    organizations(system, &fresh)
        .await
        .update_membership(role(&membership, Role::Owner))
        .await
        .expect("just signed in");
}

#[tokio::test]
async fn a_service_account_is_no_owner_who_stays() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let account =
        wire::ServiceAccount { display_name: "Robot".to_owned(), role: Role::Owner.into(), ..Default::default() };
    let request = wire::CreateServiceAccountRequest {
        parent: platform.organization.clone(),
        service_account: Some(account),
        request_id: String::new(),
    };
    let mut keys = KeyServiceClient::new(channel(&platform.system, &owner).await);
    keys.create_service_account(request).await.expect("the owner may");
    let name = platform.membership(&owner, &platform.owner).await.name;
    let mut client = organizations(&platform.system, &owner).await;
    let left = client.leave_organization(wire::LeaveOrganizationRequest { name: name.clone() }).await;
    assert_refused(left, Code::FailedPrecondition, "LAST_OWNER");
    let demoted = client.update_membership(role(&wire::Membership { name, ..Default::default() }, Role::Admin)).await;
    assert_refused(demoted, Code::FailedPrecondition, "LAST_OWNER");
}
