//! Shares by role: who has a role holds what is shared with it and with the weaker ones, as long as he has it.
use proto::auth::v1::{self as wire, membership::Role, relation::Kind, role_service_client::RoleServiceClient};
use tonic::Code;

use crate::{
    Platform, Signed, assert_refused, channel, organizations, platform,
    relation::{authorization, may, object, relation, write, written},
    role::{give, made},
};

async fn role_is(platform: &Platform, by: &Signed, user: &str, role: Role) {
    let name = platform.membership(by, user).await.name;
    let membership = wire::Membership { name, role: role.into(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["role".to_owned()] });
    let change = wire::UpdateMembershipRequest { membership: Some(membership), update_mask, ..Default::default() };
    organizations(&platform.system, by).await.update_membership(change).await.expect("the owner may");
}

async fn read(platform: &Platform, by: &Signed, resource: &str, subject: &str) -> Vec<wire::Relation> {
    let request = wire::ReadRelationsRequest {
        parent: platform.organization.clone(),
        resource: resource.to_owned(),
        subject: subject.to_owned(),
        ..Default::default()
    };
    authorization(platform, by).await.read_relations(request).await.expect("he may").into_inner().relations
}

#[tokio::test]
async fn who_has_a_role_or_a_stronger_one_holds_what_is_shared_with_it() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let none = platform.user(&owner, "none", Role::Unspecified).await.name;
    let vera = platform.user(&owner, "vera", Role::Viewer).await.name;
    let edith = platform.user(&owner, "edith", Role::Editor).await.name;
    let plans = object(&platform, "board", "plans");
    let viewers = format!("{}#viewer", platform.organization);
    let shared = relation(&plans, Kind::Commenter, &viewers);
    written(&platform, &owner, vec![write(shared.clone())]).await.expect("the owner may");
    for (user, allowed) in [(&none, false), (&vera, true), (&edith, true)] {
        assert_eq!(may(&platform, &owner, user, "object:comment", &plans).await, allowed, "{user}");
    }
    let explain = wire::ExplainRequest {
        parent: platform.organization.clone(),
        subject: vera.clone(),
        permission: "object:comment".to_owned(),
        resource: plans.clone(),
        at_least: String::new(),
    };
    let why = authorization(&platform, &owner).await.explain(explain).await.expect("the owner may").into_inner();
    assert_eq!((why.role.as_str(), why.relation), ("", Some(shared.clone())));
    assert_eq!(read(&platform, &owner, &plans, "").await, std::slice::from_ref(&shared));
    assert_eq!(read(&platform, &owner, "", &viewers).await, [shared]);
    role_is(&platform, &owner, &vera, Role::Unspecified).await;
    assert!(!may(&platform, &owner, &vera, "object:comment", &plans).await, "the role was taken from her");
    role_is(&platform, &owner, &none, Role::Viewer).await;
    assert!(may(&platform, &owner, &none, "object:comment", &plans).await, "and given to him");
}

#[tokio::test]
async fn what_is_shared_with_a_custom_role_is_of_who_has_it_and_ends_with_it() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let (plans, role) = (object(&platform, "board", "plans"), made(&platform, &owner, &["folder:read"]).await);
    let role = role.expect("the owner may").name;
    let holders = format!("{role}#member");
    written(&platform, &owner, vec![write(relation(&plans, Kind::Editor, &holders))]).await.expect("the owner may");
    assert!(!may(&platform, &owner, &bob, "object:write", &plans).await);
    give(&platform, &owner, &bob, &owner, &[&role]).await.expect("the owner may");
    assert!(may(&platform, &owner, &bob, "object:write", &plans).await);
    assert!(!may(&platform, &owner, &bob, "object:share", &plans).await);
    give(&platform, &owner, &bob, &owner, &[]).await.expect("the owner may");
    assert!(!may(&platform, &owner, &bob, "object:read", &plans).await);
    let mut roles = RoleServiceClient::new(channel(&platform.system, &owner).await);
    roles.delete_custom_role(wire::DeleteCustomRoleRequest { name: role, ..Default::default() }).await.expect("may");
    assert_eq!(read(&platform, &owner, &plans, "").await, [], "what it held ends with it");
    let refused = written(&platform, &owner, vec![write(relation(&plans, Kind::Viewer, &holders))]).await;
    assert_refused(refused, Code::FailedPrecondition, "CUSTOM_ROLE_NOT_FOUND");
}

#[tokio::test]
async fn auth_t03_who_gives_roles_by_a_custom_role_gives_only_what_his_own_hold() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let carol = platform.user(&owner, "carol", Role::Unspecified).await.name;
    let manager = made(&platform, &owner, &["membership:write", "membership:read", "folder:read"]).await;
    let (manager, crew) =
        (manager.expect("may").name, made(&platform, &owner, &["folder:read"]).await.expect("may").name);
    give(&platform, &owner, &bob.name, &owner, &[&manager]).await.expect("the owner may");
    let plans = object(&platform, "board", "plans");
    let shared = relation(&plans, Kind::Owner, &format!("{crew}#member"));
    written(&platform, &owner, vec![write(shared)]).await.expect("the owner may");
    // He holds all that the role allows, and nothing of what is shared with it.
    for user in [&bob.name, &carol] {
        let refused = give(&platform, &signed, user, &owner, &[&crew]).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_LACKED");
    }
    give(&platform, &owner, &bob.name, &owner, &[&manager, &crew]).await.expect("the owner may");
    give(&platform, &signed, &carol, &owner, &[&crew]).await.expect("he has it himself");
    assert!(may(&platform, &owner, &carol, "object:share", &plans).await);
}

#[tokio::test]
async fn auth_t03_nobody_gives_a_role_more_than_he_holds() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let plans = object(&platform, "board", "plans");
    let everybody = format!("{}#viewer", platform.organization);
    written(&platform, &owner, vec![write(relation(&plans, Kind::Editor, &bob.name))]).await.expect("the owner may");
    let refused = written(&platform, &bobs, vec![write(relation(&plans, Kind::Viewer, &everybody))]).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let mut until = relation(&plans, Kind::Owner, &bob.name);
    until.expire_time = Some(api::timestamp(platform.system.clock().now() + time::Duration::HOUR));
    written(&platform, &owner, vec![write(until)]).await.expect("the owner may");
    let refused = written(&platform, &bobs, vec![write(relation(&plans, Kind::Owner, &everybody))]).await;
    assert_refused(refused, Code::PermissionDenied, "RELATION_TOO_STRONG");
    written(&platform, &bobs, vec![write(relation(&plans, Kind::Editor, &everybody))]).await.expect("he holds that");
    let foreign = "organizations/00000000000000000000000009#viewer";
    let refused = written(&platform, &owner, vec![write(relation(&plans, Kind::Viewer, foreign))]).await;
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
}
