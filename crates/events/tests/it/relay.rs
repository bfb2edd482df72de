//! The relay: what is committed is sent, in order, and nothing else.
use std::time::Duration;

use crate::{
    proxy::{Mode, Proxy},
    world::{World, assert_in_order, context, eventually, new_id, updated},
};
use db::Kind;
use events::{Broker, Consumer, Settings};
use futures::{StreamExt, stream};
use proto::document::v1::DocumentUpdated;

use crate::world::Task;

#[tokio::test]
async fn evt_01_a_writer_killed_before_commit_leaves_neither_row_nor_event() {
    let world = World::start().await;
    let tx = world.publisher.tenant_as(world.organization, &context()).await.expect("the database is there");
    tx.query_one("select 1", &[]).await.expect("the transaction has begun");
    tx.publish(&updated(new_id()), new_id(), 1).expect("small");
    drop(tx);
    let _relay = world.relay().await;
    world.write(new_id(), 1).await;
    world.all_sent(1).await;
    assert_eq!(world.messages("EVT_DOCUMENT").await, 1);
}

#[tokio::test]
async fn evt_02_a_change_committed_while_no_relay_runs_is_sent_after_its_restart() {
    let world = World::start().await;
    let relay = world.relay().await;
    world.write(new_id(), 1).await;
    world.all_sent(1).await;
    drop(relay);
    let late = new_id();
    world.write(late, 1).await;
    assert_eq!(world.outbox().await.iter().filter(|(_, sent)| !sent).count(), 1);
    let _relay = world.relay().await;
    world.all_sent(2).await;
    assert_eq!(world.published().await[1], (late.to_string(), 1));
}

#[tokio::test]
async fn evt_03_published_again_inside_the_window_the_broker_drops_it() {
    let world = World::start().await;
    let relay = world.relay().await;
    world.write(new_id(), 1).await;
    world.all_sent(1).await;
    drop(relay);
    world.unmark().await;
    let _relay = world.relay().await;
    world.all_sent(1).await;
    assert_eq!(world.messages("EVT_DOCUMENT").await, 1);
}

#[tokio::test]
async fn evt_03_published_again_beyond_the_window_it_has_one_effect() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let broker = world.broker("search").await;
    let consumer = Consumer::new("index").on::<DocumentUpdated>();
    let _consumer = Task::until(|shutdown| broker.consume(consumer, world.recorder("index"), shutdown));
    world.write(new_id(), 1).await;
    world.effects_are("index", 1).await;
    world.all_sent(1).await;
    forget_ids(&world).await;
    world.unmark().await;
    world.all_sent(1).await;
    // The event, two probes, the event again.
    assert_eq!(world.messages("EVT_DOCUMENT").await, 4);
    acknowledged(&world, "search-index", 4).await;
    assert_eq!(world.effects("index").await.len(), 1);
}

/// Lets the broker forget all message ids, as five minutes would.
async fn forget_ids(world: &World) {
    let jetstream = world.jetstream().await;
    let stream = world.stream("EVT_DOCUMENT").await;
    let mut config = stream.cached_info().config.clone();
    config.duplicate_window = Duration::from_millis(100);
    jetstream.update_stream(&config).await.expect("the window may be changed");
    // Ids are forgotten in order: once a later one is, so are those before it. Nobody listens to this subject.
    eventually("ids are forgotten", || async {
        let message = async_nats::jetstream::message::PublishMessage::build().message_id("later");
        let sent = jetstream.send_publish("redrive.document.nobody.probe.0", message).await.expect("sent");
        let stored = sent.await.expect("stored");
        (!stored.duplicate && stored.sequence > 2).then_some(())
    })
    .await;
}

/// The durable has acknowledged everything up to a stream sequence.
pub(crate) async fn acknowledged(world: &World, durable: &str, sequence: u64) {
    let stream = world.stream("EVT_DOCUMENT").await;
    eventually("everything is acknowledged", || async {
        let info = stream.consumer_info(durable).await.ok()?;
        (info.ack_floor.stream_sequence >= sequence && info.num_ack_pending == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn evt_04_a_lost_acknowledgment_publishes_again_and_stores_once() {
    let world = World::start().await;
    let upstream = world.nats.url.trim_start_matches("nats://").to_owned();
    let proxy = Proxy::before(upstream).await;
    let settings = Settings { url: format!("nats://{}", proxy.address), ..world.settings() };
    let broker = Broker::connect("document", &settings).await.expect("well formed");
    let _relay = Task::until(|shutdown| broker.relay(world.publisher.clone(), shutdown));
    world.write(new_id(), 1).await;
    world.all_sent(1).await;
    proxy.set(Mode::Deaf);
    world.write(new_id(), 1).await;
    eventually("the broker has it", || async { (world.messages("EVT_DOCUMENT").await == 2).then_some(()) }).await;
    assert!(world.outbox().await.iter().any(|(_, sent)| !sent), "it cannot be marked without an acknowledgment");
    proxy.set(Mode::Open);
    world.all_sent(2).await;
    assert_eq!(world.messages("EVT_DOCUMENT").await, 2);
}

#[tokio::test]
async fn evt_05_a_slow_transaction_that_commits_an_older_id_is_delivered() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let slow = world.publisher.tenant_as(world.organization, &context()).await.expect("the database is there");
    slow.query_one("select 1", &[]).await.expect("the transaction has begun");
    let old = new_id();
    slow.publish(&updated(old), old, 1).expect("small");
    for _ in 0..5 {
        world.write(new_id(), 1).await;
    }
    world.all_sent(5).await;
    slow.commit().await.expect("the database is there");
    world.all_sent(6).await;
    assert_eq!(world.published().await[5], (old.to_string(), 1));
}

#[tokio::test]
async fn evt_06_writers_go_on_while_the_broker_is_away_and_the_outbox_drains_in_order() {
    let world = World::start().await;
    let proxy = Proxy::before(world.nats.url.trim_start_matches("nats://").to_owned()).await;
    proxy.set(Mode::Cut);
    let settings = Settings { url: format!("nats://{}", proxy.address), ..world.settings() };
    let broker = Broker::connect("document", &settings).await.expect("a broker that is away is no error");
    let _relay = Task::until(|shutdown| broker.relay(world.publisher.clone(), shutdown));
    write_many(&world, 30, 10).await;
    let status = eventually("the backlog is seen", || async {
        Some(broker.status()).filter(|status| status.unsent > 0 || !status.last_error.is_empty())
    })
    .await;
    assert!(!status.connected);
    assert!(world.outbox().await.iter().all(|(_, sent)| !sent));
    proxy.set(Mode::Open);
    world.all_sent(300).await;
    let published = world.published().await;
    assert_eq!(published.len(), 300);
    assert_in_order(&published);
}

/// Versions 1 to `versions` of each of some aggregates, up to eight of them written at once.
pub(crate) async fn write_many(world: &World, aggregates: usize, versions: i64) {
    let writers = (0..aggregates).map(|_| async {
        let aggregate = new_id();
        for version in 1..=versions {
            world.write(aggregate, version).await;
        }
    });
    stream::iter(writers).for_each_concurrent(8, |writer| writer).await;
}

#[tokio::test]
async fn two_relays_of_one_schema_keep_order_and_send_nothing_twice() {
    let world = World::start().await;
    let _relays = (world.relay().await, world.relay().await);
    write_many(&world, 20, 10).await;
    world.all_sent(200).await;
    let published = world.published().await;
    assert_eq!(published.len(), 200);
    assert_in_order(&published);
}

#[tokio::test]
async fn evt_09_a_full_stream_pushes_back_and_drops_nothing() {
    let world = World::start().await;
    let small = Settings { stream_bytes: 20_000, ..world.settings() };
    let broker = Broker::connect("document", &small).await.expect("well formed");
    let relay = Task::until(|shutdown| broker.relay(world.publisher.clone(), shutdown));
    write_many(&world, 20, 5).await;
    eventually("the publish is refused", || async {
        Some(broker.status()).filter(|status| status.last_error.contains("maximum bytes"))
    })
    .await;
    world.write(new_id(), 1).await;
    let unsent = world.outbox().await.iter().filter(|(_, sent)| !sent).count();
    assert!(unsent > 0 && unsent < 101, "{unsent} unsent");
    relay.stop().await;
    let _relay = world.relay().await;
    world.all_sent(101).await;
    let published = world.published().await;
    assert_eq!(published.len(), 101);
    assert_in_order(&published);
}

#[tokio::test]
async fn a_backlog_goes_out_in_batches_and_again_singly_when_its_ids_are_known() {
    let world = World::start().await;
    write_many(&world, 40, 10).await;
    let relay = world.relay().await;
    world.all_sent(400).await;
    drop(relay);
    let stream = world.stream("EVT_DOCUMENT").await;
    let batched =
        async |sequence| stream.direct_get(sequence).await.expect("it is there").headers.get("Nats-Batch-Id").is_some();
    assert!(batched(1).await && batched(400).await, "a server that knows batches gets batches");
    world.unmark().await;
    let _relay = world.relay().await;
    world.all_sent(400).await;
    let published = world.published().await;
    assert_eq!(published.len(), 400);
    assert_in_order(&published);
}

#[tokio::test]
async fn an_event_carries_the_headers_of_its_envelope() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let aggregate = new_id();
    world.write(aggregate, 1).await;
    world.all_sent(1).await;
    let message = world.stream("EVT_DOCUMENT").await.direct_get(1).await.expect("it is there");
    let header = |name: &str| message.headers.get(name).unwrap_or_else(|| panic!("header {name}")).as_str();
    assert_eq!(header("Nats-Msg-Id"), world.outbox().await[0].0.to_string());
    assert_eq!(header("Nats-Msg-Id"), header("ce-id"));
    assert_eq!(header("Nats-Expected-Stream"), "EVT_DOCUMENT");
    assert_eq!(
        (header("ce-specversion"), header("ce-type"), header("ce-source")),
        ("1.0", "document.updated", "document")
    );
    assert_eq!(header("ce-subject"), format!("documents/{aggregate}"));
    assert_eq!(header("ce-dataschema"), "workos.document.v1.DocumentUpdated");
    assert_eq!((header("workos-version"), header("workos-aggregate-id")), ("1", aggregate.to_string().as_str()));
    assert!(!header("x-request-id").is_empty());
    assert_eq!(
        message.subject.as_str(),
        format!("evt.document.document.updated.{}.{}", world.organization, aggregate.uuid().as_bytes()[15] & 63)
    );
}

#[tokio::test]
async fn a_broker_without_an_address_is_refused_and_a_database_that_is_away_is_survived() {
    let world = World::start().await;
    assert!(Broker::connect("document", &Settings::default()).await.is_err());
    let error = world
        .publisher
        .system("test", &context())
        .await
        .expect("there")
        .query("select nonsense", &[])
        .await
        .expect_err("refused");
    assert!(matches!(error.kind(), Kind::Internal));
    events::probe(&world.nats.url, &world.nats.user, &world.nats.password).await.expect("JetStream answers");
    assert!(events::probe(&world.nats.url, "nobody", "wrong").await.is_err());
}
