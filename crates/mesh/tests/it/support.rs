//! A world of one process: a mint, a verifier, pipes, a server with handlers, and clients under any name.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{CallContext, Clock, Id, Ids, OrganizationId, UserId};
use authz::{Credential, Keys, Mint, Revocations, Subject, Verifier, generate_key};
use bytes::Bytes;
use mesh::{
    Settings,
    client::{Channel, Mesh, Transport},
    pipe,
    server::{self, Listener, Offer},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use proto::{
    Role,
    auth::v1::login_service_server::LoginServiceServer,
    file::v1::{
        GetUploadRequest, file_service_server::FileServiceServer, upload_service_client::UploadServiceClient,
        upload_service_server::UploadServiceServer,
    },
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::{
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::handler::Handler;

pub(crate) struct World {
    pub(crate) verifier: Verifier,
    pub(crate) mint: Mint,
    pub(crate) clock: Clock,
    pub(crate) network: pipe::Network,
    pub(crate) handler: Handler,
    pub(crate) organization: OrganizationId,
    pub(crate) user: UserId,
    pub(crate) settings: Settings,
    pub(crate) health: HealthReporter,
}

/// A running server; dropping it ends it.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Stops it and waits for the drain.
    pub(crate) async fn stopped(self) {
        self.stop.cancel();
        self.task.await.expect("the server does not panic").expect("the listener was good");
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let (clock, ids) = (Clock::default(), Ids::default());
        let mint = Mint::new(&generate_key().0, 1, clock.clone()).expect("a fresh key is a key");
        let revocations = Revocations::new(clock.clone());
        revocations.replace(0, Vec::new());
        let verifier = Verifier::new("test", Keys::new(vec![mint.verify_key()]), revocations, clock.clone());
        let (network, handler) = (pipe::network(), Handler::default());
        let (organization, user) = (OrganizationId(ids.next()), UserId(ids.next()));
        Self { verifier, mint, clock, network, handler, organization, user, settings, health: HealthReporter::new() }
    }

    pub(crate) fn offer(&self) -> Offer {
        let mut offer = Offer::new();
        offer.mount(mesh::rpc!(UploadServiceServer::new(self.handler.clone()))).expect("in the contract");
        offer.mount(mesh::rpc!(FileServiceServer::new(self.handler.clone()))).expect("in the contract");
        offer.mount(mesh::rpc!(LoginServiceServer::new(self.handler.clone()))).expect("in the contract");
        let health = HealthService::from_health_reporter(self.health.clone());
        offer.mount_beside(HealthServer::new(health)).expect("health stands beside");
        offer
    }

    pub(crate) fn serve(&self, listener: Listener) -> Running {
        let stop = CancellationToken::new();
        let (offer, settings, authorizer) = (self.offer(), self.settings.clone(), Arc::new(self.verifier.clone()));
        #[expect(clippy::disallowed_methods, reason = "the test holds the handle")]
        let task = tokio::spawn(server::serve(offer, listener, settings, authorizer, stop.clone()));
        Running { stop, task }
    }

    /// Serves `file` over a pipe.
    pub(crate) fn serve_pipe(&self) -> Running {
        self.serve(Listener::Pipe(self.network.listen("file")))
    }

    pub(crate) fn mesh(&self, me: &str) -> Mesh {
        Mesh::new(me, Transport::Process(self.network.clone()), Arc::new(self.verifier.clone()), self.settings.clone())
    }

    pub(crate) fn token(&self, role: Option<Role>) -> Bytes {
        let subject = Subject {
            user: self.user,
            organization: Some(self.organization),
            role,
            custom_roles: Vec::new(),
            credential: Credential::Session("s1".to_owned()),
            client: "test".to_owned(),
            scopes: vec!["*".to_owned()],
            acting: None,
            amr: Vec::new(),
            acr: 1,
            auth_time: None,
            methods: Vec::new(),
        };
        self.mint.mint(&subject, Duration::from_secs(300)).expect("it fits")
    }

    /// An editor's channel, as the gateway has it.
    pub(crate) fn channel(&self) -> Channel {
        self.mesh("gateway").with_token("file", self.token(Some(Role::Editor)), &context())
    }

    pub(crate) fn uploads(&self) -> UploadServiceClient<Channel> {
        UploadServiceClient::new(self.channel())
    }

    pub(crate) fn upload(&self) -> String {
        format!("{}/uploads/{}", self.organization.name(), Id::ZERO)
    }

    pub(crate) fn get(&self) -> GetUploadRequest {
        GetUploadRequest { name: self.upload() }
    }
}

pub(crate) fn context() -> CallContext {
    CallContext { request_id: "request-1".to_owned(), ..CallContext::default() }
}

/// Reason of a refused call.
pub(crate) fn reason(status: &tonic::Status) -> String {
    api::Error::from_status(status).reason().to_owned()
}

/// Records metrics of this thread while it lives.
pub(crate) struct Metrics {
    snapshots: Snapshotter,
    /// A snapshot takes what it shows, so what was seen is kept here.
    seen: Mutex<BTreeMap<(String, String), u64>>,
}

impl Metrics {
    /// Installs a recorder for this thread; `metrics` wants it to live on, so it is leaked.
    pub(crate) fn install() -> (Self, metrics::LocalRecorderGuard<'static>) {
        let recorder = Box::leak(Box::new(DebuggingRecorder::new()));
        let snapshots = recorder.snapshotter();
        (Self { snapshots, seen: Mutex::default() }, metrics::set_default_local_recorder(recorder))
    }

    /// Counters of a name: labels as `key=value`, sorted, and the count.
    pub(crate) fn counters(&self, name: &str) -> Vec<(String, u64)> {
        let mut seen = self.seen.lock().expect("no test panics while it holds this");
        for (key, _, _, value) in self.snapshots.snapshot().into_vec() {
            if let DebugValue::Counter(count) = value {
                let mut labels: Vec<_> =
                    key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
                labels.sort();
                *seen.entry((key.key().name().to_owned(), labels.join(" "))).or_default() += count;
            }
        }
        seen.iter()
            .filter(|((found, _), _)| found == name)
            .map(|((_, labels), count)| (labels.clone(), *count))
            .collect()
    }
}
