//! Temporal goes away and comes back.
use std::time::{Duration, Instant};

use api::Code;
use proto::{
    document::v1::{DeleteDocumentRequest, document_service_client::DocumentServiceClient},
    workflow::v1::{
        DocumentApproval,
        document_approval::Rule,
        run::{Outcome, State},
        task::Decision,
    },
};
use testkit::{Engine, eventually_within};

use crate::{
    engine,
    fixture::{Fixture, builder, millis},
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn ready(fixture: &Fixture, wanted: bool) {
    eventually_within(PATIENCE, "the readiness of the workflow service", || async {
        (fixture.system.host().readiness().state().is_ready_for("workflow") == wanted).then_some(())
    })
    .await;
}

/// The server stays up behind a cut line: what is tested is that runs and timers go on where they were. (The design kills the
/// server; the tests of all crates share one.)
#[tokio::test(flavor = "multi_thread")]
async fn wfl_18_with_temporal_away_runs_are_accepted_and_go_on_when_it_is_back() {
    let fixture = Fixture::over(builder().set("workflow.engine_timeout", "1s").through_proxies()).await;
    let approval =
        DocumentApproval { due_after: millis(2000), remind_after: millis(1000), ..fixture.approval(Rule::All) };
    let before = fixture.start(approval).await;
    let task = fixture.task(&fixture.bob, &before.name).await;
    fixture.system.engine(Engine::Temporal).cut();
    ready(&fixture, false).await;
    assert!(fixture.system.host().readiness().state().is_ready_for("document"), "only workflow waits");
    let began = Instant::now();
    let during = fixture.start(fixture.approval(Rule::Any)).await;
    assert_eq!(during.state(), State::Starting);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let error = fixture.decide(&fixture.bob, &task, Decision::Approve).await.expect_err("nobody takes it");
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "ENGINE_UNAVAILABLE"));
    assert!(error.retry_delay().is_some());
    fixture.system.engine(Engine::Temporal).mend();
    ready(&fixture, true).await;
    fixture.is(&during.name, State::Running).await;
    let task = fixture.task(&fixture.eve, &during.name).await;
    fixture.decide(&fixture.eve, &task, Decision::Reject).await.expect("it is hers");
    assert_eq!(fixture.ended(&during.name).await.outcome(), Outcome::Rejected);
    // Its timers ran on meanwhile and fire once.
    assert_eq!(fixture.ended(&before.name).await.outcome(), Outcome::Expired);
    assert_eq!(fixture.versions("task.escalated").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_gone_when_the_run_begins_fails_it_with_words_for_people() {
    let fixture = Fixture::over(builder().set("workflow.engine_timeout", "1s").through_proxies()).await;
    fixture.system.engine(Engine::Temporal).cut();
    let run = fixture.start(fixture.approval(Rule::Any)).await;
    let delete = DeleteDocumentRequest { name: fixture.document.name.clone(), ..Default::default() };
    let mut documents = DocumentServiceClient::new(fixture.editor.channel(&fixture.system, "document"));
    documents.delete_document(delete).await.expect("the editor may");
    fixture.system.engine(Engine::Temporal).mend();
    let run = fixture.ended(&run.name).await;
    assert_eq!((run.state(), run.outcome), (State::Failed, 0));
    assert_eq!(run.failure, format!("{} was moved to the trash", fixture.document.name));
    assert_eq!(fixture.versions("task.created").await, Vec::<i64>::new());
    assert_eq!(fixture.versions("run.ended").await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_ended_behind_our_back_fails_and_closes_its_tasks() {
    let fixture = Fixture::over(builder().set("workflow.audit_interval", "300ms")).await;
    let run = fixture.start(fixture.approval(Rule::Any)).await;
    fixture.task(&fixture.bob, &run.name).await;
    let kept = fixture.start(fixture.approval(Rule::Any)).await;
    engine::terminate(&engine::connect(&fixture).await, &run.name).await;
    let run = fixture.ended(&run.name).await;
    assert_eq!((run.state(), run.outcome), (State::Failed, 0));
    assert!(run.failure.contains("no longer has the run"), "{}", run.failure);
    assert!(fixture.list_tasks(&fixture.bob, false).await.iter().all(|task| task.run == kept.name));
    assert_eq!(fixture.get(&kept.name).await.state(), State::Running);
}
