//! The import: folders first, then documents side by side, then uploads by tus, each of which continues where it stopped.
//!
//! Memory stays constant: a document is at most 4 MiB, uploads go in pieces.
use std::{
    io::SeekFrom,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use api::Id;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, StatusCode};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};

use crate::{
    demo::{
        http::{Answer, Call, Http},
        people::{SignedIn, request_id},
        scan::{Folder, Item, Scan},
    },
    login::encoded,
    terminal,
};

/// Calls in flight.
const PARALLEL: usize = 32;
/// Bytes in one PATCH of an upload.
const PIECE: usize = 8 * 1024 * 1024;

/// What the import did.
#[derive(Default)]
pub(crate) struct Imported {
    /// Documents that are there now.
    pub(crate) documents: u64,
    /// Of them, those whose text had changed since the last run.
    pub(crate) updated: u64,
    /// Time for folders and documents.
    pub(crate) document_time: Duration,
    /// Files that are there now.
    pub(crate) files: u64,
    /// Bytes sent for files in this run.
    pub(crate) bytes: u64,
    /// Time for files.
    pub(crate) file_time: Duration,
}

/// Imports into one organization as one person.
pub(crate) struct Importer<'a> {
    /// Client.
    pub(crate) http: &'a Http,
    /// Who imports.
    pub(crate) owner: &'a SignedIn<'a>,
    /// Full name of the organization.
    pub(crate) organization: String,
    /// Id of the organization.
    pub(crate) namespace: Id,
}

impl Importer<'_> {
    /// Imports everything found.
    pub(crate) async fn run(&self, scan: &Scan) -> Result<Imported> {
        let mut done = Imported::default();
        let begin = Instant::now();
        for folder in &scan.folders {
            self.folder(folder).await.with_context(|| format!("folder {:?}", folder.display_name))?;
        }
        let updated = AtomicU64::new(0);
        let bar = terminal::progress(scan.documents.len() as u64, "documents");
        let mut work =
            stream::iter(&scan.documents).map(|item| self.document(item, &updated)).buffer_unordered(PARALLEL);
        while let Some(result) = work.next().await {
            result?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        drop(work);
        done.documents = scan.documents.len() as u64;
        done.updated = updated.into_inner();
        done.document_time = begin.elapsed();

        let begin = Instant::now();
        let total = scan.uploads.iter().map(|item| item.size).sum();
        let bar = Arc::new(terminal::bytes_progress(total, "files"));
        let mut work = stream::iter(&scan.uploads).map(|item| self.upload(item, &bar)).buffer_unordered(16);
        while let Some(result) = work.next().await {
            done.bytes += result?;
        }
        bar.finish_and_clear();
        done.files = scan.uploads.len() as u64;
        done.file_time = begin.elapsed();
        Ok(done)
    }

    async fn folder(&self, folder: &Folder) -> Result<()> {
        let parent = folder.parent.map(|id| format!("{}/folders/{id}", self.organization)).unwrap_or_default();
        // Names that differ only in case may not stand in one folder here, though they may on disk.
        let other = format!("{} ({})", folder.display_name, &folder.id.to_string()[20..]);
        for display_name in [&folder.display_name, &other] {
            let body = json!({"displayName": display_name, "parentFolder": parent});
            let request = request_id(self.namespace, &format!("folder {} {display_name}", folder.id));
            let path = format!("/v1/{}/folders?folderId={}&requestId={request}", self.organization, folder.id);
            let call = Call::new("create a folder", Method::POST, path).token(self.owner.token().await?).json(&body);
            let answer = self.http.send(call).await?;
            match answer.reason().as_str() {
                "FOLDER_EXISTS" => continue,
                "RESOURCE_EXISTS" => return Ok(()),
                _ => return answer.success("create folder").map(drop),
            }
        }
        bail!("the folder's name is taken")
    }

    async fn document(&self, item: &Item, updated: &AtomicU64) -> Result<()> {
        let text = tokio::fs::read_to_string(&item.path)
            .await
            .with_context(|| format!("{} changed while it was read", item.path.display()))?;
        let document = json!({
            "title": item.title,
            "folder": item.folder.map(|id| format!("{}/folders/{id}", self.organization)).unwrap_or_default(),
            "content": {"mediaType": item.media_type, "text": text},
            "metadata": {"source": item.title, "bytes": item.size},
        });
        // The request id stands for this very content, so a changed file is a new request.
        let digest = Sha256::digest(document.to_string().as_bytes());
        let request = Id::derive(item.id, &digest).uuid();
        let path = format!("/v1/{}/documents?documentId={}&requestId={request}", self.organization, item.id);
        let call = Call::new("create a document", Method::POST, path).token(self.owner.token().await?).json(&document);
        let answer = self.http.send(call).await?;
        if answer.reason() == "RESOURCE_EXISTS" {
            return self.refresh(item, &document, updated).await;
        }
        answer.success(&format!("document {:?}", item.title)).map(drop)
    }

    /// The document is there from an earlier run: change it only if the file has changed.
    async fn refresh(&self, item: &Item, document: &Value, updated: &AtomicU64) -> Result<()> {
        let name = format!("{}/documents/{}", self.organization, item.id);
        let token = self.owner.token().await?;
        let current =
            self.http.send(Call::new("get a document", Method::GET, format!("/v1/{name}")).token(&token)).await?;
        let current = current.success("get document")?;
        if current["metadata"]["edited"] == json!(true)
            || current["content"]["text"].as_str().unwrap_or_default() == document["content"]["text"]
        {
            return Ok(());
        }
        let path = format!("/v1/{name}?updateMask=content");
        let body = json!({"content": document["content"], "etag": current["etag"]});
        let call = Call::new("update a document", Method::PATCH, path).token(&token).json(&body);
        self.http.send(call).await?.success("update document")?;
        updated.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Uploads one file and gives the number of bytes sent.
    async fn upload(&self, item: &Item, bar: &ProgressBar) -> Result<u64> {
        let path = format!("/tus/{}/uploads/{}", self.organization, item.id);
        let mut offset = match self.offset(&path).await? {
            Some(offset) => offset,
            None => {
                self.create_upload(item).await?;
                0
            }
        };
        bar.inc(offset);
        let mut file = File::open(&item.path).await?;
        let begin = offset;
        while offset < item.size {
            let piece = read_piece(&mut file, offset).await?;
            if piece.is_empty() {
                bail!("{} became shorter while it was uploaded; run again", item.path.display());
            }
            let sent = piece.len() as u64;
            let answer = self.append(&path, offset, piece).await?;
            offset = match answer.status {
                StatusCode::NO_CONTENT => header_number(&answer, "upload-offset").unwrap_or(offset + sent),
                // An earlier try may have been stored although its answer was lost: ask and go on from the truth.
                StatusCode::CONFLICT => self.offset(&path).await?.context("the upload is gone")?,
                _ => return answer.success(&format!("upload of {:?}", item.title)).map(|_| 0),
            };
            bar.set_position(bar.position() + sent);
        }
        Ok(offset - begin)
    }

    async fn create_upload(&self, item: &Item) -> Result<()> {
        let request = request_id(self.namespace, &format!("upload {}", item.id));
        let path = format!("/v1/{}/uploads?uploadId={}&requestId={request}", self.organization, item.id);
        let body =
            json!({"lengthBytes": item.size.to_string(), "displayName": item.title, "mediaType": item.media_type});
        let call = Call::new("begin an upload", Method::POST, path).token(self.owner.token().await?).json(&body);
        let answer = self.http.send(call).await?;
        if answer.reason() == "RESOURCE_EXISTS" {
            return Ok(());
        }
        answer.success(&format!("upload of {:?}", item.title)).map(drop)
    }

    /// The upload's durable offset; `None` when there is no such upload.
    async fn offset(&self, path: &str) -> Result<Option<u64>> {
        let token = self.owner.token().await?;
        let call =
            Call::new("ask for an upload's offset", Method::HEAD, path).token(&token).header("tus-resumable", "1.0.0");
        let answer = self.http.send(call).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => {
                Ok(Some(header_number(&answer, "upload-offset").context("no Upload-Offset")?))
            }
            status => bail!("HEAD {path}: {status}"),
        }
    }

    async fn append(&self, path: &str, offset: u64, piece: Bytes) -> Result<Answer> {
        let token = self.owner.token().await?;
        let call = Call::new("upload bytes", Method::PATCH, path).token(&token).header("tus-resumable", "1.0.0");
        self.http
            .send(call.header("upload-offset", offset.to_string()).body("application/offset+octet-stream", piece))
            .await
    }
}

async fn read_piece(file: &mut File, offset: u64) -> Result<Bytes> {
    file.seek(SeekFrom::Start(offset)).await?;
    let mut piece = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut piece).await?;
    Ok(Bytes::from(piece))
}

fn header_number(answer: &Answer, name: &str) -> Option<u64> {
    answer.headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The path of a search for `query`.
pub(crate) fn search_path(organization: &str, query: &str) -> String {
    format!("/v1/{organization}:search?query={}&pageSize=5&facets=type&facets=media_type", encoded(query))
}
