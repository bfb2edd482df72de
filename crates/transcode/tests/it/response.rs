//! Wire to JSON (cases O) and response bodies; what the wire may do to a reader stands in `wire.rs`.

use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message;
use transcode::{Match, Problem, ResponseOptions};

use crate::fixture::{http_rule, options, pool, routed};

/// A route of `One` whose answer is the field `response_body`.
fn route(response_body: &str) -> Match {
    let mut options = options(&[]);
    let mut rule = http_rule("One", "GET", "/v1/x", "");
    rule.response_body = response_body.to_owned();
    options.rules.push(rule);
    routed(&transcode::compile(&crate::fixture::PROBE, &options).unwrap(), "GET", "/v1/x")
}

/// Wire bytes of an `Everything` that the oracle reads from JSON.
fn wire(json: &str) -> Vec<u8> {
    let descriptor = pool().get_message_by_name("probe.v1.Everything").unwrap();
    let mut reader = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(descriptor, &mut reader).unwrap().encode_to_vec()
}

fn print(wire: &[u8], options: &ResponseOptions) -> Result<String, Problem> {
    route("").response(wire, options).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

fn printed(json: &str) -> String {
    print(&wire(json), &ResponseOptions::default()).unwrap()
}

#[test]
fn gw_o01_64_bits_are_strings_and_32_are_numbers() {
    assert_eq!(
        printed(r#"{"i":-5,"l":"5","u":6,"ul":7,"si":-8,"sl":-9,"fi":1,"fl":2,"sfi":-3,"sfl":-4,"ri":[1],"w":"1"}"#),
        r#"{"i":-5,"l":"5","u":6,"ul":"7","si":-8,"sl":"-9","fi":1,"fl":"2","sfi":-3,"sfl":"-4","ri":[1],"w":"1"}"#
    );
    let ends = r#"{"i":-2147483648,"l":"-9223372036854775808","u":4294967295,"ul":"18446744073709551615"}"#;
    assert_eq!(printed(ends), ends);
}

#[test]
fn gw_o02_floating_point() {
    assert_eq!(printed(r#"{"f":0.1,"d":0.1}"#), r#"{"f":0.1,"d":0.1}"#);
    assert_eq!(printed(r#"{"rd":["NaN","Infinity",-0.0,1,1e300]}"#), r#"{"rd":["NaN","Infinity",-0.0,1,1e+300]}"#);
    assert_eq!(printed(r#"{"wd":1.5}"#), r#"{"wd":1.5}"#);
    // field 46, DoubleValue with a NaN of odd payload
    let nan = [[0xf2, 0x02, 9, 0x09].as_slice(), &f64::from_bits(0x7ff8_0000_0000_0001).to_le_bytes()].concat();
    assert_eq!(print(&nan, &ResponseOptions::default()).unwrap(), r#"{"wd":"NaN"}"#);
}

#[test]
fn gw_o03_bytes_are_standard_base64() {
    assert_eq!(printed(r#"{"b":"-_8"}"#), r#"{"b":"+/8="}"#);
    assert_eq!(printed(r#"{"b":"_w","wb":"AAAA"}"#), r#"{"b":"/w==","wb":"AAAA"}"#);
}

#[test]
fn gw_o04_unknown_enum_numbers_are_numbers() {
    assert_eq!(printed(r#"{"re":["RED",9]}"#), r#"{"re":["RED",9]}"#);
    let numbers = ResponseOptions { enum_numbers: true, ..ResponseOptions::default() };
    assert_eq!(print(&wire(r#"{"e":"BLUE"}"#), &numbers).unwrap(), r#"{"e":-2}"#);
}

#[test]
fn gw_o05_timestamps() {
    for text in [
        r#"{"ts":"2026-01-31T09:30:00Z"}"#,
        r#"{"ts":"2026-01-31T09:30:00.500Z"}"#,
        r#"{"ts":"2026-01-31T09:30:00.000500Z"}"#,
        r#"{"ts":"0001-01-01T00:00:00.000000001Z"}"#,
        r#"{"ts":"9999-12-31T23:59:59.999999999Z"}"#,
        r#"{"ts":"1600-02-29T00:00:00Z"}"#,
    ] {
        assert_eq!(printed(text), text);
    }
    // nanos -1; nanos 10^9; seconds out of range
    for content in [vec![MINUS_ONE_NANO], vec![&[0x10, 0x80, 0x94, 0xeb, 0xdc, 0x03]], vec![FAR]] {
        refused(&field([0x92, 0x02], &content.concat()));
    }
}

#[test]
fn gw_o06_durations() {
    for text in [
        r#"{"dur":"0s"}"#,
        r#"{"dur":"-0.500s"}"#,
        r#"{"dur":"315576000000s"}"#,
        r#"{"dur":"1.000001s"}"#,
        r#"{"dur":"-1.000000001s"}"#,
    ] {
        assert_eq!(printed(text), text);
    }
    // 1 s and -1 ns; seconds out of range
    for content in [vec![&[0x08, 1], MINUS_ONE_NANO], vec![FAR]] {
        refused(&field([0x9a, 0x02], &content.concat()));
    }
}

const MINUS_ONE_NANO: &[u8] = &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
const FAR: &[u8] = &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];

fn field(tag: [u8; 2], content: &[u8]) -> Vec<u8> {
    [tag.as_slice(), &[content.len() as u8], content].concat()
}

fn refused(wire: &[u8]) {
    let problem = print(wire, &ResponseOptions::default()).unwrap_err();
    assert_eq!((problem.http, problem.code, problem.reason), (500, 13, "UNRENDERABLE_RESPONSE"), "{wire:?}");
}

#[test]
fn gw_o07_free_form_json_has_no_nan() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused(&field([0xb2, 0x02], &[[0x11].as_slice(), &value.to_le_bytes()].concat()));
    }
    refused(&field([0xb2, 0x02], b""));
    // The same words as text are text.
    assert_eq!(printed(r#"{"v":"NaN"}"#), r#"{"v":"NaN"}"#);
    refused(&[0x08]);
}

#[test]
fn gw_o08_an_any_of_unknown_type_is_internal() {
    refused(&field([0xc2, 0x02], b"\x0a\x03t/x"));
    refused(&field([0xc2, 0x02], b"\x12\x01x"));
    for text in [
        r#"{"any":{}}"#,
        r#"{"any":{"@type":"type.googleapis.com/probe.v1.Sub","a":"x"}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}}"#,
    ] {
        let text = text.to_owned();
        let route = route("");
        let wire = routed(&crate::fixture::contract(&[("One", "POST", "/v1/x", "*")]), "POST", "/v1/x")
            .request(None, None, text.as_bytes(), &transcode::RequestOptions::default())
            .unwrap();
        assert_eq!(route.response(&wire, &ResponseOptions::default()).unwrap(), text);
    }
}

#[test]
fn gw_o09_only_what_must_be_escaped_is() {
    assert_eq!(printed(r#"{"s":"<\u2028\"\\\u0001\n\u007fé"}"#), "{\"s\":\"<\u{2028}\\\"\\\\\\u0001\\n\u{7f}é\"}");
}

#[test]
fn gw_o10_names_and_defaults() {
    let both = wire(r#"{"renamed":"x","sub":{"subField":"y"}}"#);
    assert_eq!(print(&both, &ResponseOptions::default()).unwrap(), r#"{"sub":{"subField":"y"},"renamed":"x"}"#);
    let proto = ResponseOptions { proto_names: true, ..ResponseOptions::default() };
    assert_eq!(print(&both, &proto).unwrap(), r#"{"sub":{"sub_field":"y"},"odd_name":"x"}"#);
    let defaults = ResponseOptions { defaults: true, ..ResponseOptions::default() };
    let all: serde_json::Value = serde_json::from_str(&print(b"", &defaults).unwrap()).unwrap();
    assert_eq!(
        (&all["i"], &all["l"], &all["ri"], &all["m"], &all["e"]),
        (&0.into(), &"0".into(), &serde_json::json!([]), &serde_json::json!({}), &"NONE".into())
    );
    assert!(all.get("sub").is_none() && all.get("os").is_none() && all.get("left").is_none());
    assert_eq!(printed(r#"{"os":"","right":0}"#), r#"{"os":"","right":0}"#);
}

#[test]
fn gw_o11_map_keys_are_strings_in_a_stable_order() {
    assert_eq!(
        printed(r#"{"m":{"b":"2","a":"1","c":"3"},"mb":{"true":1,"false":0}}"#),
        r#"{"m":{"a":"1","b":"2","c":"3"},"mb":{"false":"0","true":"1"}}"#
    );
    assert_eq!(printed(r#"{"st":{"z":1,"a":[true,null,"x"]}}"#), r#"{"st":{"a":[true,null,"x"],"z":1}}"#);
}

#[test]
fn gw_b13_response_bodies_are_bare_values() {
    let full = wire(r#"{"s":"x","ri":[1],"m":{"a":"b"},"sub":{"a":"y"},"ts":"1970-01-01T00:00:00Z","l":5}"#);
    for (field, set, unset) in [
        ("s", "\"x\"", "\"\""),
        ("ri", "[1]", "[]"),
        ("m", r#"{"a":"b"}"#, "{}"),
        ("sub", r#"{"a":"y"}"#, "{}"),
        ("ts", "\"1970-01-01T00:00:00Z\"", "null"),
        ("l", "\"5\"", "\"0\""),
    ] {
        let route = route(field);
        assert_eq!(route.response(&full, &ResponseOptions::default()).unwrap(), set, "{field}");
        assert_eq!(route.response(b"", &ResponseOptions::default()).unwrap(), unset, "{field}");
    }
}

#[test]
fn a_response_mask_leaves_the_rest_out() {
    let bytes = wire(
        r#"{"s":"x","i":1,"subs":[{"a":"1","n":1},{"a":"2"}],"ms":{"1":{"a":"x","n":2}},"sub":{"sub":{"a":"z","n":3}}}"#,
    );
    let route = route("");
    for (fields, expected) in [
        ("s", r#"{"s":"x"}"#),
        ("subs.a,i", r#"{"i":1,"subs":[{"a":"1"},{"a":"2"}]}"#),
        ("sub/sub/n", r#"{"sub":{"sub":{"n":3}}}"#),
        ("ms.n", r#"{"ms":{"1":{"n":2}}}"#),
        ("sub,sub.a", r#"{"sub":{"sub":{"a":"z","n":3}}}"#),
    ] {
        let options = route.response_options(Some(&format!("$fields={fields}"))).unwrap();
        assert_eq!(route.response(&bytes, &options).unwrap(), expected, "{fields}");
    }
    assert!(route.response_options(Some("fields=s.x")).is_err());
    let all = route.response_options(Some("fields=*")).unwrap();
    assert_eq!(route.response(&bytes, &all).unwrap(), route.response(&bytes, &ResponseOptions::default()).unwrap());
}

#[test]
fn pretty_answers_read_back_the_same() {
    let bytes = wire(r#"{"s":"x","subs":[{"a":"1"},{}],"m":{"a":"b"},"st":{"a":[1,{}]}}"#);
    let pretty = ResponseOptions { pretty: true, ..ResponseOptions::default() };
    let text = print(&bytes, &pretty).unwrap();
    assert!(
        text.starts_with("{\n  \"s\": \"x\",\n  \"subs\": [\n    {\n      \"a\": \"1\"\n    },\n    {}\n  ],"),
        "{text}"
    );
    let compact = print(&bytes, &ResponseOptions::default()).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        serde_json::from_str::<serde_json::Value>(&compact).unwrap()
    );
}
