//! Runs services in one process: all of them over pipes, or one with its own sockets.
//!
//! Start: everything is checked, then every port is bound, then engines are connected, then services are built, then the
//! process is ready. An engine that is away is waited for; a configuration that is wrong ends the start before a port opens.
//! [`Host::start`] returns when ports are bound; [`Host::ready`] waits for the rest.
mod boot;
mod watch;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use api::{Clock, Ids};
use authz::Verifier;
use mesh::{
    client::{Mesh, Transport},
    pipe, tls,
};
use tokio::net::TcpListener;

use crate::{
    BootError, Config, ConfigError, Groups, Platform, ServiceSpec,
    admin::{Admin, Health},
    identity::{Identity, OverMesh, Source},
    keys::RootKey,
    kit::{Engine, engine_url},
    lifecycle,
    mount::{Listeners, bind},
    readiness::{Readiness, State},
    tasks::{Stage, Tasks},
    telemetry::{self, Telemetry},
};

/// User and password of a service at NATS.
pub type NatsSignIn = Arc<dyn Fn(&str) -> (String, String) + Send + Sync>;

/// What a host takes from its surroundings instead of making it itself.
#[derive(Clone, Default)]
pub struct Parts {
    /// Keys and revocations; by default from the contract's `TokenService` over the mesh.
    pub identity: Option<Arc<dyn Source>>,
    /// The time.
    pub clock: Clock,
    /// New ids.
    pub ids: Ids,
    /// Telemetry that is already set up.
    pub telemetry: Option<Telemetry>,
    /// Sign-in at NATS by service, where it is not user = service with a derived password.
    pub nats: Option<NatsSignIn>,
    /// Before the names of cache keys, so that several systems can share one server.
    pub cache_prefix: String,
}

/// Where a host listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Admin port.
    pub admin: SocketAddr,
    /// gRPC port, in modes `direct` and `sidecar`.
    pub rpc: Option<SocketAddr>,
    /// Sockets that services bound themselves, by name.
    pub listeners: BTreeMap<String, SocketAddr>,
}

/// Running services. Dropping it ends them without drain.
pub struct Host {
    shared: Arc<Shared>,
    admin: SocketAddr,
    rpc: Option<SocketAddr>,
}

/// What all services of the process share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) parts: Parts,
    pub(crate) root_key: RootKey,
    pub(crate) readiness: Readiness,
    pub(crate) tasks: Tasks,
    pub(crate) telemetry: Telemetry,
    pub(crate) identity: Identity,
    pub(crate) groups: Groups,
    pub(crate) transport: Transport,
    pub(crate) mesh_settings: mesh::Settings,
    pub(crate) listeners: Listeners,
    pub(crate) admin: Admin,
    /// Why a service could not be started.
    pub(crate) boot_error: Mutex<Option<BootError>>,
}

impl Host {
    /// Checks the configuration, binds the ports and begins to start the services.
    ///
    /// # Errors
    /// A [`ConfigError`] inside says that the configuration is wrong; else a port is taken or the data folder cannot be made.
    pub async fn start(specs: &[&'static ServiceSpec], config: Config, parts: Parts) -> Result<Host, BootError> {
        check(specs, &config)?;
        let name = process_name(specs);
        let telemetry = match &parts.telemetry {
            Some(telemetry) => telemetry.clone(),
            None => telemetry::install(&config.platform, &name)?,
        };
        let platform = config.platform.clone();
        let root_key = RootKey::resolve(&platform)?;
        let admin_socket = bind("the admin port (admin.listen)", platform.admin.listen).await?;
        let Way { transport, settings, rpc_socket } = way(specs, &config).await?;
        let admin = admin_socket.local_addr().context("ask the admin port for its address")?;
        let rpc = rpc_socket
            .as_ref()
            .map(TcpListener::local_addr)
            .transpose()
            .context("ask the gRPC port for its address")?;
        let shared = Shared::assemble(specs, config, parts, root_key, telemetry, (transport, settings))?;
        tracing::info!(admin = %admin, services = specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", "), "starting");
        let starting = shared.readiness.awaiting("start");
        shared.run_platform(admin_socket);
        boot::services(&shared, specs, rpc_socket, starting);
        Ok(Host { shared, admin, rpc })
    }

    /// Waits until everything is there.
    ///
    /// # Errors
    /// A service could not be started.
    pub async fn ready(&self) -> Result<(), BootError> {
        let mut watch = self.shared.readiness.watch();
        let state = watch.wait_for(|state| state.is_ready() || state.failed.is_some() || state.draining).await;
        let state = state.context("the host is gone")?.clone();
        match state {
            state if state.is_ready() => Ok(()),
            State { failed: Some(failed), .. } => {
                Err(self.take_boot_error().unwrap_or_else(|| anyhow::anyhow!(failed)))
            }
            _ => Err(anyhow::anyhow!("stopped before everything was there")),
        }
    }

    /// Waits until something breaks that only a new process heals, and says what.
    pub async fn failed(&self) -> String {
        let mut watch = self.shared.readiness.watch();
        let failed = watch.wait_for(|state| state.failed.is_some()).await.ok().and_then(|state| state.failed.clone());
        failed.unwrap_or_else(|| "the host is gone".to_owned())
    }

    /// Why a service could not be started, once.
    pub fn take_boot_error(&self) -> Option<BootError> {
        self.shared.boot_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where it listens. Sockets of services appear when those are built.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let listeners = self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Addresses { admin: self.admin, rpc: self.rpc, listeners }
    }

    /// What is awaited.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.shared.readiness
    }

    /// The way to the services under the name of any workload: for tests and for commands beside the services.
    #[must_use]
    pub fn mesh(&self, workload: &str) -> Mesh {
        self.shared.mesh(workload)
    }

    /// Which groups callers are in, to say that some have changed: as [`Host::mesh`].
    #[must_use]
    pub fn groups(&self) -> Groups {
        self.shared.groups.clone()
    }

    /// The telemetry in force.
    #[must_use]
    pub fn telemetry(&self) -> Telemetry {
        self.shared.telemetry.clone()
    }

    /// Stops everything in order within `lifecycle.drain`. Returns the names of tasks that had to be cut.
    pub async fn stop(self) -> Vec<String> {
        let limit = self.shared.config.platform.lifecycle.drain;
        lifecycle::drain(&self.shared.readiness, &self.shared.tasks, limit).await
    }

    /// Ends everything at once, as a crash would; what was acknowledged must survive it.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.shared.tasks.abort();
    }
}

impl Shared {
    fn assemble(
        specs: &[&'static ServiceSpec],
        config: Config,
        parts: Parts,
        root_key: RootKey,
        telemetry: Telemetry,
        (transport, mesh_settings): (Transport, mesh::Settings),
    ) -> Result<Arc<Shared>, BootError> {
        let readiness = Readiness::default();
        let first = specs.first().map_or("", |spec| spec.name);
        let identity = Identity::new(parts.clock.clone(), |keys, revocations| {
            let verifier = Verifier::new(first, keys.clone(), revocations.clone(), parts.clock.clone());
            let mesh = Mesh::new(first, transport.clone(), Arc::new(verifier), mesh_settings.clone());
            let over_mesh = OverMesh { mesh, ids: parts.ids.clone() };
            parts.identity.clone().unwrap_or_else(|| Arc::new(over_mesh))
        });
        let groups = Groups::new(&identity, parts.clock.clone());
        let admin = Admin {
            readiness: readiness.clone(),
            telemetry: telemetry.clone(),
            config: print(specs, &config)?.into(),
            pages: Arc::default(),
            health: Health::new(specs.iter().map(|spec| spec.name).collect()),
        };
        let tasks = Tasks::new(readiness.clone());
        let (listeners, boot_error) = (Listeners::default(), Mutex::default());
        Ok(Arc::new(Shared {
            config,
            parts,
            root_key,
            readiness,
            tasks,
            telemetry,
            identity,
            groups,
            transport,
            mesh_settings,
            listeners,
            admin,
            boot_error,
        }))
    }

    /// The way to the services under one name.
    pub(crate) fn mesh(&self, workload: &str) -> Mesh {
        Mesh::new(workload, self.transport.clone(), Arc::new(self.verifier(workload)), self.mesh_settings.clone())
    }

    /// Verifies and narrows tokens for one workload.
    pub(crate) fn verifier(&self, workload: &str) -> Verifier {
        let (keys, revocations, directory) =
            (self.identity.keys(), self.identity.revocations(), self.identity.directory());
        Verifier::with_directory(workload, keys, revocations, directory, self.parts.clock.clone())
    }

    /// Tasks that belong to the process and not to a service.
    fn run_platform(self: &Arc<Self>, admin_socket: TcpListener) {
        let (admin, health, readiness) = (self.admin.clone(), self.admin.health.clone(), self.readiness.clone());
        self.tasks.vital(Stage::Platform, "admin port", |shutdown| admin.serve(admin_socket, shutdown));
        self.tasks.vital(Stage::Platform, "health", |shutdown| async move {
            tokio::select! {
                () = health.follow(readiness) => {}
                () = shutdown.cancelled() => {}
            }
        });
        let awaited = Arc::new(self.readiness.awaiting("verify keys"));
        let identity = self.identity.clone();
        self.tasks.keep_in(Stage::Platform, "identity", move |shutdown| {
            identity.clone().keep(Arc::clone(&awaited), shutdown)
        });
        let awaited = Arc::new(self.readiness.awaiting("directory of roles"));
        let identity = self.identity.clone();
        self.tasks.keep_in(Stage::Platform, "directory of roles", move |shutdown| {
            identity.clone().keep_directory(Arc::clone(&awaited), shutdown)
        });
        let telemetry = self.telemetry.clone();
        self.tasks.keep_in(Stage::Platform, "upkeep", move |shutdown| watch::upkeep(telemetry.clone(), shutdown));
    }
}

/// How the services of the process are reached and reach others.
struct Way {
    transport: Transport,
    settings: mesh::Settings,
    rpc_socket: Option<TcpListener>,
}

/// Binds the gRPC port and reads certificates, as the mode asks.
async fn way(specs: &[&'static ServiceSpec], config: &Config) -> Result<Way, BootError> {
    let platform = &config.platform;
    let name = specs.first().map_or("", |spec| spec.name);
    let settings = config.mesh_settings(name);
    let drain = mesh::Period::millis(drain_millis(platform, settings.mode).max(1));
    let settings = mesh::Settings { drain, ..settings };
    settings.check().map_err(ConfigError::new)?;
    let rpc = async || bind("the gRPC port (rpc.listen)", platform.rpc.listen).await;
    Ok(match settings.mode {
        mesh::Mode::Process => Way { transport: Transport::Process(pipe::network()), settings, rpc_socket: None },
        mesh::Mode::Sidecar => Way { transport: Transport::Sidecar, rpc_socket: Some(rpc().await?), settings },
        mesh::Mode::Direct => {
            let ca = Some(settings.ca.clone());
            let files = tls::Files { certificate: settings.certificate.clone(), key: settings.key.clone(), ca };
            let identity = tls::Reloading::open(files).map_err(|error| ConfigError::new(format!("[mesh] {error}")))?;
            Way { transport: Transport::Direct(identity), rpc_socket: Some(rpc().await?), settings }
        }
    })
}

/// Time that running calls have left at the stop: within the stage of the servers, which in one process comes after that of
/// the edge.
fn drain_millis(platform: &Platform, mode: mesh::Mode) -> u64 {
    let millis = u64::try_from(platform.lifecycle.drain.as_millis()).unwrap_or(u64::MAX);
    if mode == mesh::Mode::Process { millis / 16 * 5 } else { millis / 16 * 12 }
}

/// Everything that can be known to be wrong before a port opens.
fn check(specs: &[&'static ServiceSpec], config: &Config) -> Result<(), ConfigError> {
    for spec in specs {
        if let Some(settings) = &spec.settings {
            (settings.check)(config, spec.name)?;
        }
        engine_url(&config.platform, Engine::Redis)?;
        if spec.migrations.is_some() {
            engine_url(&config.platform, Engine::Postgres)?;
        }
        if spec.events {
            engine_url(&config.platform, Engine::Nats)?;
        }
    }
    let mode = config.mesh_settings("").mode;
    if mode != mesh::Mode::Process && specs.len() != 1 {
        return Err(ConfigError::new(format!(
            "mesh.mode = \"{}\" is for one service per process; serve one, or set mesh.mode = \"process\"",
            format!("{mode:?}").to_lowercase()
        )));
    }
    Ok(())
}

/// The whole configuration of the process as TOML, secrets masked.
pub(crate) fn print(specs: &[&'static ServiceSpec], config: &Config) -> Result<String, ConfigError> {
    let mut text = config.print_platform()?;
    for spec in specs {
        if let Some(settings) = &spec.settings {
            text.push('\n');
            text.push_str(&(settings.print)(config, spec.name)?);
        }
    }
    Ok(text)
}

fn process_name(specs: &[&'static ServiceSpec]) -> String {
    match specs {
        [one] => format!("workos-{}", one.name),
        _ => "workos".to_owned(),
    }
}
