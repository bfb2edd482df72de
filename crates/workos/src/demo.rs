//! `workos demo [DIR]`: one story through the whole platform, on real files.
//!
//! Everything goes through the public edge. A second run finds the first one's organization, people, documents and files,
//! changes only what has changed, and tells the story again. A platform that runs is used and left as it is; otherwise one
//! is started for the demo and stopped after it.
pub(crate) mod http;
pub(crate) mod import;
pub(crate) mod people;
pub(crate) mod scan;
pub(crate) mod story;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use api::Id;
use chassis::Options;

use crate::{
    demo::http::Http,
    running::{self, Running},
    terminal,
};
use import::{Imported, Importer};
use people::SignedIn;
use scan::{Item, Scan};
use story::Story;

/// Real documentation that most machines have; the first that exists is taken.
const FOLDERS: [&str; 4] = ["/usr/share/doc", "/usr/share/common-licenses", "/usr/local/share/doc", "/usr/share/man"];

/// Arguments of `workos demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder to import; default: documentation found on this machine.
    dir: Option<PathBuf>,
    /// Gateway of a running platform, for example http://127.0.0.1:8080; default: the one of this folder.
    #[arg(long)]
    gateway: Option<String>,
}

/// Tells the story.
pub(crate) async fn run(arguments: &Arguments, options: &Options) -> Result<()> {
    let folder = folder(arguments.dir.as_deref())?;
    let root = running::root();
    let platform = Running::find_or_start(&root, arguments.gateway.as_deref(), options).await?;
    let result = tell(&folder, &root, &platform).await;
    platform.leave().await;
    result
}

fn folder(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = named {
        return folder.canonicalize().with_context(|| format!("{} does not exist", folder.display()));
    }
    let found = FOLDERS.iter().map(PathBuf::from).find(|folder| folder.is_dir());
    found.context("no documentation found on this machine; name a folder: ./dev demo DIR")
}

async fn tell(folder: &Path, root: &Path, platform: &Running) -> Result<()> {
    let begin = Instant::now();
    let http = Http::new(platform.gateway());
    terminal::line(format!("{} on {} with {}", terminal::bold("The WorkOS story"), http.base(), folder.display()));
    terminal::heading("People");
    let cast = people::gather(&http, &root.join("demo.json"), async || platform.bootstrap_code(root).await).await?;
    let organization = cast.organization();
    let mut signed_in = Vec::new();
    for person in &cast.people {
        signed_in.push(
            SignedIn::begin(&http, person, &organization)
                .await
                .with_context(|| format!("sign-in of {}", person.email))?,
        );
    }
    terminal::table(&cast.people.iter().enumerate().map(|(index, person)| row(index, person)).collect::<Vec<_>>());

    terminal::heading("Import");
    let namespace: Id = cast.organization.parse().context("the organization's id is damaged")?;
    let scan = scan::scan(folder, namespace)?;
    describe(&scan);
    let importer = Importer { http: &http, owner: &signed_in[0], organization, namespace };
    let imported = importer.run(&scan).await?;
    let Some(hero) = hero(&scan) else {
        bail!("{} holds no text file; the story needs one document", folder.display())
    };
    let story = Story { http: &http, cast: &cast, signed_in: &signed_in, hero, run: api::Ids::default().next() };
    let indexed = story.await_index().await?;
    rates(&imported, indexed);
    story.revisions().await?;
    story.await_index().await?;
    story.search().await?;
    story.share().await?;
    story.approval().await?;
    story.inbox().await?;
    close(&imported, indexed, begin.elapsed(), platform);
    Ok(())
}

fn row(index: usize, person: &people::Person) -> Vec<String> {
    vec![
        person.name.clone(),
        person.email.clone(),
        String::from(if index == 0 { "owner" } else { "member without a role" }),
    ]
}

fn describe(scan: &Scan) {
    let bytes: u64 = scan.documents.iter().chain(&scan.uploads).map(|item| item.size).sum();
    let mib = bytes as f64 / 1_048_576.0;
    terminal::line(format!(
        "  {} folders, {} documents, {} files to upload, {mib:.1} MiB in all; {} left alone",
        scan.folders.len(),
        scan.documents.len(),
        scan.uploads.len(),
        scan.skipped.len()
    ));
    for skipped in scan.skipped.iter().take(3) {
        terminal::line(terminal::dim(&format!("    {skipped}")));
    }
}

/// The document of the story: of middling length, so that edits and hits can be seen.
fn hero(scan: &Scan) -> Option<&Item> {
    scan.documents
        .iter()
        .find(|item| (1_000..100_000).contains(&item.size))
        .or_else(|| scan.documents.iter().max_by_key(|item| item.size))
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}

fn rates(imported: &Imported, indexed: Duration) {
    let whole = imported.document_time + indexed;
    terminal::line(format!(
        "  {} documents in {:.1} s ({:.0}/s), all indexed {:.1} s later ({:.0}/s end to end); {} changed since the last run",
        imported.documents,
        imported.document_time.as_secs_f64(),
        per_second(imported.documents, imported.document_time),
        indexed.as_secs_f64(),
        per_second(imported.documents, whole),
        imported.updated
    ));
    let mib = imported.bytes as f64 / 1_048_576.0;
    let seconds = imported.file_time.as_secs_f64();
    terminal::line(format!(
        "  {} files, {mib:.1} MiB sent in {seconds:.1} s ({:.1} MiB/s)",
        imported.files,
        mib / seconds.max(0.001)
    ));
}

fn close(imported: &Imported, indexed: Duration, whole: Duration, platform: &Running) {
    terminal::heading("In all");
    let mut rows = vec![
        vec![
            String::from("documents"),
            imported.documents.to_string(),
            format!("{:.1} s", imported.document_time.as_secs_f64()),
        ],
        vec![String::from("files"), imported.files.to_string(), format!("{:.1} s", imported.file_time.as_secs_f64())],
        vec![String::from("indexed after"), String::new(), format!("{:.1} s", indexed.as_secs_f64())],
        vec![String::from("whole story"), String::new(), format!("{:.1} s", whole.as_secs_f64())],
    ];
    rows.extend(platform.places().into_iter().map(|(what, url)| vec![what, url]));
    terminal::table(&rows);
}
