//! The program that protobuf's conformance runner tests: it answers over stdin and stdout with this crate.
//!
//! Usage: `transcode-conformance SET wire|number`, where SET is the descriptor set of `testee.proto` with all imports and the word
//! says in which order fields are printed; `./dev conformance` does all. The set comes from a compiler that knows editions.
//! JSON in and JSON out are the crate's own two directions; wire to wire goes through JSON, and is skipped
//! where JSON cannot carry the message.

mod protocol;

use anyhow::{Context as _, Result, anyhow};
use protocol::{Answer, IGNORE_UNKNOWN, JSON, MESSAGES, Payload, Request, WIRE};
use transcode::{Contract, HttpRule, Match, Options, Pattern, RequestOptions, ResponseOptions};

fn main() -> Result<()> {
    let set = std::env::args().nth(1).context("name the descriptor set of testee.proto")?;
    let contract = contract(&std::fs::read(&set).context(set)?)?;
    let by_number = std::env::args().nth(2).is_some_and(|order| order == "number");
    let print = ResponseOptions { by_number, ..ResponseOptions::default() };
    protocol::serve(|message, request| answer(&contract, message, request, &print))
}

/// The suite's messages, each as request and response of a route of its own.
fn contract(set: &[u8]) -> Result<Contract> {
    let rules = MESSAGES.map(|(method, _)| HttpRule {
        selector: format!("testee.Testee.{method}"),
        pattern: Some(Pattern::Post(format!("/{method}"))),
        body: "*".to_owned(),
        ..HttpRule::default()
    });
    let options = Options { rules: rules.to_vec(), ..Options::default() };
    transcode::compile(set, &options).map_err(|errors| anyhow!("{errors:?}"))
}

fn answer(contract: &Contract, message: &str, request: &Request, print: &ResponseOptions) -> Result<Answer> {
    let Some(payload) = &request.payload else {
        return Ok(Answer::Skipped("no payload".to_owned()));
    };
    let route = contract.route(&http::Method::POST, &format!("/{message}")).map_err(|error| anyhow!("{error:?}"))?;
    let options = RequestOptions { ignore_unknown: request.category == IGNORE_UNKNOWN, ..RequestOptions::default() };
    let read = |json: &str| route.request(None, None, json.as_bytes(), &options);
    Ok(match (payload, request.output) {
        (Payload::Json(json), JSON) => match read(json) {
            Ok(wire) => json_of(&route, &wire, print),
            Err(problem) => Answer::ParseError(problem.to_string()),
        },
        (Payload::Json(json), WIRE) => match read(json) {
            Ok(wire) => Answer::Wire(wire.to_vec()),
            Err(problem) => Answer::ParseError(problem.to_string()),
        },
        (Payload::Wire(wire), JSON) => json_of(&route, wire, print),
        (Payload::Wire(wire), WIRE) => match json_of(&route, wire, print) {
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
