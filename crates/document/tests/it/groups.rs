//! Shares with groups: who is in a group does what it may, as long as he is in it and it is there.
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{LazyLock, Mutex, PoisonError},
};

use api::{CallContext, Code, Ids, Principal};
use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use proto::{
    Role as Built,
    auth::v1::{CustomRoleDeleted, GroupDeleted, LinkDeleted},
    document::v1::{CreateGrantRequest, DocumentGrantsChanged, Grant, ListDocumentsRequest, grant::Role},
};
use testkit::{System, eventually, holding_until};

use crate::fixture::{Client, Fixture, get, new_id, read, refusal, titled, update};

const DENIED: Code = Code::PermissionDenied;

/// A stand-in for the owner of groups: it publishes, and does nothing else.
const AUTH: ServiceSpec = ServiceSpec::new("auth", boot)
    .migrations(db::Migrations { service: "auth", files: &[("0001_nothing.sql", "select 1;")] });

/// Its database by its folder: boot knows no other way to the test that it belongs to.
static OUTBOXES: LazyLock<Mutex<HashMap<PathBuf, db::Db>>> = LazyLock::new(Mutex::default);

fn boot(kit: Kit, _: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    OUTBOXES.lock().unwrap_or_else(PoisonError::into_inner).insert(kit.data_dir(), kit.db());
    Box::pin(std::future::ready(Ok(())))
}

fn group(fixture: &Fixture) -> String {
    format!("{}/groups/{}", fixture.organization.name(), new_id())
}

fn members(group: &str) -> String {
    format!("{group}#member")
}

async fn titles(documents: &Client, organization: &str) -> Vec<String> {
    let request = ListDocumentsRequest { parent: organization.to_owned(), ..Default::default() };
    let listed = read(documents.clone().list_documents(request).await).expect("everybody may list");
    listed.documents.into_iter().map(|document| document.title).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_a_share_with_a_group_is_for_whoever_is_in_it_and_as_long_as_he_is() {
    let fixture = Fixture::new().await;
    let (plan, _other) = (fixture.document("plan").await, fixture.document("other").await);
    let (inside, insides) = fixture.member();
    let (outside, outsides) = fixture.member();
    let (group, organization) = (group(&fixture), fixture.organization.name());
    inside.set_groups(&[&group]);
    outside.set_groups(&[&self::group(&fixture)]);
    assert_eq!(refusal(get(&insides, &plan.name).await).0, DENIED);
    fixture.share(&plan, &members(&group), Role::Reader).await;
    assert_eq!(get(&insides, &plan.name).await.expect("shared with his group").title, "plan");
    assert_eq!(titles(&insides, &organization).await, ["plan"]);
    assert_eq!(refusal(get(&outsides, &plan.name).await).0, DENIED);
    assert_eq!(titles(&outsides, &organization).await, Vec::<String>::new());
    let mine =
        |etag: &str| proto::document::v1::Document { etag: etag.to_owned(), name: plan.name.clone(), ..titled("mine") };
    assert_eq!(refusal(update(&insides, mine(""), &["title"]).await).0, DENIED, "a reader writes nothing");
    fixture.share(&plan, &members(&group), Role::Writer).await;
    update(&insides, mine(""), &["title"]).await.expect("a writer writes");
    inside.set_groups(&[]);
    assert_eq!(refusal(get(&insides, &plan.name).await).0, DENIED);
    assert_eq!(refusal(update(&insides, mine(""), &["title"]).await).0, DENIED);
    assert_eq!(titles(&insides, &organization).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_writes_what_his_group_may_write_and_the_strongest_share_counts() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    let viewer = fixture.organization.user(Built::Viewer);
    let (viewers, groups) = (crate::fixture::client(&viewer), [group(&fixture), group(&fixture)]);
    viewer.set_groups(&[&groups[0], &groups[1]]);
    fixture.share(&document, &viewer.name(), Role::Reader).await;
    fixture.share(&document, &members(&groups[0]), Role::Commenter).await;
    let mine = || proto::document::v1::Document { name: document.name.clone(), ..titled("mine") };
    assert_eq!(refusal(update(&viewers, mine(), &["title"]).await).0, DENIED);
    fixture.share(&document, &members(&groups[1]), Role::Writer).await;
    update(&viewers, mine(), &["title"]).await.expect("one of his groups writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_groups_are_unknown_shares_with_persons_count_and_nothing_is_denied() {
    let fixture = Fixture::new().await;
    let (his, of_group) = (fixture.document("his").await, fixture.document("of his group").await);
    let (member, documents) = fixture.member();
    let group = group(&fixture);
    member.set_groups(&[&group]);
    fixture.share(&his, &member.name(), Role::Keeper).await;
    fixture.share(&of_group, &members(&group), Role::Reader).await;
    fixture.system.groups_away(true);
    assert_eq!(get(&documents, &his.name).await.expect("shared with himself").title, "his");
    assert_eq!(refusal(get(&documents, &of_group.name).await).0, Code::Unavailable);
    let request = ListDocumentsRequest { parent: fixture.organization.name(), ..Default::default() };
    let listed = read(documents.clone().list_documents(request).await);
    assert_eq!(refusal(listed).0, Code::Unavailable, "a list would lack something without saying so");
    get(&fixture.documents, &of_group.name).await.expect("who reads everything by role asks for no groups");
    fixture.system.groups_away(false);
    get(&documents, &of_group.name).await.expect("shared with his group");
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_who_leaves_his_group_while_he_waits_for_a_document_does_not_change_it() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    let (member, documents) = fixture.member();
    let group = group(&fixture);
    member.set_groups(&[&group]);
    fixture.share(&document, &members(&group), Role::Writer).await;
    let (system, mine) =
        (&fixture.system, proto::document::v1::Document { name: document.name.clone(), ..titled("mine") });
    system.sql("create table document.gone (at timestamptz)").await;
    let until = holding_until("exists (select from document.gone)");
    let block = format!("begin; select 1 from document.documents for update; {until}; commit");
    let seen = async |what: &'static str| {
        let found = format!("select 1 from pg_stat_activity where datname = current_database() and {what}");
        eventually(what, || async { system.sql(&found).await.pop() }).await
    };
    let changed = async {
        seen("query like 'begin; select 1 from document.documents for update%' and wait_event = 'PgSleep'").await;
        update(&documents, mine, &["title"]).await
    };
    let left = async {
        seen("wait_event_type = 'Lock' and query like 'select from documents%'").await;
        member.set_groups(&[]);
        system.sql("insert into document.gone values (now())").await;
    };
    let (_, changed, ()) = tokio::join!(system.sql(&block), changed, left);
    assert_eq!(refusal(changed).0, DENIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_of_the_documents_own_organization() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    let foreign = format!("{}/groups/{}", fixture.system.organization().name(), new_id());
    for principal in [members(&foreign), group(&fixture), format!("{}#viewer", group(&fixture))] {
        let grant = Grant { principal, role: Role::Reader.into(), ..Default::default() };
        let request = CreateGrantRequest { parent: document.name.clone(), grant: Some(grant), ..Default::default() };
        let refused = read(fixture.documents.clone().create_grant(request).await);
        assert_eq!(refusal(refused), (Code::InvalidArgument, "PRINCIPAL_INVALID".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_and_a_link_hold_ends_with_them() {
    let fixture = Fixture::over(System::start(&[&document::SERVICE, &AUTH]).await);
    let (organization, ids) = (fixture.organization.id(), [Ids::default().next(), Ids::default().next()]);
    let (role, link) = (Principal::CustomRole(ids[0]).name(organization), Principal::Link(ids[1]).name(organization));
    let document = fixture.document("plan").await;
    for principal in [&role, &link, &members(&group(&fixture))] {
        fixture.share(&document, principal, Role::Writer).await;
    }
    let name = |principal: &str| principal.split_once('#').expect("a principal").0.to_owned();
    let outbox = outbox(&fixture);
    let tx =
        outbox.tenant_as(organization, &CallContext::background("test", &Ids::default())).await.expect("it is there");
    tx.publish(&CustomRoleDeleted { name: name(&role) }, ids[0], 2).expect("an event");
    tx.publish(&LinkDeleted { name: name(&link) }, ids[1], 2).expect("an event");
    tx.commit().await.expect("the database is there");
    eventually("their grants are gone", || async { (fixture.count("grants").await == 1).then_some(()) }).await;
    let events = fixture.published::<DocumentGrantsChanged>().await;
    let mut lost: Vec<_> = events.into_iter().flat_map(|(_, event)| event.lost).collect();
    lost.sort();
    assert_eq!(lost, [role, link]);
}

/// What its owner of groups publishes by.
fn outbox(fixture: &Fixture) -> db::Db {
    let folder = fixture.system.data_dir().join("auth").canonicalize().expect("the folder is there");
    OUTBOXES.lock().unwrap_or_else(PoisonError::into_inner).get(&folder).expect("it runs").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_holds_ends_with_it_and_the_event_says_so() {
    let fixture = Fixture::over(System::start(&[&document::SERVICE, &AUTH]).await);
    let (group, user) = (group(&fixture), fixture.organization.member());
    let mut shared = Vec::new();
    for title in ["one", "two", "three"] {
        let document = fixture.document(title).await;
        fixture.share(&document, &members(&group), Role::Writer).await;
        shared.push(document);
    }
    fixture.share(&shared[0], &user.name(), Role::Reader).await;
    let untouched = fixture.document("four").await;
    fixture.share(&untouched, &members(&self::group(&fixture)), Role::Reader).await;
    let outbox = outbox(&fixture);
    // Twice, as events come: the second finds nothing to end.
    for version in [2, 3] {
        let context = CallContext::background("test", &Ids::default());
        let tx = outbox.tenant_as(fixture.organization.id(), &context).await.expect("the database is there");
        let id = group.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
        tx.publish(&GroupDeleted { name: group.clone() }, id, version).expect("an event");
        tx.commit().await.expect("the database is there");
    }
    eventually("its grants are gone", || async { (fixture.count("grants").await == 2).then_some(()) }).await;
    let events = fixture.published::<DocumentGrantsChanged>().await;
    let lost: Vec<_> = events.iter().filter(|(_, event)| !event.lost.is_empty()).collect();
    assert_eq!(lost.len(), 3);
    for document in &shared {
        let (version, event) = lost.iter().find(|(_, event)| event.name == document.name).expect("one for each");
        let left = event.relations.as_ref().expect("all that there are").holders.iter();
        let left: Vec<_> = left.map(|holder| holder.subject.clone()).collect();
        assert_eq!(event.lost, [members(&group)]);
        let (versions, holders) = if document == &shared[0] { (4, vec![user.name()]) } else { (3, Vec::new()) };
        assert_eq!((*version, left), (versions, holders), "{}", document.title);
    }
}
