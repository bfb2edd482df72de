//! Saves the histories that `src/flow/tests.rs` replays. By hand, once for each release whose runs differ: give the folder of the
//! release below, run `cargo test -p workos-workflow --test it -- --ignored save_the_histories`, and commit what it wrote.
use std::path::PathBuf;

use proto::{
    document::v1::{DeleteDocumentRequest, document_service_client::DocumentServiceClient},
    workflow::v1::{CancelRunRequest, DocumentApproval, document_approval::Rule, run::State, task::Decision},
};
use testkit::{Engine, eventually};

use crate::{
    engine,
    fixture::{Fixture, builder, millis, read},
};

const RELEASE: &str = "v1";

async fn save(fixture: &Fixture, run: &str, name: &str, closed: bool) {
    let client = engine::connect(fixture).await;
    eventually("the engine closes the run", || async { (engine::is_open(&client, run).await != closed).then_some(()) })
        .await;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(RELEASE);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let history = engine::history(&client, run).await;
    std::fs::write(folder.join(format!("{name}.json")), history).expect("the file can be written");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/fixtures: a step of a release, not a test"]
async fn save_the_histories_of_a_release() {
    let fixture = Fixture::over(builder().set("workflow.engine_timeout", "1s").through_proxies()).await;
    let approved = fixture.start(fixture.approval(Rule::All)).await;
    for who in [&fixture.bob, &fixture.eve] {
        let task = fixture.task(who, &approved.name).await;
        fixture.decide(who, &task, Decision::Approve).await.expect("it is theirs");
    }
    save(&fixture, &approved.name, "approved", true).await;
    let open = fixture.start(fixture.approval(Rule::All)).await;
    let task = fixture.task(&fixture.bob, &open.name).await;
    fixture.decide(&fixture.bob, &task, Decision::Approve).await.expect("it is his");
    save(&fixture, &open.name, "open", false).await;
    let slow = DocumentApproval {
        due_after: millis(4000),
        remind_after: millis(1000),
        owner: fixture.owner.name.clone(),
        ..fixture.approval(Rule::All)
    };
    let escalated = fixture.start(slow).await;
    let task = fixture.task(&fixture.bob, &escalated.name).await;
    fixture.decide(&fixture.bob, &task, Decision::Approve).await.expect("it is his");
    let task = fixture.task(&fixture.owner, &escalated.name).await;
    fixture.decide(&fixture.owner, &task, Decision::Reject).await.expect("it is his");
    save(&fixture, &escalated.name, "escalated", true).await;
    let canceled = fixture.start(fixture.approval(Rule::Any)).await;
    fixture.task(&fixture.bob, &canceled.name).await;
    let cancel = CancelRunRequest { name: canceled.name.clone(), request_id: String::new() };
    read(fixture.runs(&fixture.editor).cancel_run(cancel).await).expect("he started it");
    save(&fixture, &canceled.name, "canceled", true).await;
    fixture.system.engine(Engine::Temporal).cut();
    let failed = fixture.start(fixture.approval(Rule::Any)).await;
    assert_eq!(failed.state(), State::Starting);
    let delete = DeleteDocumentRequest { name: fixture.document.name.clone(), ..Default::default() };
    let mut documents = DocumentServiceClient::new(fixture.editor.channel(&fixture.system, "document"));
    documents.delete_document(delete).await.expect("the editor may");
    fixture.system.engine(Engine::Temporal).mend();
    fixture.ended(&failed.name).await;
    save(&fixture, &failed.name, "failed", true).await;
}
