//! The other side: the SQL of GetDocument through raw tokio-postgres, with the same number of callers.
use anyhow::{Context, Result};
use tokio_postgres::NoTls;

use super::{load::Run, usage::cpu_of};

/// Connections, as many as a service holds.
const CONNECTIONS: usize = 16;
const SQL: &str = "select d.*, r.media_type, r.content, r.metadata from document.documents d \
    join document.revisions r on r.organization_id = d.organization_id and r.document_id = d.id and r.number = d.head \
    where d.organization_id = $1 and d.id = $2";

/// Latencies, and CPU microseconds of this process per call.
pub(crate) async fn read(url: &str, organization: uuid::Uuid, ids: &[uuid::Uuid], calls: usize) -> Result<(Run, f64)> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, connection) =
            tokio_postgres::connect(url, NoTls).await.context("connect to the PostgreSQL of the platform")?;
        #[expect(clippy::disallowed_methods, reason = "the connection's driver ends with its client")]
        tokio::spawn(connection);
        let statement = client.prepare(SQL).await?;
        clients.push((client, statement));
    }
    let before = cpu_of(std::process::id())?;
    let run = Run::of(calls, |index| {
        let (client, statement) = &clients[index % clients.len()];
        let id = ids[index % ids.len()];
        async move {
            client.query_one(statement, &[&organization, &id]).await?;
            Ok(())
        }
    })
    .await?;
    let cpu = (cpu_of(std::process::id())? - before) * 1e6 / calls as f64;
    Ok((run, cpu))
}
