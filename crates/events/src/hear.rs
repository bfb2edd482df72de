//! Hearing that something happened, in every instance of a service: for what each process keeps in memory and loads again.
//!
//! Nothing is acknowledged and nothing comes twice: what is missed while the broker is away is made up for by hearing once after each
//! new subscription. So whoever listens must load, or drop, the whole of what he keeps then, and be right without ever hearing.
use std::{future::Future, time::Duration};

use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use futures::{StreamExt, future::join_all};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Broker, Consumer, Delivery, Envelope, Error, error::What, subject};

/// After this without a pull request the broker forgets an instance.
const FORGOTTEN: Duration = Duration::from_secs(60);
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
const REOPEN_MIN: Duration = Duration::from_millis(50);
const REOPEN_MAX: Duration = Duration::from_secs(5);

impl Broker {
    /// Calls `heard` for each event from now on that `consumer` wants, in every instance of the service, and once with `None` after each
    /// new subscription (and for what cannot be read): anything may have happened. Until `shutdown`. Waits for a broker that is away. Run
    /// it as a task.
    pub fn hear(
        &self,
        consumer: Consumer,
        heard: impl Fn(Option<&Delivery>) + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let broker = self.clone();
        async move {
            let (broker, heard) = (&broker, &heard);
            let hearing = consumer.types.iter().map(|(publisher, types)| broker.follow(publisher, types, heard));
            tokio::select! {
                _ = join_all(hearing) => {}
                () = shutdown.cancelled() => {}
            }
            shutdown.cancelled().await;
        }
    }

    async fn follow(&self, publisher: &str, types: &[&str], heard: &(impl Fn(Option<&Delivery>) + Sync)) {
        let mut wait = REOPEN_MIN;
        loop {
            let opened = Instant::now();
            let problem = match self.open_ears(publisher, types).await {
                Ok(mut events) => {
                    heard(None);
                    loop {
                        match events.next().await {
                            Some(Ok(event)) => heard(read(event).as_ref()),
                            Some(Err(error)) => break error.to_string(),
                            None => break "the subscription ended".to_owned(),
                        }
                    }
                }
                Err(error) => error.to_string(),
            };
            // One that ends as soon as it was opened is not opened again and again at once.
            if opened.elapsed() > REOPEN_MAX {
                wait = REOPEN_MIN;
            }
            tracing::info!(publisher, problem, "subscribes again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(REOPEN_MAX);
        }
    }

    /// A consumer of this instance alone, which ends with it.
    async fn open_ears(&self, publisher: &str, types: &[&str]) -> Result<pull::Stream, Error> {
        self.ensure_streams(publisher).await?;
        let config = pull::Config {
            filter_subjects: types.iter().map(|kind| subject::events_of(publisher, kind)).collect(),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let stream = subject::stream(publisher);
        let consumer: PullConsumer =
            self.0.jetstream.create_consumer_on_stream(config, &stream).await.what("set up a consumer")?;
        consumer.stream().expires(PULL_EXPIRES).heartbeat(HEARTBEAT).messages().await.what("subscribe a consumer")
    }
}

fn read(event: Message) -> Option<Delivery> {
    let Message { message, .. } = event;
    let envelope = Envelope::read(message.headers.as_ref()?).ok()?;
    Some(Delivery { envelope, payload: message.payload, attempt: 1 })
}
