//! Memberships: roles, the last owner, etags, repeats, and what a change does to tokens.
use prost_types::FieldMask;
use proto::auth::v1::{
    self as wire,
    membership::{Role, State},
};
use testkit::eventually;
use tonic::Code;

use crate::{
    OPERATORS, Platform, Signed, assert_refused, channel, exchange, new_user, organizations, platform, refusal, users,
    with,
};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn role_change(membership: &wire::Membership, role: Role) -> wire::UpdateMembershipRequest {
    let membership =
        wire::Membership { name: membership.name.clone(), role: role.into(), ..wire::Membership::default() };
    wire::UpdateMembershipRequest {
        membership: Some(membership),
        update_mask: mask(&["role"]),
        request_id: String::new(),
    }
}

fn deletion(name: &str) -> wire::DeleteMembershipRequest {
    wire::DeleteMembershipRequest { name: name.to_owned(), ..wire::DeleteMembershipRequest::default() }
}

async fn change(
    platform: &Platform,
    by: &Signed,
    request: wire::UpdateMembershipRequest,
) -> Result<wire::Membership, tonic::Status> {
    organizations(&platform.system, by).await.update_membership(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_membership_is_created_read_listed_changed_and_ended() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let membership = platform.membership(&owner, &bob.name).await;
    assert_eq!((membership.email.as_str(), membership.display_name.as_str()), ("bob@example.com", "bob"));
    assert_eq!((membership.role(), membership.state()), (Role::Viewer, State::Active));
    let changed = change(&platform, &owner, role_change(&membership, Role::Editor)).await.expect("the owner may");
    assert_eq!(changed.role(), Role::Editor);
    assert_ne!(changed.etag, membership.etag);
    let same = change(&platform, &owner, role_change(&membership, Role::Editor)).await.expect("nothing to do");
    assert_eq!(same.etag, changed.etag, "what changes nothing makes no version");
    let none =
        change(&platform, &owner, role_change(&membership, Role::Unspecified)).await.expect("a role may be taken");
    assert_eq!(none.role(), Role::Unspecified);
    let mut client = organizations(&platform.system, &owner).await;
    let request = wire::GetMembershipRequest { name: membership.name.clone() };
    assert_eq!(client.get_membership(request.clone()).await.expect("readable").into_inner(), none);
    client.delete_membership(deletion(&membership.name)).await.expect("the owner may");
    assert_refused(client.get_membership(request).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    assert_refused(client.delete_membership(deletion(&membership.name)).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    let versions: Vec<_> = versions(&platform, &membership.name).await;
    assert_eq!(versions, [1, 2, 3, 4], "versions have no gap");
    let again = wire::Membership { user: bob.name.clone(), ..wire::Membership::default() };
    let request = wire::CreateMembershipRequest {
        parent: platform.organization.clone(),
        membership: Some(again),
        request_id: String::new(),
    };
    client.create_membership(request.clone()).await.expect("he may come back");
    assert_refused(client.create_membership(request).await, Code::AlreadyExists, "RESOURCE_EXISTS");
}

/// Versions of the published events of a membership.
async fn versions(platform: &Platform, name: &str) -> Vec<i64> {
    let mut versions = Vec::new();
    for kind in ["membership.created", "membership.updated", "membership.deleted"] {
        for event in platform.system.published("auth", kind).await {
            let body: wire::MembershipCreated = prost::Message::decode(event.payload).expect("the three look alike");
            versions.extend((body.name == name).then_some(event.version));
        }
    }
    versions
}

#[tokio::test]
async fn auth_t03_nobody_gives_takes_or_touches_a_role_above_his_own() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (admin_user, admin) = platform.signed_user(&owner, "adam", Role::Admin).await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let owned = platform.membership(&owner, &platform.owner).await;
    let bobs = platform.membership(&owner, &bob.name).await;
    let own = platform.membership(&owner, &admin_user.name).await;
    for request in [role_change(&bobs, Role::Owner), role_change(&own, Role::Owner), role_change(&owned, Role::Viewer)]
    {
        assert_refused(change(&platform, &admin, request).await, Code::PermissionDenied, "ROLE_TOO_HIGH");
    }
    let refused = organizations(&platform.system, &admin).await.delete_membership(deletion(&owned.name)).await;
    assert_refused(refused, Code::PermissionDenied, "ROLE_TOO_HIGH");
    let refused =
        users(&platform.system, &admin).await.create_user(new_user(&platform.organization, "carol", Role::Owner)).await;
    assert_refused(refused, Code::PermissionDenied, "ROLE_TOO_HIGH");
    change(&platform, &admin, role_change(&bobs, Role::Admin)).await.expect("his own role may be given");
    let (editor_user, editor) = platform.signed_user(&owner, "eddy", Role::Editor).await;
    let own = platform.membership(&owner, &editor_user.name).await;
    assert_refused(
        change(&platform, &editor, role_change(&own, Role::Admin)).await,
        Code::PermissionDenied,
        "ACCESS_DENIED",
    );
}

#[tokio::test]
async fn auth_t03_the_last_active_owner_stays_also_in_a_race() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let owned = platform.membership(&owner, &platform.owner).await;
    let deactivated = |membership: &wire::Membership| wire::UpdateMembershipRequest {
        membership: Some(wire::Membership {
            name: membership.name.clone(),
            state: State::Deactivated.into(),
            ..wire::Membership::default()
        }),
        update_mask: mask(&["state"]),
        request_id: String::new(),
    };
    for request in [role_change(&owned, Role::Admin), role_change(&owned, Role::Unspecified), deactivated(&owned)] {
        assert_refused(change(&platform, &owner, request).await, Code::FailedPrecondition, "LAST_OWNER");
    }
    let refused = organizations(&platform.system, &owner).await.delete_membership(deletion(&owned.name)).await;
    assert_refused(refused, Code::FailedPrecondition, "LAST_OWNER");
    let (bob_user, bob) = platform.signed_user(&owner, "bob", Role::Owner).await;
    let bobs = platform.membership(&owner, &bob_user.name).await;
    let (mut one, mut other) =
        (organizations(&platform.system, &owner).await, organizations(&platform.system, &bob).await);
    let (first, second) =
        tokio::join!(one.delete_membership(deletion(&bobs.name)), other.delete_membership(deletion(&owned.name)));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{first:?} {second:?}");
    let sql = "select count(*) from auth.memberships m join auth.organizations o using (organization_id) \
         where m.role = 4 and o.display_name = 'Analytical Engines'";
    assert_eq!(platform.system.sql(sql).await[0][0].as_deref(), Some("1"));
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let read = platform.membership(&owner, &bob.name).await;
    let with_etag = |role: Role| {
        let mut request = role_change(&read, role);
        request.membership.as_mut().expect("set").etag.clone_from(&read.etag);
        request
    };
    change(&platform, &owner, with_etag(Role::Editor)).await.expect("the etag is current");
    assert_refused(change(&platform, &owner, with_etag(Role::Admin)).await, Code::Aborted, "ETAG_MISMATCH");
    let stale = wire::DeleteMembershipRequest { etag: read.etag.clone(), ..deletion(&read.name) };
    assert_refused(
        organizations(&platform.system, &owner).await.delete_membership(stale).await,
        Code::Aborted,
        "ETAG_MISMATCH",
    );
    let organization = wire::Organization {
        name: platform.organization.clone(),
        display_name: "Engines".to_owned(),
        ..wire::Organization::default()
    };
    let mut request = wire::UpdateOrganizationRequest {
        organization: Some(organization),
        update_mask: None,
        request_id: String::new(),
    };
    let mut client = organizations(&platform.system, &owner).await;
    let renamed = client.update_organization(request.clone()).await.expect("the owner may").into_inner();
    assert_eq!(renamed.display_name, "Engines");
    let sent = request.organization.as_mut().expect("set");
    (sent.etag, sent.display_name) = ("\"1\"".to_owned(), "Other".to_owned());
    assert_refused(client.update_organization(request.clone()).await, Code::Aborted, "ETAG_MISMATCH");
    request.update_mask = mask(&["displayname"]);
    assert_refused(client.update_organization(request).await, Code::InvalidArgument, "MASK_INVALID");
}

#[tokio::test]
async fn auth_t04_a_changed_role_acts_at_once_without_a_new_sign_in() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let held = exchange(&platform.system, &signed.access).await.expect("good");
    let list = wire::ListMembershipsRequest {
        parent: platform.organization.clone(),
        ..wire::ListMembershipsRequest::default()
    };
    let client = |token| {
        proto::auth::v1::organization_service_client::OrganizationServiceClient::new(with(
            &platform.system,
            "gateway",
            token,
        ))
    };
    client(held.clone()).list_memberships(list.clone()).await.expect("an admin may");
    let membership = platform.membership(&owner, &bob.name).await;
    change(&platform, &owner, role_change(&membership, Role::Unspecified)).await.expect("the owner may");
    let stale = client(held).list_memberships(list.clone()).await.expect_err("the token is void");
    assert_eq!(refusal(&stale), (Code::Unauthenticated, "TOKEN_STALE".to_owned()));
    let renewed = exchange(&platform.system, &signed.access).await.expect("the access token stays good");
    assert_refused(client(renewed).list_memberships(list).await, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn auth_b03_removing_a_member_voids_every_token_in_the_organization_and_only_there() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Owner).await;
    let as_operator = crate::sign_in(&platform.system, crate::OWNER, crate::OWNER_PASSWORD, OPERATORS).await;
    let held = channel(&platform.system, &owner).await;
    let owned = platform.membership(&owner, &platform.owner).await;
    let mut bobs = organizations(&platform.system, &signed).await;
    bobs.delete_membership(deletion(&owned.name)).await.expect("an owner may remove another");
    let mut client = proto::auth::v1::organization_service_client::OrganizationServiceClient::new(held);
    let refused = client.get_organization(wire::GetOrganizationRequest { name: platform.organization.clone() }).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchange(&platform.system, &owner.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &as_operator.access).await.expect("another organization");
    let listed = eventually("the revocation is listed", || async {
        let mut client = proto::auth::v1::token_service_client::TokenServiceClient::new(
            platform.system.as_workload("document").channel("auth"),
        );
        let entries = client
            .list_revocations(wire::ListRevocationsRequest::default())
            .await
            .expect("for workloads")
            .into_inner()
            .revocations;
        entries.into_iter().find(|entry| entry.kind == "member" && !entry.renew)
    });
    let id = format!("{}/{}", &platform.owner["users/".len()..], &platform.organization["organizations/".len()..]);
    assert_eq!(listed.await.id, id);
    let back =
        wire::Membership { user: platform.owner.clone(), role: Role::Viewer.into(), ..wire::Membership::default() };
    let request = wire::CreateMembershipRequest {
        parent: platform.organization.clone(),
        membership: Some(back),
        request_id: String::new(),
    };
    bobs.create_membership(request).await.expect("he may come back");
    assert_refused(exchange(&platform.system, &owner.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let anew = platform.owner().await;
    organizations(&platform.system, &anew)
        .await
        .get_organization(wire::GetOrganizationRequest { name: platform.organization.clone() })
        .await
        .expect("signed in anew");
    assert_eq!(platform.membership(&signed, &bob.name).await.role(), Role::Owner);
}

#[tokio::test]
async fn a_deactivated_member_is_out_until_he_is_activated_again() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let membership = platform.membership(&owner, &bob.name).await;
    let to = |state: State| wire::UpdateMembershipRequest {
        membership: Some(wire::Membership {
            name: membership.name.clone(),
            state: state.into(),
            ..wire::Membership::default()
        }),
        update_mask: None,
        request_id: String::new(),
    };
    assert_eq!(change(&platform, &owner, to(State::Deactivated)).await.expect("the owner may").role(), Role::Editor);
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    change(&platform, &owner, to(State::Active)).await.expect("the owner may");
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let anew = crate::sign_in(&platform.system, &bob.email, &crate::password_of("bob"), "").await;
    exchange(&platform.system, &anew.access).await.expect("signed in anew");
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_also_in_parallel() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let request = wire::CreateUserRequest {
        request_id: "2f1c".to_owned(),
        ..new_user(&platform.organization, "bob", Role::Viewer)
    };
    let (mut one, mut other) = (users(&platform.system, &owner).await, users(&platform.system, &owner).await);
    let (first, second) = tokio::join!(one.create_user(request.clone()), other.create_user(request.clone()));
    let (first, second) = (first.expect("made").into_inner(), second.expect("the same answer").into_inner());
    assert_eq!(first, second);
    for changed in [
        wire::CreateUserRequest { role: Role::Editor.into(), ..request.clone() },
        wire::CreateUserRequest { password: crate::password_of("carol"), ..request.clone() },
    ] {
        assert_refused(one.create_user(changed).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    let membership = platform.membership(&owner, &first.name).await;
    let change_role =
        |role| wire::UpdateMembershipRequest { request_id: "31aa".to_owned(), ..role_change(&membership, role) };
    let changed = change(&platform, &owner, change_role(Role::Editor)).await.expect("changed");
    change(&platform, &owner, role_change(&membership, Role::Admin)).await.expect("changed again");
    assert_eq!(change(&platform, &owner, change_role(Role::Editor)).await.expect("the first answer"), changed);
    assert_refused(
        change(&platform, &owner, change_role(Role::Owner)).await,
        Code::InvalidArgument,
        "REQUEST_ID_REUSED",
    );
    let end = wire::DeleteMembershipRequest { request_id: "99".to_owned(), ..deletion(&membership.name) };
    let mut client = organizations(&platform.system, &owner).await;
    client.delete_membership(end.clone()).await.expect("ended");
    client.delete_membership(end).await.expect("the first answer");
    let stored =
        platform.system.sql("select fingerprint::text || coalesce(response_name, '') from auth.idempotency").await;
    assert!(stored.iter().flatten().flatten().all(|text| !text.contains("zT5")), "no password is kept");
}

#[tokio::test]
async fn pages_are_stable_and_their_tokens_bound() {
    let platform = platform().await;
    let owner = platform.owner().await;
    for name in ["bob", "carol", "dora"] {
        platform.user(&owner, name, Role::Unspecified).await;
    }
    let mut client = organizations(&platform.system, &owner).await;
    let mut request =
        wire::ListMembershipsRequest { parent: platform.organization.clone(), page_size: 3, page_token: String::new() };
    let first = client.list_memberships(request.clone()).await.expect("a page").into_inner();
    request.page_token.clone_from(&first.next_page_token);
    let second = client.list_memberships(request.clone()).await.expect("a page").into_inner();
    let names: Vec<_> = first
        .memberships
        .iter()
        .chain(&second.memberships)
        .map(|membership| membership.display_name.as_str())
        .collect();
    assert_eq!(names, ["Ada", "bob", "carol", "dora"]);
    assert!(second.next_page_token.is_empty());
    for (size, token) in [(3, "x".to_owned()), (3, first.next_page_token.clone() + "A")] {
        let wrong = wire::ListMembershipsRequest { page_size: size, page_token: token, ..request.clone() };
        assert_refused(client.list_memberships(wrong).await, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    let negative = wire::ListMembershipsRequest { page_size: -1, page_token: String::new(), ..request };
    assert_refused(client.list_memberships(negative).await, Code::InvalidArgument, "FIELD_INVALID");
    let other = wire::ListOwnMembershipsRequest {
        parent: "users/me".to_owned(),
        page_size: 3,
        page_token: first.next_page_token,
    };
    let refused = users(&platform.system, &owner).await.list_own_memberships(other).await;
    assert_refused(refused, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn auth_t01_who_belongs_to_another_organization_joins_by_invitation_alone() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let (carol, signed) = platform.signed_user(&owner, "carol", Role::Viewer).await;
    let other = crate::life::second_organization(&platform, &signed).await;
    let inside = crate::sign_in(&platform.system, &carol.email, &crate::password_of("carol"), &other).await;
    let mut client = organizations(&platform.system, &inside).await;
    let unknown = format!("users/{}", api::Ids::default().next());
    let mut heard = Vec::new();
    for user in [&bob.name, &platform.owner, &unknown] {
        let membership = Some(wire::Membership { user: user.clone(), ..wire::Membership::default() });
        let request = wire::CreateMembershipRequest { parent: other.clone(), membership, ..Default::default() };
        let refused = client.create_membership(request).await.map(tonic::Response::into_inner).expect_err("not hers");
        assert_eq!(refusal(&refused), (Code::FailedPrecondition, "USER_NOT_FOUND".to_owned()));
        heard.push(refused.message().replace(user, "users/x"));
    }
    assert!(heard.iter().all(|message| *message == heard[0]), "who exists is not told: {heard:?}");
    let list = wire::ListMembershipsRequest { parent: other, ..wire::ListMembershipsRequest::default() };
    let members = client.list_memberships(list).await.expect("her own").into_inner().memberships;
    assert_eq!(members.iter().map(|member| &member.user).collect::<Vec<_>>(), [&carol.name]);
}
