//! Lists: pages that stay stable, tokens, sizes, orders.
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use api::{Clock, Code};
use futures::{StreamExt, stream};
use proto::document::v1::{
    CreateFolderRequest, DeleteDocumentRequest, Document, Folder, ListDocumentsRequest, ListDocumentsResponse, grant,
};
use testkit::System;

use crate::fixture::{Fixture, new_id, read, refusal, text, titled};

impl Fixture {
    fn list_request(&self) -> ListDocumentsRequest {
        ListDocumentsRequest { parent: self.organization.name(), ..Default::default() }
    }

    async fn list(&self, request: &ListDocumentsRequest) -> Result<ListDocumentsResponse, api::Error> {
        read(self.documents.clone().list_documents(request.clone()).await)
    }

    /// All pages of a list.
    async fn list_all(&self, mut request: ListDocumentsRequest) -> Vec<Document> {
        let mut all = Vec::new();
        loop {
            let page = self.list(&request).await.expect("a valid list");
            assert!(page.documents.len() <= usize::try_from(request.page_size).expect("set by the test"));
            all.extend(page.documents);
            if page.next_page_token.is_empty() {
                return all;
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn documents(&self, count: usize) -> Vec<String> {
        let created =
            stream::iter(0..count).map(|number| async move { self.document(&format!("{number:05}")).await.name });
        created.buffer_unordered(16).collect().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_12_documents_present_throughout_are_listed_once_while_others_come_and_go() {
    const KEPT: i32 = 10_000;
    let fixture = Fixture::new().await;
    let passing: BTreeSet<String> = fixture.documents(200).await.into_iter().collect();
    // Ten thousand rows by SQL: this case is about reading them.
    let organization = fixture.organization.id().uuid();
    fixture.system.sql(&format!(
        "with made as (select gen_random_uuid() as id, number, now() + number / 7 * interval '1 millisecond' as time from generate_series(1, {KEPT}) number),
           document as (insert into document.documents (organization_id, id, title, title_key, head, version, creator_id, create_time, update_time)
             select '{organization}', id, 'kept', 'kept', 1, 1, id, time, time from made)
         insert into document.revisions (organization_id, document_id, number, title, media_type, content, metadata, author_id, create_time)
           select '{organization}', id, 1, 'kept', 'text/plain', '', '{{}}', id, time from made"
    )).await;
    let done = AtomicBool::new(false);
    let disturb = async {
        let mut passing = passing.iter();
        while !done.load(Ordering::Acquire) {
            fixture.document("new").await;
            if let Some(name) = passing.next() {
                let request = DeleteDocumentRequest { name: name.clone(), ..Default::default() };
                read(fixture.documents.clone().delete_document(request).await).expect("it is there");
            }
        }
    };
    let reading = async {
        let mut listed = Vec::new();
        for order_by in ["", "create_time desc", "title"] {
            let request =
                ListDocumentsRequest { order_by: order_by.to_owned(), page_size: 250, ..fixture.list_request() };
            listed.push(fixture.list_all(request).await);
        }
        done.store(true, Ordering::Release);
        listed
    };
    let (listed, ()) = futures::join!(reading, disturb);
    for documents in listed {
        let kept: Vec<&str> = documents
            .iter()
            .filter(|document| document.title == "kept")
            .map(|document| document.name.as_str())
            .collect();
        assert_eq!(kept.len(), usize::try_from(KEPT).expect("positive"));
        assert_eq!(kept.iter().collect::<BTreeSet<_>>().len(), kept.len());
    }
}

/// More than a list begins with, and all of them behind more than it looks at in its order.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_see_only_the_last_of_many_documents_gets_full_pages_of_them() {
    const HIS: usize = 1_100;
    let fixture = Fixture::new().await;
    let (member, documents) = fixture.member();
    let first = fixture.document("his").await;
    fixture.share(&first, &member.name(), grant::Role::Reader).await;
    let organization = fixture.organization.id().uuid();
    fixture.system.sql(&format!(
        "with made as (select gen_random_uuid() as id, number, now() - number * interval '1 s' as time from generate_series(1, 2 * {HIS} - 1) number),
           document as (insert into document.documents (organization_id, id, title, title_key, head, version, creator_id, create_time, update_time)
             select '{organization}', id, number::text, number::text, 1, 1, id, time, time from made),
           revision as (insert into document.revisions (organization_id, document_id, number, title, media_type, content, metadata, author_id, create_time)
             select '{organization}', id, 1, number::text, 'text/plain', '', '{{}}', id, time from made)
         insert into document.grants (organization_id, document_id, id, principal, role, create_time)
           select '{organization}', made.id, gen_random_uuid(), principal, role, time from made, document.grants where number > {HIS}"
    )).await;
    for order_by in ["create_time desc", "create_time"] {
        let mut request =
            ListDocumentsRequest { order_by: order_by.to_owned(), page_size: 250, ..fixture.list_request() };
        let (mut pages, mut names) = (Vec::new(), BTreeSet::new());
        loop {
            let page = read(documents.clone().list_documents(request.clone()).await).expect("everybody may list");
            pages.push(page.documents.len());
            names.extend(page.documents.into_iter().map(|document| document.name));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!((pages, names.len()), (vec![250, 250, 250, 250, 100], HIS), "{order_by}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_13_a_page_token_belongs_to_its_filter_and_order() {
    let fixture = Fixture::new().await;
    fixture.documents(3).await;
    let request = ListDocumentsRequest { page_size: 1, ..fixture.list_request() };
    let page_token = fixture.list(&request).await.expect("valid").next_page_token;
    let next = ListDocumentsRequest { page_token, ..request };
    let others = [
        ListDocumentsRequest { order_by: "title".to_owned(), ..next.clone() },
        ListDocumentsRequest { order_by: "create_time desc".to_owned(), ..next.clone() },
        ListDocumentsRequest { show_deleted: true, ..next.clone() },
        ListDocumentsRequest { folder: format!("{}/folders/root", fixture.organization.name()), ..next.clone() },
    ];
    for other in others {
        assert_eq!(refusal(fixture.list(&other).await), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    }
    // Another size is fine: it says how much, not what.
    assert_eq!(
        fixture.list(&ListDocumentsRequest { page_size: 5, ..next }).await.expect("same list").documents.len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_14_a_page_token_that_was_changed_or_has_expired_is_refused() {
    let clock = Clock::default();
    let builder = System::builder(&[&document::SERVICE]).clock(clock.clone()).set("document.page_token_age", "1m");
    let fixture = Fixture::over(builder.start().await);
    fixture.documents(2).await;
    let request = ListDocumentsRequest { page_size: 1, ..fixture.list_request() };
    let token = fixture.list(&request).await.expect("valid").next_page_token;
    let mut changed = token.clone().into_bytes();
    changed[25] = if changed[25] == b'A' { b'B' } else { b'A' };
    for page_token in [String::from_utf8(changed).expect("ASCII"), format!("{token}A"), "x".to_owned(), "\0".to_owned()]
    {
        let refused = fixture.list(&ListDocumentsRequest { page_token, ..request.clone() }).await;
        assert_eq!(refusal(refused), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    }
    let next = ListDocumentsRequest { page_token: token, ..request };
    assert_eq!(fixture.list(&next).await.expect("still valid").documents.len(), 1);
    clock.advance(Duration::from_secs(62));
    assert_eq!(refusal(fixture.list(&next).await), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_15_page_sizes_are_defaulted_refused_and_coerced() {
    let fixture = Fixture::over(System::builder(&[&document::SERVICE]).set("document.page_size_max", 55).start().await);
    fixture.documents(60).await;
    let sized = |page_size| ListDocumentsRequest { page_size, ..fixture.list_request() };
    assert_eq!(fixture.list(&sized(0)).await.expect("default").documents.len(), 50);
    assert_eq!(refusal(fixture.list(&sized(-1)).await), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    let coerced = fixture.list(&sized(1_000_000_000)).await.expect("coerced");
    assert_eq!((coerced.documents.len(), coerced.next_page_token.is_empty()), (55, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_an_order_and_holds_no_text() {
    let fixture = Fixture::new().await;
    for title in ["banana", "Äpfel", "apple", "Cherry"] {
        fixture.create(Document { content: text("long"), ..titled(title) }).await.expect("valid");
    }
    let titles = async |order_by: &str| {
        let request = ListDocumentsRequest { order_by: order_by.to_owned(), page_size: 3, ..fixture.list_request() };
        let documents = fixture.list_all(request).await;
        assert!(documents.iter().all(|document| document.content.is_none() && document.metadata.is_none()));
        documents.into_iter().map(|document| document.title).collect::<Vec<_>>()
    };
    assert_eq!(titles("title").await, ["apple", "banana", "Cherry", "Äpfel"]);
    assert_eq!(titles("title desc").await, ["Äpfel", "Cherry", "banana", "apple"]);
    assert_eq!(titles("create_time").await, ["banana", "Äpfel", "apple", "Cherry"]);
    let all = fixture.list_all(ListDocumentsRequest { page_size: 9, ..fixture.list_request() }).await;
    fixture.update(Document { title: "banana split".to_owned(), ..all[0].clone() }, &["title"]).await.expect("valid");
    assert_eq!(titles("update_time desc").await, ["banana split", "Cherry", "apple", "Äpfel"]);
    let unknown = ListDocumentsRequest { order_by: "size".to_owned(), ..fixture.list_request() };
    assert_eq!(refusal(fixture.list(&unknown).await), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_can_keep_to_one_folder() {
    let fixture = Fixture::new().await;
    let folder = Folder { display_name: "plans".to_owned(), ..Default::default() };
    let request =
        CreateFolderRequest { parent: fixture.organization.name(), folder: Some(folder), ..Default::default() };
    let folder = read(fixture.documents.clone().create_folder(request).await).expect("valid").name;
    fixture.document("above").await;
    let inside =
        fixture.create(Document { folder: folder.clone(), ..titled("inside") }).await.expect("the folder exists");
    let titles = async |folder: String| {
        let documents = fixture.list_all(ListDocumentsRequest { folder, page_size: 5, ..fixture.list_request() }).await;
        documents.into_iter().map(|document| document.title).collect::<Vec<_>>()
    };
    assert_eq!(titles(folder).await, ["inside"]);
    assert_eq!(titles(format!("{}/folders/root", fixture.organization.name())).await, ["above"]);
    assert_eq!(titles(format!("{}/folders/{}", fixture.organization.name(), new_id())).await, Vec::<String>::new());
    assert_eq!(titles(String::new()).await, ["above", "inside"]);
    assert_eq!(fixture.get(&inside.name).await.folder, inside.folder);
}
