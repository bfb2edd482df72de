//! Consumers: one effect per event, order per aggregate, and what fails goes aside while the rest flows.
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::Id;
use async_nats::jetstream::{AckKind, consumer::PullConsumer};
use events::{Consumer, Delivery, Handler, Outcome};
use futures::StreamExt;
use proto::document::v1::{DocumentCreated, DocumentUpdated};

use crate::{
    relay::{acknowledged, write_many},
    world::{Task, World, context, eventually, new_id, record},
};

fn index() -> Consumer {
    Consumer::new("index").on::<DocumentUpdated>()
}

#[tokio::test]
async fn an_event_reaches_every_consumer_once_and_with_its_request_id() {
    let world = World::start().await;
    let broker = world.broker("search").await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let spy = {
        let seen = seen.clone();
        move |delivery: Delivery| {
            let context = delivery.context("spy");
            let name = delivery.decode::<DocumentUpdated>().map(|event| event.name);
            seen.lock().expect("not poisoned").push((context.request_id, context.method, name));
            async { Outcome::Done }
        }
    };
    // Consumers that start before the publisher lose nothing.
    let _tasks = [
        Task::until(|shutdown| broker.consume(index(), world.recorder("index"), shutdown)),
        Task::until(|shutdown| broker.consume(Consumer::new("spy").on::<DocumentUpdated>(), spy, shutdown)),
    ];
    let _relay = world.relay().await;
    let aggregate = new_id();
    world.write(aggregate, 1).await;
    let effects = world.effects_are("index", 1).await;
    assert_eq!((effects[0].aggregate, effects[0].version), (aggregate, 1));
    let seen = eventually("the spy saw it", || async {
        Some(seen.lock().expect("not poisoned").clone()).filter(|seen| !seen.is_empty())
    })
    .await;
    let (request_id, method, name) = &seen[0];
    assert_eq!((method.as_str(), name.clone()), ("spy", Ok(format!("documents/{aggregate}"))));
    assert!(!request_id.is_empty());
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn evt_10_a_consumer_killed_after_its_effect_and_before_the_ack_has_one_effect() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let broker = world.broker("search").await;
    let consumer = || index().ack_wait(Duration::from_secs(1));
    let db = world.consumer.clone();
    let stuck = move |delivery: Delivery| {
        let db = db.clone();
        async move {
            record(&db, "index", &delivery).await.expect("the database is there");
            std::future::pending().await
        }
    };
    let killed = Task::until(|shutdown| broker.consume(consumer(), stuck, shutdown));
    world.write(new_id(), 1).await;
    world.effects_are("index", 1).await;
    drop(killed);
    let attempts = Arc::new(AtomicUsize::new(0));
    let recorder = world.recorder("index");
    let counting = {
        let attempts = attempts.clone();
        move |delivery: Delivery| {
            attempts.fetch_max(delivery.attempt as usize, Ordering::SeqCst);
            let recorder = recorder.clone();
            async move { recorder.handle(delivery).await }
        }
    };
    let _alive = Task::until(|shutdown| broker.consume(consumer(), counting, shutdown));
    acknowledged(&world, "search-index", 1).await;
    assert!(attempts.load(Ordering::SeqCst) >= 2, "it was delivered again");
    assert_eq!(world.effects("index").await.len(), 1);
}

#[tokio::test]
async fn evt_13_a_poison_event_becomes_a_dead_letter_while_others_flow() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let broker = world.broker("notification").await;
    let poison = new_id();
    let recorder = world.recorder("deliver");
    let handler = move |delivery: Delivery| {
        let recorder = recorder.clone();
        async move {
            if delivery.envelope.aggregate_id == poison && delivery.envelope.version == 1 {
                return Outcome::Retry(Duration::from_millis(20));
            }
            recorder.handle(delivery).await
        }
    };
    let consumer = Consumer::new("deliver").on::<DocumentUpdated>();
    let _consumer = Task::until(|shutdown| broker.consume(consumer, handler, shutdown));
    world.write(poison, 1).await;
    world.write(poison, 2).await;
    write_many(&world, 20, 5).await;
    world.effects_are("deliver", 101).await;
    let letter = dead_letter(&world, "dlq.notification.deliver").await;
    assert_eq!(letter["workos-dead-attempts"], "8");
    assert!(letter["workos-dead-cause"].contains("gave up after 8 attempts"), "{letter:?}");
    assert_eq!(letter["workos-aggregate-id"], poison.to_string());
    acknowledged(&world, "notification-deliver", 102).await;
}

/// Headers of the last message on a subject of the dead-letter stream.
async fn dead_letter(world: &World, subject: &str) -> HashMap<String, String> {
    let stream = world.stream("DLQ").await;
    let message =
        eventually("the dead letter lies there", || async { stream.direct_get_last_for_subject(subject).await.ok() })
            .await;
    message.headers.iter().map(|(name, values)| (name.to_string(), values[0].as_str().to_owned())).collect()
}

#[tokio::test]
async fn a_rejected_event_is_a_dead_letter_at_once_and_a_panic_is_tried_again() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let broker = world.broker("search").await;
    let (rejected, panicking) = (new_id(), new_id());
    let recorder = world.recorder("index");
    let handler = move |delivery: Delivery| {
        let recorder = recorder.clone();
        async move {
            let aggregate = delivery.envelope.aggregate_id;
            if aggregate == rejected {
                return Outcome::Reject("the name is\nno name".to_owned());
            }
            assert!(aggregate != panicking || delivery.attempt > 1, "the first try panics");
            recorder.handle(delivery).await
        }
    };
    let _consumer = Task::until(|shutdown| broker.consume(index(), handler, shutdown));
    world.write(rejected, 1).await;
    world.write(panicking, 1).await;
    let letter = dead_letter(&world, "dlq.search.index").await;
    assert_eq!(
        (letter["workos-dead-cause"].as_str(), letter["workos-dead-attempts"].as_str()),
        ("the name is no name", "1")
    );
    let effects = world.effects_are("index", 1).await;
    assert_eq!(effects[0].aggregate, panicking);
}

#[tokio::test]
async fn evt_14_an_older_instance_holds_an_event_of_a_type_that_a_newer_one_added() {
    let world = World::start().await;
    let broker = world.broker("search").await;
    let newer = Task::until(|shutdown| {
        broker.consume(
            Consumer::new("index").on::<DocumentCreated>().on::<DocumentUpdated>(),
            world.recorder("index"),
            shutdown,
        )
    });
    let stream = world.stream("EVT_DOCUMENT").await;
    eventually("the newer instance subscribed", || async { stream.consumer_info("search-index").await.ok() }).await;
    newer.stop().await;
    let _older = Task::until(|shutdown| {
        broker.consume(Consumer::new("index").on::<DocumentCreated>(), world.recorder("index"), shutdown)
    });
    let _relay = world.relay().await;
    world.write(new_id(), 1).await;
    let created = DocumentCreated { name: "documents/x".to_owned() };
    let tx = world.publisher.tenant_as(world.organization, &context()).await.expect("the database is there");
    tx.publish(&created, new_id(), 1).expect("small");
    tx.commit().await.expect("the database is there");
    world.effects_are("index", 1).await;
    let info = eventually("both were delivered", || async {
        stream
            .consumer_info("search-index")
            .await
            .ok()
            .filter(|info| info.num_pending == 0 && info.num_ack_pending == 1)
    })
    .await;
    assert_eq!(
        info.config.filter_subjects.len(),
        3,
        "the newer type stays subscribed: {:?}",
        info.config.filter_subjects
    );
    assert_eq!(world.messages("DLQ").await, 0);
}

#[tokio::test]
async fn events_of_one_aggregate_come_one_at_a_time_and_no_more_than_asked_for_come_at_once() {
    let world = World::start().await;
    write_many(&world, 12, 8).await;
    let broker = world.broker("search").await;
    let (now, most) = (Arc::new(Mutex::new(HashMap::new())), Arc::new(AtomicUsize::new(0)));
    let recorder = world.recorder("index");
    let handler = {
        let (now, most) = (now.clone(), most.clone());
        move |delivery: Delivery| {
            let (now, most, recorder) = (now.clone(), most.clone(), recorder.clone());
            async move {
                let aggregate = delivery.envelope.aggregate_id;
                {
                    let mut now = now.lock().expect("not poisoned");
                    assert_eq!(now.insert(aggregate, ()), None, "two events of one aggregate at once");
                    most.fetch_max(now.len(), Ordering::SeqCst);
                }
                let outcome = recorder.handle(delivery).await;
                now.lock().expect("not poisoned").remove(&aggregate);
                outcome
            }
        }
    };
    let _consumer = Task::until(|shutdown| broker.consume(index().concurrency(3), handler, shutdown));
    let _relay = world.relay().await;
    let effects = world.effects_are("index", 96).await;
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?} at once");
    let order: Vec<_> = effects.iter().map(|effect| (effect.aggregate.to_string(), effect.version)).collect();
    crate::world::assert_in_order(&order);
    acknowledged(&world, "search-index", 96).await;
}

#[tokio::test]
async fn a_handler_that_takes_longer_than_the_ack_wait_is_not_disturbed() {
    let world = World::start().await;
    let _relay = world.relay().await;
    let broker = world.broker("search").await;
    let deliveries = Arc::new(AtomicUsize::new(0));
    let handler = {
        let deliveries = deliveries.clone();
        move |_: Delivery| {
            deliveries.fetch_add(1, Ordering::SeqCst);
            async {
                // Work of a known length: five times the ack wait.
                tokio::time::timeout(Duration::from_millis(1500), std::future::pending::<()>())
                    .await
                    .expect_err("it never ends");
                Outcome::Done
            }
        }
    };
    let consumer = index().concurrency(1).ack_wait(Duration::from_millis(300));
    let _consumer = Task::until(|shutdown| broker.consume(consumer, handler, shutdown));
    world.write(new_id(), 1).await;
    world.write(new_id(), 1).await;
    acknowledged(&world, "search-index", 2).await;
    assert_eq!(
        deliveries.load(Ordering::SeqCst),
        2,
        "neither the one at work nor the one that waited was delivered again"
    );
}

#[tokio::test]
async fn what_the_broker_gave_up_on_is_moved_to_the_dead_letters() {
    let world = World::start().await;
    let broker = world.broker("search").await;
    let stream = world.stream_after(&broker, index().ack_wait(Duration::from_millis(200))).await;
    let _relay = world.relay().await;
    let victim = new_id();
    world.write(victim, 1).await;
    // Eleven processes take the event and die with it; nobody answers.
    let raw: PullConsumer = stream.get_consumer("search-index").await.expect("it exists");
    let mut messages = raw.stream().max_messages_per_batch(1).messages().await.expect("subscribed");
    for delivery in 1..=10 {
        let message = messages.next().await.expect("endless").expect("delivered");
        assert_eq!(message.info().expect("it is from JetStream").delivered, delivery);
        message.ack_with(AckKind::Nak(None)).await.expect("sent");
    }
    drop(messages);
    let _consumer = Task::until(|shutdown| broker.consume(index(), world.recorder("index"), shutdown));
    let letter = dead_letter(&world, "dlq.search.index").await;
    assert!(letter["workos-dead-cause"].starts_with("MAX_DELIVERIES"), "{letter:?}");
    assert_eq!(letter["workos-aggregate-id"], victim.to_string());
    world.write(new_id(), 1).await;
    world.effects_are("index", 1).await;
}

#[tokio::test]
async fn a_process_that_dies_with_an_event_each_time_is_not_given_it_a_ninth_time() {
    let world = World::start().await;
    let broker = world.broker("search").await;
    let stream = world.stream_after(&broker, index()).await;
    let _relay = world.relay().await;
    world.write(new_id(), 1).await;
    let raw: PullConsumer = stream.get_consumer("search-index").await.expect("it exists");
    let mut messages = raw.stream().max_messages_per_batch(1).messages().await.expect("subscribed");
    for _ in 1..=8 {
        messages.next().await.expect("endless").expect("delivered").ack_with(AckKind::Nak(None)).await.expect("sent");
    }
    drop(messages);
    let _consumer = Task::until(|shutdown| broker.consume(index(), world.recorder("index"), shutdown));
    let letter = dead_letter(&world, "dlq.search.index").await;
    assert!(letter["workos-dead-cause"].contains("without an answer"), "{letter:?}");
    assert_eq!(world.effects("index").await, []);
}

#[tokio::test]
async fn a_message_that_is_no_event_is_a_dead_letter() {
    let world = World::start().await;
    let broker = world.broker("search").await;
    let _consumer = Task::until(|shutdown| broker.consume(index(), world.recorder("index"), shutdown));
    world.stream("EVT_DOCUMENT").await;
    let jetstream = world.jetstream().await;
    let acknowledgment = jetstream.publish("evt.document.document.updated.x.0", "junk".into()).await.expect("sent");
    acknowledgment.await.expect("stored");
    let letter = dead_letter(&world, "dlq.search.index").await;
    assert!(letter["workos-dead-cause"].starts_with("MALFORMED"), "{letter:?}");
}

#[tokio::test]
async fn shutdown_lets_handlers_finish_and_gives_the_rest_back() {
    let world = World::start().await;
    let _relay = world.relay().await;
    write_many(&world, 10, 3).await;
    world.all_sent(30).await;
    let broker = world.broker("search").await;
    let first = Task::until(|shutdown| broker.consume(index().concurrency(2), world.recorder("index"), shutdown));
    eventually("one is done", || async { (!world.effects("index").await.is_empty()).then_some(()) }).await;
    first.stop().await;
    let _second = Task::until(|shutdown| broker.consume(index(), world.recorder("index"), shutdown));
    // Far within the ack wait of 30 s: nothing was left behind unanswered.
    tokio::time::timeout(Duration::from_secs(10), world.effects_are("index", 30)).await.expect("given back at once");
}

#[tokio::test]
async fn every_instance_hears_and_hears_once_more_after_it_subscribed() {
    let world = World::start().await;
    let _relay = world.relay().await;
    // What was heard of: `None` for anything.
    let heard: Vec<_> = (0..2).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
    let mut tasks = Vec::new();
    for heard in &heard {
        let (broker, heard) = (world.broker("search").await, Arc::clone(heard));
        let hears = move |event: Option<&Delivery>| {
            heard.lock().expect("not poisoned").push(event.map(|event| event.envelope.aggregate_id));
        };
        tasks.push(Task::until(|shutdown| broker.hear(index(), hears, shutdown)));
    }
    let all_heard = async |what: Option<Id>| {
        eventually("both instances heard", || async {
            heard.iter().all(|heard| heard.lock().expect("not poisoned").contains(&what)).then_some(())
        })
        .await;
    };
    all_heard(None).await;
    let written = new_id();
    world.write(written, 1).await;
    all_heard(Some(written)).await;
}
