//! Runs that are asked to end.
use api::Code;
use proto::workflow::v1::{CancelRunRequest, document_approval::Rule, run::State, task::State as TaskState};

use crate::fixture::{Fixture, read, refusal, request_id};

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_run_closes_its_tasks_and_says_so_once() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::Any)).await;
    let task = fixture.task(&fixture.bob, &run.name).await;
    let request = CancelRunRequest { name: run.name.clone(), request_id: request_id() };
    read(fixture.runs(&fixture.editor).cancel_run(request.clone()).await).expect("he started it");
    let run = fixture.ended(&run.name).await;
    assert_eq!((run.state(), run.outcome), (State::Canceled, 0));
    let closed = fixture.list_tasks(&fixture.bob, true).await;
    assert_eq!((&closed[0].name, closed[0].state()), (&task.name, TaskState::Closed));
    assert_eq!(fixture.versions("run.ended").await, [2]);
    let repeated = read(fixture.runs(&fixture.editor).cancel_run(request).await).expect("it is the same request");
    assert_eq!(repeated.state(), State::Canceled);
    let again = CancelRunRequest { name: run.name.clone(), request_id: String::new() };
    let refused = refusal(read(fixture.runs(&fixture.editor).cancel_run(again).await));
    assert_eq!(refused, (Code::FailedPrecondition, "RUN_CLOSED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_started_it_or_an_editor_cancels() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::Any)).await;
    fixture.task(&fixture.bob, &run.name).await;
    let request = CancelRunRequest { name: run.name.clone(), request_id: String::new() };
    for (who, name) in [(&fixture.bob, "bob"), (&fixture.eve, "eve")] {
        let refused = refusal(read(fixture.runs(who).cancel_run(request.clone()).await));
        assert_eq!(refused, (Code::PermissionDenied, "ACCESS_DENIED".to_owned()), "{name}");
    }
    assert_eq!(fixture.get(&run.name).await.state(), State::Running);
    read(fixture.runs(&fixture.owner).cancel_run(request).await).expect("an owner may");
    assert_eq!(fixture.ended(&run.name).await.state(), State::Canceled);
}
