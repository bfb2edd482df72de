//! Custom roles: made of the contract's permissions, given to members, in force at once, and never beyond their author.
use prost_types::FieldMask;
use proto::auth::v1::{
    self as wire, membership::Role, organization_service_client::OrganizationServiceClient,
    role_service_client::RoleServiceClient,
};
use tonic::{Code, Status};

use crate::{
    Channel, Platform, Signed, assert_refused, channel, exchange, organizations, password_of, platform, refusal,
    sign_in, with,
};

async fn roles(platform: &Platform, signed: &Signed) -> RoleServiceClient<Channel> {
    RoleServiceClient::new(channel(&platform.system, signed).await)
}

fn new_role(platform: &Platform, permissions: &[&str]) -> wire::CreateCustomRoleRequest {
    let custom_role = wire::CustomRole {
        display_name: "Archivist".to_owned(),
        permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
        ..wire::CustomRole::default()
    };
    wire::CreateCustomRoleRequest {
        parent: platform.organization.clone(),
        custom_role: Some(custom_role),
        ..wire::CreateCustomRoleRequest::default()
    }
}

pub(crate) async fn made(platform: &Platform, by: &Signed, permissions: &[&str]) -> Result<wire::CustomRole, Status> {
    roles(platform, by).await.create_custom_role(new_role(platform, permissions)).await.map(tonic::Response::into_inner)
}

fn permissions_are(role: &wire::CustomRole, permissions: &[&str]) -> wire::UpdateCustomRoleRequest {
    let custom_role = wire::CustomRole {
        name: role.name.clone(),
        permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
        ..wire::CustomRole::default()
    };
    let update_mask = Some(FieldMask { paths: vec!["permissions".to_owned()] });
    wire::UpdateCustomRoleRequest { custom_role: Some(custom_role), update_mask, request_id: String::new() }
}

/// Gives a member these roles in the place of those he had.
pub(crate) async fn give(
    platform: &Platform,
    by: &Signed,
    user: &str,
    owner: &Signed,
    roles: &[&str],
) -> Result<wire::Membership, Status> {
    let membership = wire::Membership {
        name: platform.membership(owner, user).await.name,
        custom_roles: roles.iter().map(|name| (*name).to_owned()).collect(),
        ..wire::Membership::default()
    };
    let request = wire::UpdateMembershipRequest {
        membership: Some(membership),
        update_mask: Some(FieldMask { paths: vec!["custom_roles".to_owned()] }),
        request_id: String::new(),
    };
    organizations(&platform.system, by).await.update_membership(request).await.map(tonic::Response::into_inner)
}

fn members(platform: &Platform) -> wire::ListMembershipsRequest {
    wire::ListMembershipsRequest { parent: platform.organization.clone(), ..wire::ListMembershipsRequest::default() }
}

#[tokio::test]
async fn a_role_is_made_read_listed_changed_and_ended() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut request = new_role(&platform, &["membership:read", "document:read"]);
    request.request_id = "0192f0c1-2345-7abc-8def-0123456789ab".to_owned();
    let mut client = roles(&platform, &owner).await;
    let role = client.create_custom_role(request.clone()).await.expect("the owner may").into_inner();
    assert_eq!(role.permissions, ["document:read", "membership:read"]);
    assert_eq!(client.create_custom_role(request).await.expect("a repeat").into_inner(), role);
    let get = wire::GetCustomRoleRequest { name: role.name.clone() };
    assert_eq!(client.get_custom_role(get.clone()).await.expect("readable").into_inner(), role);
    let list = wire::ListCustomRolesRequest { parent: platform.organization.clone(), ..Default::default() };
    assert_eq!(
        client.list_custom_roles(list).await.expect("readable").into_inner().custom_roles,
        std::slice::from_ref(&role)
    );
    let changed =
        client.update_custom_role(permissions_are(&role, &["document:read"])).await.expect("may").into_inner();
    assert_eq!(changed.permissions, ["document:read"]);
    let stale = wire::DeleteCustomRoleRequest { name: role.name.clone(), etag: role.etag, ..Default::default() };
    assert_refused(client.delete_custom_role(stale).await, Code::Aborted, "ETAG_MISMATCH");
    let delete = wire::DeleteCustomRoleRequest { name: role.name.clone(), ..Default::default() };
    client.delete_custom_role(delete).await.expect("nobody holds it");
    assert_refused(client.get_custom_role(get).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    let (created, updated) = (
        platform.system.published("auth", "custom_role.created").await,
        platform.system.published("auth", "custom_role.updated").await,
    );
    let deleted = platform.system.published("auth", "custom_role.deleted").await;
    let versions: Vec<_> = created.iter().chain(&updated).chain(&deleted).map(|event| event.version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn the_id_of_a_role_that_ended_is_not_taken_again() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut client = roles(&platform, &owner).await;
    let custom_role_id = api::Ids::default().next().to_string();
    let wide = wire::CreateCustomRoleRequest { custom_role_id, ..new_role(&platform, &["document:read"]) };
    let role = client.create_custom_role(wide.clone()).await.expect("the owner may").into_inner();
    let delete = wire::DeleteCustomRoleRequest { name: role.name.clone(), ..Default::default() };
    client.delete_custom_role(delete).await.expect("nobody holds it");
    // An older version of the role before would stand in every verifier in the place of a new one, whose versions are lower.
    assert_refused(client.create_custom_role(wide).await, Code::AlreadyExists, "RESOURCE_EXISTS");
    made(&platform, &owner, &["document:read"]).await.expect("others are made as before");
}

#[tokio::test]
async fn permissions_are_those_of_the_contract() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut client = roles(&platform, &owner).await;
    let mut found = Vec::new();
    let mut request = wire::ListPermissionsRequest { page_size: 7, page_token: String::new() };
    loop {
        let page = client.list_permissions(request.clone()).await.expect("every member may").into_inner();
        found.extend(page.permissions);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let mut of_contract: Vec<_> = proto::methods()
        .iter()
        .filter_map(|method| match &method.access.as_ref()?.rule {
            proto::Rule::Permission(permission) => Some(permission.clone()),
            _ => None,
        })
        .collect();
    of_contract.sort();
    of_contract.dedup();
    assert_eq!(found.iter().map(|known| known.permission.clone()).collect::<Vec<_>>(), of_contract);
    let get = wire::GetPermissionRequest { name: "permissions/document.read".to_owned() };
    let read = client.get_permission(get).await.expect("it is there").into_inner();
    assert_eq!(read.permission, "document:read");
    assert!(read.methods.contains(&"workos.document.v1.DocumentService/GetDocument".to_owned()));
    assert_refused(made(&platform, &owner, &["document:fly"]).await, Code::InvalidArgument, "PERMISSION_UNKNOWN");
}

#[tokio::test]
async fn auth_t03_a_custom_role_never_goes_beyond_its_author() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (adam, admin) = platform.signed_user(&owner, "adam", Role::Admin).await;
    let beyond = proto::methods().iter().find_map(|method| {
        let access = method.access.as_ref()?;
        let proto::Rule::Permission(permission) = &access.rule else { return None };
        (access.role == Some(proto::Role::Owner) && !permission.starts_with("platform:")).then_some(permission.as_str())
    });
    if let Some(of_owners) = beyond {
        assert_refused(made(&platform, &admin, &[of_owners]).await, Code::PermissionDenied, "PERMISSION_LACKED");
    }
    let of_system = proto::methods().iter().find_map(|method| match &method.access.as_ref()?.rule {
        proto::Rule::Permission(permission) if permission.starts_with("platform:") => Some(permission.as_str()),
        _ => None,
    });
    if let Some(of_system) = of_system {
        assert_refused(made(&platform, &owner, &[of_system]).await, Code::PermissionDenied, "PERMISSION_LACKED");
    }
    // Who manages roles by a custom role and is nothing else cannot climb by it.
    let manager = made(&platform, &owner, &["role:write", "role:read", "membership:write", "membership:read"]).await;
    let (manager, strong) =
        (manager.expect("the owner may"), made(&platform, &owner, &["document:write"]).await.expect("the owner may"));
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    give(&platform, &owner, &bob.name, &owner, &[&manager.name]).await.expect("the owner may");
    let refused = made(&platform, &signed, &["document:write"]).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    let mut client = roles(&platform, &signed).await;
    for request in [permissions_are(&manager, &["document:write"]), permissions_are(&strong, &["role:read"])] {
        assert_refused(client.update_custom_role(request).await, Code::PermissionDenied, "PERMISSION_LACKED");
    }
    let refused = give(&platform, &signed, &bob.name, &owner, &[&manager.name, &strong.name]).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    let carol = platform.user(&owner, "carol", Role::Unspecified).await;
    give(&platform, &owner, &carol.name, &owner, &[&strong.name]).await.expect("the owner may");
    let refused = give(&platform, &signed, &carol.name, &owner, &[]).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    let refused = give(&platform, &signed, &adam.name, &owner, &[&manager.name]).await;
    assert_refused(refused, Code::PermissionDenied, "ROLE_TOO_HIGH");
    made(&platform, &signed, &["role:read"]).await.expect("he holds that");
    give(&platform, &signed, &bob.name, &owner, &[&manager.name]).await.expect("what he holds he may give");
}

#[tokio::test]
async fn auth_t04_a_custom_role_acts_at_once_given_changed_and_taken() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let client = |token| OrganizationServiceClient::new(with(&platform.system, "gateway", token));
    let bare = exchange(&platform.system, &signed.access).await.expect("good");
    assert_refused(
        client(bare.clone()).list_memberships(members(&platform)).await,
        Code::PermissionDenied,
        "ACCESS_DENIED",
    );
    let role = made(&platform, &owner, &["membership:read"]).await.expect("the owner may");
    give(&platform, &owner, &bob.name, &owner, &[&role.name]).await.expect("the owner may");
    let stale = client(bare).list_memberships(members(&platform)).await.expect_err("the token is void");
    assert_eq!(refusal(&stale), (Code::Unauthenticated, "TOKEN_STALE".to_owned()));
    // One token from here on: what its role allows is asked for anew on each call.
    let held = exchange(&platform.system, &signed.access).await.expect("the access token stays good");
    client(held.clone()).list_memberships(members(&platform)).await.expect("the role allows it");
    let mut managed = roles(&platform, &owner).await;
    managed.update_custom_role(permissions_are(&role, &["role:read"])).await.expect("the owner may");
    let refused = client(held.clone()).list_memberships(members(&platform)).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    managed.update_custom_role(permissions_are(&role, &["membership:read"])).await.expect("the owner may");
    client(held.clone()).list_memberships(members(&platform)).await.expect("the role allows it again");
    let delete = wire::DeleteCustomRoleRequest { name: role.name.clone(), ..Default::default() };
    assert_refused(managed.delete_custom_role(delete.clone()).await, Code::FailedPrecondition, "ROLE_IN_USE");
    give(&platform, &owner, &bob.name, &owner, &[]).await.expect("the owner may");
    let stale = client(held).list_memberships(members(&platform)).await.expect_err("the token is void");
    assert_eq!(refusal(&stale), (Code::Unauthenticated, "TOKEN_STALE".to_owned()));
    managed.delete_custom_role(delete).await.expect("nobody holds it");
    let refused = give(&platform, &owner, &bob.name, &owner, &[&role.name]).await;
    assert_refused(refused, Code::FailedPrecondition, "CUSTOM_ROLE_NOT_FOUND");
}

#[tokio::test]
async fn verifiers_get_the_directory_and_hear_when_theirs_is_current() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let role = made(&platform, &owner, &["document:read", "role:read"]).await.expect("the owner may");
    let mut client =
        wire::token_service_client::TokenServiceClient::new(platform.system.as_workload("document").channel("auth"));
    let directory = client.get_directory(wire::GetDirectoryRequest::default()).await.expect("a workload").into_inner();
    let [listed] = &directory.roles[..] else { panic!("one role: {directory:?}") };
    assert!(role.name.ends_with(&listed.role) && platform.organization.ends_with(&listed.organization));
    let mut texts: Vec<_> =
        listed.permissions.iter().map(|position| &*directory.permissions[*position as usize]).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["document:read", "role:read"]);
    let again = wire::GetDirectoryRequest { known_revision: directory.revision.clone(), ..Default::default() };
    let same = client.get_directory(again.clone()).await.expect("a workload").into_inner();
    assert!(same.unchanged && same.roles.is_empty());
    roles(&platform, &owner).await.update_custom_role(permissions_are(&role, &["role:read"])).await.expect("may");
    let changed = client.get_directory(again).await.expect("a workload").into_inner();
    assert!(!changed.unchanged && changed.revision != directory.revision);
    let mut managed = roles(&platform, &owner).await;
    for _ in 0..4 {
        managed.create_custom_role(new_role(&platform, &["group:read"])).await.expect("the owner may");
    }
    let (mut request, mut found) = (wire::GetDirectoryRequest { page_size: 2, ..Default::default() }, Vec::new());
    loop {
        let page = client.get_directory(request.clone()).await.expect("a workload").into_inner();
        assert!(page.roles.len() <= 2);
        found.extend(page.roles.into_iter().map(|role| role.role));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let count = found.len();
    found.sort();
    found.dedup();
    assert_eq!((found.len(), count), (5, 5), "each once");
}

#[tokio::test]
async fn auth_t02_a_role_of_another_organization_under_the_same_id_changes_nothing_here() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let role = made(&platform, &owner, &["membership:read"]).await.expect("the owner may");
    give(&platform, &owner, &bob.name, &owner, &[&role.name]).await.expect("the owner may");
    let held = exchange(&platform.system, &signed.access).await.expect("good");
    let reads = async || {
        let mut client = OrganizationServiceClient::new(with(&platform.system, "gateway", held.clone()));
        client.list_memberships(members(&platform)).await.map(drop)
    };
    reads().await.expect("the role allows it");
    // Anybody makes an organization, and chooses the ids of its roles.
    let organization = wire::Organization { display_name: "Mallory's".to_owned(), ..Default::default() };
    let request = wire::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
    let made = organizations(&platform.system, &signed).await.create_organization(request).await.expect("anybody may");
    let second = made.into_inner().name;
    let mallory = sign_in(&platform.system, &bob.email, &password_of("bob"), &second).await;
    let mut managed = roles(&platform, &mallory).await;
    let new = wire::CreateCustomRoleRequest {
        parent: second.clone(),
        custom_role_id: role.name.rsplit('/').next().expect("an id").to_owned(),
        ..new_role(&platform, &["document:read"])
    };
    let twin = managed.create_custom_role(new).await.expect("the id is free there").into_inner();
    reads().await.expect("nothing has changed here");
    managed.update_custom_role(permissions_are(&twin, &["role:read"])).await.expect("its owner may");
    reads().await.expect("nothing has changed here");
    managed
        .delete_custom_role(wire::DeleteCustomRoleRequest { name: twin.name, ..Default::default() })
        .await
        .expect("may");
    reads().await.expect("nothing has changed here");
}
