//! The limit of calls at work: above it a call is refused at once, before anything is done for it.
//!
//! Queueing instead would only move the wait to where nobody sees it; the client's backoff is the queue.
use std::{future::Future, sync::Arc, time::Duration};

use api::{Code, CommonReason, Error};
use http::Response;
use tokio::sync::Semaphore;
use tonic::{Status, body::Body};

use crate::body::Held;

/// When a refused caller shall come again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The places of one kind.
pub(crate) struct Limit {
    setting: &'static str,
    most: usize,
    places: Arc<Semaphore>,
}

impl Limit {
    /// So many, by the setting `mesh.<setting>`.
    pub(crate) fn new(setting: &'static str, most: usize) -> Self {
        Self { setting, most, places: Arc::new(Semaphore::new(most)) }
    }

    /// Runs the call below if there is room; the permit comes back with the response and is held until its body ends.
    pub(crate) async fn admitted(&self, next: impl Future<Output = Response<Body>>) -> (Response<Body>, Option<Held>) {
        let Self { setting, most, places } = self;
        let Ok(permit) = Arc::clone(places).try_acquire_owned() else {
            let message = format!(
                "this server has {most} calls of this kind at work, the most that mesh.{setting} allows; try again shortly"
            );
            let error = Error::new(Code::Unavailable, CommonReason::ServerOverloaded, message)
                .with("limit", *setting)
                .with("value", most.to_string())
                .with("setting", format!("mesh.{setting}"))
                .retry_after(RETRY_AFTER);
            return (Status::from(error).into_http(), None);
        };
        (next.await, Some(Box::new(permit)))
    }
}
