//! A PostgreSQL of its own, with durability on, that is killed in the middle of the work.
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use api::{CallContext, Ids};
use chassis::Config;
use db::Db;
use engines::{Engines, Mode, Settings};
use futures::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use proto::document::v1::Document;
use testkit::{System, eventually, temporary_folder};

use crate::fixture::{Fixture, get, text, titled};

const SECRET: &str = "a secret of this test alone, which protects nothing";
const WRITERS: usize = 8;
const ROUNDS: usize = 3;
/// Answers of a round before the kill.
const ANSWERS: usize = 60;

/// A durable PostgreSQL in a folder that goes with the test; the other engines are those of all tests.
struct Durable {
    engines: Engines,
    folder: PathBuf,
    config: Config,
}

impl Durable {
    async fn start() -> Self {
        let others = engines::for_tests().await;
        let folder = temporary_folder(&Ids::default().next().to_string());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let settings = Settings {
            root: folder.join(".workos"),
            mode: Mode::Up,
            redis_url: Some(others.redis),
            nats_url: Some(others.nats),
            temporal_url: Some("http://127.0.0.1:9".to_owned()),
            ..Settings::default()
        };
        let engines = Engines::start(settings, |_| {}).await.expect("PostgreSQL starts");
        let mut config = Config::defaults().expect("the defaults are valid");
        config.set("secret_key", SECRET).expect("long enough");
        config.set("engines.postgres.url", &engines.addresses().postgres).expect("an address");
        chassis::migrate(&[&document::SERVICE], &config).await.expect("an empty database");
        Self { engines, folder, config }
    }

    async fn system(&self) -> System {
        let builder = System::builder(&[&document::SERVICE]).set("secret_key", SECRET);
        builder.set("engines.postgres.url", &self.engines.addresses().postgres).start().await
    }

    /// SIGKILL to every process of the server at once: nobody says good-bye.
    fn kill(&self) {
        let data = self.folder.join(".workos/data/postgres");
        let killed =
            processes_in(&data).into_iter().filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()).count();
        assert!(killed > 1, "the server and its backends run in {}", data.display());
    }

    /// Counts across all organizations.
    async fn count(&self, sql: &str) -> i64 {
        let password = chassis::engine_password(&self.config, chassis::Engine::Postgres, "document").expect("derived");
        let settings = db::Settings::new(&self.engines.addresses().postgres, "document", password);
        let db = Db::connect(&settings).await.expect("it is back");
        let tx = db.system("test", &CallContext::background("test", &Ids::default())).await.expect("it is back");
        tx.query_one(sql, &[]).await.expect("valid SQL").try_get(0).expect("a count")
    }

    async fn stop(self) {
        self.engines.stop().await;
        fs::remove_dir_all(&self.folder).expect("it is ours");
    }
}

fn processes_in(folder: &Path) -> Vec<i32> {
    let pids = fs::read_dir("/proc")
        .expect("this is Linux")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect()
}

/// Creates and changes documents until told to stop; gives each as it was last acknowledged.
async fn write(fixture: &Fixture, answers: &AtomicUsize, stop: &AtomicBool) -> Vec<Document> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let Ok(mut document) = fixture.create(Document { content: text("first"), ..titled("plan") }).await else {
            continue;
        };
        answers.fetch_add(1, Ordering::AcqRel);
        let sent = Document { content: text("second"), ..document.clone() };
        if let Ok(changed) = fixture.update(sent, &["content"]).await {
            answers.fetch_add(1, Ordering::AcqRel);
            document = changed;
        }
        acknowledged.push(document);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_34_a_killed_postgres_leaves_no_part_document_and_no_event_without_its_row() {
    let durable = Durable::start().await;
    let fixture = Fixture::over(durable.system().await);
    let mut acknowledged = Vec::new();
    for _ in 0..ROUNDS {
        let (answers, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let writers = join_all((0..WRITERS).map(|_| write(&fixture, &answers, &stop)));
        let killer = async {
            eventually("the writers are at work", || async {
                (answers.load(Ordering::Acquire) >= ANSWERS).then_some(())
            })
            .await;
            durable.kill();
            stop.store(true, Ordering::Release);
        };
        let (written, ()) = futures::join!(writers, killer);
        acknowledged.extend(written.into_iter().flatten());
        let last: &Document = acknowledged.last().expect("many were acknowledged");
        eventually("PostgreSQL is back", || async { get(&fixture.documents, &last.name).await.ok() }).await;
    }
    for document in &acknowledged {
        let found = fixture.get(&document.name).await;
        assert!(
            found.head_revision >= document.head_revision,
            "{} was acknowledged with {}",
            document.name,
            document.etag
        );
    }
    let of = "from document.revisions r where r.document_id = d.id";
    let part = format!(
        "select count(*) from document.documents d where d.head <> (select count(*) {of}) or d.head <> (select max(number) {of})"
    );
    let silent = "select count(*) from document.documents d where d.version <> (
        select count(distinct aggregate_version) from document.outbox_event where aggregate_id = d.id)";
    let stray = "select count(*) from document.outbox_event e where not exists (
        select from document.documents d where d.id = e.aggregate_id and d.version >= e.aggregate_version)";
    assert!(
        durable.count("select count(*) from document.documents").await
            >= i64::try_from(acknowledged.len()).expect("few")
    );
    for (what, sql) in
        [("part documents", part.as_str()), ("changes without event", silent), ("events without row", stray)]
    {
        assert_eq!(durable.count(sql).await, 0, "{what}");
    }
    drop(fixture);
    durable.stop().await;
}
