//! On the engines of the platform under measurement: auth and the edge in one process, which is what identity costs without the services
//! beside it; and auth, gateway and document as processes of their own, as in a cluster: what that takes, and how a sign-out reaches
//! verifiers that share nothing but the network.
use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use api::{CallContext, Clock, Ids};
use authz::{Keys, Revocations, Verifier, VerifyKey};
use http::{Method, StatusCode};
use mesh::client::{Mesh, Transport};
use proto::{
    auth::v1::{ExchangeCredentialRequest, ListVerifyKeysRequest, token_service_client::TokenServiceClient},
    document::v1::{ListDocumentsRequest, document_service_client::DocumentServiceClient},
};

use super::UNLIMITED;
use crate::{
    bench::{
        peer::{Peer, free_address},
        process::{command, service},
    },
    demo::http::{Call, Http},
};

/// The processes, in the order of their start.
const SERVICES: [&str; 3] = ["auth", "document", "gateway"];

/// The processes.
pub(super) struct Apart {
    processes: Vec<Peer>,
    /// Their edge.
    pub(super) gateway: String,
    settings: mesh::Settings,
    certificates: std::path::PathBuf,
}

/// Where one service listens.
struct Place {
    rpc: SocketAddr,
    admin: SocketAddr,
}

/// Starts them on the engines of the platform in this `.workos` folder.
pub(super) async fn start(root: &Path) -> Result<Apart> {
    let engines = engines::Addresses::of_running(root).context("the platform's engines are not on record")?;
    let certificates = root.join("certificates");
    crate::certificates::make(&certificates)?;
    let places: BTreeMap<&str, Place> = SERVICES
        .into_iter()
        .map(|name| Ok((name, Place { rpc: free_address()?, admin: free_address()? })))
        .collect::<Result<_>>()?;
    let edge = free_address()?;
    let gateway = format!("http://{edge}");
    let mut processes = Vec::new();
    for name in SERVICES {
        let mut serve = service(name)?;
        serve.current_dir(root).envs(secrets(&engines, &[name]));
        let file = |file: String| certificates.join(file).display().to_string();
        let mut settings = vec![
            format!("data_dir={}", root.join("data").display()),
            "telemetry.level=warn".to_owned(),
            "mesh.mode=direct".to_owned(),
            format!("mesh.certificate={}", file(format!("{name}.pem"))),
            format!("mesh.key={}", file(format!("{name}-key.pem"))),
            format!("mesh.ca={}", file("ca.pem".to_owned())),
            format!("rpc.listen={}", places[name].rpc),
            format!("admin.listen={}", places[name].admin),
            format!("gateway.listen={edge}"),
        ];
        settings.extend(places.iter().map(|(name, place)| format!("mesh.addresses.{name}=[\"{}\"]", place.rpc)));
        for setting in settings.iter().map(String::as_str).chain(UNLIMITED) {
            serve.args(["--set", setting]);
        }
        let log = root.join(format!("log/apart-{name}.log"));
        let admin = places[name].admin;
        processes.push(Peer::start(serve, format!("workos serve {name}"), &log, admin).await?);
    }
    for name in SERVICES {
        ready(places[name].admin).await.with_context(|| name.to_owned())?;
    }
    let mut settings = mesh::Settings { mode: mesh::Mode::Direct, ..mesh::Settings::default() };
    settings.addresses = places.iter().map(|(name, place)| ((*name).to_owned(), vec![place.rpc.to_string()])).collect();
    Ok(Apart { processes, gateway, settings, certificates })
}

/// Where a process of these services finds the engines, and who it is there.
fn secrets(engines: &engines::Addresses, services: &[&str]) -> Vec<(String, String)> {
    let passwords = services.iter().map(|name| {
        let password = engines.nats_users.get(*name).cloned().unwrap_or_default();
        (format!("WORKOS__ENGINES__NATS__PASSWORDS__{}", name.to_uppercase()), password)
    });
    let urls = [
        ("POSTGRES__URL", &engines.postgres),
        ("POSTGRES__ADMIN_URL", &engines.postgres),
        ("REDIS__URL", &engines.redis),
        ("NATS__URL", &engines.nats),
    ];
    urls.map(|(key, url)| (format!("WORKOS__ENGINES__{key}"), url.clone())).into_iter().chain(passwords).collect()
}

/// An identity provider: `workos serve auth gateway`.
pub(super) struct Identity {
    process: Peer,
    /// Its edge.
    pub(super) gateway: String,
}

impl Identity {
    /// Starts it on the engines of the platform in this `.workos` folder.
    pub(super) async fn start(root: &Path) -> Result<Identity> {
        let engines = engines::Addresses::of_running(root).context("the platform's engines are not on record")?;
        let (edge, admin) = (free_address()?, free_address()?);
        let mut serve = command(&std::env::current_exe()?);
        let services = ["auth", "gateway"];
        serve.arg("serve").args(services).current_dir(root).envs(secrets(&engines, &services));
        let settings = [
            format!("data_dir={}", root.join("data").display()),
            "telemetry.level=warn".to_owned(),
            format!("admin.listen={admin}"),
            format!("gateway.listen={edge}"),
        ];
        for setting in settings.iter().map(String::as_str).chain(UNLIMITED) {
            serve.args(["--set", setting]);
        }
        let log = root.join("log/apart-identity.log");
        let process = Peer::start(serve, "workos serve auth gateway".to_owned(), &log, admin).await?;
        ready(admin).await.context("workos serve auth gateway")?;
        Ok(Identity { process, gateway: format!("http://{edge}") })
    }

    /// Its process.
    pub(super) fn pid(&self) -> Result<u32> {
        self.process.pid()
    }
}

async fn ready(admin: SocketAddr) -> Result<()> {
    let http = Http::quiet(&format!("http://{admin}"));
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..1200 {
        if http.once(&Call::new("ready", Method::GET, "/ready")).await?.status == StatusCode::OK {
            return Ok(());
        }
        tick.tick().await;
    }
    anyhow::bail!("is not ready after a minute")
}

impl Apart {
    /// The processes of auth and gateway.
    pub(super) fn identity(&self) -> Result<Vec<u32>> {
        [0, 2].iter().map(|index| self.processes[*index].pid()).collect()
    }

    /// The way to the services as the gateway has it, with a token of whoever has this access token.
    pub(super) async fn document(&self, access: &str) -> Result<Document> {
        let file = |name: &str| self.certificates.join(name).display().to_string().into();
        let files = mesh::tls::Files {
            certificate: file("gateway.pem"),
            key: file("gateway-key.pem"),
            ca: Some(file("ca.pem")),
        };
        let (clock, ids, keys) = (Clock::default(), Ids::default(), Keys::default());
        let verifier = Verifier::new("gateway", keys.clone(), Revocations::new(clock.clone()), clock);
        let transport = Transport::Direct(mesh::tls::Reloading::open(files)?);
        let mesh = Mesh::new("gateway", transport, Arc::new(verifier), self.settings.clone());
        let context = CallContext::background("bench", &ids);
        let mut tokens = TokenServiceClient::new(mesh.as_workload("auth", &context));
        let listed = tokens.list_verify_keys(ListVerifyKeysRequest {}).await?.into_inner();
        keys.replace(listed.keys.iter().filter_map(VerifyKey::parse).collect());
        let request = ExchangeCredentialRequest { access_token: access.to_owned(), ..Default::default() };
        let token = tokens.exchange_credential(request).await?.into_inner().token;
        Ok(Document { mesh, token, ids })
    }
}

/// The document service, called past the edge.
pub(super) struct Document {
    mesh: Mesh,
    token: bytes::Bytes,
    ids: Ids,
}

impl Document {
    /// Whether it takes the token. Anything but an answer and a refusal of the credential is an error.
    pub(super) async fn takes(&self, organization: &str) -> Result<bool> {
        let context = CallContext::background("bench", &self.ids);
        let mut client = DocumentServiceClient::new(self.mesh.with_token("document", self.token.clone(), &context));
        let request = ListDocumentsRequest { parent: organization.to_owned(), page_size: 1, ..Default::default() };
        match client.list_documents(request).await {
            Ok(_) => Ok(true),
            Err(status) => {
                ensure!(status.code() == tonic::Code::Unauthenticated, "document: {status}");
                Ok(false)
            }
        }
    }
}
