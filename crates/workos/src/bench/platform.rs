//! `bench platform`: start, memory, import, and unary calls beside the same SQL.
use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use api::Id;
use document_client::DocumentClient;
use http::Method;

use super::{load::Run, process::Measured, raw, row::Row};
use crate::{
    demo::{
        http::{Call, Http},
        import::Importer,
        people::{self, SignedIn},
        scan,
        story::await_index,
    },
    running, terminal,
};

mod document_client {
    //! Native gRPC to the edge, as any client with generated stubs calls it.
    use anyhow::Result;
    use proto::document::v1::{GetDocumentRequest, document_service_client::DocumentServiceClient};
    use tonic::{Request, metadata::MetadataValue, transport::Channel};

    /// A client with a bearer token.
    pub(super) struct DocumentClient {
        client: DocumentServiceClient<Channel>,
        bearer: MetadataValue<tonic::metadata::Ascii>,
    }

    impl DocumentClient {
        pub(super) async fn connect(gateway: &str, token: &str) -> Result<Self> {
            let client = DocumentServiceClient::connect(gateway.to_owned()).await?;
            Ok(Self { client, bearer: format!("Bearer {token}").parse()? })
        }

        pub(super) async fn get(&self, name: &str) -> Result<()> {
            let mut request = Request::new(GetDocumentRequest { name: name.to_owned() });
            request.metadata_mut().insert("authorization", self.bearer.clone());
            self.client.clone().get_document(request).await?;
            Ok(())
        }
    }
}

/// Programs of single services.
const BINARIES: [&str; 7] = [
    "workos-auth",
    "workos-document",
    "workos-file",
    "workos-notification",
    "workos-gateway",
    "workos-workflow",
    "workos-search",
];

/// Measures everything.
pub(super) async fn measure(documents: usize, calls: usize) -> Result<Vec<Row>> {
    let platform = Measured::start(&running::root().join("tools"), &[]).await?;
    let mut rows = vec![limited("start to ready", "s", platform.start.as_secs_f64(), Limit::Most(5.0))];
    rows.push(limited("idle memory without engines", "MiB", platform.memory()?, Limit::Most(150.0)));
    rows.extend(sizes(&BINARIES));
    let measured = work(&platform, documents, calls, &mut rows).await;
    platform.stop().await?;
    measured.map(|()| rows)
}

enum Limit {
    Most(f64),
    Least(f64),
}

/// A figure of ours with a limit.
fn limited(name: &str, unit: &'static str, ours: f64, limit: Limit) -> Row {
    let (goal, holds) = match limit {
        Limit::Most(limit) => (format!("at most {limit} {unit}"), ours <= limit),
        Limit::Least(limit) => (format!("at least {limit} {unit}"), ours >= limit),
    };
    Row::of(name, unit, ours, None, "").goal(goal, Some(holds))
}

/// Sizes of release binaries that lie beside this one.
pub(super) fn sizes(names: &[&str]) -> Vec<Row> {
    let folder =
        std::env::current_exe().ok().and_then(|program| program.parent().map(PathBuf::from)).unwrap_or_default();
    let size = |name: &str| {
        let bytes = std::fs::metadata(folder.join(name)).ok()?.len();
        let limit = if ["workos-workflow", "workos-search"].contains(&name) { 40.0 } else { 25.0 };
        Some(limited(&format!("binary {name}"), "MB", bytes as f64 / 1e6, Limit::Most(limit)))
    };
    names.iter().filter_map(|name| size(name)).collect()
}

async fn work(platform: &Measured, documents: usize, calls: usize, rows: &mut Vec<Row>) -> Result<()> {
    let http = Http::quiet(&platform.place.gateway);
    let config = running::config_of(&platform.root())?;
    let cast =
        people::gather(&http, &platform.root().join("demo.json"), async || crate::bootstrap::new_code(&config).await)
            .await?;
    let organization = cast.organization();
    let owner = SignedIn::begin(&http, &cast.people[0], &organization).await?;
    let namespace: Id = cast.organization.parse().context("the organization's id is damaged")?;

    terminal::note(format!("importing {documents} documents"));
    let folder = generate(&platform.root(), documents)?;
    let scan = scan::scan(&folder, namespace)?;
    let importer = Importer { http: &http, owner: &owner, organization: organization.clone(), namespace };
    let begin = Instant::now();
    importer.run(&scan).await?;
    await_index(&http, &owner, &organization).await?;
    let speed = documents as f64 / begin.elapsed().as_secs_f64();
    rows.push(limited("import, end to end", "documents/s", speed, Limit::Least(300.0)));
    rows.push(limited("memory after the import", "MiB", platform.memory()?, Limit::Most(400.0)));

    let names: Vec<String> =
        scan.documents.iter().map(|item| format!("{organization}/documents/{}", item.id)).collect();
    let ids: Vec<uuid::Uuid> = scan.documents.iter().map(|item| item.id.uuid()).collect();
    terminal::note("reading by JSON, by gRPC and by SQL");
    let url =
        engines::Addresses::of_running(&platform.root()).context("the platform's engines are not on record")?.postgres;
    let (raw, raw_cpu) = raw::read(&url, namespace.uuid(), &ids, calls).await?;
    let token = owner.token().await?;
    let json = paced(platform, calls, |index| get_json(&http, &token, &names[index % names.len()])).await?;
    let client = DocumentClient::connect(&platform.place.gateway, &token).await?;
    let grpc = paced(platform, calls, |index| client.get(&names[index % names.len()])).await?;
    let peer = "tokio-postgres 0.7, same SQL, client side only";
    for (kind, (run, cpu)) in [("unary JSON", json), ("native gRPC", grpc)] {
        rows.push(Row::of(&format!("{kind}: CPU per request"), "us", cpu, Some(raw_cpu), peer));
        rows.push(Row::of(&format!("{kind}: p50"), "ms", run.percentile(0.5), Some(raw.percentile(0.5)), peer));
        rows.push(Row::of(&format!("{kind}: p99"), "ms", run.percentile(0.99), Some(raw.percentile(0.99)), peer));
        rows.push(Row::of(&format!("{kind}: requests"), "per s", run.rate(), Some(raw.rate()), peer));
    }
    Ok(())
}

/// Runs calls; gives latencies and CPU microseconds of the platform per call.
async fn paced<F: Future<Output = Result<()>>>(
    platform: &Measured,
    calls: usize,
    work: impl Fn(usize) -> F,
) -> Result<(Run, f64)> {
    Run::of(calls / 10, &work).await?;
    let before = platform.cpu()?;
    let run = Run::of(calls, work).await?;
    Ok((run, (platform.cpu()? - before) * 1e6 / calls as f64))
}

async fn get_json(http: &Http, token: &str, name: &str) -> Result<()> {
    let call = Call::new("get a document", Method::GET, format!("/v1/{name}")).token(token);
    http.send(call).await?.success("get document").map(drop)
}

fn generate(root: &std::path::Path, documents: usize) -> Result<PathBuf> {
    let folder = root.join("import");
    std::fs::create_dir_all(&folder)?;
    for index in 0..documents {
        let text = format!(
            "# Document {index}\n\nA small text about item {index}, written to be imported, found and read again.\n"
        )
        .repeat(8);
        std::fs::write(folder.join(format!("document-{index:05}.md")), text)?;
    }
    Ok(folder)
}
