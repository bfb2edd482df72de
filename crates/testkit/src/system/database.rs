//! A database of one's own: migrations run once into a template that is named by their hash, each test gets a copy.
//!
//! Test processes of one run share the server, so a template is made under an advisory lock, and under another name until it
//! is whole: a process that dies in between leaves nothing that looks finished.
use std::{collections::BTreeMap, hash::Hasher as _, time::Duration};

use bytes::Bytes;
use chassis::{Config, ServiceSpec};
use tokio_postgres::{Client, Config as Address, NoTls, SimpleQueryMessage, error::SqlState};

/// Key of the advisory lock under which templates are made.
const LOCK: i64 = 0x0074_6573_746b_6974;
/// Tries of a copy while somebody is still connected to the template.
const TRIES: u32 = 100;

/// The database of one system.
pub(super) struct Database {
    url: String,
}

/// An event that a service has written.
#[derive(Clone, Debug)]
pub struct Published {
    /// Id of the event.
    pub event_id: uuid::Uuid,
    /// `document.created`.
    pub kind: String,
    /// Organization it belongs to.
    pub organization: uuid::Uuid,
    /// Version of the aggregate.
    pub version: i64,
    /// The message's bytes; decode with prost.
    pub payload: Bytes,
    /// The broker has acknowledged it.
    pub sent: bool,
}

impl Database {
    /// Makes a database with the schemas of these services.
    pub(super) async fn create(server: &str, specs: &[&'static ServiceSpec], secret_key: &str) -> Database {
        let admin = connect(server).await;
        let template = template(server, &admin, specs, secret_key).await;
        let name = format!("t_{}", api::Ids::default().next());
        for attempt in 1.. {
            match admin.batch_execute(&format!("create database {name} template {template}")).await {
                Ok(()) => break,
                Err(error) if attempt < TRIES && error.code() == Some(&SqlState::OBJECT_IN_USE) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("create a test database: {}", describe(&error)),
            }
        }
        Database { url: named(server, &name) }
    }

    /// Its address, with the superuser.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) async fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let client = connect(&self.url).await;
        let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {}", describe(&error)));
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        rows.collect()
    }

    pub(super) async fn published(&self, service: &str, kind: &str) -> Vec<Published> {
        let client = connect(&self.url).await;
        let sql = format!(
            "select event_id, type, organization_id, aggregate_version, payload, sent_at is not null from {service}.outbox_event
             where type = $1 order by event_id"
        );
        let rows = client.query(&sql, &[&kind]).await.unwrap_or_else(|error| panic!("{sql}: {}", describe(&error)));
        let event = |row: &tokio_postgres::Row| Published {
            event_id: row.get(0),
            kind: row.get(1),
            organization: row.get(2),
            version: row.get(3),
            payload: Bytes::from(row.get::<_, Vec<u8>>(4)),
            sent: row.get(5),
        };
        rows.iter().map(event).collect()
    }
}

/// The migrated template for these services; made when there is none yet.
async fn template(server: &str, admin: &Client, specs: &[&'static ServiceSpec], secret_key: &str) -> String {
    let sets: BTreeMap<_, _> =
        specs.iter().filter_map(|spec| spec.migration_set()).map(|set| (set.service, set)).collect();
    let mut hash = std::hash::DefaultHasher::new();
    for (service, set) in &sets {
        hash.write(service.as_bytes());
        set.files.iter().for_each(|(name, text)| hash.write(format!("{name}\n{text}\n").as_bytes()));
    }
    let name = format!("template_{:016x}", hash.finish());
    run(admin, &format!("select pg_advisory_lock({LOCK})")).await;
    let exists = admin.query_opt("select 1 from pg_database where datname = $1", &[&name]).await;
    if exists.expect("pg_database can be read").is_none() {
        let unfinished = format!("{name}_unfinished");
        run(admin, &format!("drop database if exists {unfinished} with (force)")).await;
        run(admin, &format!("create database {unfinished}")).await;
        migrate(&named(server, &unfinished), specs, secret_key).await;
        run(admin, &format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{unfinished}'"))
            .await;
        run(admin, &format!("alter database {unfinished} rename to {name}")).await;
    }
    run(admin, &format!("select pg_advisory_unlock({LOCK})")).await;
    name
}

async fn migrate(url: &str, specs: &[&'static ServiceSpec], secret_key: &str) {
    let mut config = Config::defaults().expect("the defaults are valid");
    config.set("secret_key", secret_key).expect("the test's secret is long enough");
    config.set("engines.postgres.url", url).expect("a setting of the platform");
    chassis::migrate(specs, &config).await.unwrap_or_else(|error| panic!("migrations: {error:#}"));
}

#[expect(clippy::disallowed_methods, reason = "the driver's connection ends with its client")]
async fn connect(url: &str) -> Client {
    let address: Address = url.parse().expect("engines give valid addresses");
    let (client, connection) =
        address.connect(NoTls).await.unwrap_or_else(|error| panic!("connect to PostgreSQL: {}", describe(&error)));
    tokio::spawn(connection);
    client
}

async fn run(client: &Client, sql: &str) {
    client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {}", describe(&error)));
}

fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| format!("{}: {}", error.severity(), error.message()))
}

/// The same server, another database.
fn named(server: &str, database: &str) -> String {
    let end = server.rfind('/').filter(|end| server.find("://").is_some_and(|scheme| *end > scheme + 2));
    format!("{}/{database}", end.map_or(server, |end| &server[..end]))
}
