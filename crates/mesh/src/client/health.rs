//! Active health checks: each endpoint is asked by `grpc.health.v1` whether it takes calls, over the connection that calls use.
//!
//! NOT_SERVING is the server's own word and counts at once; silence and errors count when they repeat. A server that does not
//! know the method is taken for healthy, as gRPC does (A17): it answers. Checks rest while no calls are made.
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Limited};
use rand::RngExt;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{
    connection::Line,
    endpoint::{Endpoint, Health, Known},
    http2::Payload,
    upstream::Upstream,
};
use crate::{
    deadline, frame, observe,
    settings::HealthCheck,
    wire::{Fields, Value},
};

const METHOD: &str = "http://mesh/grpc.health.v1.Health/Check";
/// Largest answer that is read.
const ANSWER_MAX: usize = 1024;
/// `SERVING` of `grpc.health.v1.HealthCheckResponse`.
const SERVING: u64 = 1;

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Serving,
    NotServing,
    Silent,
}

/// Checks all endpoints again and again; ends when nobody calls any more, or the upstream is gone.
pub(super) async fn keep(upstream: Weak<Upstream>, settings: HealthCheck) {
    loop {
        let Some((service, endpoints)) = upstream.upgrade().and_then(|upstream| upstream.to_be_checked()) else {
            return;
        };
        join_all(endpoints.iter().map(|endpoint| check(&service, endpoint, &settings))).await;
        drop(endpoints);
        if let Some(upstream) = upstream.upgrade() {
            upstream.show();
        }
        let pause = settings.interval.get().mul_f64(rand::rng().random_range(0.9..=1.1));
        tokio::time::sleep(pause).await;
    }
}

async fn check(service: &str, endpoint: &Arc<Endpoint>, settings: &HealthCheck) {
    let asked = tokio::time::timeout(settings.timeout.get(), ask(endpoint, settings.timeout.get())).await;
    let finding = asked.unwrap_or(Finding::Silent);
    if finding == Finding::Silent {
        // It may be the connection that is dead: the next check, and the next call, open another one.
        endpoint.connection().renew();
    }
    let (before, after) = endpoint.note(|known| {
        let before = known.health;
        note(known, finding, settings);
        (before, known.health)
    });
    if finding != Finding::Serving {
        observe::health_check_failed(service);
    }
    let is_unhealthy = |health| matches!(health, Health::Unhealthy { .. });
    if is_unhealthy(before) != is_unhealthy(after) {
        let address = endpoint.connection().address();
        let healthy = !is_unhealthy(after);
        tracing::warn!(target: "mesh", service, address = %address, healthy, finding = ?finding, "health of an endpoint changed");
    }
}

fn note(known: &mut Known, finding: Finding, settings: &HealthCheck) {
    if finding != Finding::Serving {
        known.checks_failed += 1;
    }
    known.health = match (known.health, finding) {
        (_, Finding::NotServing) | (Health::Unhealthy { .. }, Finding::Silent) => Health::Unhealthy { successes: 0 },
        (Health::Unhealthy { successes }, Finding::Serving) if successes + 1 < settings.healthy_threshold => {
            Health::Unhealthy { successes: successes + 1 }
        }
        (_, Finding::Serving) => Health::Healthy { failures: 0 },
        (Health::Unchecked, Finding::Silent) if settings.unhealthy_threshold > 1 => Health::Healthy { failures: 1 },
        (Health::Healthy { failures }, Finding::Silent) if failures + 1 < settings.unhealthy_threshold => {
            Health::Healthy { failures: failures + 1 }
        }
        (_, Finding::Silent) => Health::Unhealthy { successes: 0 },
    };
}

/// One question. The caller bounds its time.
async fn ask(endpoint: &Arc<Endpoint>, timeout: Duration) -> Finding {
    let sender = match endpoint.connection().line() {
        Ok(Line::Open(sender)) => sender,
        Ok(Line::Opening(opening)) => match opening.opened().await {
            Ok(sender) => sender,
            Err(_) => return Finding::Silent,
        },
        Err(_) => return Finding::Silent,
    };
    // An empty message asks for the server as a whole.
    let message = Payload::Whole(frame::framed(&Bytes::new()));
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(METHOD);
    *request.version_mut() = http::Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    deadline::write(headers, timeout);
    // Over the connection, which is asked about as well.
    let Ok(response) = sender.requests.send(request, message, false).await else { return Finding::Silent };
    if let Some(status) = Status::from_header_map(response.headers()) {
        return without_message(status.code());
    }
    let Ok(body) = Limited::new(response.into_body(), ANSWER_MAX).collect().await else { return Finding::Silent };
    let status = body.trailers().and_then(Status::from_header_map);
    match status.map(|status| status.code()) {
        Some(Code::Ok) => read(&body.to_bytes()),
        Some(code) => without_message(code),
        None => Finding::Silent,
    }
}

fn without_message(code: Code) -> Finding {
    if code == Code::Unimplemented { Finding::Serving } else { Finding::Silent }
}

fn read(framed: &[u8]) -> Finding {
    let Some(message) = framed.get(frame::PREFIX..) else { return Finding::Silent };
    let serving = Fields::of(message).any(|field| field == Ok((1, Value::Varint(SERVING))));
    if serving { Finding::Serving } else { Finding::NotServing }
}

/// When an upstream was last used, and whether its checks run.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) used: Option<Instant>,
    pub(super) runs: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_when_it_repeats_and_the_servers_own_word_at_once() {
        let settings = HealthCheck { unhealthy_threshold: 2, healthy_threshold: 2, ..HealthCheck::default() };
        let mut known = Known::default();
        let unhealthy = |known: &Known| matches!(known.health, Health::Unhealthy { .. });
        let steps = [
            (Finding::Silent, false),
            (Finding::Serving, false),
            (Finding::Silent, false),
            (Finding::Silent, true),
            (Finding::Serving, true),
            (Finding::Silent, true),
            (Finding::Serving, true),
            (Finding::Serving, false),
            (Finding::NotServing, true),
        ];
        for (number, (finding, expected)) in steps.into_iter().enumerate() {
            note(&mut known, finding, &settings);
            assert_eq!(unhealthy(&known), expected, "step {number}: {finding:?}");
        }
    }

    #[test]
    fn an_answer_is_read() {
        assert_eq!(read(&[0, 0, 0, 0, 2, 8, 1]), Finding::Serving);
        assert_eq!(read(&[0, 0, 0, 0, 2, 8, 2]), Finding::NotServing);
        assert_eq!(read(&[0, 0, 0, 0, 0]), Finding::NotServing, "UNKNOWN");
        assert_eq!(read(&[0, 0]), Finding::Silent);
    }
}
