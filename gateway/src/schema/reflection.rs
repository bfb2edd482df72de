//! Server reflection of an upstream: version 1, and where that is unknown version 1 alpha.
//!
//! What must hold: an answer is a complete descriptor set, and the list of services that the upstream itself names; both are
//! bounded, so that a broken upstream costs the edge no more than a message in the log.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::{CallContext, Code, Error, Ids};
use bytes::Bytes;
use mesh::client::{Channel, Mesh};
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic_reflection::pb::{
    v1::{
        ServerReflectionRequest, ServerReflectionResponse, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1alpha,
};

use super::{
    SchemaError,
    set::{self, File},
};

/// Most files and bytes of one upstream.
const FILES_MAX: usize = 5_000;
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest message with one file.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;
/// Fields of `FileDescriptorProto` that name other files.
const DEPENDENCY: u32 = 3;

/// What an upstream says about itself.
pub(super) struct Told {
    /// Its services, without those for its operators.
    pub(super) listed: BTreeSet<String>,
    /// Its files, as a set.
    pub(super) set: Bytes,
}

/// Asks an upstream.
pub(super) async fn ask(mesh: &Mesh, upstream: &str, ids: &Ids) -> Result<Told, SchemaError> {
    let context = CallContext::background("edge reflection", ids);
    let channel = || mesh.as_workload(upstream, &context);
    let told = match told(Conversation::v1(channel()).await).await {
        Err(error) if error.code() == Code::Unimplemented => told(Conversation::v1alpha(channel()).await).await,
        other => other,
    };
    told.map_err(|error| {
        SchemaError(format!(
            "{upstream} does not tell its schema by reflection: {error}; mount grpc.reflection.v1 there, or name a file"
        ))
    })
}

async fn told(opened: Result<(Conversation, MessageResponse), Error>) -> Result<Told, Error> {
    let (mut conversation, first) = opened?;
    let MessageResponse::ListServicesResponse(list) = first else {
        return Err(Error::fault("it answered another question"));
    };
    let listed: BTreeSet<_> =
        list.service.into_iter().map(|service| service.name).filter(|name| !super::is_of_the_server(name)).collect();
    let mut files = BTreeMap::new();
    let mut open = VecDeque::new();
    for service in &listed {
        open.push_back(MessageRequest::FileContainingSymbol(service.clone()));
    }
    let mut bytes = 0;
    while let Some(question) = open.pop_front() {
        if matches!(&question, MessageRequest::FileByFilename(name) if files.contains_key(name)) {
            continue;
        }
        let MessageResponse::FileDescriptorResponse(answer) = conversation.ask(question).await? else {
            return Err(Error::fault("it answered another question"));
        };
        for file in answer.file_descriptor_proto {
            let file = File::read(file.into()).map_err(Error::internal)?;
            bytes += file.bytes.len();
            if files.len() >= FILES_MAX || bytes > BYTES_MAX {
                return Err(Error::fault(format!("it has more than {FILES_MAX} files or {BYTES_MAX} bytes of them")));
            }
            open.extend(dependencies(&file).into_iter().map(MessageRequest::FileByFilename));
            files.insert(file.name.clone(), file);
        }
    }
    Ok(Told { listed, set: set::join(files.values()).into() })
}

fn dependencies(file: &File) -> Vec<String> {
    let fields = mesh::wire::Fields::of(&file.bytes).filter_map(Result::ok);
    let names = fields.filter(|(number, _)| *number == DEPENDENCY).filter_map(|(_, value)| value.bytes().ok());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// One stream of questions, each answered before the next is asked.
struct Conversation {
    ask: Questions,
    answers: Answers,
}

enum Questions {
    V1(tokio::sync::mpsc::Sender<ServerReflectionRequest>),
    V1Alpha(tokio::sync::mpsc::Sender<v1alpha::ServerReflectionRequest>),
}

enum Answers {
    V1(tonic::Streaming<ServerReflectionResponse>),
    V1Alpha(tonic::Streaming<v1alpha::ServerReflectionResponse>),
}

impl Conversation {
    /// Begins by asking for the services.
    async fn v1(channel: Channel) -> Result<(Self, MessageResponse), Error> {
        let (ask, questions) = tokio::sync::mpsc::channel(1);
        let mut client = ServerReflectionClient::new(channel).max_decoding_message_size(MESSAGE_MAX);
        // Many servers send headers with the first answer only: ask before waiting for them.
        let first = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let _ = ask.send(first).await;
        let answers = client.server_reflection_info(ReceiverStream::new(questions)).await?.into_inner();
        Self { ask: Questions::V1(ask), answers: Answers::V1(answers) }.opened().await
    }

    /// The same in the older version.
    async fn v1alpha(channel: Channel) -> Result<(Self, MessageResponse), Error> {
        let (ask, questions) = tokio::sync::mpsc::channel(1);
        let client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
        let mut client = client.max_decoding_message_size(MESSAGE_MAX);
        let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
        let _ = ask.send(v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) }).await;
        let answers = client.server_reflection_info(ReceiverStream::new(questions)).await?.into_inner();
        Self { ask: Questions::V1Alpha(ask), answers: Answers::V1Alpha(answers) }.opened().await
    }

    /// Takes the answer to the question that opened the stream.
    async fn opened(mut self) -> Result<(Self, MessageResponse), Error> {
        let answer = self.answer().await?;
        Ok((self, answer))
    }

    async fn ask(&mut self, question: MessageRequest) -> Result<MessageResponse, Error> {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        match &self.ask {
            Questions::V1(ask) => drop(ask.send(request).await),
            Questions::V1Alpha(ask) => {
                // The messages of both versions are the same on the wire.
                let request = v1alpha::ServerReflectionRequest::decode(request.encode_to_vec().as_slice());
                drop(ask.send(request.map_err(Error::internal)?).await);
            }
        }
        self.answer().await
    }

    async fn answer(&mut self) -> Result<MessageResponse, Error> {
        let answer = match &mut self.answers {
            Answers::V1(answers) => answers.message().await?,
            Answers::V1Alpha(answers) => match answers.message().await? {
                Some(answer) => {
                    Some(ServerReflectionResponse::decode(answer.encode_to_vec().as_slice()).map_err(Error::internal)?)
                }
                None => None,
            },
        };
        match answer.and_then(|answer| answer.message_response) {
            Some(MessageResponse::ErrorResponse(error)) => Err(Error::fault(error.error_message)),
            Some(answer) => Ok(answer),
            None => Err(Error::unavailable("the upstream (it ended the stream)")),
        }
    }
}
