//! One system under test: services in a host, and everything that belongs to them alone.
mod database;
mod identity;
mod person;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api::{Clock, Ids, OrganizationId, UserId};
use authz::Mint;
use chassis::{Config, Groups, Host, Parts, ServiceSpec};
use engines::{Addresses, NatsAccount};
use proto::auth::v1::{ListUserGroupsResponse, Revocation};
use serde::Serialize;

use crate::Proxy;
use database::Database;
use identity::Injected;

pub use chassis::Engine;
pub use database::Published;
pub use person::{Organization, Person, Workload};

/// Patience for the start of a system: engines may be started first.
const START: Duration = Duration::from_secs(120);
/// Root secret of every test: roles belong to the whole server, so all tests of a run must agree on their passwords.
const SECRET_KEY: &str = "testkit secret that protects nothing at all";

/// Services on real engines, with everything of their own. Dropping it ends them without drain.
pub struct System {
    setup: Arc<Setup>,
    world: Arc<World>,
    host: Option<Host>,
}

/// What a test may choose.
pub struct Builder {
    specs: Vec<&'static ServiceSpec>,
    settings: Vec<(String, serde_json::Value)>,
    clock: Clock,
    proxied: bool,
    away: Vec<Engine>,
    revocations: Vec<Revocation>,
}

/// What stays the same over restarts.
struct Setup {
    specs: Vec<&'static ServiceSpec>,
    settings: Vec<(String, serde_json::Value)>,
    addresses: BTreeMap<&'static str, String>,
    proxies: BTreeMap<&'static str, Proxy>,
    database: Database,
    nats: NatsAccount,
    folder: PathBuf,
    name: String,
}

/// What persons share with the system: the way in, which changes with a restart, and the mint.
pub(crate) struct World {
    pub(crate) mint: Mint,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    meshes: RwLock<BTreeMap<String, mesh::client::Mesh>>,
    revocations: RwLock<Vec<Revocation>>,
    /// Who is in which groups and holds which links.
    groups: RwLock<HashMap<(OrganizationId, UserId), ListUserGroupsResponse>>,
    /// Nobody can be told who is in which groups and holds which links.
    groups_away: AtomicBool,
    /// What services hold of them.
    held_groups: RwLock<Option<Groups>>,
}

impl World {
    pub(crate) fn mesh(&self, workload: &str) -> mesh::client::Mesh {
        let meshes = self.meshes.read().unwrap_or_else(PoisonError::into_inner);
        meshes.get(workload).cloned().unwrap_or_else(|| panic!("`{workload}` is no workload of the contract"))
    }

    /// As `auth` would: the rows change, then services are told.
    pub(crate) fn regroup(&self, member: (OrganizationId, UserId), change: impl FnOnce(&mut ListUserGroupsResponse)) {
        change(self.groups.write().unwrap_or_else(PoisonError::into_inner).entry(member).or_default());
        if let Some(held) = &*self.held_groups.read().unwrap_or_else(PoisonError::into_inner) {
            held.changed(member.0);
        }
    }
}

impl System {
    /// Starts these services and waits until they are ready.
    ///
    /// # Panics
    /// When they cannot be started; the message says why.
    pub async fn start(specs: &[&'static ServiceSpec]) -> System {
        System::builder(specs).start().await
    }

    /// A system with settings of its own.
    #[must_use]
    pub fn builder(specs: &[&'static ServiceSpec]) -> Builder {
        let (settings, away, revocations) = (Vec::new(), Vec::new(), Vec::new());
        Builder { specs: specs.to_vec(), settings, clock: Clock::default(), proxied: false, away, revocations }
    }

    /// A new organization that nobody else knows.
    #[must_use]
    pub fn organization(&self) -> Organization {
        Organization::new(Arc::clone(&self.world), OrganizationId(self.world.ids.next()))
    }

    /// An administrator of the system organization: whoever runs the platform.
    #[must_use]
    pub fn operator(&self) -> Person {
        Organization::new(Arc::clone(&self.world), OrganizationId::SYSTEM).user(proto::Role::Admin)
    }

    /// Calls in the name of a workload, without a person.
    #[must_use]
    pub fn as_workload(&self, name: &str) -> Workload {
        Workload::new(Arc::clone(&self.world), name)
    }

    /// Calls through the gateway's name without any credential.
    #[must_use]
    pub fn anonymous(&self) -> Workload {
        self.as_workload("gateway")
    }

    /// The time that services and tokens go by; `advance` moves it.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.world.clock
    }

    /// The host.
    ///
    /// # Panics
    /// Never in a running system.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("a system has a host except within restart")
    }

    /// The proxy in front of an engine, for a system built with [`Builder::through_proxies`].
    ///
    /// # Panics
    /// When it was built without.
    #[must_use]
    pub fn engine(&self, engine: Engine) -> &Proxy {
        self.setup.proxies.get(engine.as_str()).expect("build the system with .through_proxies() to cut engines")
    }

    /// Address of an engine as the services use it.
    #[must_use]
    pub fn engine_url(&self, engine: Engine) -> &str {
        self.setup.addresses.get(engine.as_str()).map_or("", String::as_str)
    }

    /// Folder in which services keep their files.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.setup.folder
    }

    /// Drains and starts again: an upgrade.
    ///
    /// # Panics
    /// When a task had to be cut, or the start fails.
    pub async fn restart(&mut self) {
        if let Some(host) = self.host.take() {
            let cut = host.stop().await;
            assert!(cut.is_empty(), "the drain had to cut {cut:?}");
        }
        self.host = Some(self.setup.start(&self.world).await);
    }

    /// Ends everything without drain and starts again: a crash.
    ///
    /// # Panics
    /// When the start fails.
    pub async fn crash(&mut self) {
        if let Some(host) = self.host.take() {
            host.kill();
        }
        self.host = Some(self.setup.start(&self.world).await);
    }

    /// Drains for good.
    ///
    /// # Panics
    /// When a task had to be cut.
    pub async fn stop(mut self) {
        if let Some(host) = self.host.take() {
            let cut = host.stop().await;
            assert!(cut.is_empty(), "the drain had to cut {cut:?}");
        }
    }

    /// Voids tokens from now on, as `auth` would list it. Verifiers hear of it with their next load, within 10 s.
    pub fn revoke(&self, revocation: Revocation) {
        self.world.revocations.write().unwrap_or_else(PoisonError::into_inner).push(revocation);
    }

    /// Whether services can be told who is in which groups; what they hold they keep for a while. That the owner is back they hear by a change
    /// in an organization of nobody.
    pub fn groups_away(&self, away: bool) {
        self.world.groups_away.store(away, Ordering::SeqCst);
        if !away && let Some(held) = &*self.world.held_groups.read().unwrap_or_else(PoisonError::into_inner) {
            held.changed(OrganizationId(self.world.ids.next()));
        }
    }

    /// Events of one kind that a service has written, oldest first: what its outbox holds, sent or not.
    pub async fn published(&self, service: &str, kind: &str) -> Vec<Published> {
        self.setup.database.published(service, kind).await
    }

    /// Runs SQL as superuser, for assertions about what is stored. Several statements may be separated by semicolons.
    pub async fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.setup.database.sql(sql).await
    }
}

impl Builder {
    /// Sets one value of the configuration, for example `document.page_size_max`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Serialize) -> Builder {
        let value = serde_json::to_value(value).expect("a setting is text, a number, a flag or a list");
        self.settings.push((key.to_owned(), value));
        self
    }

    /// Uses this clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// Puts a proxy in front of each engine, to cut it.
    #[must_use]
    pub fn through_proxies(mut self) -> Builder {
        self.proxied = true;
        self
    }

    /// Starts while this engine is away; [`System::engine`] mends it.
    #[must_use]
    pub fn without(mut self, engine: Engine) -> Builder {
        self.proxied = true;
        self.away.push(engine);
        self
    }

    /// Begins with these revocations.
    #[must_use]
    pub fn revoked(mut self, revocations: Vec<Revocation>) -> Builder {
        self.revocations = revocations;
        self
    }

    /// Starts the system and waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be started; the message says why.
    pub async fn start(self) -> System {
        let engines = engines::for_tests().await;
        let name = Ids::default().next().to_string();
        let database = Database::create(&engines.postgres, &self.specs, SECRET_KEY).await;
        let (addresses, proxies) = reach(&engines, &database, self.proxied).await;
        for engine in &self.away {
            proxies.get(engine.as_str()).expect("every engine has a proxy now").cut();
        }
        let nats = engines.next_nats_account().expect("a set of engines for tests has NATS accounts left");
        let folder = temporary_folder(&name);
        let setup =
            Setup { specs: self.specs, settings: self.settings, addresses, proxies, database, nats, folder, name };
        let (private, _) = authz::generate_key();
        let world = World {
            mint: Mint::new(&private, 1, self.clock.clone()).expect("the key was just made"),
            clock: self.clock,
            ids: Ids::default(),
            meshes: RwLock::default(),
            revocations: RwLock::new(self.revocations),
            groups: RwLock::default(),
            groups_away: AtomicBool::default(),
            held_groups: RwLock::default(),
        };
        let (setup, world) = (Arc::new(setup), Arc::new(world));
        let host = Some(setup.start(&world).await);
        System { setup, world, host }
    }
}

/// Addresses of the engines as services are to use them, with proxies in front if asked for.
async fn reach(
    engines: &Addresses,
    database: &Database,
    proxied: bool,
) -> (BTreeMap<&'static str, String>, BTreeMap<&'static str, Proxy>) {
    let all = [
        (Engine::Postgres, database.url().to_owned()),
        (Engine::Redis, engines.redis.clone()),
        (Engine::Nats, engines.nats.clone()),
        (Engine::Temporal, engines.temporal.clone()),
    ];
    let (mut addresses, mut proxies) = (BTreeMap::new(), BTreeMap::new());
    for (engine, url) in all {
        let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let host =
            host.rsplit_once('@').map_or(host, |(_, host)| host).split('/').next().unwrap_or_default().to_owned();
        if proxied && !host.is_empty() {
            let proxy = Proxy::start(host.clone()).await;
            addresses.insert(engine.as_str(), url.replace(&host, &proxy.address().to_string()));
            proxies.insert(engine.as_str(), proxy);
        } else {
            addresses.insert(engine.as_str(), url);
        }
    }
    (addresses, proxies)
}

impl Setup {
    fn config(&self) -> Config {
        let mut config = Config::defaults().expect("the defaults are valid");
        let mut set = |key: &str, value: serde_json::Value| {
            config.set(key, &value).unwrap_or_else(|error| panic!("{key} = {value}: {error}"));
        };
        set("admin.listen", "127.0.0.1:0".into());
        set("mesh.mode", "process".into());
        set("secret_key", SECRET_KEY.into());
        set("data_dir", self.folder.display().to_string().into());
        set("telemetry.level", "warn".into());
        set("lifecycle.drain", "15s".into());
        set("engines.postgres.pool_size", 6.into());
        set("engines.nats.stream_size", "16 MiB".into());
        set("engines.nats.dead_letter_size", "8 MiB".into());
        for (engine, url) in &self.addresses {
            set(&format!("engines.{engine}.url"), url.as_str().into());
        }
        for (key, value) in &self.settings {
            set(key, value.clone());
        }
        config
    }

    async fn start(&self, world: &Arc<World>) -> Host {
        let config = self.config();
        let account = self.nats.clone();
        let sign_in = move |service: &str| {
            let user = account.user(service).unwrap_or_else(|| panic!("the test account has no user {service}"));
            (user.user.clone(), user.password.clone())
        };
        let parts = Parts {
            identity: Some(Arc::new(Injected(Arc::clone(world)))),
            clock: world.clock.clone(),
            ids: world.ids.clone(),
            telemetry: Some(chassis::telemetry::install_for_tests(&config.platform).expect("telemetry of tests")),
            nats: Some(Arc::new(sign_in)),
            cache_prefix: format!("{}:", self.name),
        };
        let host = Host::start(&self.specs, config, parts)
            .await
            .unwrap_or_else(|error| panic!("the system does not start: {error:#}"));
        match tokio::time::timeout(START, host.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("the system does not start: {error:#}"),
            Err(_) => panic!("not ready within {START:?}: {:?}", host.readiness().state()),
        }
        let names = proto::methods().iter().map(|method| method.service).chain(["gateway"]);
        let meshes = names.map(|name| (name.to_owned(), host.mesh(name))).collect();
        *world.meshes.write().unwrap_or_else(PoisonError::into_inner) = meshes;
        *world.held_groups.write().unwrap_or_else(PoisonError::into_inner) = Some(host.groups());
        host
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // A folder that cannot be removed is of no concern to the test.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A new folder for one test, below the system's folder for temporary files.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn temporary_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("workos-test-{name}"));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    folder
}
