//! The messages of a streaming call, whoever is at fault when they end: the service, which may have fallen silent, the
//! caller's own messages, or the connection, which may have to close.
use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::time::Instant;
use tonic::body::Body;

use super::Patience;
use crate::{call::inlet::Fault, refusal::Refusal, upstream::Messages};

type Opening = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// The messages of a call.
pub(crate) struct Source {
    state: State,
    /// Leading metadata; empty until it came.
    pub(crate) headers: HeaderMap,
    limit: usize,
    fault: Fault,
    patience: Patience,
    /// Since when the next message is waited for. Who is slow to ask for it is no silent service.
    since: Option<Instant>,
}

enum State {
    /// The headers are awaited.
    Opening(Opening),
    Open(Messages),
    /// The call was left.
    Left(HeaderMap),
}

impl Source {
    /// The messages of `call`, each at most `limit` bytes, for as long as there is `patience`.
    pub(crate) fn new(
        call: impl Future<Output = Response<Body>> + Send + 'static,
        limit: usize,
        fault: Fault,
        patience: Patience,
    ) -> Self {
        Self { state: State::Opening(Box::pin(call)), headers: HeaderMap::new(), limit, fault, patience, since: None }
    }

    /// The next message; `None` at a clean end. It may be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let (fault, patience, since) = self.waiting();
        let next = patience.wait(since, fault.or(self.read())).await?;
        self.since = None;
        next
    }

    /// Waits for the headers alone.
    pub(crate) async fn opened(&mut self) -> Result<(), Refusal> {
        let (fault, patience, since) = self.waiting();
        let opened = async {
            self.open().await;
            Ok(())
        };
        let opened = patience.wait(since, fault.or(opened)).await?;
        self.since = None;
        opened
    }

    fn waiting(&mut self) -> (Fault, Patience, Instant) {
        (self.fault.clone(), self.patience.clone(), *self.since.get_or_insert_with(Instant::now))
    }

    async fn open(&mut self) {
        if let State::Opening(call) = &mut self.state {
            let (headers, messages) = Messages::new(call.as_mut().await, self.limit);
            self.headers = headers;
            self.state = State::Open(messages);
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.open().await;
        match &mut self.state {
            State::Open(messages) => messages.next().await,
            State::Opening(_) | State::Left(_) => Ok(None),
        }
    }

    /// Trailing metadata, once the stream has ended.
    pub(crate) fn trailers(&self) -> &HeaderMap {
        match &self.state {
            State::Open(messages) => messages.trailers(),
            State::Left(trailers) => trailers,
            State::Opening(_) => &self.headers,
        }
    }

    /// Cancels the call.
    pub(crate) fn leave(&mut self) {
        self.state = State::Left(HeaderMap::new());
    }
}
