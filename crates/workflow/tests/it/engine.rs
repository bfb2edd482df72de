//! Temporal as its own client sees it.
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowDescribeOptions, WorkflowExecutionStatus,
    WorkflowFetchHistoryOptions, WorkflowHandle, WorkflowTerminateOptions,
};
use temporalio_common::UntypedWorkflow;
use testkit::Engine;

use crate::fixture::Fixture;

pub(crate) async fn connect(fixture: &Fixture) -> Client {
    let url = fixture.system.engine_url(Engine::Temporal);
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let target = Url::parse(&url).expect("engines give valid addresses");
    let connection = Connection::connect(ConnectionOptions::new(target).build()).await.expect("Temporal is up");
    Client::new(connection, ClientOptions::new("workos").build()).expect("it is connected")
}

/// Events of a run.
pub(crate) async fn history_length(client: &Client, run: &str) -> usize {
    let found = handle(client, run).describe(WorkflowDescribeOptions::default()).await;
    found.expect("the run is there").history_length()
}

/// Whether a run has not ended.
pub(crate) async fn is_open(client: &Client, run: &str) -> bool {
    let found = handle(client, run).describe(WorkflowDescribeOptions::default()).await;
    found.expect("the run is there").status() == WorkflowExecutionStatus::Running
}

/// Everything that happened in a run, as JSON.
pub(crate) async fn history(client: &Client, run: &str) -> Vec<u8> {
    let history = handle(client, run).fetch_history(WorkflowFetchHistoryOptions::default());
    history.to_json().await.expect("the run is there")
}

/// Ends a run without any of its steps.
pub(crate) async fn terminate(client: &Client, run: &str) {
    handle(client, run).terminate(WorkflowTerminateOptions::default()).await.expect("the run is there");
}

fn handle(client: &Client, run: &str) -> WorkflowHandle<Client, UntypedWorkflow> {
    let ids: Vec<_> = run.split('/').collect();
    client.get_workflow_handle(format!("{}.{}", ids[1], ids[3]))
}
