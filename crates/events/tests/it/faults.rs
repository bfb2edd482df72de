//! Servers killed and connections cut while events flow: at the end the effects are the changes, each once.
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use events::{Broker, Consumer, Delivery, Settings};
use proto::document::v1::DocumentUpdated;

use crate::{
    proxy::{Mode, Proxy},
    relay::{acknowledged, write_many},
    server::Server,
    world::{Task, World, assert_in_order, eventually, new_id},
};

#[tokio::test]
async fn evt_08_after_kill_9_of_the_server_the_ids_are_still_known() {
    let mut server = Server::start("kill", "").await;
    let world = World::on(server.nats()).await;
    let relay = world.relay().await;
    write_many(&world, 10, 1).await;
    world.all_sent(10).await;
    drop(relay);
    server.kill();
    world.unmark().await;
    server.restart().await;
    let _relay = world.relay().await;
    world.all_sent(10).await;
    assert_eq!(world.messages("EVT_DOCUMENT").await, 10);
}

#[tokio::test]
async fn kill_9_of_the_server_under_load_loses_and_doubles_nothing() {
    let mut server = Server::start("load", "").await;
    let world = World::on(server.nats()).await;
    let _relay = world.relay().await;
    let broker = world.broker("search").await;
    let consumer = Consumer::new("index").on::<DocumentUpdated>().ack_wait(Duration::from_secs(1));
    let _consumer = Task::until(|shutdown| broker.consume(consumer, world.recorder("index"), shutdown));
    tokio::join!(write_many(&world, 10, 20), async {
        for _ in 0..2 {
            let effects = world.effects("index").await.len();
            eventually("some effects", || async { (world.effects("index").await.len() > effects).then_some(()) }).await;
            server.kill();
            server.restart().await;
        }
    });
    world.all_sent(200).await;
    world.effects_are("index", 200).await;
    assert_in_order(&world.published().await);
}

#[tokio::test]
async fn cut_connections_on_both_sides_lose_and_double_nothing() {
    let world = World::start().await;
    let proxy = Proxy::before(world.nats.url.trim_start_matches("nats://").to_owned()).await;
    let settings = Settings { url: format!("nats://{}", proxy.address), ..world.settings() };
    let publisher = Broker::connect("document", &settings).await.expect("well formed");
    let consumer = Broker::connect("search", &settings).await.expect("well formed");
    let index = Consumer::new("index").on::<DocumentUpdated>().ack_wait(Duration::from_secs(1));
    let _tasks = [
        Task::until(|shutdown| publisher.relay(world.publisher.clone(), shutdown)),
        Task::until(|shutdown| consumer.consume(index, world.recorder("index"), shutdown)),
    ];
    tokio::join!(write_many(&world, 10, 20), async {
        for _ in 0..5 {
            let effects = world.effects("index").await.len();
            eventually("some effects", || async { (world.effects("index").await.len() > effects).then_some(()) }).await;
            proxy.set(Mode::Open);
        }
    });
    world.all_sent(200).await;
    world.effects_are("index", 200).await;
    let published = world.published().await;
    assert_eq!(published.len(), 200);
    assert_in_order(&published);
    acknowledged(&world, "search-index", 200).await;
}

#[tokio::test]
async fn a_relay_cut_off_at_any_moment_loses_and_doubles_nothing() {
    let world = World::start().await;
    let relays = async {
        for round in 0..10_u64 {
            let relay = world.relay().await;
            // Another moment of the relay's work each time.
            let _ = tokio::time::timeout(Duration::from_millis(7 * round), std::future::pending::<()>()).await;
            drop(relay);
        }
    };
    tokio::join!(write_many(&world, 10, 10), relays);
    let _relay = world.relay().await;
    world.all_sent(100).await;
    let published = world.published().await;
    assert_eq!(published.len(), 100);
    assert_in_order(&published);
    world.write(new_id(), 1).await;
    world.all_sent(101).await;
}

#[tokio::test]
async fn who_hears_is_told_that_anything_may_have_happened_while_the_broker_is_away() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let proxy = Proxy::before(world.nats.url.trim_start_matches("nats://").to_owned()).await;
    let settings = Settings { url: format!("nats://{}", proxy.address), ..world.settings() };
    let broker = Broker::connect("search", &settings).await.expect("well formed");
    let (anything, events) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (anything.clone(), events.clone());
    let hears = move |event: Option<&Delivery>| {
        event.map_or(&counters.0, |_| &counters.1).fetch_add(1, Ordering::SeqCst);
    };
    let index = Consumer::new("index").on::<DocumentUpdated>();
    let _task = Task::until(|shutdown| broker.hear(index, hears, shutdown));
    let told = async |more: usize| {
        let before = anything.load(Ordering::SeqCst);
        eventually("told", || async { (anything.load(Ordering::SeqCst) >= before + more).then_some(()) }).await;
    };
    let hears_events = async || {
        // One that comes before the subscription is not heard.
        let before = events.load(Ordering::SeqCst);
        eventually("heard", || async {
            world.write(new_id(), 1).await;
            (events.load(Ordering::SeqCst) > before).then_some(())
        })
        .await;
    };
    hears_events().await;
    proxy.set(Mode::Cut);
    told(3).await;
    proxy.set(Mode::Open);
    hears_events().await;
}
