//! Links: who opens one holds what is shared with it until it ends, and nobody else does or hears anything of it.
use prost_types::Timestamp;
use proto::auth::v1::{
    self as wire, link_service_client::LinkServiceClient, membership::Role, relation::Kind,
    token_service_client::TokenServiceClient,
};
use testkit::eventually;
use tonic::{Code, Status};

use crate::{
    Channel, Platform, Signed, assert_refused, channel,
    client::{credentials, machine, register},
    group::{add, group},
    organizations, platform, refusal,
    relation::{authorization, may, object, relation, write, written},
    tokens,
};

async fn links(platform: &Platform, signed: &Signed) -> LinkServiceClient<Channel> {
    LinkServiceClient::new(channel(&platform.system, signed).await)
}

fn end(platform: &Platform, minutes: i64) -> Timestamp {
    api::timestamp(platform.system.clock().now() + time::Duration::minutes(minutes))
}

/// A link that is good for so many minutes.
pub(crate) async fn link(platform: &Platform, by: &Signed, minutes: i64) -> Result<wire::Link, Status> {
    let link = wire::Link {
        display_name: "Guests".to_owned(),
        expire_time: Some(end(platform, minutes)),
        ..wire::Link::default()
    };
    let request = wire::CreateLinkRequest { parent: platform.organization.clone(), link: Some(link) };
    links(platform, by).await.create_link(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn open(
    platform: &Platform,
    by: &Signed,
    name: &str,
    secret: &str,
) -> Result<wire::OpenLinkResponse, Status> {
    let request = wire::OpenLinkRequest { name: name.to_owned(), secret: secret.to_owned() };
    links(platform, by).await.open_link(request).await.map(tonic::Response::into_inner)
}

async fn delete(platform: &Platform, by: &Signed, name: &str) -> Result<(), Status> {
    let request = wire::DeleteLinkRequest { name: name.to_owned() };
    links(platform, by).await.delete_link(request).await.map(drop)
}

async fn get(platform: &Platform, by: &Signed, name: &str) -> Result<wire::Link, Status> {
    let request = wire::GetLinkRequest { name: name.to_owned() };
    links(platform, by).await.get_link(request).await.map(tonic::Response::into_inner)
}

async fn listed(platform: &Platform, by: &Signed) -> Vec<wire::Link> {
    let mut request =
        wire::ListLinksRequest { parent: platform.organization.clone(), page_size: 1, page_token: String::new() };
    let (mut found, mut client) = (Vec::new(), links(platform, by).await);
    loop {
        let page = client.list_links(request.clone()).await.expect("every member may").into_inner();
        found.extend(page.links);
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

/// The links of a user, as services that decide by shares read them.
async fn held(platform: &Platform, user: &str) -> Vec<String> {
    let mut tokens = TokenServiceClient::new(platform.system.as_workload("search").channel("auth"));
    let request = wire::ListUserGroupsRequest { parent: platform.organization.clone(), user: user.to_owned() };
    let answer = tokens.list_user_groups(request).await.expect("a workload").into_inner();
    answer.links.into_iter().map(|link| link.name).collect()
}

#[tokio::test]
async fn a_link_is_seen_and_ended_by_who_made_it_and_by_administrators() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (_, carols) = platform.signed_user(&owner, "carol", Role::Editor).await;
    let (first, second) =
        (link(&platform, &bobs, 60).await.expect("may"), link(&platform, &bobs, 60).await.expect("may"));
    let of_owner = link(&platform, &owner, 60).await.expect("may");
    assert_eq!((first.owner.as_str(), first.holder_count, first.secret.len()), (bob.name.as_str(), 0, 43));
    assert_ne!(first.secret, second.secret);
    let shown = |link: &wire::Link| wire::Link { secret: String::new(), ..link.clone() };
    assert_eq!(get(&platform, &bobs, &first.name).await.expect("his own"), shown(&first));
    assert_eq!(listed(&platform, &bobs).await, [shown(&first), shown(&second)]);
    assert_eq!(listed(&platform, &owner).await.len(), 3);
    assert_eq!(listed(&platform, &carols).await, []);
    for name in [&first.name, &of_owner.name] {
        assert_refused(get(&platform, &carols, name).await, Code::NotFound, "RESOURCE_NOT_FOUND");
        assert_refused(delete(&platform, &carols, name).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    }
    delete(&platform, &bobs, &first.name).await.expect("his own");
    delete(&platform, &owner, &second.name).await.expect("an administrator");
    assert_eq!(listed(&platform, &bobs).await, []);
    for minutes in [0, -1, 400 * 24 * 60 + 1] {
        assert_refused(link(&platform, &bobs, minutes).await, Code::InvalidArgument, "FIELD_INVALID");
    }
}

#[tokio::test]
async fn auth_b03_who_opens_a_link_holds_what_is_shared_with_it_until_it_ends() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let made = link(&platform, &owner, 60).await.expect("may");
    let (plans, holders) = (object(&platform, "board", "plans"), format!("{}#holder", made.name));
    let shared = relation(&plans, Kind::Editor, &holders);
    written(&platform, &owner, vec![write(shared.clone())]).await.expect("the owner may");
    assert!(!may(&platform, &bobs, "", "object:read", &plans).await, "a link gives nothing that nobody opened");
    let opened = open(&platform, &bobs, &made.name, &made.secret).await.expect("it is the secret");
    assert_eq!((opened.display_name.as_str(), opened.expire_time), ("Guests", made.expire_time));
    open(&platform, &bobs, &made.name, &made.secret).await.expect("again");
    assert!(may(&platform, &bobs, "", "object:write", &plans).await);
    assert_eq!(held(&platform, &bob.name).await, std::slice::from_ref(&made.name));
    assert_eq!(get(&platform, &owner, &made.name).await.expect("his own").holder_count, 1);
    let explain = wire::ExplainRequest {
        parent: platform.organization.clone(),
        permission: "object:write".to_owned(),
        resource: plans.clone(),
        ..Default::default()
    };
    let why = authorization(&platform, &bobs).await.explain(explain).await.expect("about himself").into_inner();
    assert_eq!(why.relation, Some(shared));
    let subjects = wire::ListSubjectsRequest {
        parent: platform.organization.clone(),
        permission: "object:write".to_owned(),
        resource: plans.clone(),
        ..Default::default()
    };
    let mut subjects = authorization(&platform, &owner).await.list_subjects(subjects).await.expect("may").into_inner();
    subjects.subjects.retain(|subject| *subject != platform.owner);
    assert_eq!(subjects.subjects, std::slice::from_ref(&bob.name));
    delete(&platform, &owner, &made.name).await.expect("his own");
    assert!(!may(&platform, &bobs, "", "object:read", &plans).await);
    assert_eq!(held(&platform, &bob.name).await, Vec::<String>::new());
    let request = wire::ReadRelationsRequest {
        parent: platform.organization.clone(),
        resource: plans.clone(),
        ..Default::default()
    };
    let left = authorization(&platform, &owner).await.read_relations(request).await.expect("may").into_inner();
    assert_eq!(left.relations, []);
    let refused = written(&platform, &owner, vec![write(relation(&plans, Kind::Viewer, &holders))]).await;
    assert_refused(refused, Code::FailedPrecondition, "LINK_INVALID");
    let events = platform.system.published("auth", "link.opened").await;
    assert_eq!(events.len(), 1, "who opens it again changes nothing");
    assert_eq!(platform.system.published("auth", "link.deleted").await.len(), 1);
}

#[tokio::test]
async fn auth_b03_a_link_ends_by_its_time_and_with_the_membership_of_its_holder() {
    let mut platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (carol, carols) = platform.signed_user(&owner, "carol", Role::Unspecified).await;
    let (short, long) =
        (link(&platform, &owner, 1).await.expect("may"), link(&platform, &owner, 600).await.expect("may"));
    let (plans, notes) = (object(&platform, "board", "plans"), object(&platform, "board", "notes"));
    let changes = vec![
        write(relation(&plans, Kind::Viewer, &format!("{}#holder", short.name))),
        write(relation(&notes, Kind::Viewer, &format!("{}#holder", long.name))),
    ];
    written(&platform, &owner, changes).await.expect("the owner may");
    for made in [&short, &long] {
        open(&platform, &bobs, &made.name, &made.secret).await.expect("it is the secret");
        open(&platform, &carols, &made.name, &made.secret).await.expect("it is the secret");
    }
    let membership = platform.membership(&owner, &carol.name).await.name;
    let gone = wire::DeleteMembershipRequest { name: membership, ..Default::default() };
    organizations(&platform.system, &owner).await.delete_membership(gone).await.expect("the owner may");
    assert!(!may(&platform, &owner, &carol.name, "object:read", &notes).await);
    assert_eq!(held(&platform, &carol.name).await, Vec::<String>::new());
    assert_eq!(get(&platform, &owner, &long.name).await.expect("his own").holder_count, 1);
    platform.system.clock().advance(std::time::Duration::from_secs(61));
    assert!(!may(&platform, &owner, &bob.name, "object:read", &plans).await, "its time is over");
    assert!(may(&platform, &owner, &bob.name, "object:read", &notes).await);
    assert_eq!(held(&platform, &bob.name).await, std::slice::from_ref(&long.name));
    // What is sensitive waits until the verifiers have caught up with the clock.
    eventually("nobody opens it any more", || async {
        let late = open(&platform, &bobs, &short.name, &short.secret).await;
        late.as_ref().is_err_and(|late| refusal(late).1 == "LINK_INVALID").then_some(()).ok_or(late)
    })
    .await;
    assert_refused(get(&platform, &owner, &short.name).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    // It is swept when the service starts, and every ten minutes.
    platform.system.restart().await;
    eventually("what has ended is gone", || async {
        let left = platform.system.sql("select object from auth.relations").await;
        if left.len() == 1 { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(platform.system.published("auth", "link.deleted").await.len(), 1);
    assert_eq!(platform.system.sql("select link_id from auth.links").await.len(), 1);
}

#[tokio::test]
async fn whoever_cannot_open_a_link_hears_the_same() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (made, ended) =
        (link(&platform, &owner, 60).await.expect("may"), link(&platform, &owner, 60).await.expect("may"));
    delete(&platform, &owner, &ended.name).await.expect("his own");
    let absent = format!("{}/links/00000000000000000000000009", platform.organization);
    let mut heard = Vec::new();
    for (name, secret) in [
        (&made.name, ""),
        (&made.name, ended.secret.as_str()),
        (&ended.name, ended.secret.as_str()),
        (&absent, made.secret.as_str()),
    ] {
        let refused = open(&platform, &bobs, name, secret).await.expect_err("no such link");
        heard.push((refusal(&refused), refused.message().to_owned()));
    }
    heard.dedup();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].0, (Code::FailedPrecondition, "LINK_INVALID".to_owned()));
    let foreign = "organizations/00000000000000000000000009/links/00000000000000000000000009";
    let refused = open(&platform, &bobs, foreign, &made.secret).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    assert_eq!(get(&platform, &owner, &made.name).await.expect("his own").holder_count, 0);
}

#[tokio::test]
async fn a_machine_makes_and_opens_no_link() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let made = link(&platform, &owner, 60).await.expect("may");
    let app = register(&platform, &owner, machine(Role::Admin, &["link:write", "link:open"])).await;
    let access = tokens(&platform.system, credentials(&app, "")).await.expect("it may").access_token;
    let signed = Signed { access, refresh: String::new() };
    assert_refused(link(&platform, &signed, 60).await, Code::PermissionDenied, "ACCESS_DENIED");
    let refused = open(&platform, &signed, &made.name, &made.secret).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn auth_t06_a_viewer_shares_nothing_by_a_link_and_nobody_gives_it_more_than_he_holds() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let (_, carols) = platform.signed_user(&owner, "carol", Role::Unspecified).await;
    let plans = object(&platform, "board", "plans");
    let made = link(&platform, &bobs, 60).await.expect("every member may");
    let holders = format!("{}#holder", made.name);
    open(&platform, &carols, &made.name, &made.secret).await.expect("it is the secret");
    let refused = written(&platform, &bobs, vec![write(relation(&plans, Kind::Viewer, &holders))]).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    written(&platform, &owner, vec![write(relation(&plans, Kind::Editor, &bob.name))]).await.expect("the owner may");
    let refused = written(&platform, &bobs, vec![write(relation(&plans, Kind::Viewer, &holders))]).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    assert!(!may(&platform, &carols, "", "object:read", &plans).await, "what the maker holds is not the link's");
    let mut until = relation(&plans, Kind::Owner, &bob.name);
    until.expire_time = Some(end(&platform, 30));
    written(&platform, &owner, vec![write(until)]).await.expect("the owner may");
    let refused = written(&platform, &bobs, vec![write(relation(&plans, Kind::Owner, &holders))]).await;
    assert_refused(refused, Code::PermissionDenied, "RELATION_TOO_STRONG");
    written(&platform, &bobs, vec![write(relation(&plans, Kind::Editor, &holders))]).await.expect("he holds that");
    assert!(may(&platform, &carols, "", "object:write", &plans).await);
    let refused = written(&platform, &carols, vec![write(relation(&plans, Kind::Viewer, &holders))]).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn groups_and_links_of_a_user_are_counted_together() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (hub, one) = (group(&platform, &owner, "Hub").await.name, group(&platform, &owner, "One").await.name);
    let (first, second) =
        (link(&platform, &owner, 60).await.expect("may"), link(&platform, &owner, 60).await.expect("may"));
    platform
        .system
        .sql(
            "insert into auth.groups (organization_id, group_id, display_name, version, create_time, update_time)
               select organization_id, gen_random_uuid(), 'Many', 1, now(), now() from auth.groups, generate_series(1, 198)
               where display_name = 'Hub';
             insert into auth.group_members (organization_id, group_id, member)
               select many.organization_id, many.group_id, '\\x02'::bytea || uuid_send(hub.group_id) from auth.groups many, auth.groups hub
               where many.display_name = 'Many' and hub.display_name = 'Hub'",
        )
        .await;
    add(&platform, &owner, &hub, &[&bob.name]).await.expect("the hub and 198 others");
    open(&platform, &bobs, &first.name, &first.secret).await.expect("the 200th");
    let refused = open(&platform, &bobs, &second.name, &second.secret).await;
    assert_refused(refused, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
    assert_refused(add(&platform, &owner, &one, &[&bob.name]).await, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
    assert_eq!(held(&platform, &bob.name).await, std::slice::from_ref(&first.name));
    delete(&platform, &owner, &first.name).await.expect("his own");
    add(&platform, &owner, &one, &[&bob.name]).await.expect("the 200th");
}

#[tokio::test]
async fn a_member_has_a_hundred_links_at_most() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    link(&platform, &bobs, 60).await.expect("the first");
    let more = "insert into auth.links (organization_id, link_id, user_id, display_name, secret_digest, expire_time, create_time)
         select organization_id, gen_random_uuid(), user_id, display_name, sha256('x'), expire_time, create_time
         from auth.links, generate_series(1, 98)";
    platform.system.sql(more).await;
    link(&platform, &bobs, 60).await.expect("the hundredth");
    assert_refused(link(&platform, &bobs, 60).await, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
    link(&platform, &owner, 60).await.expect("another member");
    platform.system.sql("update auth.links set holder_count = 10000").await;
    let full = listed(&platform, &owner).await.pop().expect("there are some");
    assert_eq!(full.holder_count, 10_000);
}
