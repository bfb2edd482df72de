//! The tries of one call: each at an endpoint of its own, as long as repeating is safe, in time, and on the budget.
use std::{sync::Arc, time::Duration};

use api::Error;
use http::{Request, Response, StatusCode};
use proto::Method;
use tokio::time::Instant;
use tonic::{Status, body::Body};

use super::{
    Channel, Permit, answer,
    connection::{Line, Sender},
    endpoint::Endpoint,
    fault::{self, Failure, Outcome, Reach},
    flight::{Answer, Flight},
    http2::{Failed, Incoming, Payload},
    request::Ready,
    retry,
};
use crate::observe;

impl Channel {
    /// Tries until there is an answer that counts. `permit` is kept by the caller until the body has ended.
    pub(super) async fn tried(
        &self,
        method: Option<&Method>,
        mut ready: Ready,
        deadline: Instant,
        permit: &mut Option<Permit>,
    ) -> Response<Body> {
        let (upstream, retries) = (&self.upstream, &self.inner.settings.retries);
        let streams = method.is_some_and(|method| !method.is_unary());
        match upstream.circuit.request(streams) {
            Ok(place) => *permit = Some(place),
            Err(failure) => return answer(failure.error),
        }
        upstream.budget.earn(retries.budget_percent);
        let most = if ready.is_repeatable() && method.is_some() { self.inner.tries() } else { 1 };
        let repeats = |reach| {
            reach != Reach::Held && method.is_some_and(|method| retry::may_repeat(method, reach == Reach::Unsent))
        };
        let (mut tries, mut tried) = (0, Vec::new());
        // Held until the end of this call's tries, and by one of them at a time.
        let mut retrying: Option<Permit> = None;
        loop {
            tries += 1;
            let patience = retries.per_try_timeout.get();
            let is_short = tries < most && !patience.is_zero() && repeats(Reach::Sent);
            let until = if is_short { deadline.min(Instant::now() + patience) } else { deadline };
            let Some(request) = ready.request(until, tries >= most) else {
                return answer(Error::fault("a stream can be sent only once"));
            };
            let (response, reach, asked) = match self.one_try((request, streams), &mut tried, until, deadline).await {
                Ok(response) => match refusal(&response) {
                    None => return response,
                    Some((reach, asked)) => (response, reach, asked),
                },
                // The hint of our own error is for the caller, not for us.
                Err(failure) => (answer(failure.error), failure.reach, None),
            };
            if tries >= most || !repeats(reach) {
                return response;
            }
            let wait = retry::wait(retries, tries, asked);
            if Instant::now() + wait >= deadline {
                return response;
            }
            // What reached no server burdens none: only what may be a second time of work is counted.
            if reach == Reach::Sent {
                drop(retrying.take());
                retrying = upstream.budget.take(retries, upstream.circuit.running());
                if retrying.is_none() {
                    observe::budget_empty(upstream.service());
                    return response;
                }
            }
            observe::retried(upstream.service(), reach == Reach::Unsent);
            tokio::time::sleep(wait).await;
        }
    }

    async fn one_try(
        &self,
        (request, streams): ((Request<()>, Payload), bool),
        tried: &mut Vec<Arc<Endpoint>>,
        until: Instant,
        deadline: Instant,
    ) -> Result<Response<Body>, Failure> {
        let endpoint = self.upstream.pick(tried).await?;
        tried.push(Arc::clone(&endpoint));
        // A patience of our own choice is a measure of the server; a caller's is one only if it is long enough.
        let timeout_min = self.inner.settings.outlier_detection.timeout_min.get();
        let proof = if until < deadline { Duration::ZERO } else { timeout_min };
        let flight = Flight::begin(&self.upstream, (endpoint, streams), until, proof);
        if until == deadline {
            return send(request, flight).await;
        }
        tokio::time::timeout_at(until, send(request, flight)).await.unwrap_or_else(|_| {
            let away = format_args!("the {} service (it did not answer one try in time)", self.upstream.service());
            Err(Failure { reach: Reach::Sent, error: Error::unavailable(away) })
        })
    }
}

/// Sends one request. One that the connection gives back unsent, because it was closing just then, goes over a new one.
async fn send(mut request: (Request<()>, Payload), mut flight: Flight) -> Result<Response<Body>, Failure> {
    let mut again = true;
    loop {
        let sender = match sender(&flight).await {
            Ok(sender) => sender,
            Err(failure) => {
                // It never left: how long that took says nothing of this endpoint's answers.
                flight.ended(Outcome::Unclear);
                return Err(failure);
            }
        };
        let attempt = sender.attempt;
        let (code, reach, outcome, error) = match sender.requests.send(request.0, request.1, flight.is_unary()).await {
            Ok(response) => return Ok(received(response, flight)),
            Err(Failed::Unsent(back, _)) if std::mem::take(&mut again) => {
                flight.connection().retire(attempt);
                request = *back;
                continue;
            }
            Err(Failed::Unsent(_, error)) => (api::Code::Unavailable, Reach::Unsent, Outcome::Unclear, error),
            Err(Failed::Lost(error)) => {
                let (code, reach, outcome) = fault::read(&error);
                (code, reach, outcome, error)
            }
        };
        flight.ended(outcome);
        return Err(Failure { reach, error: fault::error(flight.upstream().service(), code, error) });
    }
}

/// The open connection of the endpoint; a call that has to wait for it takes a place among those that wait.
async fn sender(flight: &Flight) -> Result<Sender, Failure> {
    let away = |error| fault::error(flight.upstream().service(), api::Code::Unavailable, error);
    let opening = match flight.connection().line() {
        Ok(Line::Open(sender)) => return Ok(sender),
        Ok(Line::Opening(opening)) => opening,
        Err(error) => {
            return Err(Failure { reach: Reach::Unsent, error: away(Arc::new(error)) });
        }
    };
    let _place = flight.upstream().circuit.pending()?;
    opening.opened().await.map_err(|error| Failure { reach: Reach::Unsent, error: away(error) })
}

/// Takes the beginning of an answer. One that is no gRPC was given by a proxy on the way.
fn received(response: Response<Incoming>, mut flight: Flight) -> Response<Body> {
    flight.ended_by(response.headers());
    flight.answered();
    if response.status() != StatusCode::OK && !response.headers().contains_key("grpc-status") {
        let error = fault::no_grpc(flight.upstream().service(), response.status());
        flight.ended(if error.code() == api::Code::Unavailable { Outcome::Failed } else { Outcome::Unclear });
        return answer(error);
    }
    response.map(|body| Body::new(Answer::new(body, flight)))
}

/// What an answer that says UNAVAILABLE at once leaves behind: how far the call came, and the wait that the server asks for.
fn refusal(response: &Response<Body>) -> Option<(Reach, Option<Duration>)> {
    if response.headers().get("grpc-status").is_none_or(|code| code != "14") {
        return None;
    }
    let error = Error::from_status(&Status::from_header_map(response.headers())?);
    // The limit stands behind that server, and another try would meet it again.
    let reach = if error.reason() == "UPSTREAM_OVERLOADED" { Reach::Held } else { Reach::Sent };
    Some((reach, error.retry_delay()))
}
