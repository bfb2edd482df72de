//! A whole platform in a child process: `workos up` in a folder of its own, on the engines of the test run (its own database,
//! NATS account, task queue), or with engines of its own.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use api::Ids;
use serde_json::Value;
use testkit::{Engine, Proxy, eventually_within, temporary_folder};
use tokio::sync::OnceCell;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::{
    client::Client,
    person::Person,
    process::{Output, Process},
};

/// The roles of PostgreSQL belong to the whole server, so all tests of a run agree on the secret that their passwords come from.
const SECRET_KEY: &str = "testkit secret that protects nothing at all";
/// Patience for a start on a loaded machine.
const START: Duration = Duration::from_secs(180);
/// Origin of a browser that may call.
pub(crate) const ORIGIN: &str = "https://app.example";

/// What stays over restarts.
pub(crate) struct Site {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    database: String,
    proxies: BTreeMap<&'static str, Proxy>,
}

/// A platform that runs.
pub(crate) struct Platform {
    process: Option<Process>,
    site: Site,
    gateway: String,
    admin: String,
}

/// A platform with its first owner, shared by the tests that change nothing of it but their own things.
pub(crate) struct Shared {
    pub(crate) platform: Platform,
    pub(crate) owner: Person,
}

/// The shared platform of this test process.
pub(crate) async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let start = async || {
        let platform = Platform::start(Site::new().await).await;
        let owner = Person::first(&platform.client(), platform.site()).await;
        Shared { platform, owner }
    };
    SHARED.get_or_init(start).await
}

impl Site {
    /// A folder, a database and a NATS account of its own on the engines of the test run.
    pub(crate) async fn new() -> Site {
        Site::reaching(false).await
    }

    /// The same with a proxy in front of each engine, to cut it.
    pub(crate) async fn through_proxies() -> Site {
        Site::reaching(true).await
    }

    async fn reaching(proxied: bool) -> Site {
        let engines = engines::for_tests().await;
        let name = Ids::default().next().to_string();
        let database = new_database(&engines.postgres, &name).await;
        let account = engines.next_nats_account().expect("a set of engines for tests has NATS accounts left");
        let user = account.user("").expect("the account of a test has a user");
        let nats = engines.nats.replace("://", &format!("://{}:{}@", user.user, user.password));
        let mut site = Site::in_folder(&name);
        site.database.clone_from(&database);
        let all = [
            (Engine::Postgres, "postgres", database),
            (Engine::Redis, "redis", engines.redis),
            (Engine::Nats, "nats", nats),
            (Engine::Temporal, "temporal", engines.temporal),
        ];
        for (engine, key, url) in all {
            let url = if proxied { site.proxied(engine, &url).await } else { url };
            site = site.set(&format!("engines.{key}.url"), url);
        }
        site.set("workflow.task_queue", &name)
    }

    /// A folder alone: `up` starts engines of its own.
    pub(crate) fn with_own_engines() -> Site {
        let mut site = Site::in_folder(&Ids::default().next().to_string());
        // The engines' programs lie where `./dev` put them: beside the sources, unless the environment names another place.
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/workos lies two below the root");
        let tools = root.join(".workos/tools");
        if tools.is_dir() {
            site.environment.insert("WORKOS_TOOLS_DIR".to_owned(), tools.display().to_string());
        }
        site
    }

    fn in_folder(name: &str) -> Site {
        let folder = temporary_folder(name);
        std::fs::create_dir_all(folder.join(".workos")).expect("the folder of the test can be written");
        let site = Site { folder, environment: BTreeMap::new(), database: String::new(), proxies: BTreeMap::new() };
        site.set("secret_key", SECRET_KEY)
            .set("gateway.listen", "127.0.0.1:0")
            .set("gateway.cors_origins", format!("[\"{ORIGIN}\"]"))
            .set("gateway.rate_credential", "100000")
            .set("gateway.rate_begin", "100000")
            .set("admin.listen", "127.0.0.1:0")
            .set("telemetry.format", "json")
            .set("engines.postgres.pool_size", "4")
            .set("engines.nats.stream_size", "16 MiB")
            .set("engines.nats.dead_letter_size", "8 MiB")
            .set("workflow.engine_timeout", "2s")
    }

    /// Sets one value of the configuration.
    pub(crate) fn set(mut self, key: &str, value: impl Into<String>) -> Site {
        self.environment.insert(format!("WORKOS__{}", key.to_uppercase().replace('.', "__")), value.into());
        self
    }

    async fn proxied(&mut self, engine: Engine, url: &str) -> String {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host =
            rest.rsplit_once('@').map_or(rest, |(_, host)| host).split('/').next().unwrap_or_default().to_owned();
        let proxy = Proxy::start(host.clone()).await;
        let url = url.replace(&host, &proxy.address().to_string());
        self.proxies.insert(engine.as_str(), proxy);
        url
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Another site on the same engines and in the same folder, for settings of one process.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        self.environment.clone()
    }

    /// Starts any command of the binary here.
    pub(crate) fn run(&self, arguments: &[&str]) -> Process {
        Process::start(arguments, &self.folder, &self.environment)
    }

    /// Runs SQL as superuser, past all policies, for assertions about what is stored.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let url = if self.database.is_empty() { own_postgres(&self.folder) } else { self.database.clone() };
        rows(&url, sql).await
    }

    /// The one number that a query gives.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let rows = self.sql(sql).await;
        let field = rows.first().and_then(|row| row.first().cloned().flatten());
        field.and_then(|field| field.parse().ok()).unwrap_or_else(|| panic!("{sql} gave {rows:?}"))
    }

    /// The one-time code for the first owner, as an operator reads it from the folder.
    pub(crate) async fn bootstrap_code(&self) -> String {
        let path = self.folder.join(".workos/data/auth/bootstrap-link");
        let look = || async { std::fs::read_to_string(&path).map_err(|error| error.to_string()) };
        let link = eventually_within(START, "the link for the first owner", look).await;
        link.trim().split_once('#').map(|(_, code)| code.to_owned()).expect("the link ends in a code")
    }

    fn place(&self) -> PathBuf {
        self.folder.join(".workos/run/platform.json")
    }
}

impl Platform {
    /// `workos up`, and waits until it says where it is.
    pub(crate) async fn start(site: Site) -> Platform {
        let mut platform = Platform { site, process: None, gateway: String::new(), admin: String::new() };
        platform.start_again().await;
        platform
    }

    /// Starts again after a kill; the old process must have ended.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        let place = self.site.place();
        let _ = std::fs::remove_file(&place);
        let process = self.site.run(&["up", "--quiet"]);
        let found = eventually_within(START, "the platform is ready", || async {
            assert!(!process.output().has_ended(), "workos up ended: {}", process.output().tail());
            let text = std::fs::read_to_string(&place).map_err(|_| process.output().tail())?;
            serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
        })
        .await;
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (self.gateway, self.admin) = (text("gateway"), format!("http://{}", text("admin")));
        self.process = Some(process);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Output {
        self.process.take().expect("it runs").kill()
    }

    /// Drains and ends.
    pub(crate) async fn stop(&mut self) -> Output {
        self.process.take().expect("it runs").stop().await
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// What the process has written so far.
    pub(crate) fn output(&self) -> Output {
        self.process.as_ref().expect("it runs").output().clone()
    }

    /// A client of the gateway, without credential. Each test takes its own: connections belong to the test's runtime.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.gateway)
    }

    /// A client of the admin port.
    pub(crate) fn admin(&self) -> Client {
        Client::new(&self.admin)
    }

    /// The proxy in front of an engine.
    pub(crate) fn engine(&self, engine: Engine) -> &Proxy {
        self.site.proxies.get(engine.as_str()).expect("made with through_proxies()")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn own_postgres(folder: &Path) -> String {
    engines::Addresses::of_running(&folder.join(".workos")).expect("the platform of this folder runs").postgres
}

async fn new_database(server: &str, name: &str) -> String {
    rows(server, &format!("create database s_{name}")).await;
    let end = server.rfind('/').expect("the address of a database");
    format!("{}/s_{name}", &server[..end])
}

async fn rows(url: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    let address: tokio_postgres::Config = url.parse().expect("engines give valid addresses");
    let (client, connection) = address.connect(NoTls).await.unwrap_or_else(|error| panic!("PostgreSQL: {error:?}"));
    let ask = async {
        let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        });
        rows.collect()
    };
    tokio::select! {
        rows = ask => rows,
        ended = connection => panic!("{sql}: the connection ended: {ended:?}"),
    }
}
