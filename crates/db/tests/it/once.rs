//! Processed events: one effect per event and consumer.
use futures::future::join_all;

use crate::support::{INSERT_NOTE, context, database, id, organization};

#[tokio::test]
async fn evt_10_an_event_delivered_many_times_at_once_has_one_effect() {
    let database = database().await;
    let (ours, event) = (organization(), id().uuid());
    let effects = join_all((0..10).map(|worker| {
        let db = database.db.clone();
        async move {
            let Some(tx) = db.once("index", event, ours, &context()).await.expect("PostgreSQL runs") else { return 0 };
            tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &format!("by {worker}")]).await.expect("it is ours");
            tx.commit().await.expect("nothing failed");
            1
        }
    }))
    .await;
    assert_eq!(effects.iter().sum::<i32>(), 1);
    assert_eq!(database.admin().await.count("select count(*) from shelf.notes").await, 1);
    assert!(database.db.once("index", event, ours, &context()).await.expect("PostgreSQL runs").is_none());
}

#[tokio::test]
async fn each_consumer_has_its_own_effect() {
    let database = database().await;
    let (ours, event) = (organization(), id().uuid());
    for consumer in ["index", "mail"] {
        let tx = database
            .db
            .once(consumer, event, ours, &context())
            .await
            .expect("PostgreSQL runs")
            .expect("it is the first time");
        tx.commit().await.expect("nothing failed");
    }
    let tx =
        database.db.once_system("directory", event, "a user was deleted", &context()).await.expect("PostgreSQL runs");
    tx.expect("it is the first time").commit().await.expect("nothing failed");
    assert!(database.db.once_system("directory", event, "again", &context()).await.expect("PostgreSQL runs").is_none());
    assert_eq!(database.admin().await.count("select count(*) from shelf.processed_event").await, 3);
}

#[tokio::test]
async fn an_effect_that_failed_is_tried_again() {
    let database = database().await;
    let (ours, event) = (organization(), id().uuid());
    let tx = database
        .db
        .once("index", event, ours, &context())
        .await
        .expect("PostgreSQL runs")
        .expect("it is the first time");
    drop(tx);
    assert!(database.db.once("index", event, ours, &context()).await.expect("PostgreSQL runs").is_some());
}
