//! From a service's constant to a service that answers.
//!
//! Per service: connect (and wait for PostgreSQL, whose schema must be new enough), build, then start everything that was
//! mounted. Services of one process start side by side; a start that fails breaks the process and keeps its reason for the
//! exit code.
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use db::Db;
use events::{Broker, Consumer, Delivery};
use mesh::{
    client::Transport,
    server::{self, Listener, Offer},
};
use proto::{
    auth::v1::{
        CredentialsRevoked, CustomRoleCreated, CustomRoleDeleted, CustomRoleUpdated, GroupDeleted, GroupUpdated,
        LinkDeleted, LinkOpened,
    },
    events::v1::event_admin_service_server::EventAdminServiceServer,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Shared, watch};
use crate::{
    BootError, ServiceSpec,
    config::EngineUrl,
    kit::{self, Engine, Kit},
    mount::Mount,
    readiness::Awaited,
    reflection, refusals,
    tasks::{Stage, Tasks},
};

/// Time between two looks at a PostgreSQL that is away.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Begins to start all services; `starting` is released when each has said what it awaits.
pub(super) fn services(
    shared: &Arc<Shared>,
    specs: &[&'static ServiceSpec],
    rpc_socket: Option<TcpListener>,
    starting: Awaited,
) {
    let starting = Arc::new(starting);
    let mut rpc_socket = rpc_socket;
    for &spec in specs {
        let (shared, starting, socket) = (Arc::clone(shared), Arc::clone(&starting), rpc_socket.take());
        let tasks = shared.tasks.of(spec.name);
        tasks.once(Stage::Work, "start", move |shutdown| async move {
            let started = tokio::select! {
                started = service(&shared, spec, socket) => started.with_context(|| format!("start {}", spec.name)),
                () = shutdown.cancelled() => return Ok(()),
            };
            drop(starting);
            started.map_err(|error| {
                let text = format!("{error:#}");
                *shared.boot_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                text
            })
        });
    }
}

async fn service(
    shared: &Arc<Shared>,
    spec: &'static ServiceSpec,
    socket: Option<TcpListener>,
) -> Result<(), BootError> {
    let db = match spec.migrations {
        Some(migrations) => Some(database(shared, spec, &migrations).await?),
        None => None,
    };
    let broker = if spec.events { Some(broker(shared, spec).await?) } else { None };
    let cache = cache(shared, spec).await?;
    let kit = Kit(Arc::new(kit::Parts {
        service: spec.name,
        config: shared.config.clone(),
        root_key: shared.root_key.clone(),
        data_dir: kit::data_dir(&shared.config.platform, spec.name)?,
        db: db.clone(),
        cache: cache.clone(),
        mesh: shared.mesh(spec.name),
        clock: shared.parts.clock.clone(),
        ids: shared.parts.ids.clone(),
        tasks: shared.tasks.of(spec.name),
        keys: shared.identity.keys(),
        revocations: shared.identity.revocations(),
        directory: shared.identity.directory(),
        groups: shared.groups.clone(),
    }));
    let mut mount = Mount::new(spec.name, shared.readiness.clone(), shared.listeners.clone());
    (spec.boot)(kit.clone(), &mut mount).await?;
    if let (Some(db), Some(broker)) = (&db, &broker) {
        mount.rpc(mesh::rpc!(EventAdminServiceServer::new(broker.admin(db.clone(), kit.sealer()))));
    }
    if let Some(problem) = mount.problem.take() {
        return Err(problem);
    }
    run(shared, spec, mount, socket, Connections { db, broker, cache })
}

/// What one service is connected to.
struct Connections {
    db: Option<Db>,
    broker: Option<Broker>,
    cache: cache::Cache,
}

/// Starts everything that was mounted.
fn run(
    shared: &Arc<Shared>,
    spec: &ServiceSpec,
    mut mount: Mount,
    socket: Option<TcpListener>,
    connections: Connections,
) -> Result<(), BootError> {
    let tasks = shared.tasks.of(spec.name);
    if let Some(db) = &connections.db {
        mount.offer.keep_refusals(refusals::keeper(&tasks, db.clone()));
    }
    let owns_identity = mount.identity.is_some();
    if let Some(source) = mount.identity {
        shared.identity.replace_source(source);
    }
    shared.admin.pages.write().unwrap_or_else(PoisonError::into_inner).extend(mount.pages);
    if mount.offer.services().next().is_some() {
        serve(shared, spec, mount.offer, socket)?;
    }
    if let Some(broker) = &connections.broker {
        for (number, (consumer, handler)) in mount.consumers.into_iter().enumerate() {
            let broker = broker.clone();
            let name = format!("consumer {}", number + 1);
            tasks.keep_in(Stage::Consume, name, move |shutdown| {
                let (broker, consumer, handler) = (broker.clone(), consumer.clone(), handler.clone());
                async move { broker.consume(consumer, handler, shutdown).await }
            });
        }
        if owns_identity || shared.parts.identity.is_none() {
            hear_changes(shared, &tasks, broker, owns_identity);
        }
        if let Some(db) = &connections.db {
            let (broker, db) = (broker.clone(), db.clone());
            tasks.keep_in(Stage::Relay, "relay", move |shutdown| {
                let (broker, db) = (broker.clone(), db.clone());
                async move { broker.relay(db, shutdown).await }
            });
        }
    }
    for start in mount.work {
        start(&tasks);
    }
    watch::engines(shared, spec.name, connections.db, connections.broker, connections.cache);
    Ok(())
}

/// Loads revocations and directory at once when an event says that there are new ones, and drops who is in which group and holds which
/// link: in every instance, since each keeps its own. Within one process the owner writes into it directly; of groups and links he hears too,
/// for whoever changes one may be gone before he has said so.
fn hear_changes(shared: &Arc<Shared>, tasks: &Tasks, broker: &Broker, owns_identity: bool) {
    let of_groups =
        Consumer::new("identity").on::<GroupUpdated>().on::<GroupDeleted>().on::<LinkOpened>().on::<LinkDeleted>();
    let consumer = match (&shared.transport, owns_identity) {
        (Transport::Process(_), true) => of_groups,
        (Transport::Process(_), false) => return,
        (Transport::Sidecar | Transport::Direct(_), _) => of_groups
            .on::<CredentialsRevoked>()
            .on::<CustomRoleCreated>()
            .on::<CustomRoleUpdated>()
            .on::<CustomRoleDeleted>(),
    };
    let (broker, identity, groups) = (broker.clone(), shared.identity.clone(), shared.groups.clone());
    tasks.keep_in(Stage::Consume, "consumer identity", move |shutdown| {
        let (broker, consumer, identity, groups) = (broker.clone(), consumer.clone(), identity.clone(), groups.clone());
        let heard = move |event: Option<&Delivery>| match event {
            Some(event) if groups.heard(event) => {}
            Some(_) => identity.nudge(),
            None => {
                groups.all_changed();
                identity.nudge();
            }
        };
        async move { broker.hear(consumer, heard, shutdown).await }
    });
}

/// Serves the mounted RPCs, with reflection and health beside the stack: clients in `direct` mode ask before they call.
fn serve(
    shared: &Arc<Shared>,
    spec: &ServiceSpec,
    mut offer: Offer,
    socket: Option<TcpListener>,
) -> Result<(), BootError> {
    let listed = offer.services().map(str::to_owned).collect();
    let reflection = reflection::Reflection::new(&bytes::Bytes::from_static(proto::CONTRACT), Some(listed))?;
    offer.mount_beside(reflection.v1())?;
    offer.mount_beside(reflection.v1alpha())?;
    offer.mount_beside(shared.admin.health.service())?;
    let listener = match (&shared.transport, socket) {
        (Transport::Process(network), _) => Listener::Pipe(network.listen(spec.name)),
        (Transport::Sidecar, Some(socket)) => Listener::Sidecar(socket),
        (Transport::Direct(identity), Some(socket)) => Listener::Tls(socket, identity.clone()),
        (_, None) => anyhow::bail!("no gRPC port was bound for {}", spec.name),
    };
    let verifier = Arc::new(shared.verifier(spec.name));
    let settings = shared.mesh_settings.clone();
    let serve = move |shutdown: CancellationToken| server::serve(offer, listener, settings, verifier, shutdown);
    shared.tasks.of(spec.name).vital(Stage::Rpc, "rpc", serve);
    Ok(())
}

/// Connects, and waits until PostgreSQL answers with a schema that is new enough.
async fn database(shared: &Arc<Shared>, spec: &ServiceSpec, migrations: &db::Migrations) -> Result<Db, BootError> {
    let postgres = &shared.config.platform.engines.postgres;
    let password = match postgres.password.reveal() {
        empty if empty.is_empty() => shared.root_key.password("postgres", spec.name),
        given => given,
    };
    let settings =
        db::Settings { pool_size: postgres.pool_size, ..db::Settings::new(postgres.url.reveal(), spec.name, password) };
    let db = Db::connect(&settings).await.map_err(configuration)?;
    let awaited = shared.readiness.awaiting(format!("{}/postgres", spec.name));
    let mut said = false;
    loop {
        match db.check_schema(migrations).await {
            Ok(()) => return Ok(db),
            Err(error) if is_away(&error) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(service.name = spec.name, error.message = %error, "postgres is away, waiting for it");
                }
                awaited.lost(error.to_string());
            }
            Err(error) => return Err(configuration(error)),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Passes by itself: PostgreSQL is away, starting, or too busy to answer.
fn is_away(error: &db::Error) -> bool {
    matches!(error.kind(), db::Kind::Unavailable | db::Kind::Deadline | db::Kind::Conflict)
}

fn configuration(error: db::Error) -> BootError {
    match error.kind() {
        db::Kind::Configuration(_) => crate::ConfigError::new(format!("[engines.postgres] {error}")).into(),
        _ => BootError::new(error),
    }
}

async fn broker(shared: &Arc<Shared>, spec: &ServiceSpec) -> Result<Broker, BootError> {
    let nats = &shared.config.platform.engines.nats;
    let (user, password) = match &shared.parts.nats {
        Some(sign_in) => sign_in(spec.name),
        None => nats
            .account(spec.name)
            .unwrap_or_else(|| (spec.name.to_owned(), shared.root_key.password("nats", spec.name))),
    };
    let settings = events::Settings {
        url: without_userinfo(&nats.url),
        user,
        password,
        stream_bytes: nats.stream_size.bytes(),
        stream_age: nats.stream_age,
        dead_letter_bytes: nats.dead_letter_size.bytes(),
        replicas: nats.replicas,
    };
    Broker::connect(spec.name, &settings)
        .await
        .map_err(|error| crate::ConfigError::new(format!("[engines.nats] {error}")).into())
}

fn without_userinfo(url: &EngineUrl) -> String {
    let text = url.reveal();
    match (url.userinfo(), text.split_once("://")) {
        (Some(_), Some((scheme, rest))) => {
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
        }
        _ => text,
    }
}

async fn cache(shared: &Arc<Shared>, spec: &ServiceSpec) -> Result<cache::Cache, BootError> {
    let url = kit::engine_url(&shared.config.platform, Engine::Redis)?;
    let prefix = format!("{}{}", shared.parts.cache_prefix, spec.name);
    let redis = &shared.config.platform.engines.redis;
    let settings = cache::Settings {
        limit_timeout: redis.limit_timeout,
        local_share: 1.0 / f64::from(redis.instances.max(1)),
        ..cache::Settings::new(url, prefix)
    };
    cache::Cache::connect(&settings)
        .await
        .map_err(|error| crate::ConfigError::new(format!("[engines.redis] {error}")).into())
}
