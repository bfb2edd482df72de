//! Server reflection (`grpc.reflection.v1` and `v1alpha`) of a descriptor set.
//!
//! Files are sent as the bytes in which they came: prost's descriptor types would drop custom options, and with them the HTTP
//! rules and access options that an edge reads here. At a service it stands beside the stack: a listing is no traffic and
//! needs no token, since only workloads of the mesh reach it.
use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use mesh::wire::Fields;
use prost::Message;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use tonic::{Request, Response, Status, Streaming, service::Routes};
use tonic_reflection::pb::{
    v1::{
        ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
        ServerReflectionResponse, ServiceResponse,
        server_reflection_request::MessageRequest,
        server_reflection_response::MessageResponse,
        server_reflection_server::{ServerReflection, ServerReflectionServer},
    },
    v1alpha,
};

/// What can be asked about a descriptor set. Cheap to clone.
#[derive(Clone)]
pub struct Reflection(Arc<Index>);

#[derive(Default)]
struct Index {
    services: Vec<String>,
    /// Pieces of the set.
    files: Vec<Bytes>,
    /// Number of the file of each name.
    names: HashMap<String, usize>,
    /// Number of the file of each fully qualified name.
    symbols: HashMap<String, usize>,
    /// Number of the file of each extension, by extended message and number.
    extensions: BTreeMap<(String, i32), usize>,
}

/// The bytes are no descriptor set.
#[derive(Debug, thiserror::Error)]
#[error("the descriptor set for reflection cannot be read: {0}")]
pub struct Unreadable(String);

impl std::fmt::Debug for Reflection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reflection").field("services", &self.0.services).finish_non_exhaustive()
    }
}

impl Reflection {
    /// Reads a serialized `FileDescriptorSet`. `services` are listed; without it all that the files have.
    ///
    /// # Errors
    /// The bytes are no such set.
    pub fn new(set: &Bytes, services: Option<Vec<String>>) -> Result<Self, Unreadable> {
        let (mut index, mut all) = (Index::default(), Vec::new());
        for field in Fields::of(set) {
            let (1, value) = field.map_err(|error| Unreadable(error.to_string()))? else { continue };
            let bytes = value.bytes().map_err(|error| Unreadable(error.to_string()))?;
            let file = FileDescriptorProto::decode(bytes).map_err(|error| Unreadable(error.to_string()))?;
            all.extend(file.service.iter().map(|service| qualified(file.package(), service.name())));
            index.add(&file);
            index.files.push(set.slice_ref(bytes));
        }
        index.services = services.unwrap_or(all);
        Ok(Self(Arc::new(index)))
    }

    /// The service of version 1.
    #[must_use]
    pub fn v1(&self) -> ServerReflectionServer<impl ServerReflection> {
        ServerReflectionServer::new(self.clone())
    }

    /// The service of version 1 alpha, which older clients ask.
    #[must_use]
    pub fn v1alpha(
        &self,
    ) -> v1alpha::server_reflection_server::ServerReflectionServer<
        impl v1alpha::server_reflection_server::ServerReflection,
    > {
        v1alpha::server_reflection_server::ServerReflectionServer::new(self.clone())
    }

    /// Both versions.
    #[must_use]
    pub fn routes(&self) -> Routes {
        Routes::new(self.v1()).add_service(self.v1alpha())
    }
}

impl Index {
    fn add(&mut self, file: &FileDescriptorProto) {
        let (package, number) = (file.package(), self.files.len());
        self.names.insert(file.name().to_owned(), number);
        for message in &file.message_type {
            self.add_message(&qualified(package, message.name()), message, number);
        }
        for kind in &file.enum_type {
            self.add_symbol(qualified(package, kind.name()), number);
            kind.value.iter().for_each(|value| self.add_symbol(qualified(package, value.name()), number));
        }
        for service in &file.service {
            let service_name = qualified(package, service.name());
            service
                .method
                .iter()
                .for_each(|method| self.add_symbol(format!("{service_name}.{}", method.name()), number));
            self.add_symbol(service_name, number);
        }
        file.extension.iter().for_each(|extension| self.add_extension(package, extension, number));
    }

    fn add_message(&mut self, full: &str, message: &DescriptorProto, file: usize) {
        self.add_symbol(full.to_owned(), file);
        message.field.iter().for_each(|field| self.add_symbol(format!("{full}.{}", field.name()), file));
        message.enum_type.iter().for_each(|kind| self.add_symbol(format!("{full}.{}", kind.name()), file));
        message.extension.iter().for_each(|extension| self.add_extension(full, extension, file));
        for nested in &message.nested_type {
            self.add_message(&format!("{full}.{}", nested.name()), nested, file);
        }
    }

    fn add_extension(&mut self, scope: &str, extension: &FieldDescriptorProto, file: usize) {
        self.add_symbol(qualified(scope, extension.name()), file);
        let extended = extension.extendee().trim_start_matches('.').to_owned();
        self.extensions.insert((extended, extension.number()), file);
    }

    fn add_symbol(&mut self, symbol: String, file: usize) {
        self.symbols.insert(symbol, file);
    }

    fn answer(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let message = match &request.message_request {
            None => Err("say what is asked for".to_owned()),
            Some(MessageRequest::ListServices(_)) => {
                let service = self.services.iter().map(|name| ServiceResponse { name: name.clone() }).collect();
                Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
            }
            Some(MessageRequest::FileByFilename(name)) => self.file(self.names.get(name), name),
            Some(MessageRequest::FileContainingSymbol(symbol)) => self.file(self.symbols.get(symbol), symbol),
            Some(MessageRequest::FileContainingExtension(asked)) => {
                let key = (asked.containing_type.clone(), asked.extension_number);
                self.file(self.extensions.get(&key), &asked.containing_type)
            }
            Some(MessageRequest::AllExtensionNumbersOfType(name)) => Ok(self.numbers(name)),
        };
        let refused = |error_message| {
            MessageResponse::ErrorResponse(ErrorResponse { error_code: tonic::Code::NotFound as i32, error_message })
        };
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            message_response: Some(message.unwrap_or_else(refused)),
            original_request: Some(request),
        }
    }

    fn file(&self, number: Option<&usize>, asked: &str) -> Result<MessageResponse, String> {
        let bytes =
            number.and_then(|number| self.files.get(*number)).ok_or_else(|| format!("{asked} is not known here"))?;
        Ok(MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: vec![bytes.to_vec()],
        }))
    }

    fn numbers(&self, name: &str) -> MessageResponse {
        let range = (name.to_owned(), i32::MIN)..=(name.to_owned(), i32::MAX);
        let extension_number = self.extensions.range(range).map(|((_, number), _)| *number).collect();
        let base_type_name = name.to_owned();
        MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse { base_type_name, extension_number })
    }
}

fn qualified(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = Answers<ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let index = Arc::clone(&self.0);
        let answers = request.into_inner().map(move |asked| asked.map(|asked| index.answer(asked)));
        Ok(Response::new(Box::pin(answers)))
    }
}

/// The messages of both versions are the same on the wire.
#[tonic::async_trait]
impl v1alpha::server_reflection_server::ServerReflection for Reflection {
    type ServerReflectionInfoStream = Answers<v1alpha::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1alpha::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let index = Arc::clone(&self.0);
        let answers = request.into_inner().map(move |asked| {
            let asked =
                ServerReflectionRequest::decode(asked?.encode_to_vec().as_slice()).map_err(api::Error::internal)?;
            let answer = index.answer(asked).encode_to_vec();
            Ok(v1alpha::ServerReflectionResponse::decode(answer.as_slice()).map_err(api::Error::internal)?)
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_contract_are_still_there() {
        let reflection = Reflection::new(&Bytes::from_static(proto::CONTRACT), None).expect("it is valid");
        let asked = MessageRequest::FileContainingSymbol("workos.document.v1.DocumentService.GetDocument".to_owned());
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
        let Some(MessageResponse::FileDescriptorResponse(files)) = reflection.0.answer(request).message_response else {
            panic!("the file is known")
        };
        let rule = b"/v1/{name=organizations/*/documents/*}";
        assert!(files.file_descriptor_proto[0].windows(rule.len()).any(|part| part == rule));
    }

    #[test]
    fn what_is_unknown_is_an_answer_and_no_end_of_the_stream() {
        let reflection = Reflection::new(&Bytes::from_static(proto::CONTRACT), Some(Vec::new())).expect("it is valid");
        for asked in [None, Some(MessageRequest::FileByFilename("x".to_owned()))] {
            let answer = reflection.0.answer(ServerReflectionRequest { host: String::new(), message_request: asked });
            assert!(matches!(answer.message_response, Some(MessageResponse::ErrorResponse(_))));
        }
        let asked = Some(MessageRequest::AllExtensionNumbersOfType("google.protobuf.MethodOptions".to_owned()));
        let answer = reflection.0.answer(ServerReflectionRequest { host: String::new(), message_request: asked });
        let Some(MessageResponse::AllExtensionNumbersResponse(numbers)) = answer.message_response else { panic!() };
        assert!(numbers.extension_number.contains(&72_295_728), "google.api.http");
    }
}
