//! A fresh database per test with a small schema `shelf`, and what tests say often.
use std::{collections::BTreeMap, time::Duration};

use api::{CallContext, Caller, Decision, Id, Ids, OrganizationId, Parts, Subject, UserId};
use db::{Db, Migrations, Settings};
use proto::document::v1::DocumentCreated;
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_postgres::{Client, Config, NoTls};

pub(crate) const PASSWORD: &str = "shelf-password";
pub(crate) const NOTES: &str = "
    create table notes (
      organization_id uuid not null,
      id uuid not null,
      title text not null,
      rank integer not null default 0 constraint notes_rank check (rank >= 0),
      labels jsonb not null default '{}',
      primary key (organization_id, id),
      constraint notes_title unique (organization_id, title)
    );
    create policy tenant on notes using (organization_id = workos.organization());
    create table remarks (
      organization_id uuid not null, note_id uuid not null, text text not null,
      constraint remarks_note foreign key (organization_id, note_id) references notes on delete cascade
    );
    create policy tenant on remarks using (organization_id = workos.organization());
    create table preferences (user_id uuid primary key, value text not null);
    create policy own on preferences using (user_id = workos.subject());
    create table secrets (value text not null);
    create policy nobody on secrets using (false);
    create view titles with (security_invoker = true) as select organization_id, title from notes;";
pub(crate) const SHELF: Migrations = Migrations { service: "shelf", files: &[("0001_notes.sql", NOTES)] };

/// A database of its own.
pub(crate) struct Database {
    pub(crate) admin_url: String,
    pub(crate) db: Db,
}

/// A session as administrator, outside the crate under test.
pub(crate) struct Admin {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Admin {
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.expect("the count is valid SQL").get(0)
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver's connection task of a test")]
pub(crate) async fn admin(url: &str) -> Admin {
    let config: Config = url.parse().expect("the engines give a valid URL");
    let (client, connection) = config.connect(NoTls).await.expect("PostgreSQL runs");
    let task = tokio::spawn(async move { drop(connection.await) });
    Admin { client, task }
}

/// An empty database; gives the administrator's URL of it.
pub(crate) async fn empty() -> String {
    copy_of("template1").await
}

async fn copy_of(template: &str) -> String {
    let addresses = engines::for_tests().await;
    let name = format!("db_{}", Ids::default().next());
    let create = format!("create database {name} template {template}");
    admin(&addresses.postgres).await.client.batch_execute(&create).await.expect("the administrator may");
    let (base, _) = addresses.postgres.rsplit_once('/').expect("the URL names a database");
    format!("{base}/{name}")
}

pub(crate) fn passwords() -> BTreeMap<String, String> {
    BTreeMap::from([("shelf".to_owned(), PASSWORD.to_owned())])
}

/// A migrated database and the service's door to it.
pub(crate) async fn database() -> Database {
    database_with(|_| {}).await
}

pub(crate) async fn database_with(change: impl FnOnce(&mut Settings)) -> Database {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        let url = empty().await;
        db::migrate(&url, &[SHELF], &passwords()).await.expect("the migrations are right");
        let (_, name) = url.rsplit_once('/').expect("the URL names a database");
        name.to_owned()
    });
    let admin_url = copy_of(template.await).await;
    let mut settings = Settings::new(&admin_url, "shelf", PASSWORD);
    change(&mut settings);
    let db = Db::connect(&settings).await.expect("the settings are right");
    Database { admin_url, db }
}

impl Database {
    pub(crate) async fn admin(&self) -> Admin {
        admin(&self.admin_url).await
    }
}

pub(crate) fn id() -> Id {
    Ids::default().next()
}

pub(crate) fn organization() -> OrganizationId {
    OrganizationId(id())
}

pub(crate) fn context() -> CallContext {
    CallContext {
        actor: "users/u".to_owned(),
        traceparent: "00-a-b-01".to_owned(),
        ..CallContext::background("shelf.Test/Call", &Ids::default())
    }
}

pub(crate) fn within(time: Duration) -> CallContext {
    CallContext { deadline: Some(tokio::time::Instant::now() + time), ..context() }
}

pub(crate) fn caller(organization: OrganizationId, user: UserId) -> Caller {
    Caller::seal(Parts {
        subject: Subject::User(user),
        organization: Some(organization),
        role: None,
        custom_roles: std::sync::Arc::default(),
        scopes: std::sync::Arc::default(),
        decision: Decision::Granted,
        peer: "gateway".to_owned(),
        issued: None,
        session: None,
        acting: None,
        token: None,
        context: context(),
    })
}

pub(crate) const INSERT_NOTE: &str = "insert into notes (organization_id, id, title) values ($1, $2, $3)";

/// Writes a note in a transaction of its own.
pub(crate) async fn write_note(db: &Db, organization: OrganizationId, title: &str) -> Id {
    let note = id();
    let tx = db.tenant_as(organization, &context()).await.expect("PostgreSQL runs");
    tx.execute(INSERT_NOTE, &[&organization.uuid(), &note.uuid(), &title]).await.expect("it is the tenant's own note");
    tx.commit().await.expect("nothing failed");
    note
}

pub(crate) fn created(note: Id) -> DocumentCreated {
    DocumentCreated { name: format!("notes/{note}") }
}

/// Polls until there is an answer, at most 20 s.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    while tokio::time::Instant::now() < patience {
        tick.tick().await;
        if let Some(answer) = ask().await {
            return answer;
        }
    }
    panic!("within 20 s it did not happen: {what}");
}
