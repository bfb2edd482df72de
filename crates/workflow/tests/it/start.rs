//! Runs start once, whatever happens to requests and processes.
use std::collections::BTreeSet;

use api::Code;
use proto::workflow::v1::{
    CompleteTaskRequest, CreateRunRequest,
    document_approval::Rule,
    run::{Outcome, State},
    task::Decision,
};
use testkit::eventually;

use crate::fixture::{Fixture, new_id, read, refusal, request_id};

#[tokio::test(flavor = "multi_thread")]
async fn wfl_01_a_second_start_under_the_same_id_is_refused_and_names_the_run() {
    let fixture = Fixture::new().await;
    let request = CreateRunRequest { run_id: new_id(), ..fixture.request(fixture.approval(Rule::Any)) };
    let run = fixture.create(request.clone()).await.expect("the id is free");
    assert!(run.name.ends_with(&request.run_id));
    let error = fixture.create(request.clone()).await.expect_err("the id is taken");
    assert_eq!((error.code(), error.reason()), (Code::AlreadyExists, "RUN_EXISTS"));
    assert_eq!(error.metadata().get("run"), Some(&run.name));
    // The delegation of the one that was not to be is taken back.
    assert_eq!(fixture.count("auth.delegations").await, 1);
    let task = fixture.task(&fixture.bob, &run.name).await;
    fixture.decide(&fixture.bob, &task, Decision::Approve).await.expect("it is his");
    fixture.ended(&run.name).await;
    let error = fixture.create(request).await.expect_err("the id is taken for good");
    assert_eq!(error.reason(), "RUN_EXISTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn wfl_03_a_start_that_is_repeated_also_after_a_crash_makes_one_run() {
    let mut fixture = Fixture::new().await;
    let request = CreateRunRequest { request_id: request_id(), ..fixture.request(fixture.approval(Rule::Any)) };
    let tries = (0..6).map(|_| {
        let (mut runs, request) = (fixture.runs(&fixture.editor), request.clone());
        async move { read(runs.create_run(request).await) }
    });
    let answers = futures::future::join_all(tries).await;
    let names: BTreeSet<_> = answers.into_iter().map(|answer| answer.expect("it is the same request").name).collect();
    assert_eq!(names.len(), 1);
    fixture.system.crash().await;
    let again = fixture.create(request.clone()).await.expect("it is the same request");
    assert!(names.contains(&again.name));
    assert_eq!(fixture.count("workflow.runs").await, 1);
    assert_eq!(fixture.versions("run.started").await, [1]);
    let task = fixture.task(&fixture.bob, &again.name).await;
    fixture.decide(&fixture.bob, &task, Decision::Approve).await.expect("it is his");
    assert_eq!(fixture.ended(&again.name).await.outcome(), Outcome::Approved);
    assert_eq!(fixture.versions("task.created").await, [1, 1]);
    let other = CreateRunRequest { run_id: new_id(), ..request };
    assert_eq!(refusal(fixture.create(other).await).1, "REQUEST_ID_REUSED");
}

/// The design speaks of a heartbeating step; those of an approval are short. This one is held up by a lock on its run, and dies
/// in it.
#[tokio::test(flavor = "multi_thread")]
async fn wfl_17_a_crash_in_the_middle_of_a_step_loses_nothing_and_does_nothing_twice() {
    let mut fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::Any)).await;
    let task = fixture.task(&fixture.bob, &run.name).await;
    let request = CompleteTaskRequest {
        name: task.name.clone(),
        decision: Decision::Approve.into(),
        request_id: request_id(),
        ..Default::default()
    };
    let held = "select 1 from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(5)%' and pid <> pg_backend_pid()";
    let waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut tasks = fixture.tasks(&fixture.bob);
    let crash = async {
        found(&fixture, held).await;
        tokio::select! {
            answer = tasks.complete_task(request.clone()) => panic!("the step is held up: {answer:?}"),
            () = found(&fixture, waiting) => {}
        }
    };
    tokio::select! {
        _ = fixture.system.sql("begin; select 1 from workflow.runs for update; select pg_sleep(5); commit") => {
            panic!("the lock was not held long enough")
        }
        () = crash => {}
    }
    fixture.system.crash().await;
    // The decision was taken by the run before the crash, so it stands without being asked for again.
    assert_eq!(fixture.ended(&run.name).await.outcome(), Outcome::Approved);
    let answer = read(fixture.tasks(&fixture.bob).complete_task(request).await).expect("it is the same request");
    assert_eq!(answer.decision(), Decision::Approve);
    assert_eq!(fixture.versions("task.ended").await.len(), 2);
    assert_eq!(fixture.versions("run.ended").await, [2]);
}

/// Waits until a query finds something.
async fn found(fixture: &Fixture, sql: &str) {
    eventually(sql, || async { (!fixture.system.sql(sql).await.is_empty()).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_leaves_runs_as_they_are() {
    let mut fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::All)).await;
    let bob = fixture.task(&fixture.bob, &run.name).await;
    fixture.decide(&fixture.bob, &bob, Decision::Approve).await.expect("it is his");
    fixture.system.restart().await;
    assert_eq!(fixture.get(&run.name).await.state(), State::Running);
    let eve = fixture.task(&fixture.eve, &run.name).await;
    fixture.decide(&fixture.eve, &eve, Decision::Approve).await.expect("it is hers");
    assert_eq!(fixture.ended(&run.name).await.outcome(), Outcome::Approved);
}
