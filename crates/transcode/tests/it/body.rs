//! Bodies and what they may set (cases B).

use serde_json::json;
use transcode::{Contract, Problem, RequestOptions};

use crate::fixture::{blame, contract, routed, seen};

fn post(contract: &Contract, path: &str, content_type: Option<&str>, body: &str) -> Result<serde_json::Value, Problem> {
    let route = routed(contract, "POST", path);
    let wire = route.request(None, content_type, body.as_bytes(), &RequestOptions::default())?;
    Ok(seen(&route, &wire))
}

#[test]
fn gw_b01_an_empty_body_is_the_default_plus_the_path() {
    let contract = contract(&[("One", "POST", "/v1/{name}", "*")]);
    assert_eq!(post(&contract, "/v1/a", None, "").unwrap(), json!({"name": "a"}));
}

#[test]
fn gw_b02_the_root_must_be_what_the_body_is() {
    let contract =
        contract(&[("One", "POST", "/v1/x", "*"), ("Two", "POST", "/v1/ri", "ri"), ("Three", "POST", "/v1/v", "v")]);
    assert_eq!(post(&contract, "/v1/x", None, "{}").unwrap(), json!({}));
    for body in ["null", "[]", "1", "\"x\"", "{} {}"] {
        assert_eq!(post(&contract, "/v1/x", None, body).unwrap_err().http, 400, "{body}");
    }
    assert_eq!(post(&contract, "/v1/ri", None, "[1,2]").unwrap(), json!({"ri": [1, 2]}));
    assert!(post(&contract, "/v1/ri", None, "null").is_err());
    assert_eq!(post(&contract, "/v1/v", None, "null").unwrap(), json!({"v": null}));
}

#[test]
fn gw_b03_a_bare_value_may_be_the_body() {
    fields_as_bodies(&[
        ("s", "\"History\""),
        ("sub", "{\"a\":\"x\"}"),
        ("ts", "\"1970-01-01T00:00:01Z\""),
        ("w", "\"7\""),
        ("e", "\"RED\""),
    ]);
}

#[test]
fn gw_b04_a_list_or_a_map_may_be_the_body() {
    fields_as_bodies(&[
        ("rs", "[\"a\"]"),
        ("subs", "[{\"a\":\"x\"},{}]"),
        ("m", "{\"a\":\"b\"}"),
        ("ms", "{\"1\":{\"n\":5}}"),
    ]);
}

fn fields_as_bodies(cases: &[(&str, &str)]) {
    for (field, body) in cases {
        let contract = contract(&[("One", "POST", "/v1/x", field)]);
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(post(&contract, "/v1/x", None, body).unwrap(), json!({*field: value}), "{field}");
    }
}

#[test]
fn gw_b05_a_body_where_there_is_none_is_refused() {
    let contract = contract(&[("One", "POST", "/v1/x", "")]);
    assert_eq!(post(&contract, "/v1/x", None, "{}").unwrap_err().reason, "BODY_NOT_ALLOWED");
    assert_eq!(post(&contract, "/v1/x", Some("text/plain"), "").unwrap(), json!({}));
}

#[test]
fn gw_b06_the_body_cannot_override_the_path() {
    let contract = contract(&[
        ("One", "POST", "/v1/{name}", "*"),
        ("Two", "POST", "/v1/{sub.a}/y", "sub"),
        ("Three", "POST", "/v1/{left}/z", "*"),
    ]);
    assert_eq!(post(&contract, "/v1/a", None, r#"{"name":"a","i":1}"#).unwrap(), json!({"name": "a", "i": 1}));
    let problem = post(&contract, "/v1/a", None, r#"{"name":"b"}"#).unwrap_err();
    assert_eq!(blame(&problem), (400, "CONFLICTING_VALUE", "name"));
    let merged = post(&contract, "/v1/a/y", None, r#"{"a":"a","n":1}"#).unwrap();
    assert_eq!(merged, json!({"sub": {"a": "a", "n": 1}}));
    assert!(post(&contract, "/v1/a/y", None, r#"{"a":"b"}"#).is_err());
    // The other member of the oneof would win on the wire.
    assert_eq!(post(&contract, "/v1/a/z", None, r#"{"right":1}"#).unwrap_err().reason, "CONFLICTING_VALUE");
    assert_eq!(post(&contract, "/v1/a/z", None, r#"{"left":"a"}"#).unwrap(), json!({"left": "a"}));
    // The same name elsewhere is another field.
    assert!(post(&contract, "/v1/a", None, r#"{"child":{"name":"b"}}"#).is_ok());
}

#[test]
fn a_path_bound_special_type_is_compared_by_value() {
    let contract = contract(&[
        ("One", "POST", "/v1/{ts}/t", "*"),
        ("Two", "POST", "/v1/{w}/w", "*"),
        ("Three", "POST", "/v1/{i}/i", "*"),
    ]);
    assert!(post(&contract, "/v1/1970-01-01T00:00:01Z/t", None, r#"{"ts":"1970-01-01T01:00:01+01:00"}"#).is_ok());
    assert!(post(&contract, "/v1/1970-01-01T00:00:01Z/t", None, r#"{"ts":"1970-01-01T00:00:02Z"}"#).is_err());
    assert!(post(&contract, "/v1/5/w", None, r#"{"w":"5"}"#).is_ok());
    assert!(post(&contract, "/v1/5/w", None, r#"{"w":6}"#).is_err());
    assert!(post(&contract, "/v1/100/i", None, r#"{"i":1e2}"#).is_ok());
    assert!(post(&contract, "/v1/100/i", None, r#"{"i":null}"#).is_ok());
}

#[test]
fn gw_b07_only_json_is_read() {
    let contract = contract(&[("One", "POST", "/v1/x", "*")]);
    for accepted in [
        None,
        Some("application/json; charset=utf-8"),
        Some("application/json;charset=\"UTF-8\""),
        Some("application/x+json"),
        Some("Application/JSON"),
    ] {
        assert!(post(&contract, "/v1/x", accepted, "{}").is_ok(), "{accepted:?}");
    }
    for refused in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        unsupported(&contract, refused);
    }
}

#[test]
fn gw_b08_only_utf_8_is_read() {
    let contract = contract(&[("One", "POST", "/v1/x", "*")]);
    unsupported(&contract, "application/json; charset=latin1");
    unsupported(&contract, "application/json; charset=utf-16");
}

fn unsupported(contract: &Contract, media: &str) {
    let problem = post(contract, "/v1/x", Some(media), "{}").unwrap_err();
    assert_eq!((problem.http, problem.code, problem.reason), (415, 3, "UNSUPPORTED_MEDIA_TYPE"), "{media}");
}

#[test]
fn gw_b12_a_form_is_not_a_body() {
    let contract = contract(&[("One", "POST", "/v1/x", "*")]);
    let problem = post(&contract, "/v1/x", Some("application/x-www-form-urlencoded"), "a=b").unwrap_err();
    assert_eq!(problem.http, 415);
}

/// How often a field stands at the top of wire bytes.
fn occurrences(mut wire: &[u8], number: u32) -> usize {
    use prost_reflect::prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut count = 0;
    while !wire.is_empty() {
        let (found, kind) = decode_key(&mut wire).unwrap();
        skip_field(kind, found, &mut wire, DecodeContext::default()).unwrap();
        count += usize::from(found == number);
    }
    count
}

/// protobufjs keeps the last occurrence of a message alone, against the rule that occurrences merge.
#[test]
fn what_path_query_and_body_say_of_one_message_stands_in_one_place() {
    let contract = contract(&[
        ("One", "POST", "/v1/{sub.a}/x", "sub"),
        ("Two", "POST", "/v1/{sub.a}/y", "*"),
        ("Three", "GET", "/v1/{sub.a}/z", ""),
    ]);
    let number = contract.methods().next().unwrap().input.get_field_by_name("sub").unwrap().number();
    for (path, query, body, expected) in [
        ("/v1/p/x", None, r#"{"n":1}"#, json!({"sub": {"a": "p", "n": 1}})),
        ("/v1/p/z", Some("sub.n=1&sub.sub.n=2"), "", json!({"sub": {"a": "p", "n": 1, "sub": {"n": 2}}})),
        ("/v1/p/y", None, r#"{"s":"t","sub":{"n":1}}"#, json!({"s": "t", "sub": {"a": "p", "n": 1}})),
    ] {
        let route = routed(&contract, if body.is_empty() { "GET" } else { "POST" }, path);
        let kind = (!body.is_empty()).then_some("application/json");
        let wire = route.request(query, kind, body.as_bytes(), &RequestOptions::default()).unwrap();
        assert_eq!(seen(&route, &wire), expected, "{path} {body}");
        assert_eq!(occurrences(&wire, number), 1, "{path} {body}");
    }
}
