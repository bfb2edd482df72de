//! Runs: create, get, list, cancel.
use std::time::Duration;

use api::{Caller, OrganizationId};

use super::{Attempt, Runs, cause, share};
use crate::{
    error::Error,
    events,
    model::{Draft, Listed, Position, Run, RunName, State, Window},
    store,
};

/// How long the delegation of a run outlives its two rounds: the engine may be away in between.
const MARGIN: Duration = Duration::from_hours(48);

impl Runs {
    /// Accepts a run and starts it in the engine. With the engine away it is accepted all the same, and started later.
    pub(crate) async fn create(&self, caller: &Caller, draft: Draft, attempt: &Attempt) -> Result<Run, Error> {
        // Asked before other services are, and again when it is written: no lock is held in between.
        if let Some(name) = attempt.replay(&self.db.tenant(caller).await?).await? {
            return self.get(caller, RunName::parse(&name)?).await;
        }
        let run = self.prepare(caller, draft).await?;
        match self.accept(caller, &run, attempt).await {
            Ok(None) => Ok(self.launch(run).await),
            Ok(Some(first)) => {
                self.discard(caller, &run).await;
                self.get(caller, RunName::parse(&first)?).await
            }
            Err(error) => {
                self.discard(caller, &run).await;
                Err(error)
            }
        }
    }

    /// Gets a run.
    pub(crate) async fn get(&self, caller: &Caller, name: RunName) -> Result<Run, Error> {
        let tx = self.db.tenant(caller).await?;
        let found = store::run::find(&tx, name, caller.user()).await?;
        Ok(caller.permit(found, share(caller), name)?.run)
    }

    /// Lists runs: all by role, else those that the caller created.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        window: Window,
    ) -> Result<Listed<Run>, Error> {
        let creator = if caller.granted() { None } else { Some(caller.user_required()?) };
        let tx = self.db.tenant(caller).await?;
        let rows = store::run::list(&tx, organization, creator, &window).await?;
        Ok(window.page(rows, |last| Position::of(last.create_time, last.name.run)))
    }

    /// Asks a run to end. It ends when the engine has seen to its tasks.
    pub(crate) async fn cancel(&self, caller: &Caller, name: RunName, attempt: &Attempt) -> Result<Run, Error> {
        let tx = self.db.tenant(caller).await?;
        if attempt.replay(&tx).await?.is_some() {
            drop(tx);
            return self.get(caller, name).await;
        }
        // The lock comes first: what is read after waiting for it must be what is.
        store::run::lock(&tx, name).await?;
        let found = store::run::find(&tx, name, caller.user()).await?;
        let run = caller.permit(found, share(caller), name)?.run;
        if run.is_closed() {
            return Err(Error::RunClosed);
        }
        let now = self.clock.now();
        store::run::cancel(&tx, name, now, now + self.lease()).await?;
        tx.remember(&attempt.request_id, &name.to_string());
        tx.commit().await?;
        if let Err(trouble) = self.engine.cancel(name).await {
            tracing::warn!(run = %name, error.message = %trouble, "the cancel waits for the relay");
        }
        Ok(run)
    }

    /// Checks everything that others know, and takes the delegation.
    async fn prepare(&self, caller: &Caller, draft: Draft) -> Result<Run, Error> {
        let creator = caller.user_required()?;
        let Draft { organization, id, approval } = draft;
        let name = RunName { organization, run: id.unwrap_or_else(|| self.ids.next()) };
        let pinned = self.peers.document(caller, approval.document).await?;
        let strangers = self.peers.strangers(organization, &approval.people(), caller.context()).await?;
        if let Some(stranger) = strangers.first() {
            let field = if approval.owner == Some(*stranger) { "owner" } else { "approvers" };
            let problem = format!("{} is not a member of the organization; name members", stranger.name());
            return Err(Error::InputInvalid { field, problem });
        }
        let now = self.clock.now();
        let delegation = self.peers.delegate(caller, name, now + approval.due_after * 2 + MARGIN).await?;
        Ok(Run {
            name,
            owner: approval.owner.unwrap_or(creator),
            approval,
            revision: pinned.revision,
            title: pinned.title,
            creator,
            delegation,
            cause: cause(caller.context()),
            state: State::Starting,
            outcome: None,
            error: String::new(),
            version: 1,
            create_time: now,
            end_time: None,
            cancel_time: None,
        })
    }

    /// Writes the run down; gives the first answer if the same request was answered meanwhile.
    async fn accept(&self, caller: &Caller, run: &Run, attempt: &Attempt) -> Result<Option<String>, Error> {
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = attempt.replay(&tx).await? {
            return Ok(Some(first));
        }
        let taken = |error: db::Error| match error.is_unique("runs_pkey") {
            true => Error::RunExists(run.name),
            false => Error::Store(error),
        };
        store::run::insert(&tx, run, run.create_time + self.lease()).await.map_err(taken)?;
        tx.publish(&events::run_started(run), run.name.run, run.version)?;
        tx.remember(&attempt.request_id, &run.name.to_string());
        tx.commit().await?;
        Ok(None)
    }

    /// Starts an accepted run; what fails here is repeated by the relay.
    async fn launch(&self, run: Run) -> Run {
        let context = self.context("launch", &run.cause);
        match self.start(&run, &context).await {
            Ok(()) => Run { state: State::Running, ..run },
            Err(error) => {
                tracing::warn!(run = %run.name, error.message = %error, "the start waits for the relay");
                run
            }
        }
    }

    /// Takes back what was prepared for a run that is not to be.
    async fn discard(&self, caller: &Caller, run: &Run) {
        if let Err(error) = self.peers.release(&run.delegation, caller.context()).await {
            tracing::warn!(run = %run.name, error.message = %error, "the delegation ends by its own time");
        }
    }
}
