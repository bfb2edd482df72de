//! The net below our own attempt limit: messages that reached the broker's delivery limit.
//!
//! After that limit JetStream neither redelivers nor acknowledges; the message just stays. It happens when a dead letter could
//! not be written, or a process died with the event each time. The advisory names the message, which is fetched by its sequence
//! and buried.
use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{AckPolicy, PullConsumer, pull},
    stream::RawMessageErrorKind,
};
use futures::StreamExt;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{Error, consume::Station, dead::Corpse, error::What, settle, subject};

const BATCH: usize = 16;
const HEARTBEAT: Duration = Duration::from_secs(10);
const REOPEN: Duration = Duration::from_secs(2);

/// `io.nats.jetstream.advisory.v1.max_deliver`, as far as it is used.
#[derive(Deserialize)]
struct Advisory {
    stream_seq: u64,
    deliveries: u32,
}

impl Station {
    /// Buries what the broker gave up on, until `shutdown`.
    pub(crate) async fn watch_advisories(&self, shutdown: CancellationToken) {
        let watch = async {
            loop {
                if let Err(error) = self.bury_given_up().await {
                    tracing::info!(%error, consumer = self.durable, "the watch over the broker's delivery limit begins again");
                }
                tokio::time::sleep(REOPEN).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = watch => {}
        }
    }

    async fn bury_given_up(&self) -> Result<(), Error> {
        self.broker.ensure_streams(self.publisher).await?;
        let config = pull::Config {
            durable_name: Some(format!("{}-{}", self.durable, self.publisher)),
            filter_subject: format!("{}.{}.{}", subject::MAX_DELIVERIES, self.stream, self.durable),
            ack_policy: AckPolicy::Explicit,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = self
            .broker
            .0
            .jetstream
            .create_consumer_on_stream(config, subject::ADVISORIES)
            .await
            .what("set up the watch over advisories")?;
        let mut advisories = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .what("subscribe to advisories")?;
        while let Some(advisory) = advisories.next().await {
            let advisory = advisory.what("read an advisory")?;
            self.bury_named(&advisory).await?;
            self.confirm(&advisory, AckKind::Ack).await;
        }
        Ok(())
    }

    async fn bury_named(&self, message: &Message) -> Result<(), Error> {
        let Ok(advisory) = serde_json::from_slice::<Advisory>(&message.payload) else {
            tracing::warn!(consumer = self.durable, "an advisory could not be read");
            return Ok(());
        };
        let stream = self.broker.0.jetstream.get_stream_no_info(&self.stream).await.what("name a stream")?;
        let given_up = match stream.get_raw_message(advisory.stream_seq).await {
            Ok(given_up) => given_up,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                tracing::warn!(
                    consumer = self.durable,
                    sequence = advisory.stream_seq,
                    "an event expired before it could be buried"
                );
                return Ok(());
            }
            Err(error) => return Err(error).what("read a message"),
        };
        let cause = format!("MAX_DELIVERIES: {} deliveries without an acknowledgment", advisory.deliveries);
        tracing::debug!(event = settle::event_of(&given_up.headers), cause, "the broker gave up");
        let corpse = Corpse {
            subject: given_up.subject.to_string(),
            headers: given_up.headers,
            payload: given_up.payload,
            stream: self.stream.clone(),
            sequence: advisory.stream_seq,
            attempts: advisory.deliveries,
        };
        self.broker.bury(self.consumer.name, corpse, &cause).await
    }
}
