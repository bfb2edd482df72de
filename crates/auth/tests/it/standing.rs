//! How people stand to resources when accounts, groups and relations end, when graphs are wide, and when somebody would keep what he was
//! lent.
use proto::auth::v1::{self as wire, membership::Role, relation::Kind};
use tonic::{Code, Status};

use crate::{
    Platform, Signed, assert_refused,
    group::{add, group, groups},
    organizations, platform,
    relation::{authorization, delete, may, object, question, relation, updates, write, written},
    users,
};

async fn explained(platform: &Platform, by: &Signed, subject: &str, resource: &str) -> wire::ExplainResponse {
    let request = wire::ExplainRequest {
        parent: platform.organization.clone(),
        subject: subject.to_owned(),
        permission: "object:read".to_owned(),
        resource: resource.to_owned(),
        at_least: String::new(),
    };
    authorization(platform, by).await.explain(request).await.expect("it is answered").into_inner()
}

async fn listed(platform: &Platform, by: &Signed, resource: &str) -> Vec<String> {
    let request = wire::ListSubjectsRequest {
        parent: platform.organization.clone(),
        permission: "object:read".to_owned(),
        resource: resource.to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    authorization(platform, by).await.list_subjects(request).await.expect("the owner may").into_inner().subjects
}

#[tokio::test]
async fn auth_b03_a_disabled_user_may_nothing_and_stands_in_no_list() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, vera) = (
        platform.user(&owner, "bob", Role::Unspecified).await.name,
        platform.user(&owner, "vera", Role::Viewer).await.name,
    );
    let crew = group(&platform, &owner, "Crew").await.name;
    add(&platform, &owner, &crew, &[&bob]).await.expect("the owner may");
    let (plans, notes) = (object(&platform, "board", "plans"), object(&platform, "board", "notes"));
    let changes = vec![
        write(relation(&plans, Kind::Viewer, &bob)),
        write(relation(&notes, Kind::Viewer, &format!("{crew}#member"))),
    ];
    written(&platform, &owner, changes).await.expect("the owner may");
    for user in [&bob, &vera] {
        assert!(may(&platform, &owner, user, "object:read", &plans).await);
        assert!(listed(&platform, &owner, &notes).await.contains(user));
        let disable = wire::DisableUserRequest { name: user.clone() };
        users(&platform.system, &owner).await.disable_user(disable).await.expect("it manages him");
    }
    for (user, resource) in [(&bob, &plans), (&bob, &notes), (&vera, &plans)] {
        assert!(!may(&platform, &owner, user, "object:read", resource).await);
        assert!(explained(&platform, &owner, user, resource).await.no_member);
        assert_eq!(listed(&platform, &owner, resource).await, std::slice::from_ref(&platform.owner));
        let list = wire::ListResourcesRequest {
            parent: platform.organization.clone(),
            subject: user.clone(),
            permission: "object:read".to_owned(),
            r#type: "objectTypes/board/objects".to_owned(),
            ..Default::default()
        };
        let list = authorization(&platform, &owner).await.list_resources(list).await.expect("the owner may");
        assert_eq!(list.into_inner().resources, Vec::<String>::new());
    }
    let refused = written(&platform, &owner, vec![write(relation(&plans, Kind::Editor, &bob))]).await;
    assert_refused(refused, Code::PermissionDenied, "NO_MEMBERSHIP");
    assert_refused(add(&platform, &owner, &crew, &[&vera]).await, Code::PermissionDenied, "NO_MEMBERSHIP");
}

#[tokio::test]
async fn an_owner_whose_account_is_disabled_is_no_owner_who_stays() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (carol, carols) = platform.signed_user(&owner, "carol", Role::Owner).await;
    let leave = async |signed: &Signed, user: &str| {
        let name = platform.membership(signed, user).await.name;
        organizations(&platform.system, signed).await.leave_organization(wire::LeaveOrganizationRequest { name }).await
    };
    let dora = platform.user(&owner, "dora", Role::Owner).await.name;
    let disable = wire::DisableUserRequest { name: dora };
    users(&platform.system, &owner).await.disable_user(disable).await.expect("it manages her");
    leave(&owner, &platform.owner).await.expect("carol stays");
    assert_refused(leave(&carols, &carol.name).await, Code::FailedPrecondition, "LAST_OWNER");
}

#[tokio::test]
async fn auth_t03_who_holds_for_a_time_gives_for_no_longer() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let carol = platform.user(&owner, "carol", Role::Unspecified).await;
    let (plans, space) = (object(&platform, "board", "plans"), object(&platform, "space", "s"));
    let now = platform.system.clock().now().unix_timestamp();
    let until = |relation: wire::Relation, seconds: i64| wire::Relation {
        expire_time: Some(prost_types::Timestamp { seconds: now + seconds, nanos: 0 }),
        ..relation
    };
    let lent = vec![
        write(until(relation(&plans, Kind::Owner, &bob.name), 600)),
        write(relation(&space, Kind::Owner, &bob.name)),
    ];
    written(&platform, &owner, lent).await.expect("the owner may");
    for longer in [
        relation(&plans, Kind::Owner, &bob.name),
        relation(&plans, Kind::Viewer, &bob.name),
        relation(&plans, Kind::Viewer, &carol.name),
        until(relation(&plans, Kind::Owner, &bob.name), 601),
        // By the parent, which is his, he would own it for good.
        relation(&plans, Kind::Parent, &space),
    ] {
        let refused = written(&platform, &bobs, vec![write(longer)]).await;
        assert_refused(refused, Code::PermissionDenied, "RELATION_TOO_STRONG");
    }
    let short = until(relation(&plans, Kind::Editor, &carol.name), 600);
    written(&platform, &bobs, vec![write(short)]).await.expect("as long as his own");
    written(&platform, &owner, vec![write(relation(&plans, Kind::Viewer, &bob.name))]).await.expect("may");
    written(&platform, &bobs, vec![write(relation(&plans, Kind::Viewer, &carol.name))]).await.expect("without an end");
    let refused = written(&platform, &bobs, vec![write(relation(&plans, Kind::Commenter, &carol.name))]).await;
    assert_refused(refused, Code::PermissionDenied, "RELATION_TOO_STRONG");
    written(&platform, &bobs, vec![delete(relation(&plans, Kind::Owner, &bob.name))]).await.expect("he may step down");
}

/// Hangs resources of a type below one another, all of them at once.
async fn hang(platform: &Platform, kind: &str, links: &str) {
    let organization =
        platform.organization.trim_start_matches("organizations/").parse::<api::Id>().expect("an id").uuid();
    let path = |number: &str| format!("'objectTypes/{kind}/objects/' || ({number})");
    let sql = format!(
        "insert into auth.relation_parents (organization_id, object, parent, most) \
         select '{organization}', {}, {}, 4 from ({links}) l(object, parent)",
        path("object"),
        path("parent"),
    );
    platform.system.sql(&sql).await;
}

#[tokio::test]
async fn a_graph_of_countless_ways_is_answered_like_any_other() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    // Each of a hundred below all before it; and thirty layers of five, each below all of the layer above.
    hang(&platform, "dense", "select o, p from generate_series(1, 99) o, generate_series(0, o - 1) p").await;
    let layers = "select o, p from generate_series(5, 149) o, generate_series(o / 5 * 5 - 5, o / 5 * 5 - 1) p";
    hang(&platform, "layer", layers).await;
    let (top, layer_top) = (object(&platform, "dense", "0"), object(&platform, "layer", "0"));
    let changes = vec![write(relation(&top, Kind::Viewer, &bob)), write(relation(&layer_top, Kind::Editor, &bob))];
    written(&platform, &owner, changes).await.expect("the owner may");
    let item = |number: usize| wire::batch_check_request::Item {
        subject: bob.clone(),
        permission: "object:read".to_owned(),
        resource: object(&platform, "dense", &number.to_string()),
    };
    let request = wire::BatchCheckRequest {
        parent: platform.organization.clone(),
        items: (0..100).map(item).collect(),
        at_least: String::new(),
    };
    let answer = authorization(&platform, &owner).await.batch_check(request).await.expect("in time").into_inner();
    assert!(answer.items.iter().all(|item| item.allowed));
    let why = explained(&platform, &owner, &bob, &object(&platform, "layer", "149")).await;
    assert_eq!((why.allowed, why.inherited_over.len()), (true, 30));
    let list = wire::ListResourcesRequest {
        parent: platform.organization.clone(),
        subject: bob.clone(),
        permission: "object:read".to_owned(),
        r#type: "objectTypes/dense/objects".to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    let mut found = Vec::new();
    let (mut client, mut list) = (authorization(&platform, &owner).await, list);
    loop {
        let page = client.list_resources(list.clone()).await.expect("in time").into_inner();
        found.extend(page.resources);
        if page.next_page_token.is_empty() {
            break;
        }
        list.page_token = page.next_page_token;
    }
    assert_eq!(found.len(), 100);
    let below =
        vec![write(relation(&object(&platform, "dense", "new"), Kind::Parent, &object(&platform, "dense", "98")))];
    written(&platform, &owner, below).await.expect("a hundred on a chain");
    let below =
        vec![write(relation(&object(&platform, "dense", "new"), Kind::Parent, &object(&platform, "dense", "99")))];
    assert_refused(written(&platform, &owner, below).await, Code::FailedPrecondition, "RELATION_CYCLE");
}

#[tokio::test]
async fn a_resource_inherits_from_a_thousand_others_and_no_more() {
    let platform = platform().await;
    let owner = platform.owner().await;
    hang(&platform, "wide", "select o, p from generate_series(1, 10) o, generate_series(o * 1000, o * 1000 + 98) p")
        .await;
    hang(&platform, "huge", "select 0, p from generate_series(1, 6000) p").await;
    let one = object(&platform, "wide", "one");
    let below = |number: i32| write(relation(&one, Kind::Parent, &object(&platform, "wide", &number.to_string())));
    written(&platform, &owner, (1..=10).map(below).collect()).await.expect("a thousand");
    let refused = written(&platform, &owner, vec![below(11)]).await;
    assert_refused(refused, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
    let mut client = authorization(&platform, &owner).await;
    let refused = client.check(question(&platform, "", "object:read", &object(&platform, "huge", "0"))).await;
    assert_refused(refused, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
}

#[tokio::test]
async fn what_was_shared_with_a_group_ends_with_it_and_its_id_is_not_taken_again() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let crew = group(&platform, &owner, "Crew").await.name;
    let plans = object(&platform, "board", "plans");
    let shared = relation(&plans, Kind::Viewer, &format!("{crew}#member"));
    written(&platform, &owner, vec![write(shared.clone())]).await.expect("the owner may");
    let delete = wire::DeleteGroupRequest { name: crew.clone(), ..Default::default() };
    groups(&platform, &owner).await.delete_group(delete).await.expect("the owner may");
    assert_eq!(read(&platform, &owner, &plans).await, []);
    let group_id = crew.rsplit('/').next().expect("an id").to_owned();
    let group = Some(wire::Group { display_name: "Crew".to_owned(), ..Default::default() });
    let again =
        wire::CreateGroupRequest { parent: platform.organization.clone(), group, group_id, ..Default::default() };
    let refused = groups(&platform, &owner).await.create_group(again).await;
    assert_refused(refused, Code::AlreadyExists, "RESOURCE_EXISTS");
    let refused = written(&platform, &owner, vec![write(shared)]).await;
    assert_refused(refused, Code::PermissionDenied, "NO_MEMBERSHIP");
    assert!(!may(&platform, &owner, &bob, "object:read", &plans).await);
}

async fn read(platform: &Platform, by: &Signed, resource: &str) -> Vec<wire::Relation> {
    let request = wire::ReadRelationsRequest {
        parent: platform.organization.clone(),
        resource: resource.to_owned(),
        ..Default::default()
    };
    authorization(platform, by).await.read_relations(request).await.expect("the owner may").into_inner().relations
}

#[tokio::test]
async fn who_leaves_and_comes_back_begins_with_nothing() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let plans = object(&platform, "board", "plans");
    written(&platform, &owner, vec![write(relation(&plans, Kind::Owner, &bob))]).await.expect("the owner may");
    let gone =
        wire::DeleteMembershipRequest { name: platform.membership(&owner, &bob).await.name, ..Default::default() };
    let mut client = organizations(&platform.system, &owner).await;
    client.delete_membership(gone).await.expect("the owner may");
    let membership = Some(wire::Membership { user: bob.clone(), ..Default::default() });
    let back =
        wire::CreateMembershipRequest { parent: platform.organization.clone(), membership, ..Default::default() };
    client.create_membership(back).await.expect("the owner may");
    assert!(!may(&platform, &owner, &bob, "object:read", &plans).await);
    assert_eq!(read(&platform, &owner, &plans).await, []);
}

#[tokio::test]
async fn what_has_ended_takes_no_place() -> Result<(), Status> {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let plans = object(&platform, "board", "plans");
    written(&platform, &owner, vec![write(relation(&plans, Kind::Viewer, &platform.owner))]).await?;
    let fill = "insert into auth.relations (organization_id, object, subject, relation, expire_time) \
         select organization_id, object, '\\x01'::bytea || uuid_send(gen_random_uuid()), 1, '2001-01-01' \
         from auth.relations, generate_series(1, 1000)";
    platform.system.sql(fill).await;
    written(&platform, &owner, vec![write(relation(&plans, Kind::Viewer, &bob))]).await?;
    platform.system.sql("update auth.relations set expire_time = null").await;
    let another = updates(&platform, vec![write(relation(&plans, Kind::Editor, &bob))]);
    let refused = authorization(&platform, &owner).await.write_relations(another).await;
    assert_refused(refused, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
    Ok(())
}

#[tokio::test]
async fn a_precondition_tells_nothing_of_what_the_writer_may_not_read() -> Result<(), Status> {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (plans, secret) = (object(&platform, "board", "plans"), object(&platform, "board", "secret"));
    let held = relation(&secret, Kind::Viewer, &platform.owner);
    let changes = vec![write(relation(&plans, Kind::Owner, &bob.name)), write(held.clone())];
    written(&platform, &owner, changes).await?;
    let asked = async |about: &wire::Relation, absent| {
        let precondition = wire::write_relations_request::Precondition { relation: Some(about.clone()), absent };
        let mut request = updates(&platform, vec![write(relation(&plans, Kind::Viewer, &platform.owner))]);
        request.preconditions = vec![precondition];
        authorization(&platform, &signed).await.write_relations(request).await.map(drop)
    };
    for absent in [false, true] {
        assert_refused(asked(&held, absent).await, Code::PermissionDenied, "ACCESS_DENIED");
    }
    asked(&relation(&plans, Kind::Owner, &bob.name), false).await
}

#[tokio::test]
async fn a_question_that_too_many_relations_answer_is_refused() -> Result<(), Status> {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let plans = object(&platform, "board", "plans");
    written(&platform, &owner, vec![write(relation(&plans, Kind::Viewer, &bob))]).await?;
    for name in ["one", "two", "three"] {
        let group = group(&platform, &owner, name).await.name;
        add(&platform, &owner, &group, &[&bob]).await?;
    }
    let parents = "insert into auth.relation_parents (organization_id, object, parent, most) \
         select organization_id, object, 'objectTypes/board/objects/p' || n, 4 from auth.relation_objects, generate_series(1, 4000) n";
    platform.system.sql(parents).await;
    let held = "insert into auth.relations (organization_id, object, subject, relation) \
         select p.organization_id, p.parent, k.key, r from auth.relation_parents p, generate_series(1, 4) r, ( \
           select distinct member from auth.group_members union select '\\x02'::bytea || uuid_send(group_id) from auth.groups) k(key)";
    platform.system.sql(held).await;
    let request = question(&platform, &bob, "object:read", &plans);
    let refused = authorization(&platform, &owner).await.check(request).await;
    assert_refused(refused, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
    let request = wire::ListSubjectsRequest {
        parent: platform.organization.clone(),
        permission: "object:read".to_owned(),
        resource: plans,
        ..Default::default()
    };
    authorization(&platform, &owner).await.list_subjects(request).await.map(drop)
}
