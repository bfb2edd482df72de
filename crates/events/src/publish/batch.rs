//! Atomic batches (ADR-50 in nats-io/nats-architecture-and-design): up to 100 messages with one fsync.
//!
//! Needs NATS 2.12 and a stream with `allow_atomic`. Either all messages of a batch are stored, in their order, or none. The
//! server refuses a whole batch for one duplicate id, so after a crash, and on any doubt, the same rows go out singly, where a
//! duplicate counts as success.
use async_nats::{HeaderMap, Request, header};
use bytes::Bytes;
use db::OutboxRow;
use serde::Deserialize;

use super::subject_of;
use crate::{
    Broker, Error,
    envelope::{self, put},
    error::What,
};

/// Messages of one batch. The server takes 1,000 but keeps them in memory until the commit.
pub(crate) const BATCH: usize = 100;
/// Below this many rows single publishes are as fast.
const WORTHWHILE: usize = 8;

/// Answer to the last message of a batch.
#[derive(Deserialize)]
struct Committed {
    #[serde(default)]
    count: usize,
    #[serde(default)]
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Broker {
    /// Batches are known to this server, and these rows are enough for one.
    pub(super) fn suits_batch(&self, rows: &[OutboxRow]) -> bool {
        rows.len() >= WORTHWHILE && self.knows_batches()
    }

    /// The connected server knows atomic batches.
    pub(crate) fn knows_batches(&self) -> bool {
        self.0.client.is_server_compatible(2, 12, 0)
    }

    /// Publishes all rows as one batch.
    pub(super) async fn publish_batch(&self, rows: &[OutboxRow]) -> Result<(), Error> {
        let Some((last, rest)) = rows.split_last() else { return Ok(()) };
        let id = api::Ids::default().next().to_string();
        let client = &self.0.client;
        for (index, row) in rest.iter().enumerate() {
            let headers = self.batched(row, &id, index + 1);
            client
                .publish_with_headers(subject_of(self, row), headers, row.payload.clone())
                .await
                .what("publish in a batch")?;
        }
        let mut headers = self.batched(last, &id, rows.len());
        put(&mut headers, header::NATS_BATCH_COMMIT.as_ref(), header::NATS_BATCH_COMMIT_FINAL);
        let request = Request::new().headers(headers).payload(last.payload.clone());
        let answer = client.send_request(subject_of(self, last), request).await.what("commit a batch")?;
        read(&answer.payload, rows.len())
    }

    fn batched(&self, row: &OutboxRow, id: &str, sequence: usize) -> HeaderMap {
        let mut headers = envelope::headers(&self.0.service, row);
        put(&mut headers, header::NATS_BATCH_ID.as_ref(), id);
        put(&mut headers, header::NATS_BATCH_SEQUENCE.as_ref(), &sequence.to_string());
        headers
    }
}

/// Only an answer that counts every message says that the batch is stored.
fn read(answer: &Bytes, sent: usize) -> Result<(), Error> {
    let committed: Committed = serde_json::from_slice(answer).what("read the answer to a batch")?;
    match committed.error {
        Some(refused) => {
            Err(Error::Broker { what: "commit a batch", text: format!("{} {}", refused.err_code, refused.description) })
        }
        None if committed.count != sent => Err(Error::Broker {
            what: "commit a batch",
            text: format!("{} of {sent} messages are acknowledged", committed.count),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_count_is_a_success() {
        let answer = |text: &'static str| read(&Bytes::from_static(text.as_bytes()), 3);
        assert!(answer(r#"{"stream":"EVT_DOCUMENT","seq":9,"batch":"x","count":3}"#).is_ok());
        // A server that does not know batches stores each message by itself and acknowledges the last one.
        assert!(answer(r#"{"stream":"EVT_DOCUMENT","seq":9}"#).is_err());
        assert!(answer(r#"{"error":{"code":400,"err_code":10201,"description":"duplicate"}}"#).is_err());
        assert!(answer("").is_err());
    }
}
