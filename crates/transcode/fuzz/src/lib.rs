//! What the targets share: the test contract of the transcoder, served at a few routes, and prost-reflect as second reader.
use std::{path::Path, sync::LazyLock};

use http::Method;
pub use prost_reflect::{DynamicMessage, prost};
use prost_reflect::{
    Kind, MessageDescriptor, SerializeOptions,
    prost::encoding::{self, DecodeContext, WireType},
};
use transcode::{Contract, CustomPattern, HttpRule, Match, Options, Pattern, RequestOptions, ResponseOptions};

/// The descriptor set of the tests' `probe.proto`.
pub static PROBE: LazyLock<Vec<u8>> = LazyLock::new(|| set("../tests/it", "probe.proto"));

/// The descriptor set of `template.proto`.
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| set(".", "template.proto"));

fn set(folder: &str, file: &str) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([here.join(folder), here.join("../../../proto")]).unwrap();
    compiler.include_imports(true).open_file(file).unwrap();
    compiler.encode_file_descriptor_set()
}

/// `Everything` as body, and as query beside a bound path.
pub static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let rules = [("One", "POST", "/v1/body", "*"), ("Two", "GET", "/v1/{s=**}", "")];
    compile(&PROBE, rules.map(|(rpc, method, path, body)| rule(rpc, method, path, body)).to_vec()).unwrap()
});

/// One rule of the service.
pub fn rule(rpc: &str, method: &str, path: &str, body: &str) -> HttpRule {
    HttpRule {
        selector: format!("probe.v1.Probe.{rpc}"),
        pattern: Some(Pattern::Custom(CustomPattern { kind: method.to_owned(), path: path.to_owned() })),
        body: body.to_owned(),
        ..HttpRule::default()
    }
}

/// A small contract with these rules; `None` when they are refused.
pub fn small(rules: Vec<HttpRule>) -> Option<Contract> {
    compile(&SMALL, rules)
}

fn compile(set: &[u8], rules: Vec<HttpRule>) -> Option<Contract> {
    transcode::compile(set, &Options { rules, ..Options::default() }).ok()
}

/// The route whose body is `Everything`.
pub fn echo() -> Match {
    CONTRACT.route(&Method::POST, "/v1/body").unwrap()
}

/// Wire bytes that this crate made: prost-reflect reads them, and what is printed of them reads back as the same message.
/// `whole` reads the printed form.
pub fn agrees(route: &Match, whole: &Match, wire: &[u8]) {
    let message = DynamicMessage::decode(route.method().input.clone(), wire).expect("well-formed wire bytes");
    let again = printed(route, wire).map(|json| {
        let read = whole.request(None, Some("application/json"), &json, &RequestOptions::default());
        let wire = read.unwrap_or_else(|problem| panic!("{} is refused: {problem:?}", String::from_utf8_lossy(&json)));
        DynamicMessage::decode(route.method().input.clone(), &wire[..]).expect("well-formed wire bytes")
    });
    if let Some(again) = again {
        let (left, right) = (oracle(&message), oracle(&again));
        let lost = left.is_none() || !is_declared(&route.method().input, wire);
        assert!(lost || left == right, "\n{left:?}\n{right:?}");
    }
}

/// The message as JSON; all ways of printing agree: in one pass and gathered as values, and the faster ways of what is usual and
/// short, which need others behind them and no mask, to the byte. `None` when it has no JSON form.
pub fn printed(route: &Match, wire: &[u8]) -> Option<Vec<u8>> {
    let by = |by_number| route.response(wire, &ResponseOptions { by_number, ..ResponseOptions::default() });
    let (json, sorted) = (by(false), by(true));
    assert_eq!(json.is_ok(), sorted.is_ok(), "{json:?} {sorted:?}");
    let (json, sorted) = (json.ok()?, sorted.ok()?);
    let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).expect("JSON");
    assert_eq!(value(&json), value(&sorted));
    let all = route.response_options(Some("$fields=*")).expect("a mask");
    let unknown = [&[0xa2, 0x38, 40][..], &[0; 40]].concat();
    let followed = route.response(&[wire, &unknown].concat(), &ResponseOptions::default());
    assert_eq!(
        [route.response(wire, &all).expect("it is printable"), followed.expect("it is printable")],
        [json.clone(), json.clone()]
    );
    Some(json.to_vec())
}

/// Every field has the wire type of its declaration. Another one makes it an unknown field by protobuf's rules, which the
/// transcoder keeps to; prost-reflect refuses some and takes others for a default value. Nor does it hold a number that JSON has no
/// word for: `null` is every `NullValue`, and reads back as the only one that has a name.
pub fn is_declared(message: &MessageDescriptor, mut wire: &[u8]) -> bool {
    while !wire.is_empty() {
        let Ok((number, kind)) = encoding::decode_key(&mut wire) else { return false };
        let mut rest = wire;
        if encoding::skip_field(kind, number, &mut rest, DecodeContext::default()).is_err() {
            return false;
        }
        let mut value = &wire[..wire.len() - rest.len()];
        wire = rest;
        let Some(field) = message.get_field(number) else { continue };
        let packed = field.is_list() && kind == WireType::LengthDelimited;
        if !packed && kind != wire_type(&field.kind()) {
            return false;
        }
        if matches!(field.kind(), Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue") {
            if encoding::decode_varint(&mut value).is_ok_and(|number| number != 0) {
                return false;
            }
        } else if let (Kind::Message(inner), WireType::LengthDelimited) = (field.kind(), kind) {
            if encoding::decode_varint(&mut value).is_err() || !is_declared(&inner, value) {
                return false;
            }
        } else if kind == WireType::StartGroup {
            return false;
        }
    }
    true
}

fn wire_type(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        Kind::String | Kind::Bytes | Kind::Message(_) => WireType::LengthDelimited,
        _ => WireType::Varint,
    }
}

/// As prost-reflect prints it; `None` when it cannot.
pub fn oracle(message: &DynamicMessage) -> Option<serde_json::Value> {
    message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new()).ok()
}
