//! Relations: who may write them, what Check makes of them, and why.
use proto::auth::v1::{
    self as wire,
    authorization_service_client::AuthorizationServiceClient,
    membership::Role,
    relation::Kind,
    write_relations_request::{Precondition, Update, update::Action},
};
use tonic::{Code, Status};

use crate::{
    Channel, Platform, Signed, assert_refused, channel,
    group::{add, group, remove},
    organizations, platform,
};

pub(crate) async fn authorization(platform: &Platform, signed: &Signed) -> AuthorizationServiceClient<Channel> {
    AuthorizationServiceClient::new(channel(&platform.system, signed).await)
}

pub(crate) fn object(platform: &Platform, kind: &str, id: &str) -> String {
    format!("{}/objectTypes/{kind}/objects/{id}", platform.organization)
}

pub(crate) fn relation(resource: &str, kind: Kind, subject: &str) -> wire::Relation {
    wire::Relation { resource: resource.to_owned(), kind: kind.into(), subject: subject.to_owned(), expire_time: None }
}

pub(crate) fn write(relation: wire::Relation) -> Update {
    Update { action: Action::Write.into(), relation: Some(relation) }
}

pub(crate) fn delete(relation: wire::Relation) -> Update {
    Update { action: Action::Delete.into(), relation: Some(relation) }
}

pub(crate) fn updates(platform: &Platform, updates: Vec<Update>) -> wire::WriteRelationsRequest {
    wire::WriteRelationsRequest {
        parent: platform.organization.clone(),
        updates,
        preconditions: Vec::new(),
        request_id: String::new(),
    }
}

pub(crate) async fn written(platform: &Platform, by: &Signed, changes: Vec<Update>) -> Result<String, Status> {
    let answer = authorization(platform, by).await.write_relations(updates(platform, changes)).await;
    answer.map(|answer| answer.into_inner().consistency_token)
}

pub(crate) fn question(platform: &Platform, subject: &str, permission: &str, resource: &str) -> wire::CheckRequest {
    wire::CheckRequest {
        parent: platform.organization.clone(),
        subject: subject.to_owned(),
        permission: permission.to_owned(),
        resource: resource.to_owned(),
        at_least: String::new(),
    }
}

pub(crate) async fn may(platform: &Platform, by: &Signed, subject: &str, permission: &str, resource: &str) -> bool {
    let request = question(platform, subject, permission, resource);
    authorization(platform, by).await.check(request).await.expect("it is answered").into_inner().allowed
}

#[tokio::test]
async fn a_relation_allows_what_it_says_until_it_ends_or_is_deleted() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let plans = object(&platform, "board", "plans");
    assert!(!may(&platform, &signed, "", "object:read", &plans).await);
    written(&platform, &owner, vec![write(relation(&plans, Kind::Editor, &bob.name))]).await.expect("the owner may");
    for (permission, allowed) in
        [("object:read", true), ("object:comment", true), ("object:write", true), ("object:share", false)]
    {
        assert_eq!(may(&platform, &signed, "users/me", permission, &plans).await, allowed, "{permission}");
    }
    written(&platform, &owner, vec![delete(relation(&plans, Kind::Editor, &bob.name))]).await.expect("the owner may");
    assert!(!may(&platform, &signed, "", "object:read", &plans).await);
    let now = platform.system.clock().now().unix_timestamp();
    let until = Some(prost_types::Timestamp { seconds: now + 60, nanos: 0 });
    let short = wire::Relation { expire_time: until, ..relation(&plans, Kind::Viewer, &bob.name) };
    written(&platform, &owner, vec![write(short.clone())]).await.expect("the owner may");
    assert!(may(&platform, &owner, &bob.name, "object:read", &plans).await);
    let why = wire::ExplainRequest {
        parent: platform.organization.clone(),
        subject: bob.name.clone(),
        permission: "object:read".to_owned(),
        resource: plans.clone(),
        at_least: String::new(),
    };
    let why = authorization(&platform, &owner).await.explain(why).await.expect("the owner may").into_inner();
    assert_eq!(why.relation, Some(short), "it tells until when");
    platform.system.clock().advance(std::time::Duration::from_secs(61));
    assert!(!may(&platform, &platform.owner().await, &bob.name, "object:read", &plans).await, "it has ended");
}

#[tokio::test]
async fn roles_groups_and_parents_allow_too_and_explain_says_which() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let vera = platform.user(&owner, "vera", Role::Viewer).await;
    let (space, folder, page) =
        (object(&platform, "space", "s"), object(&platform, "folder", "f"), object(&platform, "page", "p"));
    let (outer, inner) = (group(&platform, &owner, "outer").await.name, group(&platform, &owner, "inner").await.name);
    add(&platform, &owner, &outer, &[&inner]).await.expect("the owner may");
    add(&platform, &owner, &inner, &[&bob.name]).await.expect("the owner may");
    let changes = vec![
        write(relation(&folder, Kind::Parent, &space)),
        write(relation(&page, Kind::Parent, &folder)),
        write(relation(&space, Kind::Commenter, &format!("{outer}#member"))),
    ];
    written(&platform, &owner, changes).await.expect("the owner may");
    assert!(may(&platform, &signed, "", "object:comment", &page).await);
    let explain = |subject: &str, permission: &str| wire::ExplainRequest {
        parent: platform.organization.clone(),
        subject: subject.to_owned(),
        permission: permission.to_owned(),
        resource: page.clone(),
        at_least: String::new(),
    };
    let mut client = authorization(&platform, &signed).await;
    let why = client.explain(explain("", "object:read")).await.expect("about himself").into_inner();
    assert!(why.allowed && why.role.is_empty());
    assert_eq!(why.relation, Some(relation(&space, Kind::Commenter, &format!("{outer}#member"))));
    assert_eq!(why.inherited_over, [page.clone(), folder.clone(), space.clone()]);
    assert_eq!(why.groups, [outer.clone(), inner.clone()]);
    let lacks = client.explain(explain("", "object:write")).await.expect("about himself").into_inner();
    assert!(!lacks.allowed && !lacks.no_member && lacks.relation.is_none());
    assert_eq!((lacks.missing_role(), lacks.missing_share()), (proto::Role::Editor, proto::Share::Writer));
    let mut client = authorization(&platform, &owner).await;
    let why = client.explain(explain(&vera.name, "object:read")).await.expect("the owner may").into_inner();
    assert_eq!((why.allowed, why.role.as_str()), (true, "viewer"));
    let stranger = client.explain(explain("users/00000000000000000000000009", "object:read")).await;
    assert!(stranger.expect("the owner may").into_inner().no_member);
    // Everybody is in, and what a group gives ends with the group's member.
    remove(&platform, &owner, &inner, &[&bob.name]).await;
    assert!(!may(&platform, &signed, "", "object:read", &page).await);
    let everybody = format!("{}#member", platform.organization);
    written(&platform, &owner, vec![write(relation(&folder, Kind::Viewer, &everybody))]).await.expect("the owner may");
    assert!(may(&platform, &signed, "", "object:read", &page).await);
    assert!(!may(&platform, &signed, "", "object:read", &space).await, "nothing is inherited upwards");
    let membership = platform.membership(&owner, &bob.name).await;
    let gone = wire::DeleteMembershipRequest { name: membership.name, ..Default::default() };
    organizations(&platform.system, &owner).await.delete_membership(gone).await.expect("the owner may");
    assert!(!may(&platform, &owner, &bob.name, "object:read", &page).await, "who left holds nothing");
}

#[tokio::test]
async fn auth_t06_a_viewer_cannot_share_on_and_a_moved_folder_inherits_the_new_parents_rights() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (carol, carols) = platform.signed_user(&owner, "carol", Role::Unspecified).await;
    let (north, south, folder) =
        (object(&platform, "space", "north"), object(&platform, "space", "south"), object(&platform, "folder", "f"));
    let page = object(&platform, "page", "p");
    let changes = vec![
        write(relation(&north, Kind::Viewer, &bob.name)),
        write(relation(&south, Kind::Owner, &carol.name)),
        write(relation(&folder, Kind::Parent, &north)),
        write(relation(&page, Kind::Parent, &folder)),
    ];
    written(&platform, &owner, changes).await.expect("the owner may");
    for given in [Kind::Viewer, Kind::Owner] {
        let refused = written(&platform, &bobs, vec![write(relation(&north, given, &carol.name))]).await;
        assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    }
    let refused = written(&platform, &bobs, vec![write(relation(&page, Kind::Viewer, &carol.name))]).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    assert!(may(&platform, &bobs, "", "object:read", &page).await);
    assert!(!may(&platform, &carols, "", "object:read", &page).await);
    let moved = vec![delete(relation(&folder, Kind::Parent, &north)), write(relation(&folder, Kind::Parent, &south))];
    // Carol owns the new parent but not the folder.
    assert_refused(written(&platform, &carols, moved.clone()).await, Code::PermissionDenied, "ACCESS_DENIED");
    written(&platform, &owner, moved).await.expect("the owner may");
    assert!(!may(&platform, &bobs, "", "object:read", &page).await);
    assert!(may(&platform, &carols, "", "object:delete", &page).await);
    written(&platform, &carols, vec![write(relation(&page, Kind::Editor, &bob.name))]).await.expect("she owns it now");
    assert!(may(&platform, &bobs, "", "object:write", &page).await);
}

#[tokio::test]
async fn auth_t03_who_shares_by_a_custom_role_gives_no_more_than_he_holds() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let role = wire::CreateCustomRoleRequest {
        parent: platform.organization.clone(),
        custom_role: Some(wire::CustomRole {
            display_name: "Sharer".to_owned(),
            permissions: vec!["relation:write".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut roles = wire::role_service_client::RoleServiceClient::new(channel(&platform.system, &owner).await);
    let role = roles.create_custom_role(role).await.expect("the owner may").into_inner();
    let membership = wire::Membership {
        name: platform.membership(&owner, &bob.name).await.name,
        custom_roles: vec![role.name],
        ..Default::default()
    };
    let change = wire::UpdateMembershipRequest { membership: Some(membership), ..Default::default() };
    organizations(&platform.system, &owner).await.update_membership(change).await.expect("the owner may");
    let plans = object(&platform, "board", "plans");
    let refused = written(&platform, &signed, vec![write(relation(&plans, Kind::Owner, &bob.name))]).await;
    assert_refused(refused, Code::PermissionDenied, "RELATION_TOO_STRONG");
    written(&platform, &owner, vec![write(relation(&plans, Kind::Commenter, &bob.name))]).await.expect("may");
    let everybody = format!("{}#member", platform.organization);
    written(&platform, &signed, vec![write(relation(&plans, Kind::Commenter, &everybody))]).await.expect("he holds it");
    let refused = written(&platform, &signed, vec![write(relation(&plans, Kind::Editor, &everybody))]).await;
    assert_refused(refused, Code::PermissionDenied, "RELATION_TOO_STRONG");
}

#[tokio::test]
async fn a_write_is_all_or_nothing_once_and_within_its_preconditions() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await;
    let (one, two) = (object(&platform, "board", "one"), object(&platform, "board", "two"));
    let document = format!("{}/documents/00000000000000000000000001", platform.organization);
    let bad = vec![write(relation(&one, Kind::Viewer, &bob.name)), write(relation(&document, Kind::Viewer, &bob.name))];
    assert_refused(written(&platform, &owner, bad).await, Code::FailedPrecondition, "RELATION_OF_PLATFORM");
    let below = vec![write(relation(&one, Kind::Parent, &document))];
    assert_refused(written(&platform, &owner, below).await, Code::FailedPrecondition, "RELATION_OF_PLATFORM");
    let stranger = vec![
        write(relation(&one, Kind::Viewer, &bob.name)),
        write(relation(&one, Kind::Viewer, "users/00000000000000000000000009")),
    ];
    assert_refused(written(&platform, &owner, stranger).await, Code::PermissionDenied, "NO_MEMBERSHIP");
    assert!(!may(&platform, &owner, &bob.name, "object:read", &one).await, "nothing of it was written");
    let first = relation(&one, Kind::Viewer, &bob.name);
    let mut request = updates(&platform, vec![write(first.clone())]);
    request.preconditions = vec![Precondition { relation: Some(first.clone()), absent: true }];
    request.request_id = "0192f0c1-2345-7abc-8def-0123456789ac".to_owned();
    let mut client = authorization(&platform, &owner).await;
    let token = client.write_relations(request.clone()).await.expect("it is absent").into_inner();
    let again = client.write_relations(request.clone()).await.expect("a repeat").into_inner();
    assert_eq!(again, token, "the first answer, although the precondition does not hold any more");
    request.request_id.clear();
    assert_refused(client.write_relations(request).await, Code::FailedPrecondition, "RELATION_PRECONDITION");
    let mut absent = updates(&platform, vec![write(relation(&two, Kind::Viewer, &bob.name))]);
    absent.preconditions = vec![Precondition { relation: Some(relation(&two, Kind::Owner, &bob.name)), absent: false }];
    assert_refused(client.write_relations(absent).await, Code::FailedPrecondition, "RELATION_PRECONDITION");
    let many = vec![write(first); 101];
    assert_refused(written(&platform, &owner, many).await, Code::InvalidArgument, "FIELD_INVALID");
}

#[tokio::test]
async fn parents_stand_in_no_circle_and_in_no_chain_of_more_than_a_hundred() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await;
    let names: Vec<_> = (0..102).map(|number| object(&platform, "page", &format!("p{number}"))).collect();
    let below = |index: usize| write(relation(&names[index], Kind::Parent, &names[index - 1]));
    written(&platform, &owner, (1..100).map(below).collect()).await.expect("a hundred");
    assert_refused(written(&platform, &owner, vec![below(100)]).await, Code::FailedPrecondition, "RELATION_CYCLE");
    let circle = vec![write(relation(&names[0], Kind::Parent, &names[50]))];
    assert_refused(written(&platform, &owner, circle).await, Code::FailedPrecondition, "RELATION_CYCLE");
    let itself = vec![write(relation(&names[101], Kind::Parent, &names[101]))];
    assert_refused(written(&platform, &owner, itself).await, Code::FailedPrecondition, "RELATION_CYCLE");
    written(&platform, &owner, vec![write(relation(&names[0], Kind::Viewer, &bob.name))]).await.expect("may");
    assert!(may(&platform, &owner, &bob.name, "object:read", &names[99]).await, "over a hundred levels");
    // What was taken away below leaves room above.
    let cut = vec![delete(relation(&names[51], Kind::Parent, &names[50]))];
    written(&platform, &owner, cut).await.expect("the owner may");
    let hang = |index: usize, parent: usize| vec![write(relation(&names[index], Kind::Parent, &names[parent]))];
    written(&platform, &owner, hang(0, 101)).await.expect("fifty-two");
    assert_refused(written(&platform, &owner, hang(101, 50)).await, Code::FailedPrecondition, "RELATION_CYCLE");
    written(&platform, &owner, hang(51, 46)).await.expect("48 above and 49");
    written(&platform, &owner, vec![delete(relation(&names[51], Kind::Parent, &names[46]))]).await.expect("may");
    written(&platform, &owner, hang(51, 47)).await.expect("49 above and 49");
    written(&platform, &owner, hang(101, 100)).await.expect("one more above");
    let circle = vec![write(relation(&names[100], Kind::Parent, &names[99]))];
    assert_refused(written(&platform, &owner, circle).await, Code::FailedPrecondition, "RELATION_CYCLE");
}

#[tokio::test]
async fn relations_are_read_by_resource_and_by_subject() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (carol, carols) = platform.signed_user(&owner, "carol", Role::Unspecified).await;
    let (plans, space) = (object(&platform, "board", "plans"), object(&platform, "space", "s"));
    let (to_bob, to_carol, parent) = (
        relation(&plans, Kind::Owner, &bob.name),
        relation(&plans, Kind::Viewer, &carol.name),
        relation(&plans, Kind::Parent, &space),
    );
    let of_space = relation(&space, Kind::Viewer, &carol.name);
    let second_to_carol = relation(&plans, Kind::Editor, &carol.name);
    let all = [to_bob.clone(), to_carol.clone(), second_to_carol.clone(), parent.clone(), of_space.clone()];
    written(&platform, &owner, all.into_iter().map(write).collect()).await.expect("the owner may");
    let read = async |by: &Signed, resource: &str, subject: &str| {
        let mut client = authorization(&platform, by).await;
        let mut request = wire::ReadRelationsRequest {
            parent: platform.organization.clone(),
            resource: resource.to_owned(),
            subject: subject.to_owned(),
            page_size: 1,
            page_token: String::new(),
        };
        let mut found = Vec::new();
        loop {
            let page = client.read_relations(request.clone()).await?.into_inner();
            found.extend(page.relations);
            if page.next_page_token.is_empty() {
                return Ok::<_, Status>(found);
            }
            request.page_token = page.next_page_token;
        }
    };
    let mut by_subject = vec![to_bob.clone(), to_carol.clone(), second_to_carol.clone()];
    by_subject.sort_by(|one, other| (&one.subject, one.kind).cmp(&(&other.subject, other.kind)));
    let expected: Vec<_> = std::iter::once(parent).chain(by_subject).collect();
    assert_eq!(read(&owner, &plans, "").await.expect("an owner of all"), expected);
    assert_eq!(read(&bobs, &plans, "").await.expect("an owner of it"), expected);
    assert_refused(read(&carols, &plans, "").await, Code::PermissionDenied, "ACCESS_DENIED");
    let of_carol = [to_carol.clone(), second_to_carol.clone()];
    assert_eq!(read(&owner, "", &carol.name).await.expect("may"), [&of_carol[..], &[of_space]].concat());
    assert_eq!(read(&owner, &plans, &carol.name).await.expect("may"), of_carol, "two kinds over two pages");
    assert_refused(read(&bobs, "", &bob.name).await, Code::PermissionDenied, "ACCESS_DENIED");
    assert_refused(read(&owner, "", "").await, Code::InvalidArgument, "FIELD_INVALID");
}

#[tokio::test]
async fn auth_t02_questions_about_others_are_for_who_may_read_relations() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, bobs) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let carol = platform.user(&owner, "carol", Role::Unspecified).await;
    let plans = object(&platform, "board", "plans");
    let mut client = authorization(&platform, &bobs).await;
    let refused = client.check(question(&platform, &carol.name, "object:read", &plans)).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let foreign = "organizations/00000000000000000000000009/objectTypes/board/objects/plans";
    let refused = client.check(question(&platform, "", "object:read", foreign)).await;
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    let mut abroad = question(&platform, "", "object:read", foreign);
    abroad.parent = "organizations/00000000000000000000000009".to_owned();
    assert_refused(client.check(abroad).await, Code::PermissionDenied, "ACCESS_DENIED");
    let unknown = client.check(question(&platform, "", "board:read", &plans)).await;
    assert_refused(unknown, Code::InvalidArgument, "PERMISSION_UNKNOWN");
    let organization = platform.organization.clone();
    let by_role = client.check(question(&platform, "", "document:read", &organization)).await;
    assert!(by_role.expect("about himself").into_inner().allowed, "a viewer reads documents");
    let by_role = client.check(question(&platform, "", "document:write", &organization)).await;
    assert!(!by_role.expect("about himself").into_inner().allowed);
}

#[tokio::test]
async fn what_has_ended_is_swept_away_and_nothing_else() {
    let mut platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await;
    let (short, long, gone) =
        (object(&platform, "board", "short"), object(&platform, "board", "long"), object(&platform, "board", "gone"));
    let until = |hours: i64| Some(api::timestamp(platform.system.clock().now() + time::Duration::hours(hours)));
    let of = |resource: &str, hours: i64| wire::Relation {
        expire_time: until(hours),
        ..relation(resource, Kind::Viewer, &bob.name)
    };
    let changes = vec![
        write(of(&short, 1)),
        write(relation(&short, Kind::Editor, &bob.name)),
        write(of(&long, 48)),
        write(of(&gone, 1)),
        write(relation(&long, Kind::Parent, &short)),
    ];
    written(&platform, &owner, changes).await.expect("the owner may");
    let known = async |platform: &Platform| {
        let rows = platform.system.sql("select object || ' ' || relation from auth.relations union all select object from auth.relation_objects order by 1").await;
        rows.into_iter()
            .flatten()
            .flatten()
            .map(|row| row.replace("objectTypes/board/objects/", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(known(&platform).await, ["gone", "gone 1", "long", "long 1", "short", "short 1", "short 3"]);
    platform.system.clock().advance(std::time::Duration::from_secs(2 * 3600));
    // It is swept when the service starts, and every ten minutes.
    platform.system.restart().await;
    testkit::eventually("what has ended is gone", || async {
        let rows = known(&platform).await;
        if rows.len() == 4 { Ok(()) } else { Err(rows) }
    })
    .await;
    assert_eq!(
        known(&platform).await,
        ["long", "long 1", "short", "short 3"],
        "and a resource of which nothing is left"
    );
    let owner = platform.owner().await;
    assert!(may(&platform, &owner, &bob.name, "object:write", &long).await, "an editor of what is above it");
    assert!(!may(&platform, &owner, &bob.name, "object:read", &gone).await);
}
