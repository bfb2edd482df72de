//! Migrations: once, however many run them; forward only; no table without a wall.
use db::{Db, Kind, MigrateError, Migrations, Settings, migrate};
use futures::future::join_all;

use crate::support::{NOTES, PASSWORD, SHELF, admin, empty, passwords};

const TWO: Migrations = Migrations {
    service: "shelf",
    files: &[("0001_notes.sql", NOTES), ("0002_color.sql", "alter table notes add color text")],
};

async fn fails(sql: &'static str) -> String {
    let url = empty().await;
    let files: &'static [(&str, &str)] = Box::leak(Box::new([("0001_notes.sql", NOTES), ("0002_bad.sql", sql)]));
    let error =
        migrate(&url, &[Migrations { service: "shelf", files }], &passwords()).await.expect_err("it must be refused");
    let left = admin(&url).await.count("select count(*) from shelf.schema_history").await;
    assert_eq!(left, 1, "the refused migration was recorded");
    error.to_string()
}

#[tokio::test]
async fn five_instances_at_once_migrate_once() {
    let url = empty().await;
    let all = join_all((0..5).map(|_| async { migrate(&url, &[TWO], &passwords()).await })).await;
    let applied: Vec<_> = all.into_iter().flat_map(|result| result.expect("each waits for its turn")).collect();
    let names: Vec<_> = applied.iter().map(|applied| applied.name.as_str()).collect();
    assert_eq!(names, ["V1__platform", "V2__audit", "V1__notes", "V2__color"]);
    assert_eq!(migrate(&url, &[TWO], &passwords()).await.expect("nothing is left to do"), []);
}

#[tokio::test]
async fn a_table_without_a_policy_is_refused_and_rolled_back() {
    let text = fails("create table bare (organization_id uuid)").await;
    assert!(text.contains("bare has no row-level security policy") && text.contains("create policy"), "{text}");
}

#[tokio::test]
async fn a_view_with_its_owners_rights_and_a_materialized_one_are_refused() {
    assert!(fails("create view leak as select * from notes").await.contains("security_invoker"));
    assert!(fails("create materialized view leak as select 1 as one").await.contains("cannot guard"));
}

#[tokio::test]
async fn an_older_program_refuses_a_newer_schema_but_may_run_on_it() {
    let url = empty().await;
    migrate(&url, &[TWO], &passwords()).await.expect("the migrations are right");
    let error = migrate(&url, &[SHELF], &passwords()).await.expect_err("this would be a step back");
    assert!(matches!(error, MigrateError::Refused { .. }), "{error}");
    let db = Db::connect(&Settings::new(&url, "shelf", PASSWORD)).await.expect("the settings are right");
    db.check_schema(&SHELF).await.expect("migrations expand before they contract");
}

#[tokio::test]
async fn a_program_refuses_a_schema_older_than_it_needs() {
    let url = empty().await;
    migrate(&url, &[SHELF], &passwords()).await.expect("the migrations are right");
    let db = Db::connect(&Settings::new(&url, "shelf", PASSWORD)).await.expect("the settings are right");
    db.check_schema(&SHELF).await.expect("it is what it needs");
    let error = db.check_schema(&TWO).await.expect_err("0002 is missing");
    assert!(matches!(error.kind(), Kind::SchemaOutdated(_)), "{error:?}");
    assert!(error.to_string().contains("workos migrate"), "{error}");
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    const EDITED: Migrations = Migrations { service: "shelf", files: &[("0001_notes.sql", "select 1")] };
    let url = empty().await;
    migrate(&url, &[SHELF], &passwords()).await.expect("the migrations are right");
    assert!(migrate(&url, &[EDITED], &passwords()).await.is_err());
}

#[tokio::test]
async fn a_changed_password_takes_effect_and_a_missing_one_is_named() {
    const VAULT: Migrations = Migrations { service: "vault", files: &[] };
    let url = empty().await;
    for password in ["old", "new"] {
        let passwords = [("vault".to_owned(), password.to_owned())].into();
        migrate(&url, &[VAULT], &passwords).await.expect("the migrations are right");
    }
    let door = async |password: &str| {
        Db::connect(&Settings::new(&url, "vault", password)).await.expect("the settings are right")
    };
    door("new").await.health().await.expect("it is the password");
    let error = door("old").await.health().await.expect_err("it was the password");
    assert!(matches!(error.kind(), Kind::Configuration(_)) && error.to_string().contains("workos_vault"), "{error:?}");
    let error = migrate(&url, &[VAULT], &passwords()).await.expect_err("no password for vault");
    assert!(error.to_string().contains("vault"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_not_migrated_says_what_to_do() {
    let (migrated, bare) = (empty().await, empty().await);
    migrate(&migrated, &[SHELF], &passwords()).await.expect("the migrations are right");
    let db = Db::connect(&Settings::new(&bare, "shelf", PASSWORD)).await.expect("the settings are right");
    let error = db.check_schema(&SHELF).await.expect_err("nothing is there");
    assert!(error.to_string().contains("workos migrate"), "{error:?}");
}

#[tokio::test]
async fn a_probe_tells_running_from_away() {
    db::probe(&empty().await).await.expect("PostgreSQL runs");
    let error = db::probe("postgres://u:p@127.0.0.1:1/d").await.expect_err("nobody listens there");
    assert!(matches!(error.kind(), Kind::Unavailable), "{error:?}");
}

#[tokio::test]
async fn migrating_needs_no_superuser() {
    let elsewhere = Some("unused".to_owned());
    let one = engines::Settings {
        mode: engines::Mode::Test,
        redis_url: elsewhere.clone(),
        nats_url: elsewhere.clone(),
        temporal_url: elsewhere,
        ..engines::Settings::default()
    };
    // Roles belong to the whole server, so this needs one where nobody has made them yet.
    let engines = engines::Engines::start(one, |_| {}).await.expect("PostgreSQL starts");
    let superuser = engines.addresses().postgres.clone();
    let client = admin(&superuser).await;
    let boss = "create role boss login createrole password 'boss'";
    client.client.batch_execute(boss).await.expect("the superuser may");
    client.client.batch_execute("create database shop owner boss").await.expect("the superuser may");
    let (_, host) = superuser.rsplit_once('@').expect("the URL has a user");
    let url = format!("postgres://boss:boss@{}", host.replace("/postgres", "/shop"));
    migrate(&url, &[SHELF], &passwords()).await.expect("it may create roles and owns the database");
    assert_eq!(migrate(&url, &[TWO], &passwords()).await.expect("and again").len(), 1);
    let db = Db::connect(&Settings::new(&url, "shelf", PASSWORD)).await.expect("the settings are right");
    db.check_schema(&TWO).await.expect("it is migrated");
    engines.stop().await;
}
