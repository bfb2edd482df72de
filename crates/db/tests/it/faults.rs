//! What happens when PostgreSQL is away, slow, silent or given nonsense.
use std::time::{Duration, Instant};

use db::{Db, Kind, Settings};

use crate::{
    proxy::Proxy,
    support::{
        INSERT_NOTE, PASSWORD, context, database, database_with, eventually, id, organization, within, write_note,
    },
};

async fn through_proxy(admin_url: &str) -> (Proxy, Db) {
    let (proxy, url) = Proxy::before(admin_url).await;
    let db = Db::connect(&Settings { pool_size: 4, ..Settings::new(url, "shelf", PASSWORD) })
        .await
        .expect("the settings are right");
    (proxy, db)
}

#[tokio::test]
async fn while_postgres_is_away_calls_are_unavailable_at_once_and_heal_when_it_is_back() {
    let database = database().await;
    let (mut proxy, db) = through_proxy(&database.admin_url).await;
    write_note(&db, organization(), "before").await;
    proxy.cut().await;
    let begun = Instant::now();
    for _ in 0..5 {
        let result = async { db.tenant_as(organization(), &context()).await?.query("select 1", &[]).await }.await;
        let error = result.expect_err("PostgreSQL is away");
        assert!(matches!(error.kind(), Kind::Unavailable), "{error:?}");
        assert!(api::Error::from(error).retry_delay().is_some());
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    assert!(db.health().await.is_err());
    proxy.mend().await;
    eventually("the pool heals", async || db.health().await.ok()).await;
    write_note(&db, organization(), "after").await;
}

#[tokio::test]
async fn a_service_starts_while_postgres_is_away() {
    let database = database().await;
    let (mut proxy, url) = Proxy::before(&database.admin_url).await;
    proxy.cut().await;
    let db = Db::connect(&Settings::new(url, "shelf", PASSWORD)).await.expect("being away is no wrong setting");
    assert!(db.health().await.is_err());
    proxy.mend().await;
    eventually("it heals", async || db.health().await.ok()).await;
}

#[tokio::test]
async fn after_one_silent_connection_the_others_are_asked_before_they_are_lent() {
    let database = database().await;
    let (proxy, db) = through_proxy(&database.admin_url).await;
    let open = [db.tenant_as(organization(), &context()).await, db.tenant_as(organization(), &context()).await];
    for tx in open.iter().flatten() {
        tx.query("select 1", &[]).await.expect("PostgreSQL runs");
    }
    drop(open);
    proxy.freeze();
    let tx = db.tenant_as(organization(), &within(Duration::from_millis(200))).await.expect("a connection is free");
    let error = tx.query("select 1", &[]).await.expect_err("nobody answers");
    assert!(matches!(error.kind(), Kind::Deadline), "{error:?}");
    drop(tx);
    write_note(&db, organization(), "by a fresh connection").await;
    write_note(&db, organization(), "and another").await;
}

#[tokio::test]
async fn doc_33_an_exhausted_pool_is_unavailable_inside_the_deadline_and_recovers() {
    let database = database_with(|settings| settings.pool_size = 1).await;
    let held = database.db.tenant_as(organization(), &context()).await.expect("a connection is free");
    let begun = Instant::now();
    let error =
        database.db.tenant_as(organization(), &within(Duration::from_millis(300))).await.err().expect("none is free");
    assert!(matches!(error.kind(), Kind::Unavailable), "{error:?}");
    assert!(begun.elapsed() < Duration::from_millis(300), "it took {:?}", begun.elapsed());
    assert!(database.db.health().await.is_err());
    drop(held);
    database.db.health().await.expect("the connection is free again");
}

#[tokio::test]
async fn a_statement_ends_with_its_deadline_and_its_connection_stays_good() {
    let database = database_with(|settings| settings.pool_size = 1).await;
    let pid = async || {
        let tx = database.db.tenant_as(organization(), &context()).await.expect("a connection is free");
        tx.query_one("select pg_backend_pid()", &[]).await.expect("PostgreSQL runs").get::<_, i32>(0)
    };
    let before = pid().await;
    let tx =
        database.db.tenant_as(organization(), &within(Duration::from_millis(200))).await.expect("a connection is free");
    let begun = Instant::now();
    let error = tx.query("select pg_sleep(30)", &[]).await.expect_err("the deadline is nearer");
    assert!(matches!(error.kind(), Kind::Deadline), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    drop(tx);
    assert_eq!(pid().await, before);
    let error =
        database.db.tenant_as(organization(), &within(Duration::ZERO)).await.err().expect("the deadline has passed");
    assert!(matches!(error.kind(), Kind::Deadline), "{error:?}");
}

#[tokio::test]
async fn what_a_caller_who_left_was_running_is_stopped() {
    let database = database_with(|settings| settings.pool_size = 1).await;
    let tx = database.db.tenant_as(organization(), &context()).await.expect("a connection is free");
    let left = tokio::time::timeout(Duration::from_millis(200), tx.query("select pg_sleep(60)", &[])).await;
    assert!(left.is_err());
    drop(tx);
    database.db.health().await.expect("the next gets a fresh connection at once");
    let admin = database.admin().await;
    let running = "select count(*) from pg_stat_activity where datname = current_database() and query like 'select pg_sleep%' and state = 'active'";
    eventually("the statement is stopped", async || (admin.count(running).await == 0).then_some(())).await;
}

#[tokio::test]
async fn doc_10_a_nul_character_is_invalid_never_a_fault() {
    let database = database().await;
    let ours = organization();
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let error =
        tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &"a\0b"]).await.expect_err("PostgreSQL cannot store it");
    assert_eq!(api::Error::from(error).code(), api::Code::InvalidArgument);
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let labels = serde_json::json!({"key": "a\u{0}b"});
    let error = tx.execute("update notes set labels = $1", &[&labels]).await.expect_err("PostgreSQL cannot store it");
    assert!(matches!(error.kind(), Kind::Invalid), "{error:?}");
}

#[tokio::test]
async fn constraints_are_named_and_wrong_sql_is_our_fault() {
    let database = database().await;
    let ours = organization();
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let insert = "insert into notes (organization_id, id, title, rank) values ($1, $2, 'x', -1)";
    let error = tx.execute(insert, &[&ours.uuid(), &id().uuid()]).await.expect_err("the rank is negative");
    assert!(error.is_check("notes_rank"), "{error:?}");
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let error = tx.query("select nonsense from nowhere", &[]).await.expect_err("there is no such table");
    let answer = api::Error::from(error);
    assert_eq!(answer.code(), api::Code::Internal);
    assert!(!answer.to_string().contains("nowhere"), "{answer}");
}

#[tokio::test]
async fn a_deadlock_is_a_conflict_for_one_of_the_two() {
    let database = database().await;
    let ours = organization();
    let notes = [write_note(&database.db, ours, "a").await, write_note(&database.db, ours, "b").await];
    let lock = "select id from notes where id = $1 for update";
    let (first, second) =
        (database.db.tenant_as(ours, &context()).await, database.db.tenant_as(ours, &context()).await);
    let (first, second) = (first.expect("PostgreSQL runs"), second.expect("PostgreSQL runs"));
    first.query(lock, &[&notes[0].uuid()]).await.expect("it is free");
    second.query(lock, &[&notes[1].uuid()]).await.expect("it is free");
    let cross = async |tx: db::Tx, note: api::Id| tx.query(lock, &[&note.uuid()]).await.map(drop);
    let (one, two) = tokio::join!(cross(first, notes[1]), cross(second, notes[0]));
    let errors: Vec<_> = [one, two].into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1);
    assert!(matches!(errors[0].kind(), Kind::Conflict), "{:?}", errors[0]);
}

#[tokio::test]
async fn a_transaction_dropped_without_commit_leaves_its_connection_clean() {
    let database = database_with(|settings| settings.pool_size = 1).await;
    let ours = organization();
    for _ in 0..3 {
        let tx = database.db.tenant_as(ours, &context()).await.expect("a connection is free");
        tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &"lost"]).await.expect("the one before was rolled back");
    }
    write_note(&database.db, ours, "kept").await;
    assert_eq!(database.admin().await.count("select count(*) from shelf.notes").await, 1);
}

#[tokio::test]
async fn a_plan_made_before_a_migration_does_not_stay() {
    let database = database_with(|settings| settings.pool_size = 1).await;
    let read = async || {
        let tx = database.db.tenant_as(organization(), &context()).await?;
        tx.query("select * from notes", &[]).await
    };
    read().await.expect("the plan is fresh");
    database
        .admin()
        .await
        .client
        .batch_execute("alter table shelf.notes add extra text")
        .await
        .expect("the administrator may");
    let error = read().await.expect_err("the plan is stale");
    assert!(matches!(error.kind(), Kind::Unavailable), "{error:?}");
    read().await.expect("a fresh connection has a fresh plan");
}
