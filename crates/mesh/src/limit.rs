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

/// Runs the call below if there is room; the permit comes back with the response and is held until its body ends.
pub(crate) async fn admitted(
    limit: &Arc<Semaphore>,
    most: usize,
    next: impl Future<Output = Response<Body>>,
) -> (Response<Body>, Option<Held>) {
    match Arc::clone(limit).try_acquire_owned() {
        Ok(permit) => (next.await, Some(Box::new(permit))),
        Err(_) => {
            let message = format!(
                "this server has {most} calls at work, the most that mesh.concurrency allows; try again shortly"
            );
            let error = Error::new(Code::Unavailable, CommonReason::ServerOverloaded, message)
                .with("limit", "concurrency")
                .with("value", most.to_string())
                .with("setting", "mesh.concurrency")
                .retry_after(RETRY_AFTER);
            (Status::from(error).into_http(), None)
        }
    }
}
