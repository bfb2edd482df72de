//! Hearing that something happened, in every instance of a service: for what each process keeps in memory and loads again.
//!
//! Nothing is acknowledged and nothing comes twice: what may have been missed is made up for by hearing that anything may have happened.
//! That is so after each new subscription, one of which follows each new connection, and after each that broke or cannot be had; where the
//! numbers of deliveries have a gap; and twice a second while there is no connection. So whoever listens must load, or drop, the whole of what he keeps then, and be right without
//! ever hearing.
use std::{future::Future, sync::atomic::Ordering, time::Duration};

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
/// How often is looked whether the broker is away.
const AWAY: Duration = Duration::from_millis(500);
const REOPEN_MIN: Duration = Duration::from_millis(50);
const REOPEN_MAX: Duration = Duration::from_secs(5);

impl Broker {
    /// Calls `heard` for each event from now on that `consumer` wants, in every instance of the service, and with `None` when anything may
    /// have happened: after each new subscription and each that ended, after a gap, for what cannot be read, and twice a
    /// second while the broker is not connected. Until `shutdown`. Run it as a task.
    pub fn hear(
        &self,
        consumer: Consumer,
        heard: impl Fn(Option<&Delivery>) + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let broker = self.clone();
        async move {
            let (broker, heard) = (&broker, &heard);
            while !consumer.types.is_empty() {
                let hearing = consumer.types.iter().map(|(publisher, types)| broker.follow(publisher, types, heard));
                tokio::select! {
                    _ = join_all(hearing) => {}
                    // What was asked for over the old connection is asked for anew: the broker may have answered into it.
                    () = broker.miss(heard) => {}
                    () = shutdown.cancelled() => return,
                }
            }
            shutdown.cancelled().await;
        }
    }

    /// Tells while there is no connection that anything may have happened; ends when a new one has begun.
    async fn miss(&self, heard: &(impl Fn(Option<&Delivery>) + Sync)) {
        let connections = self.0.client.statistics();
        let known = connections.connects.load(Ordering::Relaxed);
        let mut look = tokio::time::interval(AWAY);
        loop {
            look.tick().await;
            if connections.connects.load(Ordering::Relaxed) != known {
                return;
            }
            if !self.is_connected() {
                heard(None);
            }
        }
    }

    async fn follow(&self, publisher: &str, types: &[&str], heard: &(impl Fn(Option<&Delivery>) + Sync)) {
        let mut wait = REOPEN_MIN;
        loop {
            let opened = Instant::now();
            let problem = match self.open_ears(publisher, types).await {
                Ok(mut events) => {
                    heard(None);
                    let mut numbers = Numbers::default();
                    loop {
                        match events.next().await {
                            Some(Ok(event)) => {
                                if numbers.skips(&event) {
                                    heard(None);
                                }
                                heard(read(event).as_ref());
                            }
                            Some(Err(error)) => break error.to_string(),
                            None => break "the subscription ended".to_owned(),
                        }
                    }
                }
                Err(error) => error.to_string(),
            };
            heard(None);
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

/// The broker numbers what it delivers to one subscription: a number that is left out was lost on the way.
#[derive(Default)]
struct Numbers(u64);

impl Numbers {
    /// Whether this is not the one after the last; one without a number counts as such.
    fn skips(&mut self, event: &Message) -> bool {
        self.skips_to(event.info().ok().map(|info| info.consumer_sequence))
    }

    fn skips_to(&mut self, number: Option<u64>) -> bool {
        number.is_none_or(|number| std::mem::replace(&mut self.0, number).wrapping_add(1) != number)
    }
}

fn read(event: Message) -> Option<Delivery> {
    let Message { message, .. } = event;
    let envelope = Envelope::read(message.headers.as_ref()?).ok()?;
    Some(Delivery { envelope, payload: message.payload, attempt: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_left_out_is_noticed_once() {
        let mut numbers = Numbers::default();
        let seen: Vec<_> = [1, 2, 4, 5, 5, 6].map(|number| numbers.skips_to(Some(number))).into();
        assert_eq!(seen, [false, false, true, false, true, false]);
        assert!(numbers.skips_to(None));
    }
}
