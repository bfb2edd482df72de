//! Writing dead letters, and what becomes of them.
//!
//! A dead letter is the original message, headers included, with the cause beside it, on stream `DLQ`. What becomes of it is
//! a second message, its mark, which can be written once: so redriving or discarding twice has one effect. The order is
//! publish, then mark: a crash between the two leaves the letter unmarked, and the second redrive carries the same message id
//! and the same event id, so broker or processed-event row drop it.
use async_nats::{HeaderMap, header, jetstream::context::PublishErrorKind};
use bytes::Bytes;

use crate::{
    Broker, Error,
    envelope::{ID, put, text},
    letters::Letter,
    metrics, settle, subject,
};

pub(crate) const CAUSE: &str = "workos-dead-cause";
pub(crate) const ATTEMPTS: &str = "workos-dead-attempts";
pub(crate) const ORIGIN_STREAM: &str = "workos-dead-stream";
pub(crate) const ORIGIN_SEQUENCE: &str = "workos-dead-sequence";
pub(crate) const ORIGIN_SUBJECT: &str = "workos-dead-subject";
const OF_DEATH: [&str; 5] = [CAUSE, ATTEMPTS, ORIGIN_STREAM, ORIGIN_SEQUENCE, ORIGIN_SUBJECT];
/// Sequence of the dead letter that a redriven message was.
const REDRIVEN_FROM: &str = "workos-redriven-from";

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Redriven,
    Discarded,
}

impl Mark {
    fn as_text(self) -> &'static str {
        match self {
            Self::Redriven => "REDRIVEN",
            Self::Discarded => "DISCARDED",
        }
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        [Self::Redriven, Self::Discarded].into_iter().find(|mark| mark.as_text().as_bytes() == text)
    }
}

/// A message that a consumer gave up on.
pub(crate) struct Corpse {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    pub(crate) stream: String,
    pub(crate) sequence: u64,
    pub(crate) attempts: u32,
}

impl Broker {
    /// Writes a dead letter and waits until the broker has it.
    pub(crate) async fn bury(&self, consumer: &str, corpse: Corpse, cause: &str) -> Result<(), Error> {
        let service = &self.0.service;
        let event = settle::event_of(&corpse.headers).to_owned();
        let mut headers = kept(&corpse.headers, &[]);
        // The same death is written once, also when the message comes again because its end was not confirmed.
        let id = format!("{event}#dead-{service}-{consumer}-{}-{}", corpse.stream, corpse.sequence);
        let sequence = corpse.sequence.to_string();
        let attempts = corpse.attempts.to_string();
        let of_death = [
            (header::NATS_MESSAGE_ID.as_ref(), id.as_str()),
            (header::NATS_EXPECTED_STREAM.as_ref(), subject::DEAD_LETTERS),
            (CAUSE, cause),
            (ATTEMPTS, &attempts),
            (ORIGIN_STREAM, &corpse.stream),
            (ORIGIN_SEQUENCE, &sequence),
            (ORIGIN_SUBJECT, &corpse.subject),
        ];
        for (name, value) in of_death {
            put(&mut headers, name, value);
        }
        let duplicate = self.send(subject::dead(service, consumer), headers, corpse.payload).await?;
        if !duplicate {
            metrics::dead_letter(service, consumer, &event, cause);
        }
        Ok(())
    }

    /// Sends a dead letter to its consumer again, under the same event id. False when it was redriven or discarded before.
    pub(crate) async fn redrive(&self, letter: &Letter) -> Result<bool, Error> {
        if letter.mark.is_some() {
            return Ok(false);
        }
        let stream = text(&letter.headers, ORIGIN_STREAM);
        let Some(publisher) = subject::publisher(stream) else { return Ok(false) };
        let lane = text(&letter.headers, ORIGIN_SUBJECT).rsplit('.').next().unwrap_or("0").to_owned();
        let mut headers = kept(&letter.headers, &OF_DEATH);
        // The dead letter's sequence is the <n>: one letter gives one id however often it is redriven, and the letters of
        // two consumers, or of a second death, give different ones.
        let id = format!("{}#redrive-{}", text(&letter.headers, ID), letter.sequence);
        put(&mut headers, header::NATS_MESSAGE_ID.as_ref(), &id);
        put(&mut headers, header::NATS_EXPECTED_STREAM.as_ref(), stream);
        put(&mut headers, REDRIVEN_FROM, &letter.sequence.to_string());
        let subject = subject::redrive(&publisher, &self.0.service, &letter.consumer, &lane);
        self.send(subject, headers, letter.payload.clone()).await?;
        self.mark(letter, Mark::Redriven).await
    }

    /// Marks a dead letter as done with. False when it was redriven or discarded before.
    pub(crate) async fn discard(&self, letter: &Letter) -> Result<bool, Error> {
        if letter.mark.is_some() { Ok(false) } else { self.mark(letter, Mark::Discarded).await }
    }

    async fn mark(&self, letter: &Letter, mark: Mark) -> Result<bool, Error> {
        let subject = subject::dead_state(&self.0.service, &letter.consumer, letter.sequence);
        let mut headers = HeaderMap::new();
        put(&mut headers, header::NATS_EXPECTED_STREAM.as_ref(), subject::DEAD_LETTERS);
        put(&mut headers, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE.as_ref(), "0");
        match self.send(subject, headers, Bytes::from_static(mark.as_text().as_bytes())).await {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.kind == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

/// Headers that travel on: all but the broker's own, which told it how to treat the message that time (id, batch, position).
fn kept(headers: &HeaderMap, without: &[&str]) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let text: &str = name.as_ref();
        if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-")) || without.contains(&text) {
            continue;
        }
        if let Some(value) = values.first() {
            kept.insert(name.clone(), value.clone());
        }
    }
    kept
}
