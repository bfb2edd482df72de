//! The test contract, compiled once, and short ways to ask it something.

use std::path::Path;
use std::sync::LazyLock;

use http::Method;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use transcode::frame::Framed;
use transcode::{Contract, CustomPattern, HttpRule, LoadError, Match, Options, Pattern, Problem, RequestOptions};

/// The descriptor set of `probe.proto` with comments.
pub(crate) static PROBE: LazyLock<Vec<u8>> = LazyLock::new(|| set("probe.proto"));

/// Compiles a file beside this one.
pub(crate) fn set(file: &str) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([here.join("tests/it"), here.join("../../proto")]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file(file).unwrap();
    compiler.encode_file_descriptor_set()
}

/// One rule of a test: RPC of `Probe`, HTTP method, template, body.
pub(crate) type Rule<'a> = (&'a str, &'a str, &'a str, &'a str);

pub(crate) fn http_rule(rpc: &str, method: &str, path: &str, body: &str) -> HttpRule {
    HttpRule {
        selector: format!("probe.v1.Probe.{rpc}"),
        pattern: Some(Pattern::Custom(CustomPattern { kind: method.to_owned(), path: path.to_owned() })),
        body: body.to_owned(),
        ..HttpRule::default()
    }
}

pub(crate) fn options(rules: &[Rule<'_>]) -> Options {
    Options {
        rules: rules.iter().map(|(rpc, method, path, body)| http_rule(rpc, method, path, body)).collect(),
        ..Options::default()
    }
}

pub(crate) fn try_contract(rules: &[Rule<'_>]) -> Result<Contract, Vec<LoadError>> {
    transcode::compile(&PROBE, &options(rules))
}

pub(crate) fn contract(rules: &[Rule<'_>]) -> Contract {
    try_contract(rules).unwrap()
}

pub(crate) fn pool() -> DescriptorPool {
    DescriptorPool::decode(PROBE.as_slice()).unwrap()
}

/// The route of a request, which must exist.
pub(crate) fn routed(contract: &Contract, method: &str, path: &str) -> Match {
    contract
        .route(&method.parse::<Method>().unwrap(), path)
        .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
}

/// Wire bytes of a `Probe` input as the oracle prints them.
pub(crate) fn seen(route: &Match, wire: &[u8]) -> Value {
    oracle(&DynamicMessage::decode(route.method().input.clone(), wire).unwrap())
}

/// A message as prost-reflect prints it.
pub(crate) fn oracle(message: &DynamicMessage) -> Value {
    message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new()).unwrap()
}

/// What a GET of `target` on one rule of `One` becomes.
pub(crate) fn get(template: &str, target: &str) -> Result<Value, Problem> {
    let contract = contract(&[("One", "GET", template, "")]);
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let route = match contract.route(&Method::GET, path) {
        Ok(route) => route,
        Err(transcode::RouteError::Invalid(problem)) => return Err(problem),
        Err(other) => panic!("{target}: {other:?}"),
    };
    let wire = route.request(query, None, b"", &RequestOptions::default())?;
    Ok(seen(&route, &wire))
}

/// What `?query` becomes on a route that binds nothing else.
pub(crate) fn query(query: &str) -> Result<Value, Problem> {
    get("/v1/x", &format!("/v1/x?{query}"))
}

/// What a JSON body becomes that is the whole `Everything`.
pub(crate) fn body(json: &str) -> Result<Value, Problem> {
    body_bytes(json.as_bytes(), &RequestOptions::default())
}

pub(crate) fn body_bytes(json: &[u8], options: &RequestOptions) -> Result<Value, Problem> {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| contract(&[("One", "POST", "/v1/x", "*")]));
    let route = routed(&CONTRACT, "POST", "/v1/x");
    let wire = read(&route, json, options)?;
    Ok(seen(&route, &wire))
}

/// Reads a body as it is, and once more with white space behind it, by which its short texts have others behind them and take faster ways.
/// Both must say the same.
fn read(route: &Match, json: &[u8], options: &RequestOptions) -> Result<Framed, Problem> {
    let read = |json: &[u8]| route.request(None, Some("application/json"), json, options);
    let (bare, followed) = (read(json), read(&[json, &[b' '; 64]].concat()));
    match (&bare, &followed) {
        // What ends too early is found at the end, wherever that is.
        (Err(bare), Err(followed)) if !json.ends_with(b"}") => assert_eq!(blame(bare), blame(followed)),
        _ => assert_eq!(bare, followed, "{}", String::from_utf8_lossy(json)),
    }
    bare
}

/// The reason, the code and the first field at fault.
pub(crate) fn blame(problem: &Problem) -> (u16, &'static str, &str) {
    let field = problem.violations.first().map_or("", |violation| violation.field.as_str());
    (problem.http, problem.reason, field)
}
