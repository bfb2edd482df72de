//! Grants: who sees and does what without a role, until when.
use std::time::Duration;

use api::{Clock, Code};
use proto::document::v1::{
    CreateGrantRequest, DeleteDocumentRequest, DeleteGrantRequest, Document, DocumentGrantsChanged, Grant,
    ListDocumentsRequest, ListGrantsRequest, grant::Role,
};
use testkit::{System, eventually};

use crate::fixture::{Client, Fixture, get, new_id, read, refusal, request_id, titled, update};

const DENIED: Code = Code::PermissionDenied;

async fn share(documents: &Client, document: &Document, grant: Grant) -> Result<Grant, api::Error> {
    let request = CreateGrantRequest { parent: document.name.clone(), grant: Some(grant), ..Default::default() };
    read(documents.clone().create_grant(request).await)
}

async fn list(documents: &Client, organization: &str) -> Vec<String> {
    let request = ListDocumentsRequest { parent: organization.to_owned(), ..Default::default() };
    let listed = read(documents.clone().list_documents(request).await).expect("everybody may list");
    listed.documents.into_iter().map(|document| document.title).collect()
}

async fn end(documents: &Client, name: &str) -> Result<(), api::Error> {
    read(documents.clone().delete_grant(DeleteGrantRequest { name: name.to_owned(), ..Default::default() }).await)
}

fn to(principal: &str, role: Role) -> Grant {
    Grant { principal: principal.to_owned(), role: role.into(), ..Default::default() }
}

fn at(clock: &Clock, later: u64) -> Option<prost_types::Timestamp> {
    Some(api::timestamp(clock.now() + Duration::from_secs(later)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_seen_by_whom_it_is_for_and_by_nobody_else() {
    let fixture = Fixture::new().await;
    let (shared, _hidden) = (fixture.document("shared").await, fixture.document("hidden").await);
    let (first, firsts) = fixture.member();
    let (_, seconds) = fixture.member();
    assert_eq!(refusal(get(&firsts, &shared.name).await).0, DENIED);
    let grant = fixture.share(&shared, &first.name(), Role::Reader).await;
    assert_eq!(get(&firsts, &shared.name).await.expect("shared").title, "shared");
    assert_eq!(list(&firsts, &fixture.organization.name()).await, ["shared"]);
    assert_eq!(refusal(get(&seconds, &shared.name).await).0, DENIED);
    assert_eq!(list(&seconds, &fixture.organization.name()).await, Vec::<String>::new());
    end(&fixture.documents, &grant.name).await.expect("it is there");
    assert_eq!(refusal(get(&firsts, &shared.name).await).0, DENIED);
    assert_eq!(list(&firsts, &fixture.organization.name()).await, Vec::<String>::new());
    assert_eq!(refusal(end(&fixture.documents, &grant.name).await), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_with_the_organization_is_for_every_member() {
    let fixture = Fixture::new().await;
    let document = fixture.document("news").await;
    let members = format!("{}#member", fixture.organization.name());
    fixture.share(&document, &members, Role::Reader).await;
    let (_, someone) = fixture.member();
    assert_eq!(get(&someone, &document.name).await.expect("shared with all").title, "news");
    let foreign = format!("{}#member", fixture.system.organization().name());
    let permission = format!("{}#document:read", fixture.organization.name());
    for principal in [foreign, permission, "someone".to_owned(), String::new()] {
        let refused = share(&fixture.documents, &document, to(&principal, Role::Reader)).await;
        assert_eq!(refusal(refused), (Code::InvalidArgument, "PRINCIPAL_INVALID".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_allows_what_the_one_before_it_allows_and_more() {
    let fixture = Fixture::new().await;
    for (role, may_write, may_delete) in [
        (Role::Reader, false, false),
        (Role::Commenter, false, false),
        (Role::Writer, true, false),
        (Role::Keeper, true, true),
    ] {
        let document = fixture.document("plan").await;
        let (member, documents) = fixture.member();
        fixture.share(&document, &member.name(), role).await;
        let written = update(
            &documents,
            Document { title: "mine".to_owned(), etag: String::new(), ..document.clone() },
            &["title"],
        )
        .await;
        let shared = share(&documents, &document, to(&fixture.organization.member().name(), Role::Reader)).await;
        let deleted = read(
            documents
                .clone()
                .delete_document(DeleteDocumentRequest { name: document.name.clone(), ..Default::default() })
                .await,
        );
        assert!(get(&documents, &document.name).await.is_ok());
        assert_eq!((written.is_ok(), shared.is_ok(), deleted.is_ok()), (may_write, may_delete, may_delete), "{role:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acts_by_a_share_gives_at_most_what_he_has() {
    let clock = Clock::default();
    let fixture = Fixture::over(System::builder(&[&document::SERVICE]).clock(clock.clone()).start().await);
    let document = fixture.document("plan").await;
    let (keeper, documents) = fixture.member();
    share(&fixture.documents, &document, Grant { expire_time: at(&clock, 3600), ..to(&keeper.name(), Role::Keeper) })
        .await
        .expect("valid");
    let other = fixture.organization.member().name();
    let longer = share(&documents, &document, to(&other, Role::Reader)).await;
    assert_eq!(refusal(longer), (Code::FailedPrecondition, "GRANT_TOO_WIDE".to_owned()));
    let own = share(&documents, &document, to(&keeper.name(), Role::Keeper)).await;
    assert_eq!(refusal(own), (Code::FailedPrecondition, "GRANT_TOO_WIDE".to_owned()));
    share(&documents, &document, Grant { expire_time: at(&clock, 1800), ..to(&other, Role::Keeper) })
        .await
        .expect("shorter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_grant_for_a_principal_replaces_the_first() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    let (member, documents) = fixture.member();
    let first = fixture.share(&document, &member.name(), Role::Keeper).await;
    let second = fixture.share(&document, &member.name(), Role::Reader).await;
    assert_eq!(second.name, first.name);
    let written =
        update(&documents, Document { title: "mine".to_owned(), etag: String::new(), ..document.clone() }, &["title"])
            .await;
    assert_eq!(refusal(written).0, DENIED);
    let request = ListGrantsRequest { parent: document.name.clone(), ..Default::default() };
    assert_eq!(
        read(fixture.documents.clone().list_grants(request).await).expect("valid").grants,
        std::slice::from_ref(&second)
    );
    assert_eq!(fixture.share(&document, &member.name(), Role::Reader).await, second);
    let events = fixture.published::<DocumentGrantsChanged>().await;
    let gained: Vec<_> = events.into_iter().map(|(_, event)| event.gained).collect();
    assert_eq!(gained, [vec![member.name()], Vec::new()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_by_itself_and_is_then_swept() {
    let clock = Clock::default();
    let builder = System::builder(&[&document::SERVICE]).clock(clock.clone()).set("document.sweep_interval", "20ms");
    let fixture = Fixture::over(builder.start().await);
    let document = fixture.document("plan").await;
    let (member, documents) = fixture.member();
    let passed =
        share(&fixture.documents, &document, Grant { expire_time: at(&clock, 0), ..to(&member.name(), Role::Reader) })
            .await;
    assert_eq!(refusal(passed), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    share(&fixture.documents, &document, Grant { expire_time: at(&clock, 60), ..to(&member.name(), Role::Reader) })
        .await
        .expect("valid");
    get(&documents, &document.name).await.expect("it holds");
    clock.advance(Duration::from_secs(61));
    assert_eq!(refusal(get(&documents, &document.name).await).0, DENIED);
    eventually("the grant is swept", || async { (fixture.count("grants").await == 0).then_some(()) }).await;
    let (version, event) = fixture.published::<DocumentGrantsChanged>().await.pop().expect("published");
    assert_eq!((version, event.lost, event.title.as_str()), (3, vec![member.name()], "plan"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_by_share_cannot_move_a_document_nor_learn_of_folders() {
    let fixture = Fixture::new().await;
    let folder = fixture.folder("", "plans").await.expect("free").name;
    let document = fixture.document("plan").await;
    let (member, documents) = fixture.member();
    fixture.share(&document, &member.name(), Role::Writer).await;
    let absent = format!("{}/folders/{}", fixture.organization.name(), new_id());
    let mut answers = Vec::new();
    for folder in [folder, absent] {
        answers.push(refusal(
            update(&documents, Document { folder, etag: String::new(), ..document.clone() }, &["folder"]).await,
        ));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, DENIED);
    let stays = Document { title: "mine".to_owned(), etag: String::new(), ..document.clone() };
    assert_eq!(update(&documents, stays, &["*"]).await.expect("the folder is the same").folder, document.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_grant_is_given_once_and_grants_are_listed_in_pages() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    let grant = to(&fixture.organization.member().name(), Role::Reader);
    let request = CreateGrantRequest { parent: document.name.clone(), grant: Some(grant), request_id: request_id() };
    let first = read(fixture.documents.clone().create_grant(request.clone()).await).expect("valid");
    assert_eq!(read(fixture.documents.clone().create_grant(request).await).expect("the same request"), first);
    for _ in 0..3 {
        fixture.share(&document, &fixture.organization.member().name(), Role::Reader).await;
    }
    let mut request = ListGrantsRequest { parent: document.name.clone(), page_size: 3, ..Default::default() };
    let page = read(fixture.documents.clone().list_grants(request.clone()).await).expect("valid");
    request.page_token = page.next_page_token;
    let rest = read(fixture.documents.clone().list_grants(request).await).expect("valid");
    assert_eq!((page.grants.len(), rest.grants.len(), rest.next_page_token.as_str()), (3, 1, ""));
    assert_eq!(page.grants[0], first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_at_most_a_thousand_grants() {
    let fixture = Fixture::new().await;
    let document = fixture.create(titled("plan")).await.expect("valid");
    fixture.system.sql(
        "insert into document.grants (organization_id, document_id, id, principal, role, create_time)
         select organization_id, id, gen_random_uuid(), 'users/' || number, 1, now() from document.documents, generate_series(1, 1000) number"
    ).await;
    let refused = share(&fixture.documents, &document, to(&fixture.organization.member().name(), Role::Reader)).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "LIMIT_REACHED".to_owned()));
}
