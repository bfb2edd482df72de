//! Resumable uploads: tus 1.0.0 core, creation and termination (tus.io/protocols/resumable-upload).
//!
//! This file speaks the HTTP side and makes each request one call of UploadService. It buffers no body: what arrives is sent
//! on, with back-pressure, until the service answers. A body that ends early is a cut connection: the service keeps what
//! came. Unknown, foreign and forbidden uploads are all 404.
mod body;

use api::{Code, Error};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use proto::file::v1::{
    CreateUploadRequest, DeleteUploadRequest, GetUploadRequest, Upload as UploadRecord,
    upload_service_client::UploadServiceClient,
};
use tonic::body::Body;

use crate::{
    call::{
        body::{Idle, Source},
        idempotency,
    },
    edge::Edge,
    filter::Passage,
    refusal::Refusal,
    route,
    schema::Schema,
};

/// What makes uploads of it all.
const SERVICE: &str = "workos.file.v1.UploadService";
const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,termination";
const PREFIX: &str = "/tus/";
const CONTENT_TYPE: &str = "application/offset+octet-stream";

/// A tus request: which upload (or collection) and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    verb: Verb,
    /// `organizations/{o}` or `organizations/{o}/uploads/{u}`.
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Options,
    Create,
    Head,
    Patch,
    Delete,
}

impl Upload {
    /// The upload at a path below `/tus/`, where the schema has the service behind it.
    pub(crate) fn at<B>(schema: &Schema, request: &Request<B>) -> Result<Option<Self>, Refusal> {
        let path = request.uri().path();
        let Some(rest) = path.strip_prefix(PREFIX).filter(|_| schema.serves(SERVICE)) else { return Ok(None) };
        let segments: Vec<_> = rest.split('/').collect();
        let method = overridden(request.method(), request.headers())?;
        let single = match segments.as_slice() {
            ["organizations", _, "uploads"] => false,
            ["organizations", _, "uploads", _] => true,
            _ => return Err(Refusal::not_found(path)),
        };
        let verb = match (single, method) {
            (_, Method::OPTIONS) => Verb::Options,
            (false, Method::POST) => Verb::Create,
            (true, Method::HEAD) => Verb::Head,
            (true, Method::PATCH) => Verb::Patch,
            (true, Method::DELETE) => Verb::Delete,
            (false, other) => return Err(route::not_allowed(&other, path, &[Method::OPTIONS, Method::POST])),
            (true, other) => {
                return Err(route::not_allowed(
                    &other,
                    path,
                    &[Method::OPTIONS, Method::HEAD, Method::PATCH, Method::DELETE],
                ));
            }
        };
        let name = if single { rest.to_owned() } else { segments[..2].join("/") };
        Ok(Some(Self { verb, name }))
    }

    /// The RPC whose access decides; `None` for OPTIONS, which tells nothing about anybody.
    pub(crate) fn method(&self, schema: &Schema) -> Option<&'static proto::Method> {
        let rpc = match self.verb {
            Verb::Options => return None,
            Verb::Create => "CreateUpload",
            Verb::Head => "GetUpload",
            Verb::Patch => "AppendUpload",
            Verb::Delete => "DeleteUpload",
        };
        schema.methods.get(&format!("/{SERVICE}/{rpc}"))
    }
}

/// `X-HTTP-Method-Override` counts on these routes only, and before authorization (tus core).
fn overridden(method: &Method, headers: &HeaderMap) -> Result<Method, Refusal> {
    match headers.get("x-http-method-override") {
        None => Ok(method.clone()),
        Some(value) => Method::from_bytes(value.as_bytes()).map_err(|_| {
            Refusal::new(400, tonic::Code::InvalidArgument, "HEADER_INVALID", "X-HTTP-Method-Override names no method")
        }),
    }
}

/// Answers a tus request.
pub(crate) async fn drive(edge: &Edge, passage: Passage, incoming: Incoming, upload: &Upload) -> Response<Body> {
    let mut response = match answer(edge, &passage, incoming, upload).await {
        Ok(response) => response,
        Err(refusal) => refusal.to_json(&passage.schema.contract, None, &passage.context.request_id),
    };
    if upload.verb != Verb::Options {
        response.headers_mut().insert("tus-resumable", HeaderValue::from_static(VERSION));
    }
    if upload.verb == Verb::Head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn answer(
    edge: &Edge,
    passage: &Passage,
    incoming: Incoming,
    upload: &Upload,
) -> Result<Response<Body>, Refusal> {
    let headers = &passage.head.headers;
    if upload.verb == Verb::Options {
        return Ok(options(edge));
    }
    if headers.get("tus-resumable").is_none_or(|version| version != VERSION) {
        let message = "send the header Tus-Resumable: 1.0.0";
        let refusal = Refusal::new(412, tonic::Code::FailedPrecondition, "TUS_VERSION_UNSUPPORTED", message);
        return Err(refusal.header(header::HeaderName::from_static("tus-version"), VERSION));
    }
    match upload.verb {
        Verb::Create => create(edge, passage, &upload.name).await,
        Verb::Head => head(edge, passage, &upload.name).await,
        Verb::Patch => patch(edge, passage, incoming, &upload.name).await,
        Verb::Delete | Verb::Options => delete(edge, passage, &upload.name).await,
    }
}

fn options(edge: &Edge) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert("tus-version", HeaderValue::from_static(VERSION));
    headers.insert("tus-extension", HeaderValue::from_static(EXTENSIONS));
    headers.insert("tus-max-size", HeaderValue::from(edge.config.upload_max.bytes()));
    response
}

async fn create(edge: &Edge, passage: &Passage, parent: &str) -> Result<Response<Body>, Refusal> {
    let headers = &passage.head.headers;
    if headers.contains_key("upload-defer-length") {
        return Err(bad("the length cannot be deferred here; send Upload-Length"));
    }
    let length = number(headers, "upload-length")?.ok_or_else(|| bad("send Upload-Length"))?;
    let metadata = headers
        .get("upload-metadata")
        .map(|value| value.to_str().map_err(|_| bad("Upload-Metadata must be ASCII")))
        .transpose()?;
    let record = UploadRecord {
        length_bytes: Some(length),
        raw_metadata: metadata.unwrap_or_default().to_owned(),
        ..UploadRecord::default()
    };
    let request_id = idempotency::key(headers)?.unwrap_or_default().to_owned();
    let request =
        CreateUploadRequest { parent: parent.to_owned(), upload: Some(record), request_id, ..Default::default() };
    let mut client = client(edge, passage)?;
    let upload = client.create_upload(request).await.map_err(refused)?.into_inner();
    let mut response = empty(StatusCode::CREATED);
    if let Ok(location) = HeaderValue::from_str(&format!("{}{PREFIX}{}", edge.public_url, upload.name)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert("upload-offset", HeaderValue::from(upload.offset_bytes));
    Ok(response)
}

async fn head(edge: &Edge, passage: &Passage, name: &str) -> Result<Response<Body>, Refusal> {
    let upload = client(edge, passage)?
        .get_upload(GetUploadRequest { name: name.to_owned() })
        .await
        .map_err(refused)?
        .into_inner();
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert("upload-offset", HeaderValue::from(upload.offset_bytes));
    headers.insert("upload-length", HeaderValue::from(upload.length_bytes()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !upload.raw_metadata.is_empty()
        && let Ok(metadata) = HeaderValue::from_str(&upload.raw_metadata)
    {
        headers.insert("upload-metadata", metadata);
    }
    Ok(response)
}

async fn patch(edge: &Edge, passage: &Passage, incoming: Incoming, name: &str) -> Result<Response<Body>, Refusal> {
    let headers = &passage.head.headers;
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != CONTENT_TYPE) {
        return Err(Refusal::new(
            415,
            tonic::Code::InvalidArgument,
            "CONTENT_TYPE_UNSUPPORTED",
            format!("send Content-Type: {CONTENT_TYPE}"),
        ));
    }
    let offset = number(headers, "upload-offset")?.ok_or_else(|| bad("send Upload-Offset"))?;
    // The bytes are kept as they come: what says how they are coded is for their reader.
    let mut source = Source::stream(&edge.config, &HeaderMap::new(), incoming)?;
    source.idle = Idle::upload(&edge.config);
    let messages = body::messages(name.to_owned(), offset, source);
    let upload = client(edge, passage)?.append_upload(messages).await.map_err(refused)?.into_inner();
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert("upload-offset", HeaderValue::from(upload.offset_bytes));
    Ok(response)
}

async fn delete(edge: &Edge, passage: &Passage, name: &str) -> Result<Response<Body>, Refusal> {
    client(edge, passage)?.delete_upload(DeleteUploadRequest { name: name.to_owned() }).await.map_err(refused)?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn client(edge: &Edge, passage: &Passage) -> Result<UploadServiceClient<mesh::client::Channel>, Refusal> {
    let principal = passage.principal.as_ref().ok_or_else(Error::credential_missing)?;
    Ok(UploadServiceClient::new(edge.mesh.with_token("file", principal.token.clone(), &passage.context)))
}

/// The statuses of file.md section 5: tus clients retry all but 4xx, and of these 409 and 423.
fn refused(status: tonic::Status) -> Refusal {
    let error = Error::from(status);
    let http = match (error.code(), error.reason()) {
        (Code::PermissionDenied | Code::NotFound, _) => 404,
        (_, "OFFSET_MISMATCH" | "UPLOAD_COMPLETE") => 409,
        (_, "UPLOAD_TOO_LARGE") => 413,
        (_, "UPLOAD_LOCKED") => 423,
        (_, "STORAGE_FULL") => 507,
        (_, "NAME_INVALID") => 404,
        _ => 0,
    };
    let mut refusal = Refusal::from(error);
    if http == 404 {
        // One answer for unknown, foreign and forbidden.
        refusal =
            Refusal::new(404, tonic::Code::NotFound, "UPLOAD_NOT_FOUND", "there is no such upload; begin a new one");
    } else if http != 0 {
        refusal.parts.http = Some(http);
    }
    refusal
}

/// A plain decimal number of at most 19 digits, without sign.
fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<i64>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value
        .to_str()
        .ok()
        .filter(|text| (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()));
    match text.and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(bad(&format!("{name} must be a plain decimal number"))),
    }
}

fn bad(message: &str) -> Refusal {
    Refusal::new(400, tonic::Code::InvalidArgument, "TUS_HEADER_INVALID", message)
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
