//! The wall between organizations.
use api::{Code, Error};
use proto::workflow::v1::{
    CancelRunRequest, CompleteTaskRequest, CreateRunRequest, GetRunRequest, GetTaskRequest, ListRunsRequest,
    ListTasksRequest, WatchRunRequest, document_approval::Rule, run::State, task::Decision,
};

use crate::{
    fixture::{Fixture, new_id, read},
    people::{self, Someone},
};

/// Calls every RPC about these resources and gives the errors.
async fn refusals(fixture: &Fixture, who: &Someone, organization: &str, run: &str, task: &str) -> Vec<Error> {
    let (mut runs, mut tasks) = (fixture.runs(who), fixture.tasks(who));
    let (name, parent) = (run.to_owned(), organization.to_owned());
    let create = CreateRunRequest { parent: parent.clone(), ..fixture.request(fixture.approval(Rule::Any)) };
    let complete =
        CompleteTaskRequest { name: task.to_owned(), decision: Decision::Approve.into(), ..Default::default() };
    vec![
        read(runs.create_run(create).await).expect_err("create"),
        read(runs.get_run(GetRunRequest { name: name.clone() }).await).expect_err("get"),
        read(runs.list_runs(ListRunsRequest { parent: parent.clone(), ..Default::default() }).await).expect_err("list"),
        read(runs.watch_run(WatchRunRequest { name: name.clone() }).await).map(drop).expect_err("watch"),
        read(runs.cancel_run(CancelRunRequest { name, request_id: String::new() }).await).expect_err("cancel"),
        read(tasks.get_task(GetTaskRequest { name: task.to_owned() }).await).expect_err("get task"),
        read(tasks.list_tasks(ListTasksRequest { parent, ..Default::default() }).await).expect_err("list tasks"),
        read(tasks.complete_task(complete).await).expect_err("complete"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn wfl_26_a_foreign_run_is_refused_as_a_missing_one_in_every_rpc() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::Any)).await;
    let task = fixture.task(&fixture.bob, &run.name).await;
    // The same person, signed in to another organization.
    let stranger = people::operator(&fixture.system, &fixture.owner).await;
    let organization = format!("organizations/{}", new_id());
    let (missing_run, missing_task) =
        (format!("{organization}/runs/{}", new_id()), format!("{organization}/tasks/{}", new_id()));
    let foreign = refusals(&fixture, &stranger, &fixture.organization, &run.name, &task.name).await;
    let missing = refusals(&fixture, &stranger, &organization, &missing_run, &missing_task).await;
    for (foreign, missing) in foreign.into_iter().zip(missing) {
        assert_eq!(foreign.code(), Code::PermissionDenied);
        assert_eq!((foreign.to_string(), foreign.metadata()), (missing.to_string(), missing.metadata()));
    }
    assert_eq!(fixture.get(&run.name).await.state(), State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_role_others_runs_and_tasks_are_as_good_as_missing() {
    let fixture = Fixture::new().await;
    let only_eve = proto::workflow::v1::DocumentApproval {
        approvers: vec![fixture.eve.name.clone()],
        ..fixture.approval(Rule::Any)
    };
    let run = fixture.start(only_eve).await;
    let task = fixture.task(&fixture.eve, &run.name).await;
    let missing = format!("{}/runs/{}", fixture.organization, new_id());
    for name in [&run.name, &missing] {
        let refused = read(fixture.runs(&fixture.bob).get_run(GetRunRequest { name: name.clone() }).await);
        assert_eq!(refused.expect_err("not his").reason(), "ACCESS_DENIED");
    }
    let missing = format!("{}/tasks/{}", fixture.organization, new_id());
    for name in [&task.name, &missing] {
        let refused = read(fixture.tasks(&fixture.bob).get_task(GetTaskRequest { name: name.clone() }).await);
        assert_eq!(refused.expect_err("not his").reason(), "ACCESS_DENIED");
    }
    let read_by_role =
        read(fixture.runs(&fixture.eve).get_run(GetRunRequest { name: missing.replace("/tasks/", "/runs/") }).await);
    assert_eq!(read_by_role.expect_err("it is missing").code(), Code::NotFound);
}
