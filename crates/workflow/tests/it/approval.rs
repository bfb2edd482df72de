//! Approvals from start to end: rules, reminders, the owner, what is published, who is told no.
use api::Code;
use prost::Message as _;
use proto::workflow::v1::{
    CompleteTaskRequest, DocumentApproval, GetRunRequest, RunEnded, TaskCreated, TaskEnded,
    document_approval::Rule,
    run::{Outcome, State},
    run_service_client::RunServiceClient,
    task::{Decision, State as TaskState},
};
use testkit::eventually;

use crate::{
    engine,
    fixture::{Fixture, context, millis, read, refusal, request_id},
};

#[tokio::test(flavor = "multi_thread")]
async fn under_any_the_first_approval_ends_the_run_and_everything_is_published_once() {
    let fixture = Fixture::new().await;
    let context = context();
    let channel = fixture.editor.channel_in(&fixture.system, "workflow", &context);
    let request = fixture.request(fixture.approval(Rule::Any));
    let run = read(RunServiceClient::new(channel).create_run(request).await).expect("the editor may");
    let (bob, eve) = (fixture.task(&fixture.bob, &run.name).await, fixture.task(&fixture.eve, &run.name).await);
    assert_eq!((bob.subject.as_str(), bob.assignee.as_str()), (&*fixture.document.name, &*fixture.bob.name));
    let done = fixture.decide(&fixture.bob, &bob, Decision::Approve).await.expect("it is his");
    assert_eq!((done.state(), done.decision()), (TaskState::Completed, Decision::Approve));
    let run = fixture.ended(&run.name).await;
    assert_eq!((run.state(), run.outcome(), run.failure.as_str()), (State::Completed, Outcome::Approved, ""));
    let left = fixture.list_tasks(&fixture.eve, true).await;
    assert_eq!((left.len(), &left[0].name, left[0].state()), (1, &eve.name, TaskState::Closed));
    assert_eq!(refusal(fixture.decide(&fixture.eve, &eve, Decision::Reject).await).1, "TASK_CLOSED");

    for (kind, versions) in
        [("run.started", vec![1]), ("task.created", vec![1, 1]), ("task.ended", vec![2, 2]), ("run.ended", vec![2])]
    {
        assert_eq!(fixture.versions(kind).await, versions, "{kind}");
    }
    let ended = &fixture.system.published("workflow", "run.ended").await[0];
    let ended = RunEnded::decode(ended.payload.clone()).expect("it is one");
    assert_eq!((ended.title.as_str(), ended.creator.as_str()), ("Contract", &*fixture.editor.name));
    assert_eq!((ended.outcome(), ended.subject.as_str()), (Outcome::Approved, &*fixture.document.name));
    let created = &fixture.system.published("workflow", "task.created").await[0];
    assert_eq!(TaskCreated::decode(created.payload.clone()).expect("it is one").title, "Contract");
    // Steps of the run carry the request that began it.
    let sql = format!(
        "workflow.outbox_event where type in ('run.started', 'task.created', 'run.ended') and headers->>'x-request-id' = '{}'",
        context.request_id
    );
    assert_eq!(fixture.count(&sql).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_all_everybody_approves_and_the_delegation_ends_with_the_run() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::All)).await;
    let bob = fixture.task(&fixture.bob, &run.name).await;
    fixture.decide(&fixture.bob, &bob, Decision::Approve).await.expect("it is his");
    assert_eq!(fixture.get(&run.name).await.state(), State::Running);
    let eve = fixture.task(&fixture.eve, &run.name).await;
    fixture.decide(&fixture.eve, &eve, Decision::Approve).await.expect("it is hers");
    assert_eq!(fixture.ended(&run.name).await.outcome(), Outcome::Approved);
    eventually("the delegation ends", || async { (fixture.count("auth.delegations").await == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_all_one_rejection_rejects() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::All)).await;
    let eve = fixture.task(&fixture.eve, &run.name).await;
    let request = CompleteTaskRequest {
        name: eve.name.clone(),
        decision: Decision::Reject.into(),
        comment: "Clause 4,\nsecond sentence".to_owned(),
        ..Default::default()
    };
    let done = read(fixture.tasks(&fixture.eve).complete_task(request).await).expect("it is hers");
    assert_eq!(done.comment, "Clause 4,\nsecond sentence");
    let run = fixture.ended(&run.name).await;
    assert_eq!((run.state(), run.outcome()), (State::Completed, Outcome::Rejected));
    let audited = format!(
        "workflow.audit_event where method like '%CompleteTask' and resource = '{}' and actor = '{}'",
        eve.name, fixture.eve.name
    );
    assert_eq!(fixture.count(&audited).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_decide_is_reminded_and_then_the_owner_decides() {
    let fixture = Fixture::new().await;
    let approval = DocumentApproval {
        due_after: millis(4000),
        remind_after: millis(300),
        owner: fixture.owner.name.clone(),
        ..fixture.approval(Rule::All)
    };
    let run = fixture.start(approval).await;
    let bob = fixture.task(&fixture.bob, &run.name).await;
    fixture.decide(&fixture.bob, &bob, Decision::Approve).await.expect("it is his");
    eventually("eve is reminded", || async { (!fixture.versions("task.reminded").await.is_empty()).then_some(()) })
        .await;
    let owners = fixture.task(&fixture.owner, &run.name).await;
    let eves = fixture.list_tasks(&fixture.eve, true).await;
    assert_eq!((eves.len(), eves[0].state(), eves[0].decision()), (1, TaskState::Closed, Decision::Unspecified));
    assert_eq!(fixture.versions("task.escalated").await, [1]);
    assert_eq!(refusal(fixture.decide(&fixture.eve, &eves[0], Decision::Reject).await).1, "TASK_CLOSED");
    fixture.decide(&fixture.owner, &owners, Decision::Approve).await.expect("it is his");
    assert_eq!(fixture.ended(&run.name).await.outcome(), Outcome::Approved);
    assert_eq!(fixture.versions("task.created").await, [1, 1]);
    // Bob decided at version 2; eve was reminded at 2 and closed at 3; the owner ended at 2 or, reminded first, at 3.
    let ended = fixture.system.published("workflow", "task.ended").await;
    let mut decided = ended.iter().map(|event| TaskEnded::decode(event.payload.clone()).expect("it is one").decision());
    assert_eq!(decided.clone().count(), 3);
    assert_eq!(decided.by_ref().filter(|decision| *decision == Decision::Approve).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_expires_when_not_even_the_owner_decides() {
    let fixture = Fixture::new().await;
    let approval =
        DocumentApproval { due_after: millis(600), remind_after: millis(100), ..fixture.approval(Rule::Any) };
    let run = fixture.start(approval).await;
    let run = fixture.ended(&run.name).await;
    assert_eq!((run.state(), run.outcome()), (State::Completed, Outcome::Expired));
    assert_eq!(fixture.versions("task.escalated").await, [1]);
    assert_eq!(fixture.count("workflow.tasks where state = 1").await, 0);
    assert_eq!(fixture.count("workflow.tasks where state = 3").await, 3);
    // The creator is the owner when the request names none.
    let task = &fixture.list_tasks(&fixture.editor, true).await[0];
    assert_eq!((task.run.as_str(), task.state()), (&*run.name, TaskState::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn wfl_07_a_decision_of_somebody_else_is_refused_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::All)).await;
    let (bob, eve) = (fixture.task(&fixture.bob, &run.name).await, fixture.task(&fixture.eve, &run.name).await);
    let engine = engine::connect(&fixture).await;
    let before = engine::history_length(&engine, &run.name).await;
    // Eve reads everything by role and hears why; bob reads nothing but his own and hears nothing.
    let refused = refusal(fixture.decide(&fixture.eve, &bob, Decision::Approve).await);
    assert_eq!(refused, (Code::PermissionDenied, "NOT_ASSIGNEE".to_owned()));
    let refused = refusal(fixture.decide(&fixture.bob, &eve, Decision::Approve).await);
    assert_eq!(refused, (Code::PermissionDenied, "ACCESS_DENIED".to_owned()));
    assert_eq!(fixture.count("workflow.tasks where state = 1").await, 2);
    assert_eq!(fixture.versions("task.ended").await, Vec::<i64>::new());
    assert_eq!(fixture.get(&run.name).await.state(), State::Running);
    assert_eq!(engine::history_length(&engine, &run.name).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn wfl_07_the_same_decision_twice_is_one_and_another_is_refused() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::All)).await;
    let bob = fixture.task(&fixture.bob, &run.name).await;
    let request = CompleteTaskRequest {
        name: bob.name.clone(),
        decision: Decision::Approve.into(),
        request_id: request_id(),
        ..Default::default()
    };
    let tries = (0..5).map(|_| {
        let (mut tasks, request) = (fixture.tasks(&fixture.bob), request.clone());
        async move { read(tasks.complete_task(request).await) }
    });
    for answer in futures::future::join_all(tries).await {
        assert_eq!(answer.expect("it is the same request").decision(), Decision::Approve);
    }
    assert_eq!(fixture.versions("task.ended").await, [2]);
    let other = CompleteTaskRequest { decision: Decision::Reject.into(), ..request.clone() };
    let refused = refusal(read(fixture.tasks(&fixture.bob).complete_task(other).await));
    assert_eq!(refused, (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
    let refused = refusal(fixture.decide(&fixture.bob, &bob, Decision::Approve).await);
    assert_eq!(refused, (Code::FailedPrecondition, "TASK_CLOSED".to_owned()));
    let run = read(fixture.runs(&fixture.bob).get_run(GetRunRequest { name: run.name }).await);
    assert_eq!(run.expect("he has a task of it").state(), State::Running);
}
