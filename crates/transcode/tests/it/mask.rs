//! PATCH masks (cases M).

use serde_json::{Value, json};
use transcode::{Contract, RequestOptions};

use crate::fixture::{contract, routed, seen};

fn rules() -> Contract {
    contract(&[("Update", "PATCH", "/v1/{thing.name}", "thing"), ("One", "PATCH", "/v1/whole/{name}", "*")])
}

fn mask(query: Option<&str>, body: &str) -> Value {
    let route = routed(&rules(), "PATCH", "/v1/x");
    let wire = route.request(query, None, body.as_bytes(), &RequestOptions::default()).unwrap();
    seen(&route, &wire)["updateMask"].clone()
}

#[test]
fn gw_m01_the_mask_is_made_from_the_keys_down_to_the_leaf() {
    assert_eq!(mask(None, r#"{"s":"x","sub":{"a":"y","sub":{"n":1}}}"#), json!("s,sub.a,sub.sub.n"));
    assert_eq!(mask(None, r#"{"name":"x","odd_name":"y"}"#), json!("oddName"));
    assert_eq!(mask(None, r#"{"sub":{}}"#), json!("sub"));
    assert_eq!(mask(None, "{}"), Value::Null);
    assert_eq!(mask(None, ""), Value::Null);
}

#[test]
fn gw_m02_null_clears() {
    assert_eq!(mask(None, r#"{"s":null,"sub":null,"child":{"i":null}}"#), json!("s,sub,child.i"));
}

#[test]
fn gw_m03_maps_lists_wrappers_and_free_form_json_count_whole() {
    let body = r#"{"m":{"a":"b"},"subs":[{"a":"x"}],"w":"1","st":{"a":{"b":1}},"v":{"c":1},"ts":"1970-01-01T00:00:00Z","ms":{"1":{"a":"y"}}}"#;
    assert_eq!(mask(None, body), json!("m,subs,w,st,v,ts,ms"));
}

#[test]
fn gw_m04_a_given_mask_is_passed_on() {
    assert_eq!(mask(Some("updateMask=i"), r#"{"s":"x"}"#), json!("i"));
    assert_eq!(mask(Some("update_mask=*"), r#"{"s":"x"}"#), json!("*"));
    assert_eq!(mask(Some("updateMask="), r#"{"s":"x"}"#), json!(""));
}

#[test]
fn gw_m05_a_whole_body_makes_no_mask() {
    let route = routed(&rules(), "PATCH", "/v1/whole/x");
    let wire = route.request(None, None, br#"{"s":"x"}"#, &RequestOptions::default()).unwrap();
    assert_eq!(seen(&route, &wire), json!({"name": "x", "s": "x"}));
}

#[test]
fn what_only_the_service_writes_is_left_out() {
    let contract = contract(&[]);
    let path = "/v1/organizations/o/libraries/l/books/b";
    let route = routed(&contract, "PATCH", path);
    let body = r#"{"name":"organizations/o/libraries/l/books/b","title":"T","createTime":"1970-01-01T00:00:00Z","author":{"displayName":"A"},"editor":{"displayName":"E"}}"#;
    let wire = route.request(None, None, body.as_bytes(), &RequestOptions::default()).unwrap();
    assert_eq!(seen(&route, &wire)["updateMask"], json!("title,editor.displayName"));
}
