//! Handlers of three small services of the contract, whose behavior a test chooses call by call.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{CallContext, Caller, Error};
use futures::{StreamExt, stream};
use mesh::{Items, Reply, caller, reply, reply_stream};
use proto::{
    auth::v1::{
        ContinueLoginRequest, FinishSocialLoginRequest, LoginStep, RequestEmailCodeRequest, RequestEmailCodeResponse,
        StartLoginRequest, StartSocialLoginRequest, StartStepUpRequest, login_service_server::LoginService,
    },
    file::v1::{
        AppendUploadRequest, BatchReadFilesRequest, BatchReadFilesResponse, CreateUploadRequest, DeleteFileRequest,
        DeleteUploadRequest, File, GetFileRequest, GetUploadRequest, ListFilesRequest, ListFilesResponse,
        ReadFileRequest, Upload, file_service_server::FileService, upload_service_server::UploadService,
    },
    google::api::HttpBody,
};
use tonic::{Request, Status, Streaming};

/// What a handler does with one call. Without instructions it answers.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Answer,
    Fail(Error),
    /// Hands on what a service behind it has answered.
    Pass(Status),
    Panic,
    Wait(Duration),
}

/// The handlers, and what they saw.
#[derive(Clone, Default)]
pub(crate) struct Handler(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    acts: VecDeque<Act>,
    always: Option<Act>,
    seen: Vec<Seen>,
}

/// What a handler saw of one call.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) caller: Caller,
    pub(crate) request_id_field: String,
    pub(crate) had_token_metadata: bool,
}

impl Seen {
    pub(crate) fn context(&self) -> &CallContext {
        self.caller.context()
    }
}

impl Handler {
    /// The next calls do this, in order.
    pub(crate) fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    /// All calls without other instructions do this.
    pub(crate) fn always(&self, act: Act) {
        self.state().always = Some(act);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a call was seen")
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle<T>(
        &self,
        request: Request<T>,
        request_id_field: impl FnOnce(&T) -> String,
    ) -> Result<(Caller, T), tonic::Status> {
        let had_token_metadata = request.metadata().contains_key(mesh::TOKEN_KEY);
        let (caller, message) = caller(request)?;
        let seen = Seen { caller: caller.clone(), request_id_field: request_id_field(&message), had_token_metadata };
        let act = {
            let mut state = self.state();
            state.seen.push(seen);
            let always = state.always.clone();
            state.acts.pop_front().or(always).unwrap_or(Act::Answer)
        };
        match act {
            Act::Answer => Ok((caller, message)),
            Act::Fail(error) => Err(error.into()),
            Act::Pass(status) => Err(status),
            Act::Panic => panic!("the handler broke"),
            Act::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok((caller, message))
            }
        }
    }
}

#[tonic::async_trait]
impl LoginService for Handler {
    async fn start_login(&self, request: Request<StartLoginRequest>) -> Reply<LoginStep> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(LoginStep::default()))
    }

    async fn start_social_login(&self, request: Request<StartSocialLoginRequest>) -> Reply<LoginStep> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(LoginStep::default()))
    }

    async fn finish_social_login(&self, request: Request<FinishSocialLoginRequest>) -> Reply<LoginStep> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(LoginStep::default()))
    }

    async fn start_step_up(&self, request: Request<StartStepUpRequest>) -> Reply<LoginStep> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(LoginStep::default()))
    }

    async fn request_email_code(&self, request: Request<RequestEmailCodeRequest>) -> Reply<RequestEmailCodeResponse> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(RequestEmailCodeResponse {}))
    }

    async fn continue_login(&self, request: Request<ContinueLoginRequest>) -> Reply<LoginStep> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(LoginStep::default()))
    }
}

#[tonic::async_trait]
impl UploadService for Handler {
    async fn create_upload(&self, request: Request<CreateUploadRequest>) -> Reply<Upload> {
        self.handle(request, |message| message.request_id.clone()).await?;
        reply(Ok::<_, Error>(Upload::default()))
    }

    async fn append_upload(&self, request: Request<Streaming<AppendUploadRequest>>) -> Reply<Upload> {
        let (_, mut messages) = self.handle(request, |_| String::new()).await?;
        let mut count = 0;
        while messages.message().await?.is_some() {
            count += 1;
        }
        reply(Ok::<_, Error>(Upload { name: format!("{count} messages"), ..Upload::default() }))
    }

    async fn get_upload(&self, request: Request<GetUploadRequest>) -> Reply<Upload> {
        let (_, message) = self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(Upload { name: message.name, ..Upload::default() }))
    }

    async fn delete_upload(&self, request: Request<DeleteUploadRequest>) -> Reply<()> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(()))
    }
}

#[tonic::async_trait]
impl FileService for Handler {
    async fn get_file(&self, request: Request<GetFileRequest>) -> Reply<File> {
        let (_, message) = self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(File { name: message.name, ..File::default() }))
    }

    async fn list_files(&self, request: Request<ListFilesRequest>) -> Reply<ListFilesResponse> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(ListFilesResponse::default()))
    }

    async fn delete_file(&self, request: Request<DeleteFileRequest>) -> Reply<()> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(()))
    }

    type ReadFileStream = Items<HttpBody>;

    /// Two chunks, then as long as nothing ends it.
    async fn read_file(&self, request: Request<ReadFileRequest>) -> Reply<Self::ReadFileStream> {
        let (_, message) = self.handle(request, |_| String::new()).await?;
        let chunk = |data: &'static [u8]| Ok::<_, Error>(HttpBody { data: data.into(), ..HttpBody::default() });
        let chunks = stream::iter([chunk(b"one"), chunk(b"two")]);
        if message.name.ends_with('0') {
            return reply_stream(Ok::<_, Error>(chunks.chain(stream::pending())));
        }
        reply_stream(Ok::<_, Error>(chunks))
    }

    async fn batch_read_files(&self, request: Request<BatchReadFilesRequest>) -> Reply<BatchReadFilesResponse> {
        self.handle(request, |_| String::new()).await?;
        reply(Ok::<_, Error>(BatchReadFilesResponse::default()))
    }
}
