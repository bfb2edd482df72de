//! What the tests have in common: an organization with its people, a document, short ways to start runs and to wait for them.
use std::time::Duration;

use api::{CallContext, Error, Ids};
use mesh::client::Channel;
use proto::{
    auth::v1::membership::Role,
    document::v1::{CreateDocumentRequest, Document, document_service_client::DocumentServiceClient},
    workflow::v1::{
        CompleteTaskRequest, CreateRunRequest, DocumentApproval, GetRunRequest, ListTasksRequest, Run, Task,
        document_approval::Rule, run, run_service_client::RunServiceClient, task::Decision,
        task_service_client::TaskServiceClient,
    },
};
use testkit::{Builder, System, eventually_within};
use tonic::Status;

use crate::people::{self, Someone};

/// Patience for what a run does by itself, also when a worker had to be given up first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Running services, an organization, an editor who starts runs, and two who approve.
pub(crate) struct Fixture {
    pub(crate) system: System,
    pub(crate) organization: String,
    pub(crate) owner: Someone,
    pub(crate) editor: Someone,
    pub(crate) bob: Someone,
    pub(crate) eve: Someone,
    pub(crate) document: Document,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::over(builder()).await
    }

    pub(crate) async fn over(builder: Builder) -> Self {
        let system = builder.start().await;
        let (organization, owner) = people::first_owner(&system).await;
        let editor = people::member(&system, &organization, &owner, "editor", Role::Editor).await;
        let bob = people::member(&system, &organization, &owner, "bob", Role::Unspecified).await;
        let eve = people::member(&system, &organization, &owner, "eve", Role::Viewer).await;
        let document = Document { title: "Contract".to_owned(), ..Default::default() };
        let request =
            CreateDocumentRequest { parent: organization.clone(), document: Some(document), ..Default::default() };
        let answer = DocumentServiceClient::new(editor.channel(&system, "document")).create_document(request).await;
        let document = answer.expect("an editor creates documents").into_inner();
        Self { system, organization, owner, editor, bob, eve, document }
    }

    pub(crate) fn runs(&self, who: &Someone) -> RunServiceClient<Channel> {
        RunServiceClient::new(who.channel(&self.system, "workflow"))
    }

    pub(crate) fn tasks(&self, who: &Someone) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(who.channel(&self.system, "workflow"))
    }

    /// An approval by bob and eve.
    pub(crate) fn approval(&self, rule: Rule) -> DocumentApproval {
        DocumentApproval {
            document: self.document.name.clone(),
            approvers: vec![self.bob.name.clone(), self.eve.name.clone()],
            rule: rule.into(),
            ..Default::default()
        }
    }

    pub(crate) fn request(&self, approval: DocumentApproval) -> CreateRunRequest {
        let run = Run { input: Some(run::Input::DocumentApproval(approval)), ..Default::default() };
        CreateRunRequest { parent: self.organization.clone(), run: Some(run), ..Default::default() }
    }

    /// Starts a run as the editor.
    pub(crate) async fn start(&self, approval: DocumentApproval) -> Run {
        self.create(self.request(approval)).await.expect("the editor may start it")
    }

    pub(crate) async fn create(&self, request: CreateRunRequest) -> Result<Run, Error> {
        read(self.runs(&self.editor).create_run(request).await)
    }

    pub(crate) async fn get(&self, name: &str) -> Run {
        let request = GetRunRequest { name: name.to_owned() };
        read(self.runs(&self.editor).get_run(request).await).expect("the editor reads everything")
    }

    /// Waits until a run has ended.
    pub(crate) async fn ended(&self, name: &str) -> Run {
        eventually_within(PATIENCE, "the run ends", || async {
            let run = self.get(name).await;
            run.end_time.is_some().then_some(run)
        })
        .await
    }

    /// Waits until a run is in this state.
    pub(crate) async fn is(&self, name: &str, state: run::State) -> Run {
        eventually_within(PATIENCE, "the state", || async {
            Some(self.get(name).await).filter(|run| run.state() == state)
        })
        .await
    }

    /// Waits for somebody's open task of a run.
    pub(crate) async fn task(&self, who: &Someone, run: &str) -> Task {
        eventually_within(PATIENCE, "the task", || async {
            self.list_tasks(who, false).await.into_iter().find(|task| task.run == run)
        })
        .await
    }

    pub(crate) async fn list_tasks(&self, who: &Someone, show_closed: bool) -> Vec<Task> {
        let request = ListTasksRequest { parent: self.organization.clone(), show_closed, ..Default::default() };
        read(self.tasks(who).list_tasks(request).await).expect("everybody lists his own").tasks
    }

    pub(crate) async fn decide(&self, who: &Someone, task: &Task, decision: Decision) -> Result<Task, Error> {
        let request = CompleteTaskRequest { name: task.name.clone(), decision: decision.into(), ..Default::default() };
        read(self.tasks(who).complete_task(request).await)
    }

    /// Counts rows, as the superuser.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        let rows = self.system.sql(&format!("select count(*) from {from}")).await;
        rows[0][0].as_deref().expect("a count is never null").parse().expect("a count is a number")
    }

    /// Versions of the events of one kind, oldest first.
    pub(crate) async fn versions(&self, kind: &str) -> Vec<i64> {
        self.system.published("workflow", kind).await.iter().map(|event| event.version).collect()
    }
}

/// Services with a task queue of their own, so that the workers of other tests do not take our steps.
pub(crate) fn builder() -> Builder {
    System::builder(&[&workflow::SERVICE, &document::SERVICE, &auth::SERVICE])
        .set("workflow.task_queue", new_id())
        .set("workflow.relay_interval", "200ms")
}

pub(crate) fn millis(millis: u64) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(Duration::from_millis(millis)).ok()
}

/// A context of the test's own.
pub(crate) fn context() -> CallContext {
    CallContext::background("test", &Ids::default())
}

/// A request id nobody has used.
pub(crate) fn request_id() -> String {
    Ids::default().next().uuid().to_string()
}

/// An id nobody has used.
pub(crate) fn new_id() -> String {
    Ids::default().next().to_string()
}

pub(crate) fn read<T>(answer: Result<tonic::Response<T>, Status>) -> Result<T, Error> {
    answer.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
}

/// Code and reason of a refusal.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> (api::Code, String) {
    let error = answer.expect_err("it must be refused");
    assert!(!error.message().is_empty());
    (error.code(), error.reason().to_owned())
}
