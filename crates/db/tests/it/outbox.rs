//! The outbox: an event if and only if its change, in order, taken by one relay at a time.
use std::time::Duration;

use api::Id;
use db::{Db, OutboxRow};
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::{INSERT_NOTE, context, created, database, eventually, id, organization, write_note};

/// Publishes one event for a note that is written in the same transaction.
async fn publish(db: &Db, aggregate: Id, version: i64) {
    let tx = db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
    tx.publish(&created(aggregate), aggregate, version).expect("it is small");
    tx.commit().await.expect("nothing failed");
}

async fn claim(db: &Db) -> Vec<OutboxRow> {
    let claim = db.outbox().claim(500, 0).await.expect("PostgreSQL runs").expect("no other relay runs");
    claim.rows().to_vec()
}

#[tokio::test]
async fn evt_01_a_writer_that_dies_before_commit_leaves_neither_row_nor_event() {
    let database = database().await;
    let ours = organization();
    let write = async || {
        let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
        tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &"lost"]).await.expect("it is ours");
        tx.publish(&created(id()), id(), 1).expect("it is small");
        tx
    };
    drop(write().await);
    let tx = write().await;
    let admin = database.admin().await;
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'workos_shelf' and datname = current_database()";
    assert!(admin.count(kill).await >= 1);
    let error = tx.commit().await.expect_err("its connection was killed");
    assert!(matches!(error.kind(), db::Kind::Unavailable), "{error:?}");
    assert_eq!(admin.count("select count(*) from shelf.notes").await, 0);
    assert_eq!(admin.count("select count(*) from shelf.outbox_event").await, 0);
    write().await.commit().await.expect("the pool has healed");
    assert_eq!(admin.count("select count(*) from shelf.notes").await, 1);
    assert_eq!(admin.count("select count(*) from shelf.outbox_event").await, 1);
}

#[tokio::test]
async fn a_statement_that_failed_keeps_the_events_back_too() {
    let database = database().await;
    let ours = organization();
    write_note(&database.db, ours, "taken").await;
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    tx.publish(&created(id()), id(), 1).expect("it is small");
    let error = tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &"taken"]).await.expect_err("the title is taken");
    assert!(error.is_unique("notes_title"), "{error:?}");
    assert!(tx.commit().await.is_err());
    assert_eq!(database.admin().await.count("select count(*) from shelf.outbox_event").await, 0);
}

#[tokio::test]
async fn the_relay_reads_what_was_published_with_its_envelope() {
    let database = database().await;
    let (ours, note, cause) = (organization(), id(), context());
    let tx = database.db.tenant_as(ours, &cause).await.expect("PostgreSQL runs");
    tx.publish(&created(note), note, 7).expect("it is small");
    tx.commit().await.expect("nothing failed");
    let rows = claim(&database.db).await;
    let row = &rows[0];
    assert_eq!((rows.len(), row.organization_id, row.aggregate_id), (1, ours.uuid(), note.uuid()));
    assert_eq!(
        (row.kind.as_str(), row.aggregate_type.as_str(), row.aggregate_version, row.epoch),
        ("document.created", "document", 7, 0)
    );
    let header = |name: &str| row.headers.get(name).cloned().unwrap_or_default();
    assert_eq!(header("ce-subject"), format!("notes/{note}"));
    assert_eq!(header("ce-dataschema"), "workos.document.v1.DocumentCreated");
    assert_eq!((header("workos-actor"), header("x-request-id")), ("users/u".to_owned(), cause.request_id));
    assert_eq!(header("traceparent"), "00-a-b-01");
    let read: proto::document::v1::DocumentCreated =
        prost::Message::decode(row.payload.clone()).expect("it was encoded by us");
    assert_eq!(read.name, format!("notes/{note}"));
}

#[tokio::test]
async fn rows_come_in_the_order_of_versions_and_are_marked_only_when_sent() {
    let database = database().await;
    let notes = [id(), id(), id()];
    for version in 1..=4 {
        for note in notes {
            publish(&database.db, note, version).await;
        }
    }
    let outbox = database.db.outbox();
    let first = outbox.claim(500, 0).await.expect("PostgreSQL runs").expect("no other relay runs");
    for note in notes {
        let versions: Vec<i64> = first
            .rows()
            .iter()
            .filter(|row| row.aggregate_id == note.uuid())
            .map(|row| row.aggregate_version)
            .collect();
        assert_eq!(versions, [1, 2, 3, 4]);
    }
    assert!(outbox.claim(500, 0).await.expect("PostgreSQL runs").is_none(), "two relays hold one outbox");
    let sent: Vec<Uuid> = first.rows()[..11].iter().map(|row| row.event_id).collect();
    let failed = (first.rows()[11].event_id, "stream full".to_owned());
    first.finish(&sent, std::slice::from_ref(&failed)).await.expect("nothing failed");
    let rest = claim(&database.db).await;
    assert_eq!((rest.len(), rest[0].event_id, rest[0].attempts), (1, failed.0, 1));
    let backlog = outbox.backlog().await.expect("PostgreSQL runs");
    assert_eq!(backlog.unsent, 1);
    assert!(backlog.oldest.is_some());
}

#[tokio::test]
async fn a_claim_that_is_dropped_leaves_its_rows_unsent() {
    let database = database().await;
    publish(&database.db, id(), 1).await;
    let held = database.db.outbox().claim(10, 0).await.expect("PostgreSQL runs").expect("no other relay runs");
    assert_eq!(held.rows().len(), 1);
    drop(held);
    assert_eq!(
        eventually("the rollback freed the outbox", async || database
            .db
            .outbox()
            .claim(10, 0)
            .await
            .expect("PostgreSQL runs"))
        .await
        .rows()
        .len(),
        1
    );
}

#[tokio::test]
async fn evt_05_an_event_whose_transaction_was_slow_is_not_lost() {
    let database = database().await;
    let (slow, quick) = (id(), id());
    let tx = database.db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
    tx.publish(&created(slow), slow, 1).expect("it is small");
    tx.query("select 1", &[]).await.expect("the transaction begins here");
    publish(&database.db, quick, 1).await;
    let held = database.db.outbox().claim(10, 0).await.expect("PostgreSQL runs").expect("no other relay runs");
    let sent: Vec<Uuid> = held.rows().iter().map(|row| row.event_id).collect();
    held.finish(&sent, &[]).await.expect("nothing failed");
    tx.commit().await.expect("nothing failed");
    let rest = claim(&database.db).await;
    assert_eq!((rest.len(), rest[0].aggregate_id), (1, slow.uuid()));
}

#[tokio::test]
async fn a_commit_that_published_wakes_the_relay_and_another_does_not() {
    let database = database().await;
    let notify = database.db.outbox_notify();
    write_note(&database.db, organization(), "no event").await;
    assert!(timeout(Duration::from_millis(50), notify.notified()).await.is_err());
    publish(&database.db, id(), 1).await;
    timeout(Duration::from_secs(5), notify.notified()).await.expect("the commit published");
}

#[tokio::test]
async fn sent_events_can_be_sent_again_while_they_are_kept() {
    let database = database().await;
    let admin = database.admin().await;
    let begun = api::Clock::default().now() - time::Duration::minutes(1);
    for _ in 0..3 {
        publish(&database.db, id(), 1).await;
    }
    admin.client.batch_execute("update shelf.outbox_event set sent_at = now()").await.expect("the administrator may");
    let outbox = database.db.outbox();
    assert_eq!(outbox.requeue(begun, &["folder.created".to_owned()]).await.expect("PostgreSQL runs"), 0);
    assert_eq!(outbox.requeue(begun, &["document.created".to_owned()]).await.expect("PostgreSQL runs"), 3);
    assert_eq!(claim(&database.db).await.len(), 3);

    admin
        .client
        .batch_execute("update shelf.outbox_event set sent_at = now() - interval '25 hours'")
        .await
        .expect("the administrator may");
    publish(&database.db, id(), 2).await;
    assert_eq!(database.db.purge().await.expect("PostgreSQL runs").events, 3);
    assert_eq!(claim(&database.db).await.len(), 1, "unsent events are never purged");
}

#[tokio::test]
async fn a_raised_epoch_marks_later_events() {
    let database = database().await;
    assert_eq!(database.db.raise_epoch(&context()).await.expect("PostgreSQL runs"), 1);
    assert_eq!(database.db.epoch().await.expect("PostgreSQL runs"), 1);
    publish(&database.db, id(), 1).await;
    assert_eq!(claim(&database.db).await[0].epoch, 1);
}

#[tokio::test]
async fn a_batch_of_a_thousand_events_commits_as_one() {
    let database = database().await;
    let tx = database.db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
    for version in 1..=1001 {
        tx.publish(&created(id()), id(), version).expect("it is small");
    }
    tx.commit().await.expect("nothing failed");
    assert_eq!(database.db.outbox().backlog().await.expect("PostgreSQL runs").unsent, 1001);
}

#[tokio::test]
async fn an_event_for_another_tenant_is_refused_and_takes_the_change_with_it() {
    let database = database().await;
    let ours = organization();
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &"lost"]).await.expect("it is ours");
    tx.publish_for(organization(), &created(id()), id(), 1).expect("the wall is in the database");
    assert!(tx.commit().await.is_err());
    assert_eq!(database.admin().await.count("select count(*) from shelf.notes").await, 0);
    let tx = database.db.system("on behalf of another", &context()).await.expect("PostgreSQL runs");
    tx.publish_for(organization(), &created(id()), id(), 1).expect("it is small");
    tx.commit().await.expect("the system may");
}
