//! What the runner says and hears: length-prefixed messages of `conformance.proto` over stdin and stdout.
use std::io::{Read, Write};

use anyhow::{Context as _, Result};
use prost::Message;

/// The test messages: a short name and the full one.
pub(crate) const MESSAGES: [(&str, &str); 5] = [
    ("Proto2", "protobuf_test_messages.proto2.TestAllTypesProto2"),
    ("Proto3", "protobuf_test_messages.proto3.TestAllTypesProto3"),
    ("EditionsProto2", "protobuf_test_messages.editions.proto2.TestAllTypesProto2"),
    ("EditionsProto3", "protobuf_test_messages.editions.proto3.TestAllTypesProto3"),
    ("Edition2023", "protobuf_test_messages.editions.TestAllTypesEdition2023"),
];
/// Wire bytes are wanted.
pub(crate) const WIRE: i32 = 1;
/// JSON is wanted.
pub(crate) const JSON: i32 = 2;
/// The category of tests that ignore unknown fields.
pub(crate) const IGNORE_UNKNOWN: i32 = 3;

/// `conformance.ConformanceRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(oneof = "Payload", tags = "1, 2, 7, 8")]
    pub(crate) payload: Option<Payload>,
    #[prost(int32, tag = "3")]
    pub(crate) output: i32,
    #[prost(string, tag = "4")]
    pub(crate) message_type: String,
    #[prost(int32, tag = "5")]
    pub(crate) category: i32,
}

/// The message under test.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Payload {
    #[prost(bytes, tag = "1")]
    Wire(Vec<u8>),
    #[prost(string, tag = "2")]
    Json(String),
    #[prost(string, tag = "7")]
    Jspb(String),
    #[prost(string, tag = "8")]
    Text(String),
}

/// `conformance.ConformanceResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Response {
    #[prost(oneof = "Answer", tags = "1, 3, 4, 5, 6")]
    pub(crate) result: Option<Answer>,
}

/// What became of it.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Answer {
    #[prost(string, tag = "1")]
    ParseError(String),
    #[prost(bytes, tag = "3")]
    Wire(Vec<u8>),
    #[prost(string, tag = "4")]
    Json(String),
    #[prost(string, tag = "5")]
    Skipped(String),
    #[prost(string, tag = "6")]
    SerializeError(String),
}

/// Answers every request with what `answer` makes of the message: a short name of a test message and the request itself.
pub(crate) fn serve(mut answer: impl FnMut(&str, &Request) -> Result<Answer>) -> Result<()> {
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut length = [0; 4];
    while stdin.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        stdin.read_exact(&mut request).context("the runner broke off a request")?;
        let request = Request::decode(request.as_slice())?;
        let result = match named(&request) {
            Ok(message) => answer(message, &request)?,
            Err(other) => other,
        };
        let response = Response { result: Some(result) }.encode_to_vec();
        stdout.write_all(&u32::try_from(response.len())?.to_le_bytes())?;
        stdout.write_all(&response)?;
        stdout.flush()?;
    }
    Ok(())
}

/// The short name of a test message; other requests are answered at once.
fn named(request: &Request) -> Result<&'static str, Answer> {
    // The first request asks which tests are known to fail: an empty FailureSet says none.
    if request.message_type == "conformance.FailureSet" {
        return Err(Answer::Wire(Vec::new()));
    }
    let message = MESSAGES.into_iter().find(|(_, full)| *full == request.message_type);
    message.map(|(short, _)| short).ok_or_else(|| Answer::Skipped(request.message_type.clone()))
}
