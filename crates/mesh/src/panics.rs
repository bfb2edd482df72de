//! A panic in a handler is one failed call, not a lost connection: INTERNAL, counted, logged with its text.
use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use api::Error;
use futures::FutureExt;
use http::Response;
use tonic::{Status, body::Body};

/// The text of a panic stays in the log.
#[derive(Debug, thiserror::Error)]
#[error("panic: {0}")]
struct Panic(String);

/// Turns a panic of the call below into INTERNAL.
pub(crate) async fn caught(next: impl Future<Output = Response<Body>>) -> Response<Body> {
    match AssertUnwindSafe(next).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => Status::from(Error::internal(Panic(text_of(panic.as_ref())))).into_http(),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without text".to_owned())
}
