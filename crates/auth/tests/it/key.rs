//! API keys and service accounts: capped by their owner, ended at once, garbage refused without a question.
use std::time::Duration;

use mesh::client::Channel;
use proto::auth::v1::{
    self as wire, authorization_service_client::AuthorizationServiceClient, key_service_client::KeyServiceClient,
    membership::Role, organization_service_client::OrganizationServiceClient, role_service_client::RoleServiceClient,
    user_service_client::UserServiceClient,
};
use testkit::{System, eventually};
use tonic::Code;

use crate::{Platform, Signed, assert_refused, channel, exchange, platform, with};

async fn keys(system: &System, signed: &Signed) -> KeyServiceClient<Channel> {
    KeyServiceClient::new(channel(system, signed).await)
}

fn create(platform: &Platform, owner: &str, scopes: &[&str]) -> wire::CreateApiKeyRequest {
    let end = platform.system.clock().now() + time::Duration::days(1);
    let api_key = wire::ApiKey {
        display_name: "Import".to_owned(),
        owner: owner.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        expire_time: Some(api::timestamp(end)),
        ..Default::default()
    };
    wire::CreateApiKeyRequest { parent: platform.organization.clone(), api_key: Some(api_key) }
}

async fn with_key(system: &System, secret: &str) -> Channel {
    with(system, "gateway", exchange(system, secret).await.expect("the key is good"))
}

fn list(platform: &Platform) -> wire::ListMembershipsRequest {
    wire::ListMembershipsRequest { parent: platform.organization.clone(), ..Default::default() }
}

#[tokio::test]
async fn auth_t05_a_key_may_what_its_scopes_and_its_owner_may() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let mut client = keys(system, &signed).await;
    let made = client.create_api_key(create(&platform, "", &["membership:read", "user:create"])).await;
    let made = made.expect("his own").into_inner();
    assert!(made.secret.starts_with("wos_sk_") && made.secret.len() == 56, "{}", made.secret.len());
    let channel = with_key(system, &made.secret).await;
    OrganizationServiceClient::new(channel.clone()).list_memberships(list(&platform)).await.expect("scope and role");
    let beyond = crate::new_user(&platform.organization, "eve", Role::Viewer);
    let refused = UserServiceClient::new(channel.clone()).create_user(beyond).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let name = wire::GetOrganizationRequest { name: platform.organization.clone() };
    let refused = OrganizationServiceClient::new(channel).get_organization(name).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let membership = platform.membership(&owner, &bob.name).await;
    let down = wire::Membership { name: membership.name, ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["role".to_owned()] };
    let demote =
        wire::UpdateMembershipRequest { membership: Some(down), update_mask: Some(mask), request_id: String::new() };
    crate::organizations(system, &owner).await.update_membership(demote).await.expect("he may");
    let demoted = OrganizationServiceClient::new(with_key(system, &made.secret).await);
    let refused = demoted.clone().list_memberships(list(&platform)).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let shown = client.get_api_key(wire::GetApiKeyRequest { name: made.name.clone() }).await;
    assert_refused(shown, Code::Unauthenticated, "TOKEN_STALE");
}

#[tokio::test]
async fn auth_t05_b03_a_deleted_rotated_expired_or_garbled_key_is_refused_at_once() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let mut client = keys(system, &owner).await;
    let made = client.create_api_key(create(&platform, "", &["membership:read"])).await.expect("his own").into_inner();
    let held = with_key(system, &made.secret).await;
    let name = made.name.clone();
    let rotated = client.rotate_api_key(wire::RotateApiKeyRequest { name: name.clone() }).await.expect("his own");
    let rotated = rotated.into_inner();
    assert_ne!(rotated.secret, made.secret);
    let refused = OrganizationServiceClient::new(held).list_memberships(list(&platform)).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchange(system, &made.secret).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let held = with_key(system, &rotated.secret).await;
    let shown = client.get_api_key(wire::GetApiKeyRequest { name: name.clone() }).await.expect("his own").into_inner();
    assert!(shown.secret.is_empty() && shown.last_use_time.is_some());
    for _ in 0..2 {
        let deleted = client.delete_api_key(wire::DeleteApiKeyRequest { name: name.clone() }).await;
        assert!(deleted.is_ok() || deleted.expect_err("gone").code() == Code::NotFound);
    }
    let refused = OrganizationServiceClient::new(held).list_memberships(list(&platform)).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let lasting = client.create_api_key(create(&platform, "", &["membership:read"])).await.expect("his own");
    let wire::ApiKey { name: ended, secret: lasting, .. } = lasting.into_inner();
    let stored = system.sql("select k::text from auth.api_keys k").await;
    assert!(stored.iter().flatten().flatten().all(|text| !text.contains(&lasting[7..])), "only a digest is kept");
    for garbled in ["wos_sk_", &lasting[..55], &testkit::spoiled(&lasting), "wos_sk_é"] {
        assert_refused(exchange(system, garbled).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    }
    system.clock().advance(Duration::from_secs(24 * 3600));
    assert_refused(exchange(system, &lasting).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let client = keys(system, &platform.owner().await).await;
    // The clock has left the list of revocations behind; sensitive methods wait for it.
    let rotated = eventually("the revocations are read again", || async {
        let rotated = client.clone().rotate_api_key(wire::RotateApiKeyRequest { name: ended.clone() }).await;
        rotated.map_or_else(|status| (status.code() != Code::Unavailable).then_some(Err(status)), |key| Some(Ok(key)))
    });
    assert_refused(rotated.await, Code::NotFound, "RESOURCE_NOT_FOUND");
}

#[tokio::test]
async fn auth_t03_nobody_ends_a_key_of_who_stands_above_him() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (_, admin) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let (_, viewer) = platform.signed_user(&owner, "carol", Role::Viewer).await;
    let key = async |signed: &Signed| {
        let made = keys(system, signed).await.create_api_key(create(&platform, "", &["membership:read"])).await;
        made.expect("his own").into_inner()
    };
    let delete = |made: &wire::ApiKey| wire::DeleteApiKeyRequest { name: made.name.clone() };
    let (above, below) = (key(&owner).await, key(&viewer).await);
    let mut client = keys(system, &admin).await;
    assert_refused(client.delete_api_key(delete(&above)).await, Code::PermissionDenied, "ROLE_TOO_HIGH");
    exchange(system, &above.secret).await.expect("it goes on");
    client.delete_api_key(delete(&below)).await.expect("an administrator may");
    assert_refused(exchange(system, &below.secret).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    keys(system, &owner).await.delete_api_key(delete(&above)).await.expect("his own");
}

#[tokio::test]
async fn auth_t10_a_key_reaches_neither_its_owners_account_nor_other_keys() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let scopes = ["api_key:write", "api_key:read", "service_account:write"];
    let mut client = keys(system, &owner).await;
    let made = client.create_api_key(create(&platform, "", &scopes)).await.expect("his own").into_inner();
    let channel = with_key(system, &made.secret).await;
    let me = wire::GetUserRequest { name: "users/me".to_owned() };
    let me = UserServiceClient::new(channel.clone()).get_user(me).await;
    assert_refused(me, Code::PermissionDenied, "ACCESS_DENIED");
    let mut by_key = KeyServiceClient::new(channel);
    let other = by_key.create_api_key(create(&platform, "", &["membership:write"])).await;
    assert_refused(other, Code::Unauthenticated, "STEP_UP_REQUIRED");
    let rotate = by_key.rotate_api_key(wire::RotateApiKeyRequest { name: made.name.clone() }).await;
    assert_refused(rotate, Code::Unauthenticated, "STEP_UP_REQUIRED");
    let account = wire::ServiceAccount { display_name: "x".to_owned(), ..Default::default() };
    let account = wire::CreateServiceAccountRequest {
        parent: platform.organization.clone(),
        service_account: Some(account),
        request_id: String::new(),
    };
    assert_refused(by_key.create_service_account(account).await, Code::PermissionDenied, "SIGN_IN_NEEDED");
    by_key.get_api_key(wire::GetApiKeyRequest { name: made.name }).await.expect("it may read");
    for (scopes, reason) in
        [(&["*"][..], "SCOPE_UNKNOWN"), (&["document:fly"], "SCOPE_UNKNOWN"), (&[], "FIELD_INVALID")]
    {
        let refused = client.create_api_key(create(&platform, "", scopes)).await;
        assert_refused(refused, Code::InvalidArgument, reason);
    }
}

#[tokio::test]
async fn a_service_account_works_with_keys_of_administrators_and_ends_with_them() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (_, viewer) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let mut client = keys(system, &owner).await;
    let account =
        wire::ServiceAccount { display_name: "Importer".to_owned(), role: Role::Viewer.into(), ..Default::default() };
    let request = wire::CreateServiceAccountRequest {
        parent: platform.organization.clone(),
        service_account: Some(account),
        request_id: String::new(),
    };
    let account = client.create_service_account(request).await.expect("he may").into_inner();
    let mut other = keys(system, &viewer).await;
    let refused = other.create_api_key(create(&platform, &account.name, &["membership:read"])).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let refused =
        client.create_api_key(create(&platform, "users/00000000000000000000000001", &["membership:read"])).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let made = client.create_api_key(create(&platform, &account.name, &["membership:read"])).await.expect("he may");
    let made = made.into_inner();
    assert_eq!(made.owner, account.name);
    let held = with_key(system, &made.secret).await;
    let members = OrganizationServiceClient::new(held.clone()).list_memberships(list(&platform)).await.expect("scope");
    assert!(members.into_inner().memberships.iter().any(|member| member.user == account.user));
    let page = wire::ListApiKeysRequest { parent: platform.organization.clone(), ..Default::default() };
    assert_eq!(client.list_api_keys(page.clone()).await.expect("all").into_inner().api_keys.len(), 1);
    assert!(other.list_api_keys(page).await.expect("his own").into_inner().api_keys.is_empty());
    client.delete_service_account(wire::DeleteServiceAccountRequest { name: account.name }).await.expect("he may");
    let refused = OrganizationServiceClient::new(held).list_memberships(list(&platform)).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchange(system, &made.secret).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_t05_a_key_asks_and_gives_no_more_than_its_scopes() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, editor) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let mut made = Vec::new();
    for (signed, scopes) in
        [(&editor, &["relation:check"][..]), (&editor, &["relation:check", "relation:read"]), (&owner, &["role:write"])]
    {
        let key = keys(system, signed).await.create_api_key(create(&platform, "", scopes)).await.expect("his own");
        made.push(with_key(system, &key.into_inner().secret).await);
    }
    let plans = crate::relation::object(&platform, "board", "plans");
    let about_another = crate::relation::question(&platform, &platform.owner, "object:read", &plans);
    let about_himself = crate::relation::question(&platform, &bob.name, "object:read", &plans);
    let mut checks = AuthorizationServiceClient::new(made[0].clone());
    assert!(checks.check(about_himself).await.expect("about himself").into_inner().allowed);
    assert_refused(checks.check(about_another.clone()).await, Code::PermissionDenied, "ACCESS_DENIED");
    AuthorizationServiceClient::new(made[1].clone()).check(about_another).await.expect("by scope and role");
    let role = |permission: &str| wire::CreateCustomRoleRequest {
        parent: platform.organization.clone(),
        custom_role: Some(wire::CustomRole {
            display_name: "Made by a key".to_owned(),
            permissions: vec![permission.to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut roles = RoleServiceClient::new(made[2].clone());
    roles.create_custom_role(role("role:write")).await.expect("what the key holds");
    let refused = roles.create_custom_role(role("document:delete")).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
}

#[tokio::test]
async fn auth_t05_t03_a_key_holds_what_the_custom_roles_of_its_owner_hold_and_theirs_are_touched_by_nobody_below() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let role = async |permissions: &[&str]| {
        let custom_role = wire::CustomRole {
            display_name: "Some".to_owned(),
            permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
            ..Default::default()
        };
        let request = wire::CreateCustomRoleRequest {
            parent: platform.organization.clone(),
            custom_role: Some(custom_role),
            ..Default::default()
        };
        let mut client = RoleServiceClient::new(channel(system, &owner).await);
        client.create_custom_role(request).await.expect("the owner may").into_inner().name
    };
    let give = async |user: &str, roles: &[&str]| {
        let membership = wire::Membership {
            name: platform.membership(&owner, user).await.name,
            custom_roles: roles.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        let mask = prost_types::FieldMask { paths: vec!["custom_roles".to_owned()] };
        let request = wire::UpdateMembershipRequest {
            membership: Some(membership),
            update_mask: Some(mask),
            request_id: String::new(),
        };
        let mut client = OrganizationServiceClient::new(channel(system, &owner).await);
        client.update_membership(request).await.expect("the owner may");
    };
    let reader = role(&["membership:read", "api_key:write"]).await;
    give(&bob.name, &[&reader]).await;
    let scopes = ["membership:read", "document:read"];
    let key = keys(system, &signed).await.create_api_key(create(&platform, "", &scopes)).await.expect("his own");
    let held = with_key(system, &key.into_inner().secret).await;
    OrganizationServiceClient::new(held.clone()).list_memberships(list(&platform)).await.expect("scope and role");
    // Who disables accounts by a custom role disables nobody whose custom roles hold more.
    let (disabler, strong) = (role(&["user:write"]).await, role(&["document:delete"]).await);
    let carol = platform.user(&owner, "carol", Role::Unspecified).await.name;
    give(&bob.name, &[&disabler]).await;
    give(&carol, &[&strong]).await;
    let disable = wire::DisableUserRequest { name: carol.clone() };
    let refused = UserServiceClient::new(channel(system, &signed).await).disable_user(disable.clone()).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    give(&carol, &[]).await;
    UserServiceClient::new(channel(system, &signed).await).disable_user(disable).await.expect("she holds nothing more");
}

#[tokio::test]
async fn auth_t03_nobody_makes_keys_for_a_service_account_whose_custom_roles_he_could_not_give() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (_, admin) = platform.signed_user(&owner, "adam", Role::Admin).await;
    let mut client = keys(system, &owner).await;
    let account = wire::ServiceAccount { display_name: "Closer".to_owned(), ..Default::default() };
    let request = wire::CreateServiceAccountRequest {
        parent: platform.organization.clone(),
        service_account: Some(account),
        request_id: String::new(),
    };
    let account = client.create_service_account(request).await.expect("he may").into_inner();
    let mut other = keys(system, &admin).await;
    let name = wire::RotateApiKeyRequest {
        name: other
            .create_api_key(create(&platform, &account.name, &["membership:read"]))
            .await
            .expect("it is below him")
            .into_inner()
            .name,
    };
    // An administrator does not hold what only owners may.
    let closer = crate::role::made(&platform, &owner, &["organization:delete"]).await.expect("the owner may");
    crate::role::give(&platform, &owner, &account.user, &owner, &[&closer.name]).await.expect("the owner may");
    let refused = other.create_api_key(create(&platform, &account.name, &["organization:delete"])).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    let refused = other.create_api_key(create(&platform, &account.name, &["membership:read"])).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    assert_refused(other.rotate_api_key(name.clone()).await, Code::PermissionDenied, "PERMISSION_LACKED");
    let end = wire::DeleteServiceAccountRequest { name: account.name.clone() };
    assert_refused(other.delete_service_account(end.clone()).await, Code::PermissionDenied, "PERMISSION_LACKED");
    client.rotate_api_key(name.clone()).await.expect("the owner holds it");
    crate::role::give(&platform, &owner, &account.user, &owner, &[]).await.expect("the owner may");
    other.rotate_api_key(name).await.expect("now it is below him again");
    other.delete_service_account(end).await.expect("and so is its end");
}

#[tokio::test]
async fn a_key_is_renamed_in_person_and_nothing_else_of_it_changes() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (_, viewer) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let (mut client, mut of_bob) = (keys(system, &owner).await, keys(system, &viewer).await);
    let made = client.create_api_key(create(&platform, "", &["membership:read"])).await.expect("his own").into_inner();
    let renamed = |name: &str, etag: &str, display_name: &str, paths: &[&str]| wire::UpdateApiKeyRequest {
        api_key: Some(wire::ApiKey {
            name: name.to_owned(),
            etag: etag.to_owned(),
            display_name: display_name.to_owned(),
            scopes: vec!["membership:write".to_owned()],
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
    };
    let other =
        client.update_api_key(renamed(&made.name, &made.etag, "Export", &[])).await.expect("his own").into_inner();
    assert_eq!((other.display_name.as_str(), other.secret.as_str()), ("Export", ""));
    assert_eq!((&other.scopes, &other.owner, other.expire_time), (&made.scopes, &made.owner, made.expire_time));
    assert_ne!(other.etag, made.etag);
    exchange(system, &made.secret).await.expect("the secret stays");
    for (path, reason) in [("scopes", "MASK_INVALID"), ("owner", "MASK_INVALID"), ("expire_time", "MASK_INVALID")] {
        let refused = client.update_api_key(renamed(&made.name, "", "x", &[path])).await;
        assert_refused(refused, Code::InvalidArgument, reason);
    }
    let empty = client.update_api_key(renamed(&made.name, "", "", &["display_name"])).await;
    assert_refused(empty, Code::InvalidArgument, "DISPLAY_NAME_INVALID");
    let stale = client.update_api_key(renamed(&made.name, &made.etag, "Old", &["display_name"])).await;
    assert_refused(stale, Code::Aborted, "ETAG_MISMATCH");
    let foreign = of_bob.update_api_key(renamed(&made.name, "", "Mine", &["display_name"])).await;
    assert_refused(foreign, Code::NotFound, "RESOURCE_NOT_FOUND");
    let of_his =
        of_bob.create_api_key(create(&platform, "", &["membership:read"])).await.expect("his own").into_inner();
    let above = client.update_api_key(renamed(&of_his.name, "", "Yours", &["display_name"])).await;
    assert_refused(above, Code::PermissionDenied, "ACCESS_DENIED");
    let writer = client.create_api_key(create(&platform, "", &["api_key:write"])).await.expect("his own").into_inner();
    let by_key = KeyServiceClient::new(with_key(system, &writer.secret).await)
        .update_api_key(renamed(&writer.name, "", "By itself", &["display_name"]))
        .await;
    assert_refused(by_key, Code::PermissionDenied, "SIGN_IN_NEEDED");
    let told = system.sql("select count(*) from auth.audit_event where action = 'api_key.updated'").await;
    assert_eq!(told[0][0].as_deref(), Some("1"), "each change, and nothing else");
}
