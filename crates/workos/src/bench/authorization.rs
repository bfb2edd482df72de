//! `bench auth`: what issue 5 asks of speed, on a platform with a million relations, beside the peers of `peers.txt` where they can be had.
//!
//! The relations are put into the databases at once, in the shape that writes would have given them, ours and the peers' in the same
//! PostgreSQL. Everything measured goes through gateway, mesh and service as any client's calls do; answers are held against the graph.
use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};

use super::{Arguments, peer::Peer, process::Measured, row::Row, warm};
use crate::{
    demo::{
        http::Http,
        people::{self, Cast, SignedIn},
    },
    running, terminal,
};

mod apart;
mod busy;
mod graph;
mod grpc;
mod keycloak;
mod openfga;
mod ours;
mod side;
mod signin;
mod spicedb;
mod statistics;
mod tokens;

use side::{Answers, Side};

/// Limits of the edge, out of the way: those of calls, and the age at which it ends a connection.
const UNLIMITED: [&str; 6] = [
    "gateway.connection_age=1d",
    "gateway.rate_address=100000000",
    "gateway.rate_read=100000000",
    "gateway.rate_write=100000000",
    "gateway.rate_heavy=100000000",
    "gateway.rate_credential=100000000",
];

/// Measures everything.
pub(super) async fn measure(arguments: &Arguments) -> Result<Vec<Row>> {
    terminal::note("authentication and authorization alone");
    let mut rows = warm::rows()?;
    let platform = Measured::start(&running::root().join("tools"), &UNLIMITED).await?;
    rows.extend(super::platform::sizes(&["workos-auth"]));
    let measured = work(&platform, arguments, &mut rows).await;
    platform.stop().await?;
    measured.map(|()| rows)
}

async fn work(platform: &Measured, arguments: &Arguments, rows: &mut Vec<Row>) -> Result<()> {
    let http = Http::quiet(&platform.place.gateway);
    let config = running::config_of(&platform.root())?;
    let cast =
        people::gather(&http, &platform.root().join("demo.json"), async || crate::bootstrap::new_code(&config).await)
            .await?;
    let url =
        engines::Addresses::of_running(&platform.root()).context("the platform's engines are not on record")?.postgres;
    terminal::note("writing a million relations");
    let organization = cast.organization.parse().context("the organization's id is damaged")?;
    let owner = cast.people[0].id.parse().context("the owner's id is damaged")?;
    let relations = ours::fill(&url, organization, owner).await?;
    rows.push(Row::of("relations", "", relations as f64, None, ""));
    relate(platform, &http, &cast, (&url, arguments), rows).await?;
    terminal::note("starting auth, gateway and document apart");
    let apart = apart::start(&platform.root()).await?;
    platform.engines_rest().await?;
    tokens::measure(platform, &http, &cast, (&url, arguments, &apart), rows).await?;
    signin::measure(platform, &http, &cast, (&url, arguments, &apart), rows).await?;
    drop(apart);
    let owner = SignedIn::begin(&http, &cast.people[0], &cast.organization()).await?;
    rows.push(busy::measure(&http, &owner, Duration::from_secs(arguments.busy_minutes * 60)).await?);
    Ok(())
}

/// Check and ListResources beside the peers.
async fn relate(
    platform: &Measured,
    http: &Http,
    cast: &Cast,
    (url, arguments): (&str, &Arguments),
    rows: &mut Vec<Row>,
) -> Result<()> {
    let mut others = Vec::new();
    let peers = peers(url, &platform.root(), &mut others).await?;
    terminal::note("waiting until the engines rest");
    postgres(url).await?.execute("checkpoint", &[]).await?;
    platform.engines_rest().await?;
    // Only now: the edge ends connections that nothing comes over.
    let owner = SignedIn::begin(http, &cast.people[0], &cast.organization()).await?;
    let ours = ours::Ours::connect(&platform.place.gateway, owner, cast.organization()).await?;
    let name = concat!("workos ", env!("CARGO_PKG_VERSION")).to_owned();
    let mut sides = vec![Side { name, pid: platform.pid()?, answers: Answers::Ours(ours) }];
    sides.append(&mut others);
    side::compare(&sides, || platform.engines_cpu(), arguments.calls, rows).await?;
    drop(peers);
    Ok(())
}

/// Starts those that can be had, and says why others cannot.
async fn peers(url: &str, work: &Path, sides: &mut Vec<Side<'_>>) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    let openfga = openfga::start(url, work).await.map(|(peer, client)| (peer, Answers::OpenFga(client)));
    let spicedb = spicedb::start(url, work).await.map(|(peer, client)| (peer, Answers::SpiceDb(client)));
    for (name, started) in [("OpenFGA", openfga), ("SpiceDB", spicedb)] {
        match started {
            Ok((peer, answers)) => {
                sides.push(Side { name: peer.label.clone(), pid: peer.pid()?, answers });
                peers.push(peer);
            }
            Err(error) => terminal::note(format!("without {name}: {error:#}")),
        }
    }
    Ok(peers)
}

/// A connection of the bench's own.
async fn postgres(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to PostgreSQL")?;
    #[expect(clippy::disallowed_methods, reason = "the connection's driver ends with its client")]
    tokio::spawn(connection);
    Ok(client)
}

/// A new database for a peer; gives its address.
async fn database(url: &str, name: &str) -> Result<String> {
    postgres(url).await?.execute(&format!("create database {name}"), &[]).await?;
    let (server, _) = url.rsplit_once('/').context("the address of PostgreSQL names a database")?;
    Ok(format!("{server}/{name}?sslmode=disable"))
}
