//! The wire: parse, ask, call, render. No decisions.
use std::sync::Arc;

use api::{Error as ApiError, OrganizationId};
use futures::TryStreamExt as _;
use mesh::{Items, Reply, caller, reply, reply_stream};
use proto::workflow::v1::{
    CancelRunRequest, CompleteTaskRequest, CreateRunRequest, GetRunRequest, GetTaskRequest, ListRunsRequest,
    ListRunsResponse, ListTasksRequest, ListTasksResponse, Run, Task, WatchRunRequest, run_service_server::RunService,
    task_service_server::TaskService,
};
use tonic::{Request, async_trait};

use crate::{
    model::{self, RunName, TaskName},
    service::{Attempt, Runs},
};

mod page;
mod run;
mod task;

pub(crate) use page::Pages;

/// The RPCs of the workflow service.
pub(crate) struct Rpc {
    runs: Arc<Runs>,
    pages: Arc<Pages>,
}

impl Rpc {
    /// The RPCs over the use cases.
    pub(crate) fn new(runs: Arc<Runs>, pages: Arc<Pages>) -> Self {
        Self { runs, pages }
    }
}

#[async_trait]
impl RunService for Rpc {
    type WatchRunStream = Items<Run>;

    async fn create_run(&self, request: Request<CreateRunRequest>) -> Reply<Run> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let draft = run::parse_draft(request)?;
        reply(Box::pin(self.runs.create(&caller, draft, &attempt)).await.map(run::render))
    }

    async fn get_run(&self, request: Request<GetRunRequest>) -> Reply<Run> {
        let (caller, request) = caller(request)?;
        let name = RunName::parse_field("name", &request.name)?;
        reply(self.runs.get(&caller, name).await.map(run::render))
    }

    async fn list_runs(&self, request: Request<ListRunsRequest>) -> Reply<ListRunsResponse> {
        let (caller, request) = caller(request)?;
        let organization = parse_parent(&request.parent)?;
        let list = page::List::new("ListRuns", &request.parent);
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.runs.list(&caller, organization, window).await;
        reply(listed.map(|listed| ListRunsResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            runs: listed.items.into_iter().map(run::render).collect(),
        }))
    }

    async fn watch_run(&self, request: Request<WatchRunRequest>) -> Reply<Items<Run>> {
        let (caller, request) = caller(request)?;
        let name = RunName::parse_field("name", &request.name)?;
        reply_stream(self.runs.watch(caller, name).await.map(|watched| watched.map_ok(run::render)))
    }

    async fn cancel_run(&self, request: Request<CancelRunRequest>) -> Reply<Run> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = RunName::parse_field("name", &request.name)?;
        reply(self.runs.cancel(&caller, name, &attempt).await.map(run::render))
    }
}

#[async_trait]
impl TaskService for Rpc {
    async fn get_task(&self, request: Request<GetTaskRequest>) -> Reply<Task> {
        let (caller, request) = caller(request)?;
        let name = TaskName::parse_field("name", &request.name)?;
        reply(self.runs.get_task(&caller, name).await.map(task::render))
    }

    async fn list_tasks(&self, request: Request<ListTasksRequest>) -> Reply<ListTasksResponse> {
        let (caller, request) = caller(request)?;
        let organization = parse_parent(&request.parent)?;
        let list = page::List::new("ListTasks", &(&request.parent, request.show_closed));
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.runs.list_tasks(&caller, organization, request.show_closed, window).await;
        reply(listed.map(|listed| ListTasksResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            tasks: listed.items.into_iter().map(task::render).collect(),
        }))
    }

    async fn complete_task(&self, request: Request<CompleteTaskRequest>) -> Reply<Task> {
        let (caller, request) = caller(request)?;
        let name = TaskName::parse_field("name", &request.name)?;
        let decision = task::parse_decision(request.decision())?;
        let comment = model::comment(request.comment)?;
        let completed = self.runs.complete(&caller, name, decision, comment, &request.request_id).await;
        reply(completed.map(task::render))
    }
}

/// Reads the organization that something belongs to.
fn parse_parent(parent: &str) -> Result<OrganizationId, ApiError> {
    OrganizationId::parse(parent).map_err(|error| error.violation("parent", "must have the form organizations/*"))
}
