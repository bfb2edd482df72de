//! The program that protobuf's conformance runner tests: it answers over stdin and stdout with this crate.
//!
//! Usage: `conformance INCLUDE wire|number`, where INCLUDE holds the suite's proto files and the word says in
//! which order fields are printed; `./dev conformance` does all.
//! JSON in and JSON out are the crate's own two directions; wire to wire goes through JSON, and is skipped
//! where JSON cannot carry the message.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use prost::Message;
use transcode::{Contract, HttpRule, Match, Options, Pattern, RequestOptions, ResponseOptions};

const METHODS: [&str; 2] = ["Proto2", "Proto3"];
const JSON: i32 = 2;
const IGNORE_UNKNOWN: i32 = 3;

/// `conformance.ConformanceRequest`.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(oneof = "Payload", tags = "1, 2, 7, 8")]
    payload: Option<Payload>,
    #[prost(int32, tag = "3")]
    output: i32,
    #[prost(string, tag = "4")]
    message_type: String,
    #[prost(int32, tag = "5")]
    category: i32,
}

/// The message under test.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
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
struct Response {
    #[prost(oneof = "Answer", tags = "1, 3, 4, 5, 6")]
    result: Option<Answer>,
}

/// What became of it.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Answer {
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

fn main() -> Result<()> {
    let include = std::env::args().nth(1).context("name the folder of the suite's proto files")?;
    let contract = contract(Path::new(&include))?;
    let by_number = std::env::args().nth(2).is_some_and(|order| order == "number");
    let print = ResponseOptions { by_number, ..ResponseOptions::default() };
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut length = [0; 4];
    while stdin.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        stdin.read_exact(&mut request).context("the runner broke off a request")?;
        let request = Request::decode(request.as_slice())?;
        let response = Response { result: Some(answer(&contract, &request, &print)?) }.encode_to_vec();
        stdout.write_all(&u32::try_from(response.len())?.to_le_bytes())?;
        stdout.write_all(&response)?;
        stdout.flush()?;
    }
    Ok(())
}

/// The suite's messages, each as request and response of a route of its own.
fn contract(include: &Path) -> Result<Contract> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/conformance");
    let mut compiler = protox::Compiler::new([include, here.as_path()])?;
    compiler.include_imports(true).open_file("testee.proto")?;
    let rules = METHODS.map(|method| HttpRule {
        selector: format!("testee.Testee.{method}"),
        pattern: Some(Pattern::Post(format!("/{method}"))),
        body: "*".to_owned(),
        ..HttpRule::default()
    });
    let options = Options { rules: rules.to_vec(), ..Options::default() };
    transcode::compile(&compiler.encode_file_descriptor_set(), &options).map_err(|errors| anyhow!("{errors:?}"))
}

fn answer(contract: &Contract, request: &Request, print: &ResponseOptions) -> Result<Answer> {
    let Some(payload) = &request.payload else {
        return Ok(Answer::Skipped("no payload".to_owned()));
    };
    // The first request asks which tests are known to fail: an empty FailureSet says none.
    if request.message_type == "conformance.FailureSet" {
        return Ok(Answer::Wire(Vec::new()));
    }
    let method = METHODS.into_iter().find(|method| request.message_type.ends_with(&format!("TestAllTypes{method}")));
    let Some(method) = method.filter(|_| !request.message_type.contains("editions")) else {
        return Ok(Answer::Skipped(request.message_type.clone()));
    };
    let route = contract.route(&http::Method::POST, &format!("/{method}")).map_err(|error| anyhow!("{error:?}"))?;
    let options = RequestOptions { ignore_unknown: request.category == IGNORE_UNKNOWN, ..RequestOptions::default() };
    let read = |json: &str| route.request(None, None, json.as_bytes(), &options);
    Ok(match (payload, request.output) {
        (Payload::Json(json), JSON) => match read(json) {
            Ok(wire) => json_of(&route, &wire, print),
            Err(problem) => Answer::ParseError(problem.to_string()),
        },
        (Payload::Json(json), 1) => match read(json) {
            Ok(wire) => Answer::Wire(wire.to_vec()),
            Err(problem) => Answer::ParseError(problem.to_string()),
        },
        (Payload::Wire(wire), JSON) => json_of(&route, wire, print),
        (Payload::Wire(wire), 1) => match json_of(&route, wire, print) {
            Answer::Json(json) => match read(&json) {
                Ok(wire) => Answer::Wire(wire.to_vec()),
                Err(problem) => Answer::SerializeError(problem.to_string()),
            },
            // To whoever wants wire, what cannot be printed could not be read.
            Answer::SerializeError(why) => Answer::ParseError(why),
            other => other,
        },
        _ => Answer::Skipped("neither JSON nor wire".to_owned()),
    })
}

fn json_of(route: &Match, wire: &[u8], print: &ResponseOptions) -> Answer {
    match route.response(wire, print) {
        // The crate prints UTF-8; were it not so, the runner would see a faulty answer.
        Ok(json) => Answer::Json(String::from_utf8_lossy(&json).into_owned()),
        Err(problem) => Answer::SerializeError(problem.to_string()),
    }
}
