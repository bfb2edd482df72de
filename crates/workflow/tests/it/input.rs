//! What CreateRun takes and what it refuses.
use api::{Code, Error};
use proto::{
    document::v1::{
        CreateDocumentRequest, DeleteDocumentRequest, Document, document_service_client::DocumentServiceClient,
    },
    workflow::v1::{CreateRunRequest, DocumentApproval, ListRunsRequest, document_approval::Rule, run},
};

use crate::fixture::{Fixture, millis, new_id, read};

#[track_caller]
fn violation(answer: Result<proto::workflow::v1::Run, Error>) -> (Code, String, String) {
    let error = answer.expect_err("it must be refused");
    (error.code(), error.reason().to_owned(), error.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_refused_with_the_field_and_leaves_nothing() {
    let fixture = Fixture::new().await;
    let good = || fixture.approval(Rule::Any);
    let bob = fixture.bob.name.clone();
    let missing = format!("{}/documents/{}", fixture.organization, new_id());
    let foreign = format!("organizations/{}/documents/{}", new_id(), new_id());
    let cases = [
        ("approvers", DocumentApproval { approvers: vec![], ..good() }),
        ("approvers", DocumentApproval { approvers: vec![bob.clone(), bob.clone()], ..good() }),
        ("approvers", DocumentApproval { approvers: vec![format!("users/{}", new_id())], ..good() }),
        ("approvers", DocumentApproval { approvers: vec![fixture.organization.clone()], ..good() }),
        ("owner", DocumentApproval { owner: format!("users/{}", new_id()), ..good() }),
        ("due_after", DocumentApproval { due_after: millis(10), ..good() }),
        ("remind_after", DocumentApproval { due_after: millis(1000), remind_after: millis(1000), ..good() }),
        ("document", DocumentApproval { document: missing, ..good() }),
        ("document", DocumentApproval { document: foreign, ..good() }),
    ];
    for (field, approval) in cases {
        let (code, reason, message) = violation(fixture.create(fixture.request(approval.clone())).await);
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INPUT_INVALID"), "{approval:?}");
        assert!(message.contains(field), "{message}");
    }
    let empty = CreateRunRequest { parent: fixture.organization.clone(), ..Default::default() };
    assert_eq!(violation(fixture.create(empty).await).1, "FIELD_INVALID");
    let named = CreateRunRequest { run_id: "X".to_owned(), ..fixture.request(good()) };
    assert_eq!(violation(fixture.create(named).await).1, "FIELD_INVALID");
    assert_eq!(fixture.count("workflow.runs").await, 0);
    assert_eq!(fixture.count("auth.delegations").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_cannot_read_he_cannot_have_approved() {
    let fixture = Fixture::new().await;
    let request = fixture.request(fixture.approval(Rule::Any));
    let refused = violation(read(fixture.runs(&fixture.bob).create_run(request).await));
    assert_eq!((refused.0, refused.1.as_str()), (Code::InvalidArgument, "INPUT_INVALID"));
    let mut documents = DocumentServiceClient::new(fixture.editor.channel(&fixture.system, "document"));
    let trash = DeleteDocumentRequest { name: fixture.document.name.clone(), ..Default::default() };
    documents.delete_document(trash).await.expect("the editor may");
    let refused = violation(fixture.create(fixture.request(fixture.approval(Rule::Any))).await);
    assert_eq!((refused.0, refused.1.as_str()), (Code::InvalidArgument, "INPUT_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_filled_in_and_said() {
    let fixture = Fixture::new().await;
    let document = Document { title: "Bob's".to_owned(), ..Default::default() };
    let request =
        CreateDocumentRequest { parent: fixture.organization.clone(), document: Some(document), ..Default::default() };
    DocumentServiceClient::new(fixture.editor.channel(&fixture.system, "document"))
        .create_document(request)
        .await
        .expect("the editor may");
    let run = fixture.start(fixture.approval(Rule::Unspecified)).await;
    let Some(run::Input::DocumentApproval(approval)) = run.input else { panic!("it is an approval") };
    assert_eq!((approval.rule(), approval.owner.as_str()), (Rule::Any, &*fixture.editor.name));
    assert_eq!(approval.due_after.map(|time| time.seconds), Some(7 * 24 * 3600));
    assert_eq!(approval.remind_after.map(|time| time.seconds), Some(7 * 12 * 3600));
    assert_eq!(run.creator, fixture.editor.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn wfl_25_lists_hold_a_run_at_once_and_page_through_all_of_them() {
    let fixture = Fixture::new().await;
    let mut started = Vec::new();
    for _ in 0..5 {
        let run = fixture.start(fixture.approval(Rule::Any)).await;
        let request = ListRunsRequest { parent: fixture.organization.clone(), page_size: 1, ..Default::default() };
        let page = read(fixture.runs(&fixture.editor).list_runs(request).await).expect("an editor lists all");
        assert_eq!(page.runs[0].name, run.name);
        started.insert(0, run.name);
    }
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListRunsRequest { parent: fixture.organization.clone(), page_size: 2, page_token };
        let page = read(fixture.runs(&fixture.editor).list_runs(request).await).expect("an editor lists all");
        listed.extend(page.runs.into_iter().map(|run| run.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, started);
    let own = ListRunsRequest { parent: fixture.organization.clone(), ..Default::default() };
    assert!(read(fixture.runs(&fixture.bob).list_runs(own).await).expect("his own").runs.is_empty());
}
