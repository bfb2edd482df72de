//! Groups: their members, groups within groups, limits, and who may put somebody in.
use prost_types::FieldMask;
use proto::auth::v1::{self as wire, group_service_client::GroupServiceClient, membership::Role};
use tonic::{Code, Status};

use crate::{Channel, Platform, Signed, assert_refused, channel, organizations, platform};

pub(crate) async fn groups(platform: &Platform, signed: &Signed) -> GroupServiceClient<Channel> {
    GroupServiceClient::new(channel(&platform.system, signed).await)
}

pub(crate) async fn group(platform: &Platform, by: &Signed, name: &str) -> wire::Group {
    let group = wire::Group { display_name: name.to_owned(), ..wire::Group::default() };
    let request = wire::CreateGroupRequest {
        parent: platform.organization.clone(),
        group: Some(group),
        ..wire::CreateGroupRequest::default()
    };
    groups(platform, by).await.create_group(request).await.expect("he may").into_inner()
}

pub(crate) async fn add(
    platform: &Platform,
    by: &Signed,
    group: &str,
    members: &[&str],
) -> Result<wire::Group, Status> {
    let members = members.iter().map(|name| (*name).to_owned()).collect();
    let request = wire::AddGroupMembersRequest { name: group.to_owned(), members, request_id: String::new() };
    groups(platform, by).await.add_group_members(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn remove(platform: &Platform, by: &Signed, group: &str, members: &[&str]) -> wire::Group {
    let members = members.iter().map(|name| (*name).to_owned()).collect();
    let request = wire::RemoveGroupMembersRequest { name: group.to_owned(), members, request_id: String::new() };
    groups(platform, by).await.remove_group_members(request).await.expect("he may").into_inner()
}

async fn members(platform: &Platform, by: &Signed, group: &str) -> Vec<String> {
    let mut client = groups(platform, by).await;
    let mut request =
        wire::ListGroupMembersRequest { parent: group.to_owned(), page_size: 1, page_token: String::new() };
    let mut found = Vec::new();
    loop {
        let page = client.list_group_members(request.clone()).await.expect("he may").into_inner();
        found.extend(page.members);
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn a_group_is_made_filled_renamed_emptied_and_ended() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, carol) =
        (platform.user(&owner, "bob", Role::Viewer).await, platform.user(&owner, "carol", Role::Viewer).await);
    let (keepers, crew) = (group(&platform, &owner, "Keepers").await, group(&platform, &owner, "Crew").await);
    let filled =
        add(&platform, &owner, &keepers.name, &[&bob.name, &carol.name, &crew.name, &bob.name]).await.expect("may");
    assert_ne!(filled.etag, keepers.etag);
    let same = add(&platform, &owner, &keepers.name, &[&bob.name]).await.expect("he is in already");
    assert_eq!(same.etag, filled.etag, "what changes nothing makes no version");
    let mut expected = vec![bob.name.clone(), carol.name.clone()];
    expected.sort();
    expected.push(crew.name.clone());
    assert_eq!(members(&platform, &owner, &keepers.name).await, expected);
    remove(&platform, &owner, &keepers.name, &[&bob.name, &crew.name]).await;
    assert_eq!(members(&platform, &owner, &keepers.name).await, std::slice::from_ref(&carol.name));
    let renamed = wire::Group { name: keepers.name.clone(), display_name: "Wardens".to_owned(), ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec!["display_name".to_owned()] });
    let update = wire::UpdateGroupRequest { group: Some(renamed), update_mask, request_id: String::new() };
    let mut client = groups(&platform, &owner).await;
    assert_eq!(client.update_group(update).await.expect("may").into_inner().display_name, "Wardens");
    let list = wire::ListGroupsRequest { parent: platform.organization.clone(), ..Default::default() };
    assert_eq!(client.list_groups(list).await.expect("may").into_inner().groups.len(), 2);
    let delete = wire::DeleteGroupRequest { name: keepers.name.clone(), ..Default::default() };
    client.delete_group(delete).await.expect("may");
    let gone = client.get_group(wire::GetGroupRequest { name: keepers.name.clone() }).await;
    assert_refused(gone, Code::NotFound, "RESOURCE_NOT_FOUND");
    let events = platform.system.published("auth", "group.updated").await;
    let events = events.into_iter().map(|event| prost::Message::decode(event.payload).expect("it is one"));
    let events: Vec<wire::GroupUpdated> =
        events.filter(|event: &wire::GroupUpdated| event.name == keepers.name).collect();
    assert_eq!(
        events.iter().map(|event| (event.added.len(), event.removed.len())).collect::<Vec<_>>(),
        [(3, 0), (0, 2), (0, 0)]
    );
}

#[tokio::test]
async fn groups_nest_four_levels_deep_and_never_in_a_circle() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut chain = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        chain.push(group(&platform, &owner, name).await.name);
    }
    // From the inside out, so that the last link joins two chains.
    add(&platform, &owner, &chain[2], &[&chain[3]]).await.expect("two levels");
    add(&platform, &owner, &chain[0], &[&chain[1]]).await.expect("two levels");
    add(&platform, &owner, &chain[1], &[&chain[2]]).await.expect("four levels");
    assert_refused(add(&platform, &owner, &chain[3], &[&chain[4]]).await, Code::FailedPrecondition, "GROUP_NESTING");
    assert_refused(add(&platform, &owner, &chain[4], &[&chain[0]]).await, Code::FailedPrecondition, "GROUP_NESTING");
    for (outer, inner) in [(1, 0), (2, 0), (3, 0), (0, 0)] {
        let refused = add(&platform, &owner, &chain[outer], &[&chain[inner]]).await;
        assert_refused(refused, Code::FailedPrecondition, "GROUP_NESTING");
    }
    add(&platform, &owner, &chain[1], &[&chain[3]]).await.expect("a shorter way to the same group");
}

#[tokio::test]
async fn only_members_and_groups_of_the_organization_come_in_and_who_leaves_goes_out() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let crew = group(&platform, &owner, "Crew").await;
    let absent_group = format!("{}/groups/00000000000000000000000009", platform.organization);
    for stranger in ["users/00000000000000000000000009", &absent_group] {
        assert_refused(add(&platform, &owner, &crew.name, &[stranger]).await, Code::PermissionDenied, "NO_MEMBERSHIP");
    }
    let foreign = "organizations/00000000000000000000000009/groups/00000000000000000000000009";
    for malformed in [foreign, "", "users/x"] {
        assert_refused(add(&platform, &owner, &crew.name, &[malformed]).await, Code::InvalidArgument, "FIELD_INVALID");
    }
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    add(&platform, &owner, &crew.name, &[&bob.name]).await.expect("he is a member");
    let membership = platform.membership(&owner, &bob.name).await;
    let gone = wire::DeleteMembershipRequest { name: membership.name, ..Default::default() };
    organizations(&platform.system, &owner).await.delete_membership(gone).await.expect("the owner may");
    assert_eq!(members(&platform, &owner, &crew.name).await, Vec::<String>::new());
}

#[tokio::test]
async fn auth_t03_a_viewer_fills_no_group_and_reads_all() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (vera, signed) = platform.signed_user(&owner, "vera", Role::Viewer).await;
    let crew = group(&platform, &owner, "Crew").await;
    assert_refused(add(&platform, &signed, &crew.name, &[&vera.name]).await, Code::PermissionDenied, "ACCESS_DENIED");
    add(&platform, &owner, &crew.name, &[&vera.name]).await.expect("the owner may");
    assert_eq!(members(&platform, &signed, &crew.name).await, std::slice::from_ref(&vera.name));
}

#[tokio::test]
async fn auth_t03_who_manages_groups_by_a_custom_role_gives_only_what_his_own_groups_hold() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let custom_role = wire::CustomRole {
        display_name: "Groups".to_owned(),
        permissions: vec!["group:write".to_owned()],
        ..Default::default()
    };
    let role = wire::CreateCustomRoleRequest {
        parent: platform.organization.clone(),
        custom_role: Some(custom_role),
        ..Default::default()
    };
    let mut roles = wire::role_service_client::RoleServiceClient::new(channel(&platform.system, &owner).await);
    let role = roles.create_custom_role(role).await.expect("the owner may").into_inner().name;
    let membership = wire::Membership {
        name: platform.membership(&owner, &bob.name).await.name,
        custom_roles: vec![role],
        ..Default::default()
    };
    let give = wire::UpdateMembershipRequest { membership: Some(membership), ..Default::default() };
    organizations(&platform.system, &owner).await.update_membership(give).await.expect("the owner may");
    let (outer, inner) = (group(&platform, &owner, "Outer").await.name, group(&platform, &owner, "Inner").await.name);
    add(&platform, &owner, &outer, &[&inner]).await.expect("the owner may");
    for (name, member) in [(&outer, &bob.name), (&inner, &bob.name), (&inner, &platform.owner)] {
        let refused = add(&platform, &signed, name, &[member]).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    }
    add(&platform, &owner, &inner, &[&bob.name]).await.expect("the owner may");
    for name in [&inner, &outer] {
        add(&platform, &signed, name, &[&platform.owner]).await.expect("he is in it himself, directly or not");
    }
}
