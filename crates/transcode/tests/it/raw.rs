//! `google.api.HttpBody` in and out (cases B10, B11, B13).

use bytes::Bytes;
use prost_reflect::prost::Message;
use serde_json::json;
use transcode::{HttpBody, RequestOptions};

use crate::fixture::{contract, http_rule, options, routed, seen};

#[test]
fn gw_b10_a_raw_body_keeps_bytes_and_type() {
    let contract = contract(&[("Upload", "POST", "/v1/{name}", "file"), ("Raw", "POST", "/v1/raw/x", "*")]);
    let route = routed(&contract, "POST", "/v1/a");
    assert!(route.is_http_body_in());
    let options = RequestOptions::default();
    let wire = route.http_body_request(None, Some("image/png"), b"\x00\xff", &options, true).unwrap();
    assert_eq!(seen(&route, &wire), json!({"name": "a", "file": {"contentType": "image/png", "data": "AP8="}}));
    let later = route.http_body_request(None, Some("image/png"), b"\x01", &options, false).unwrap();
    assert_eq!(seen(&route, &later), json!({"file": {"data": "AQ=="}}));
    let whole = routed(&contract, "POST", "/v1/raw/x");
    let wire = whole.http_body_request(None, Some("text/plain"), b"x", &options, true).unwrap();
    assert_eq!(seen(&whole, &wire), json!({"contentType": "text/plain", "data": "eA=="}));
}

#[test]
fn gw_b11_a_raw_answer_has_its_type_or_octet_stream() {
    let contract = contract(&[("Download", "GET", "/v1/x", "")]);
    let route = routed(&contract, "GET", "/v1/x");
    assert!(route.is_http_body_out() && route.method().server_streaming);
    let body = HttpBody { content_type: "text/plain".to_owned(), data: Bytes::from_static(b"abc") };
    let read = route.http_body(body.encode_to_vec().into()).unwrap();
    assert_eq!((read.media_type(), &read.data[..]), ("text/plain", &b"abc"[..]));
    assert_eq!(route.http_body(Bytes::new()).unwrap().media_type(), "application/octet-stream");
    assert_eq!(route.http_body(Bytes::from_static(&[0x12, 5, 1])).unwrap_err().http, 500);
}

#[test]
fn gw_b13_a_field_may_be_the_answer() {
    let mut options = options(&[]);
    let mut rule = http_rule("Part", "GET", "/v1/x", "");
    rule.response_body = "file".to_owned();
    options.rules.push(rule);
    let contract = transcode::compile(&crate::fixture::PROBE, &options).unwrap();
    let route = routed(&contract, "GET", "/v1/x");
    assert!(route.is_http_body_out());
    // name "n", then the field twice: it merges.
    let wire = Bytes::from_static(&[0x0a, 1, b'n', 0x12, 3, 0x0a, 1, b't', 0x12, 3, 0x12, 1, b'd']);
    let read = route.http_body(wire).unwrap();
    assert_eq!((read.media_type(), &read.data[..]), ("t", &b"d"[..]));
    assert!(route.http_body(Bytes::from_static(&[0x12, 9, 0])).is_err());
}
