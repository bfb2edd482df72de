//! The wall between organizations: over the API, and in the database alone.
use api::{Code, Error};
use proto::{
    Role,
    document::v1::{
        AttachFileRequest, CreateDocumentRequest, CreateFolderRequest, CreateGrantRequest, DeleteDocumentRequest,
        DeleteFolderRequest, DeleteGrantRequest, DetachFileRequest, Document, Folder, GetDocumentRequest,
        GetFolderRequest, GetRevisionRequest, Grant, ListDocumentsRequest, ListFoldersRequest, ListGrantsRequest,
        ListRevisionsRequest, RestoreRevisionRequest, UndeleteDocumentRequest, UpdateDocumentRequest, grant,
    },
};

use crate::fixture::{Client, Fixture, client, new_id, read, titled};

/// Names of one organization's resources.
struct Names {
    organization: String,
    document: String,
    folder: String,
    grant: String,
}

/// Calls every RPC about these resources and gives the errors.
async fn refusals(documents: &Client, names: &Names) -> Vec<(&'static str, Error)> {
    let mut refusals = Vec::new();
    macro_rules! call {
        ($method:ident, $request:expr) => {
            let answer = read(documents.clone().$method($request).await);
            refusals.push((stringify!($method), answer.expect_err(stringify!($method))));
        };
    }
    let Names { organization, document, folder, grant } = names;
    let (name, parent) = (document.clone(), organization.clone());
    let changed = Document { name: name.clone(), ..titled("mine") };
    let given =
        Grant { principal: format!("users/{}", new_id()), role: grant::Role::Reader.into(), ..Default::default() };
    let made = Folder { display_name: "mine".to_owned(), ..Default::default() };
    let file = format!("{organization}/files/{}", new_id());
    let revision = format!("{name}/revisions/1");
    call!(
        create_document,
        CreateDocumentRequest { parent: parent.clone(), document: Some(titled("mine")), ..Default::default() }
    );
    call!(get_document, GetDocumentRequest { name: name.clone() });
    call!(list_documents, ListDocumentsRequest { parent: parent.clone(), ..Default::default() });
    call!(update_document, UpdateDocumentRequest { document: Some(changed), ..Default::default() });
    call!(delete_document, DeleteDocumentRequest { name: name.clone(), allow_missing: true, ..Default::default() });
    call!(undelete_document, UndeleteDocumentRequest { name: name.clone(), ..Default::default() });
    call!(attach_file, AttachFileRequest { name: name.clone(), file: file.clone(), ..Default::default() });
    call!(detach_file, DetachFileRequest { name: name.clone(), file, ..Default::default() });
    call!(get_revision, GetRevisionRequest { name: revision.clone() });
    call!(list_revisions, ListRevisionsRequest { parent: name.clone(), ..Default::default() });
    call!(restore_revision, RestoreRevisionRequest { name: revision, ..Default::default() });
    call!(create_folder, CreateFolderRequest { parent: parent.clone(), folder: Some(made), ..Default::default() });
    call!(get_folder, GetFolderRequest { name: folder.clone() });
    call!(list_folders, ListFoldersRequest { parent, ..Default::default() });
    call!(delete_folder, DeleteFolderRequest { name: folder.clone(), ..Default::default() });
    call!(create_grant, CreateGrantRequest { parent: name.clone(), grant: Some(given), ..Default::default() });
    call!(list_grants, ListGrantsRequest { parent: name, ..Default::default() });
    call!(delete_grant, DeleteGrantRequest { name: grant.clone(), ..Default::default() });
    refusals
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_35_a_foreign_name_is_refused_as_a_missing_one_in_every_rpc() {
    let fixture = Fixture::new().await;
    let document = fixture.document("secret").await;
    let folder = fixture.folder("", "secret").await.expect("free").name;
    let grant = fixture.share(&document, &fixture.organization.member().name(), grant::Role::Reader).await.name;
    let real = Names { organization: fixture.organization.name(), document: document.name.clone(), folder, grant };
    let organization = format!("organizations/{}", new_id());
    let missing = Names {
        document: format!("{organization}/documents/{}", new_id()),
        folder: format!("{organization}/folders/{}", new_id()),
        grant: format!("{organization}/documents/{}/grants/{}", new_id(), new_id()),
        organization,
    };
    let stranger = client(&fixture.system.organization().user(Role::Owner));
    let foreign = refusals(&stranger, &real).await;
    let absent = refusals(&stranger, &missing).await;
    assert_eq!(foreign.len(), 18);
    for ((method, foreign), (_, absent)) in foreign.into_iter().zip(absent) {
        assert_eq!(foreign.code(), Code::PermissionDenied, "{method}");
        assert_eq!((foreign.to_string(), foreign.metadata()), (absent.to_string(), absent.metadata()), "{method}");
    }
    assert_eq!(fixture.get(&document.name).await.etag, "\"2\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_35_without_a_role_hidden_and_missing_documents_are_refused_alike() {
    let fixture = Fixture::new().await;
    let document = fixture.document("secret").await;
    let (_, member) = fixture.member();
    let names = |document: String| Names {
        organization: format!("organizations/{}", new_id()),
        grant: format!("{document}/grants/{}", new_id()),
        folder: format!("{}/folders/{}", fixture.organization.name(), new_id()),
        document,
    };
    let hidden = refusals(&member, &names(document.name)).await;
    let missing = refusals(&member, &names(format!("{}/documents/{}", fixture.organization.name(), new_id()))).await;
    for ((method, hidden), (_, missing)) in hidden.into_iter().zip(missing) {
        assert_eq!((hidden.code(), hidden.to_string()), (Code::PermissionDenied, missing.to_string()), "{method}");
        assert_eq!(hidden.metadata(), missing.metadata(), "{method}");
    }
}

/// What the service's own role reads of a table under these settings.
async fn visible(fixture: &Fixture, table: &str, settings: &str) -> i64 {
    let sql = format!("set role workos_document; {settings} select count(*) from document.{table}");
    let rows = fixture.system.sql(&sql).await;
    rows[0][0].as_deref().and_then(|count| count.parse().ok()).expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_35_row_level_security_alone_hides_every_foreign_row() {
    let fixture = Fixture::new().await;
    let document = fixture.document("secret").await;
    fixture.folder("", "secret").await.expect("free");
    fixture.share(&document, &fixture.organization.member().name(), grant::Role::Reader).await;
    fixture
        .system
        .sql("insert into document.purged_documents select organization_id, id, version from document.documents")
        .await;
    let tables = fixture.system.sql(
        "select distinct table_name from information_schema.columns where table_schema = 'document' and column_name = 'organization_id'
         and table_name not in ('outbox_event', 'audit_event', 'idempotency', 'processed_event')",
    );
    let tables: Vec<String> = tables.await.into_iter().filter_map(|row| row[0].clone()).collect();
    assert_eq!(tables.len(), 5, "{tables:?}");
    let as_organization = |id: api::OrganizationId| format!("set workos.organization = '{}';", id.uuid());
    let (own, other) =
        (as_organization(fixture.organization.id()), as_organization(fixture.system.organization().id()));
    for table in &tables {
        assert_eq!(visible(&fixture, table, "").await, 0, "{table} without a tenant");
        assert_eq!(visible(&fixture, table, &other).await, 0, "{table} of another tenant");
        assert_eq!(visible(&fixture, table, &own).await, 1, "{table} of its own tenant");
    }
}
