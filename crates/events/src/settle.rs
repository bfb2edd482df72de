//! One message from arrival to its end: read, handled, and then acknowledged, delayed or buried.
//!
//! An acknowledgment is confirmed by the broker. When the confirmation fails the message comes again, which is harmless: the
//! effect and its processed-event row have committed together.
use std::{panic::AssertUnwindSafe, pin::pin, time::Instant};

use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use futures::FutureExt;
use tracing::Instrument;

use crate::{
    Delivery, Envelope, Error, Outcome,
    broker::age,
    consume::Station,
    dead::Corpse,
    envelope::{AGGREGATE_ID, ID, text},
    error::What,
    metrics,
    outcome::{ATTEMPTS, Fate, fate},
};

/// Confirmations asked for before the message is left to come again.
const CONFIRM_TRIES: usize = 3;
/// Delay when even the dead letter could not be written.
const UNBURIED: std::time::Duration = std::time::Duration::from_secs(5);

/// What serializes messages: the aggregate. A message without one stands for itself.
pub(crate) fn key(message: &Message) -> u128 {
    let aggregate = message.headers.as_ref().and_then(|headers| text(headers, AGGREGATE_ID).parse::<api::Id>().ok());
    aggregate.map_or_else(|| u128::from(position(message).1), |aggregate| aggregate.uuid().as_u128())
}

/// Sends an acknowledgment of any kind without waiting for the broker to confirm it.
pub(crate) async fn tell(message: &Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        tracing::debug!(%error, "acknowledgment not sent");
    }
}

/// Attempt (from 1) and stream sequence.
fn position(message: &Message) -> (u32, u64) {
    message
        .info()
        .map_or((1, 0), |info| (u32::try_from(info.delivered).unwrap_or(u32::MAX).max(1), info.stream_sequence))
}

impl Station {
    /// Brings one message to its end.
    pub(crate) async fn settle(&self, message: Message) {
        let (attempt, sequence) = position(&message);
        let headers = message.headers.clone().unwrap_or_default();
        let fate = match Envelope::read(&headers) {
            Ok(envelope) => {
                let span = tracing::info_span!(
                    "consume",
                    otel.kind = "consumer",
                    consumer = self.durable,
                    event = %envelope.event_id,
                    event_type = envelope.kind,
                    http.request.id = envelope.request_id,
                    attempt,
                );
                // One trace id finds a request in the log of every service it touched (docs/adr/0021).
                if let Some(cause) = api::Trace::parse(&envelope.traceparent) {
                    cause.adopt(&span);
                }
                self.decide(envelope, &message, attempt).instrument(span).await
            }
            Err(header) => Fate::Bury(format!("MALFORMED: header {header} is missing or wrong")),
        };
        match fate {
            Fate::Acknowledge => self.confirm(&message, AckKind::Ack).await,
            Fate::Again(delay) => self.confirm(&message, AckKind::Nak(Some(delay))).await,
            Fate::Bury(cause) => {
                let corpse = Corpse {
                    subject: message.subject.to_string(),
                    headers,
                    payload: message.payload.clone(),
                    stream: self.stream.clone(),
                    sequence,
                    attempts: attempt,
                };
                match self.broker.bury(self.consumer.name, corpse, &cause).await {
                    Ok(()) => self.confirm(&message, AckKind::Term).await,
                    Err(error) => {
                        tracing::warn!(%error, consumer = self.durable, sequence, "a dead letter could not be written; the event is kept");
                        self.confirm(&message, AckKind::Nak(Some(UNBURIED))).await;
                    }
                }
            }
        }
    }

    async fn decide(&self, envelope: Envelope, message: &Message, attempt: u32) -> Fate {
        let (service, consumer) = (&self.broker.0.service, self.consumer.name);
        metrics::delivered(service, consumer, attempt, age(envelope.time));
        let known = self.consumer.types[self.publisher].contains(&envelope.kind.as_str());
        // More deliveries than answers: the process died while it handled this event, each time. It is not tried again.
        if known && attempt > ATTEMPTS {
            return Fate::Bury(format!("delivered {attempt} times without an answer"));
        }
        let begun = Instant::now();
        let outcome = if known {
            let delivery = Delivery { envelope, payload: message.payload.clone(), attempt };
            self.handle(delivery, message).await
        } else {
            Outcome::Hold(format!("type {}", envelope.kind))
        };
        metrics::handled(service, consumer, outcome.label(), begun.elapsed());
        if let Outcome::Hold(what) = &outcome {
            tracing::warn!(consumer, what, "an event is held for a newer version of the service");
        }
        fate(outcome, attempt, rand::random_range(0.0..1.0))
    }

    /// Runs the handler, tells the broker meanwhile that work goes on, and turns a panic or an overrun into another try.
    async fn handle(&self, delivery: Delivery, message: &Message) -> Outcome {
        let handled = AssertUnwindSafe(async { self.handler.handle(delivery).await }).catch_unwind();
        let mut handled = pin!(tokio::time::timeout(self.consumer.time_limit, handled));
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + self.beat(), self.beat());
        loop {
            tokio::select! {
                result = &mut handled => return match result {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(_)) => {
                        tracing::error!(consumer = self.durable, "a handler panicked; the event is tried again");
                        Outcome::retry()
                    }
                    Err(_) => {
                        tracing::warn!(consumer = self.durable, limit = ?self.consumer.time_limit, "a handler exceeded its time; the event is tried again");
                        Outcome::retry()
                    }
                },
                _ = beat.tick() => tell(message, AckKind::Progress).await,
            }
        }
    }

    pub(crate) async fn confirm(&self, message: &Message, kind: AckKind) {
        let mut problem = None;
        for _ in 0..CONFIRM_TRIES {
            match self.ask(message, kind).await {
                Ok(()) => return,
                Err(error) => problem = Some(error),
            }
        }
        if let Some(error) = problem {
            metrics::unconfirmed(&self.broker.0.service, self.consumer.name, &error.to_string());
        }
    }

    async fn ask(&self, message: &Message, kind: AckKind) -> Result<(), Error> {
        let Some(reply) = message.reply.clone() else { return Ok(()) };
        self.broker.0.client.request(reply, Bytes::from(kind)).await.map(|_| ()).what("acknowledge")
    }
}

/// The id a message is known by, for logs.
pub(crate) fn event_of(headers: &async_nats::HeaderMap) -> &str {
    text(headers, ID)
}
