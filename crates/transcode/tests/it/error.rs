//! Error bodies and the table of codes (cases E, as far as they need no transport).

use prost_reflect::prost::Message;
use serde_json::{Value, json};
use transcode::error::{
    AnyMessage, Context, Rendered, Shape, StatusParts, code_of_http, http_status, render, status_name,
};
use transcode::{Contract, Match, Problem};

use crate::fixture::{contract, routed};

/// `google.rpc.Status`, to make details with.
#[derive(Clone, PartialEq, prost_reflect::prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<AnyMessage>,
}

fn detail(name: &str, value: &[u8]) -> AnyMessage {
    AnyMessage { type_url: format!("type.googleapis.com/{name}"), value: value.to_vec().into() }
}

fn upstream(code: i32, details: Vec<AnyMessage>) -> StatusParts {
    let status = Status { code: 13, message: "not this one".to_owned(), details };
    StatusParts { code, message: "It is gone.".to_owned(), details: status.encode_to_vec().into(), http: None }
}

fn rendered(contract: &Contract, route: Option<&Match>, shape: Shape, parts: &StatusParts) -> (Rendered, Value) {
    let context = Context { shape, contract, route, request_id: "req-12345678" };
    let rendered = render(&context, parts);
    let body = serde_json::from_slice(&rendered.body).unwrap();
    (rendered, body)
}

#[test]
fn gw_e01_the_table_of_codes_is_that_of_code_proto() {
    let expected = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, status) in (0..).zip(expected) {
        assert_eq!(http_status(code), status, "{code}");
    }
    assert_eq!((http_status(99), status_name(-1)), (500, "UNKNOWN"));
}

#[test]
fn gw_e02_answers_without_grpc_status_are_translated() {
    let table =
        [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14), (418, 2), (200, 2)];
    for (status, code) in table {
        assert_eq!(code_of_http(status), code, "{status}");
    }
}

#[test]
fn gw_e06_three_shapes_of_one_error() {
    let contract = contract(&[]);
    let parts = upstream(5, vec![]);
    let (answer, body) = rendered(&contract, None, Shape::Aip193, &parts);
    let details = json!([{"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req-12345678"}]);
    assert_eq!((answer.status, answer.content_type), (404, "application/json"));
    assert_eq!(
        body,
        json!({"error": {"code": 404, "message": "It is gone.", "status": "NOT_FOUND", "details": details}})
    );
    let (_, body) = rendered(&contract, None, Shape::Status, &parts);
    assert_eq!(body, json!({"code": 5, "message": "It is gone.", "details": details}));
    let (answer, body) = rendered(&contract, None, Shape::Problem, &parts);
    assert_eq!(answer.content_type, "application/problem+json");
    assert_eq!(
        body,
        json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "It is gone.", "code": "NOT_FOUND", "details": details})
    );
}

#[test]
fn gw_e07_details_are_kept_shown_or_removed_by_their_kind() {
    let contract = contract(&[]);
    let details = vec![
        // retry_delay { seconds: 2 nanos: 1 }
        detail("google.rpc.RetryInfo", &[0x0a, 4, 0x08, 2, 0x10, 1]),
        detail("google.rpc.DebugInfo", &[0x12, 1, b'x']),
        detail("google.rpc.LocalizedMessage", &[0x0a, 2, b'd', b'e', 0x12, 1, b'x']),
        detail("google.rpc.ErrorInfo", &[0x0a, 1, b'R', 0x12, 1, b'd', 0x1a, 6, 0x0a, 1, b'k', 0x12, 1, b'v']),
        detail("google.rpc.RequestInfo", &[0x0a, 1, b'x']),
        detail("probe.v1.Sub", &[0x0a, 1, b'a']),
        detail("nowhere.Nothing", &[1, 2]),
    ];
    let parts = upstream(14, details);
    assert_eq!(parts.reason().as_deref(), Some("R"));
    let (answer, body) = rendered(&contract, None, Shape::Aip193, &parts);
    assert_eq!((answer.status, answer.retry_after, answer.reason.as_deref()), (503, Some(3), Some("R")));
    assert_eq!(
        body["error"]["details"],
        json!([
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.000000001s"},
            {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "de", "message": "x"},
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R", "domain": "d", "metadata": {"k": "v"}},
            {"@type": "type.googleapis.com/probe.v1.Sub", "a": "a"},
            {"@type": "type.googleapis.com/nowhere.Nothing", "value": "AQI="},
            {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req-12345678"},
        ])
    );
}

#[test]
fn gw_e09_violations_use_the_names_of_the_rest_request() {
    let contract = contract(&[("Update", "PATCH", "/v1/{thing.name}", "thing"), ("One", "POST", "/v1/x", "*")]);
    let violation = |field: &str| {
        let inner = [[0x0a, field.len() as u8].as_slice(), field.as_bytes()].concat();
        let details = vec![detail("google.rpc.BadRequest", &[[0x0a, inner.len() as u8].as_slice(), &inner].concat())];
        upstream(3, details)
    };
    let shown = |route: &Match, field: &str| {
        let (_, body) = rendered(&contract, Some(route), Shape::Aip193, &violation(field));
        body["error"]["details"][0]["fieldViolations"][0]["field"].as_str().unwrap().to_owned()
    };
    let update = routed(&contract, "PATCH", "/v1/a");
    assert_eq!(shown(&update, "thing.sub.sub_field"), "sub.subField");
    assert_eq!(shown(&update, "thing.subs[2].sub_field"), "subs[2].subField");
    assert_eq!(shown(&update, "thing.name"), "thing.name");
    assert_eq!(shown(&update, "update_mask"), "updateMask");
    let one = routed(&contract, "POST", "/v1/x");
    assert_eq!(shown(&one, "odd_name"), "renamed");
    assert_eq!(shown(&one, "no such thing"), "no such thing");
}

#[test]
fn the_crates_own_problems_leave_through_the_same_encoder() {
    let contract = contract(&[("One", "GET", "/v1/x", "")]);
    let route = routed(&contract, "GET", "/v1/x");
    let problem = route.request(Some("odd_nam=1"), None, b"", &transcode::RequestOptions::default()).unwrap_err();
    let (answer, body) = rendered(&contract, Some(&route), Shape::Aip193, &StatusParts::from(&problem));
    assert_eq!((answer.status, answer.reason.as_deref()), (400, Some("UNKNOWN_PARAMETER")));
    let details = &body["error"]["details"];
    assert_eq!(details[0]["domain"], json!("gateway.workos.dev"));
    assert_eq!(details[1]["fieldViolations"][0]["field"], json!("odd_nam"));
    let large = Problem::with(413, 8, "BODY_TOO_LARGE", "Too large.").about("limit", "8 MiB");
    let (answer, body) = rendered(&contract, None, Shape::Aip193, &StatusParts::from(&large));
    assert_eq!((answer.status, &body["error"]["status"]), (413, &json!("RESOURCE_EXHAUSTED")));
    assert_eq!(body["error"]["details"][0]["metadata"], json!({"limit": "8 MiB"}));
}

#[test]
fn details_that_cannot_be_read_do_not_hide_the_error() {
    let contract = contract(&[]);
    let parts = StatusParts { code: 7, message: "No.".to_owned(), details: vec![0xff, 0xff].into(), http: None };
    let (answer, body) = rendered(&contract, None, Shape::Aip193, &parts);
    assert_eq!((answer.status, &body["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
}
