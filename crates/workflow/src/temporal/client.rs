//! The client: connects when it is first needed, reconnects by itself, and never waits longer than the settings say.
//!
//! Names: a run is the workflow `<organization id>.<run id>`. That makes a start that is repeated, from wherever, the same start.
use std::time::Duration;

use chassis::ConfigError;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, RegisterNamespaceOptions, RetryOptions, Url,
    WorkflowCancelOptions, WorkflowDescribeOptions, WorkflowExecuteUpdateOptions, WorkflowExecutionStatus,
    WorkflowHandle, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions, WorkflowTerminateOptions,
    errors::{WorkflowInteractionError, WorkflowStartError, WorkflowUpdateError},
    tonic::{Code, IntoRequest as _, Status},
};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, RegisterNamespaceRequest,
};
use tokio::{sync::OnceCell, time::timeout};

use super::Trouble;
use crate::{
    flow::{Approval, Input, Refusal, Vote},
    model::RunName,
};

/// Where Temporal is and how to use it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) namespace: String,
    pub(crate) task_queue: String,
    pub(crate) timeout: Duration,
    /// Of a namespace that we make.
    pub(crate) retention: Duration,
}

/// The engine of this deployment.
pub(crate) struct Engine {
    pub(super) settings: Settings,
    target: Url,
    client: OnceCell<Client>,
}

impl Engine {
    /// An engine that is not connected yet.
    pub(crate) fn new(settings: Settings) -> Result<Self, ConfigError> {
        let with_scheme = match settings.url.contains("://") {
            true => settings.url.clone(),
            false => format!("http://{}", settings.url),
        };
        let target = Url::parse(&with_scheme).map_err(|error| {
            ConfigError::new(format!("engines.temporal.url is no URL ({error}); write http://host:port"))
        })?;
        Ok(Self { settings, target, client: OnceCell::new() })
    }

    /// Starts a run. One that was started before, also one that has ended since, is as wanted.
    pub(crate) async fn start(&self, input: &Input) -> Result<(), Trouble> {
        let id = format!("{}.{}", input.job.organization, input.job.run);
        let options = WorkflowStartOptions::new(self.settings.task_queue.clone(), id)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .build();
        self.within(async {
            match self.client().await?.start_workflow(Approval::run, input.clone(), options).await {
                Ok(_) | Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(()),
                Err(error) => Err(Trouble::Away(error.to_string())),
            }
        })
        .await
    }

    /// Hands a vote to a run, and returns when it is written down. The same vote is taken once.
    pub(crate) async fn decide(&self, run: RunName, vote: &Vote) -> Result<(), Trouble> {
        let options = WorkflowExecuteUpdateOptions::builder().update_id(vote.id.to_string()).build();
        self.within(async {
            let handle = self.handle(run).await?;
            handle.execute_update(Approval::decide, vote.clone(), options).await.map_err(|error| match error {
                WorkflowUpdateError::NotFound(status) => gone(&status),
                WorkflowUpdateError::Failed(failure) => match Refusal::parse(&failure.message) {
                    Some(refusal) => Trouble::Refused(refusal),
                    None => Trouble::Away(failure.message),
                },
                error => Trouble::Away(error.to_string()),
            })
        })
        .await
    }

    /// Asks a run to end.
    pub(crate) async fn cancel(&self, run: RunName) -> Result<(), Trouble> {
        self.within(async {
            let handle = self.handle(run).await?;
            handle.cancel(WorkflowCancelOptions::default()).await.map_err(interaction)
        })
        .await
    }

    /// Ends a run without any of its steps.
    pub(crate) async fn terminate(&self, run: RunName) -> Result<(), Trouble> {
        let options = WorkflowTerminateOptions::builder().reason("its organization is gone for good").build();
        self.within(async { self.handle(run).await?.terminate(options).await.map_err(interaction) }).await
    }

    /// Makes sure that a run is open.
    pub(crate) async fn find(&self, run: RunName) -> Result<(), Trouble> {
        self.within(async {
            let handle = self.handle(run).await?;
            let found = handle.describe(WorkflowDescribeOptions::default()).await.map_err(interaction)?;
            match found.status() {
                WorkflowExecutionStatus::Running => Ok(()),
                _ => Err(Trouble::Gone),
            }
        })
        .await
    }

    /// Makes sure that Temporal answers and has the namespace.
    pub(crate) async fn probe(&self) -> Result<(), Trouble> {
        self.within(async { describe(self.client().await?.connection(), &self.settings.namespace).await.map_err(away) })
            .await
    }

    /// The connected client; connects when there is none yet.
    pub(super) async fn client(&self) -> Result<&Client, Trouble> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client, Trouble> {
        // Retries are the callers', who know how long it is worth it.
        let options = ConnectionOptions::new(self.target.clone())
            .identity("workos-workflow")
            .connect_timeout(self.settings.timeout)
            .retry_options(RetryOptions::builder().max_elapsed_time(Some(self.settings.timeout)).build())
            .build();
        let connection = Connection::connect(options).await.map_err(|error| Trouble::Away(error.to_string()))?;
        self.ensure_namespace(&connection).await.map_err(away)?;
        let options = ClientOptions::new(self.settings.namespace.clone()).build();
        Client::new(connection, options).map_err(|error| Trouble::Away(error.to_string()))
    }

    async fn ensure_namespace(&self, connection: &Connection) -> Result<(), Status> {
        let name = &self.settings.namespace;
        match describe(connection, name).await {
            Err(status) if status.code() == Code::NotFound => {}
            other => return other,
        }
        let request: RegisterNamespaceRequest = RegisterNamespaceOptions::builder()
            .namespace(name.clone())
            .description("Runs of the workflow service")
            .workflow_execution_retention_period(self.settings.retention)
            .build()
            .into();
        match connection.workflow_service().register_namespace(request.into_request()).await {
            Err(status) if status.code() != Code::AlreadyExists => Err(status),
            _ => Ok(()),
        }
    }

    async fn handle(&self, run: RunName) -> Result<WorkflowHandle<Client, Approval>, Trouble> {
        let id = format!("{}.{}", run.organization, run.run);
        Ok(self.client().await?.get_workflow_handle(id))
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let late = |_| Trouble::Away(format!("no answer within {:?}", self.settings.timeout));
        timeout(self.settings.timeout, work).await.map_err(late)?
    }
}

async fn describe(connection: &Connection, namespace: &str) -> Result<(), Status> {
    let request = DescribeNamespaceRequest { namespace: namespace.to_owned(), ..Default::default() };
    connection.workflow_service().describe_namespace(request.into_request()).await.map(drop)
}

fn interaction(error: WorkflowInteractionError) -> Trouble {
    match error {
        WorkflowInteractionError::NotFound(status) => gone(&status),
        error => Trouble::Away(error.to_string()),
    }
}

/// A namespace that was just made is not found everywhere at once; that says nothing about the run.
fn gone(status: &Status) -> Trouble {
    if status.message().starts_with("Namespace") { Trouble::Away(status.message().to_owned()) } else { Trouble::Gone }
}

fn away(status: Status) -> Trouble {
    Trouble::Away(format!("{:?}: {}", status.code(), status.message()))
}
