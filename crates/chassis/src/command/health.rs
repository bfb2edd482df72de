//! `health`: a client for the admin port's `grpc.health.v1`, for images that hold no other program.
use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::outcome;
use crate::BootError;

/// Whom to ask for what.
#[derive(clap::Args, Clone, Debug)]
pub struct HealthCommand {
    /// Address of the admin port
    #[arg(long, default_value = "127.0.0.1:9090", env = "WORKOS__ADMIN__LISTEN")]
    address: SocketAddr,
    /// `startup`, `liveness`, `readiness`, or the name of a service
    #[arg(long, default_value = "readiness")]
    service: String,
    /// Longest wait, in seconds
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Asks; exit code 0 means serving.
pub async fn health(command: HealthCommand) -> ExitCode {
    let limit = Duration::from_secs(command.timeout);
    let asked = tokio::time::timeout(limit, ask(&command)).await;
    outcome(
        asked.unwrap_or_else(|_| {
            Err(anyhow::anyhow!("{} did not answer within {} s", command.address, command.timeout))
        }),
    )
}

async fn ask(command: &HealthCommand) -> Result<(), BootError> {
    // A process that listens on every address is asked over loopback.
    let ip =
        if command.address.ip().is_unspecified() { std::net::Ipv4Addr::LOCALHOST.into() } else { command.address.ip() };
    let address = SocketAddr::new(ip, command.address.port());
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?;
    let channel = channel.connect().await.with_context(|| format!("connect to the admin port {address}"))?;
    let request = HealthCheckRequest { service: command.service.clone() };
    let reply = HealthClient::new(channel).check(request).await;
    let status =
        reply.map_err(|status| anyhow::anyhow!("{}: {}", command.service, status.message()))?.into_inner().status();
    if status == ServingStatus::Serving {
        Ok(())
    } else {
        Err(anyhow::anyhow!("{} is {}", command.service, status.as_str_name()))
    }
}
