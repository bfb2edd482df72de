//! Set-up of streams. Whoever needs one first creates it; only the publisher changes its own afterwards.
use std::time::Duration;

use async_nats::jetstream::{
    context::CreateStreamErrorKind,
    stream::{Config, DiscardPolicy, StorageType},
};

use crate::{Broker, Error, error::What, subject};

/// How long the broker remembers message ids. Saves work only: correctness rests on the processed-event row.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(300);
const DEAD_LETTER_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
const ADVISORY_AGE: Duration = Duration::from_secs(14 * 24 * 3600);
const ADVISORY_BYTES: i64 = 16 << 20;
/// Largest message, headers included; also the server's default.
const MESSAGE_BYTES: i32 = 1 << 20;

impl Broker {
    /// Creates the service's own event stream or brings it to these settings.
    pub(crate) async fn ensure_own_stream(&self) -> Result<(), Error> {
        let config = self.event_stream(&self.0.service);
        self.0.jetstream.create_or_update_stream(config).await.map(|_| ()).what("set up the service's event stream")
    }

    /// Creates a publisher's stream if its relay has not yet done so, and the streams for what fails on it.
    pub(crate) async fn ensure_streams(&self, publisher: &str) -> Result<(), Error> {
        self.ensure(self.event_stream(publisher)).await?;
        self.ensure_dead_letters().await?;
        let advisories = Config {
            name: subject::ADVISORIES.to_owned(),
            subjects: vec![format!("{}.>", subject::MAX_DELIVERIES)],
            description: Some("messages that reached their delivery limit".to_owned()),
            ..self.base(ADVISORY_AGE, ADVISORY_BYTES, DiscardPolicy::Old)
        };
        self.ensure(advisories).await
    }

    /// Creates the stream of dead letters if it does not exist.
    pub(crate) async fn ensure_dead_letters(&self) -> Result<(), Error> {
        let dead_letters = Config {
            name: subject::DEAD_LETTERS.to_owned(),
            subjects: vec!["dlq.>".to_owned()],
            description: Some("events that a consumer gave up on".to_owned()),
            ..self.base(DEAD_LETTER_AGE, bytes(self.0.settings.dead_letter_bytes), DiscardPolicy::New)
        };
        self.ensure(dead_letters).await
    }

    async fn ensure(&self, config: Config) -> Result<(), Error> {
        // An existing stream is left as it is: its settings are its publisher's, or the operator's.
        match self.0.jetstream.create_stream(config).await {
            Ok(_) => Ok(()),
            Err(error) if exists(&error.kind()) => Ok(()),
            Err(error) => Err(error).what("set up a stream"),
        }
    }

    fn event_stream(&self, publisher: &str) -> Config {
        let settings = &self.0.settings;
        Config {
            name: subject::stream(publisher),
            subjects: vec![format!("evt.{publisher}.>"), format!("redrive.{publisher}.>")],
            description: Some(format!("events of {publisher}")),
            allow_atomic_publish: self.knows_batches(),
            ..self.base(settings.stream_age, bytes(settings.stream_bytes), DiscardPolicy::New)
        }
    }

    /// `DiscardPolicy::New` refuses what does not fit; the alternative drops what nobody has read.
    fn base(&self, max_age: Duration, max_bytes: i64, discard: DiscardPolicy) -> Config {
        Config {
            storage: StorageType::File,
            num_replicas: self.0.settings.replicas,
            discard,
            max_age,
            max_bytes,
            max_message_size: MESSAGE_BYTES,
            duplicate_window: DUPLICATE_WINDOW.min(max_age),
            allow_direct: true,
            ..Config::default()
        }
    }
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Error 10058: the name is in use with another configuration.
fn exists(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == async_nats::jetstream::ErrorCode::STREAM_NAME_EXIST)
}
