//! Reading dead letters: newest first, by sequence, and with their marks.
//!
//! JetStream reads forward only, except for one request: "the last message per subject up to a sequence" (ADR-31, batched
//! direct get, server 2.11). Asked again and again with a falling sequence it gives a service's letters from new to old, at
//! the price of one message per consumer and step. The same request reads all marks of a page at once.
use std::{collections::HashMap, time::Duration};

use async_nats::{HeaderMap, jetstream::message::StreamMessage};
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    Broker, Envelope, Error,
    dead::{ATTEMPTS, CAUSE, Mark},
    envelope::text,
    error::What,
    subject,
};

/// Subjects of one batched get; the server refuses more than 1,024.
const SUBJECTS: usize = 512;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// One dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) sequence: u64,
    pub(crate) consumer: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    pub(crate) time: OffsetDateTime,
    pub(crate) mark: Option<Mark>,
}

#[derive(Serialize)]
struct LastPerSubject<'a> {
    multi_last: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to_seq: Option<u64>,
}

impl Broker {
    /// Up to `limit` letters of this service at or below `up_to`, newest first. `consumer` `*` means all consumers.
    pub(crate) async fn letters(&self, consumer: &str, up_to: u64, limit: usize) -> Result<Vec<Letter>, Error> {
        self.ensure_dead_letters().await?;
        let subjects = [subject::dead(&self.0.service, consumer)];
        let mut letters = Vec::new();
        let mut up_to = up_to;
        while letters.len() < limit && up_to > 0 {
            let found = self.last_per_subject(&subjects, Some(up_to).filter(|&up_to| up_to < u64::MAX)).await?;
            let Some(newest) = found.into_iter().max_by_key(|message| message.sequence) else { break };
            up_to = newest.sequence - 1;
            letters.extend(self.letter(newest));
        }
        self.read_marks(&mut letters).await?;
        Ok(letters)
    }

    /// The letters with these sequences, marks read; what does not exist or belongs to another service is left out.
    pub(crate) async fn letters_at(&self, sequences: &[u64]) -> Result<Vec<Letter>, Error> {
        self.ensure_dead_letters().await?;
        let stream = self.0.jetstream.get_stream_no_info(subject::DEAD_LETTERS).await.what("name a stream")?;
        let mut letters = Vec::new();
        for &sequence in sequences {
            match stream.direct_get(sequence).await {
                Ok(message) => letters.extend(self.letter(message)),
                Err(error) if error.kind() == async_nats::jetstream::stream::DirectGetErrorKind::NotFound => {}
                Err(error) => return Err(error).what("read a dead letter"),
            }
        }
        self.read_marks(&mut letters).await?;
        Ok(letters)
    }

    /// The letter in a message of the stream; `None` for a mark or another service's.
    fn letter(&self, message: StreamMessage) -> Option<Letter> {
        let consumer = subject::dead_consumer(&self.0.service, &message.subject)?.to_owned();
        let StreamMessage { sequence, headers, payload, time, .. } = message;
        Some(Letter { sequence, consumer, headers, payload, time, mark: None })
    }

    async fn read_marks(&self, letters: &mut [Letter]) -> Result<(), Error> {
        let mut marks = HashMap::new();
        let subject = |letter: &Letter| subject::dead_state(&self.0.service, &letter.consumer, letter.sequence);
        for part in letters.chunks(SUBJECTS) {
            let subjects: Vec<String> = part.iter().map(subject).collect();
            for message in self.last_per_subject(&subjects, None).await? {
                marks.insert(message.subject.to_string(), Mark::parse(&message.payload));
            }
        }
        for letter in letters {
            letter.mark = marks.get(&subject(letter)).copied().flatten();
        }
        Ok(())
    }

    /// The last message of each subject, wildcards expanded by the server, at or below a sequence.
    async fn last_per_subject(&self, subjects: &[String], up_to: Option<u64>) -> Result<Vec<StreamMessage>, Error> {
        let client = &self.0.client;
        let inbox = client.new_inbox();
        let request =
            serde_json::to_vec(&LastPerSubject { multi_last: subjects, up_to_seq: up_to }).what("write a request")?;
        let mut answers = client.subscribe(inbox.clone()).await.what("subscribe to an answer")?;
        let subject = format!("$JS.API.DIRECT.GET.{}", subject::DEAD_LETTERS);
        client.publish_with_reply(subject, inbox, request.into()).await.what("read dead letters")?;
        let mut found = Vec::new();
        loop {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, answers.next()).await.what("read dead letters")?;
            let Some(answer) = answer else { return Ok(found) };
            match answer.status {
                // 204 ends the batch, 404 says that there is none.
                Some(status) if [204, 404].contains(&status.as_u16()) => return Ok(found),
                Some(status) if !status.is_success() => {
                    let text = format!("{status} {}", answer.description.unwrap_or_default());
                    return Err(Error::Broker { what: "read dead letters", text });
                }
                _ => found.push(StreamMessage::try_from(answer).what("read a dead letter")?),
            }
        }
    }
}

impl Letter {
    pub(crate) fn name(&self) -> String {
        format!("deadLetters/{}", self.sequence)
    }

    /// As operators see it.
    pub(crate) fn render(&self) -> proto::events::v1::DeadLetter {
        use proto::events::v1::dead_letter::State;
        let state = match self.mark {
            None => State::Dead,
            Some(Mark::Redriven) => State::Redriven,
            Some(Mark::Discarded) => State::Discarded,
        };
        proto::events::v1::DeadLetter {
            name: self.name(),
            envelope: Envelope::read(&self.headers).ok().map(|envelope| envelope.render()),
            consumer: self.consumer.clone(),
            cause: text(&self.headers, CAUSE).to_owned(),
            attempts: text(&self.headers, ATTEMPTS).parse().unwrap_or_default(),
            create_time: Some(api::timestamp(self.time)),
            state: state.into(),
        }
    }
}

/// The sequence in `deadLetters/{sequence}`.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("deadLetters/")?;
    let canonical = !digits.starts_with('0') && digits.bytes().all(|letter| letter.is_ascii_digit());
    digits.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(parse_name("deadLetters/17"), Some(17));
        for name in [
            "",
            "17",
            "deadLetters/",
            "deadLetters/0",
            "deadLetters/017",
            "deadLetters/+17",
            "deadLetters/-",
            "deadLetters/99999999999999999999999",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
