//! Path values (cases P).

use serde_json::json;
use transcode::{Options, PathMode, RequestOptions, compile};

use crate::fixture::{PROBE, blame, get, http_rule, routed};

#[test]
fn gw_p01_one_segment_is_decoded_fully() {
    assert_eq!(get("/v1/{name}", "/v1/p%20q%2Fr+").unwrap(), json!({"name": "p q/r+"}));
}

#[test]
fn gw_p02_several_segments_keep_encoded_slashes() {
    let value = get("/v1/{name=p/*/q/*}", "/v1/p/foo%20foo/q/bar%2Fbar").unwrap();
    assert_eq!(value, json!({"name": "p/foo foo/q/bar%2Fbar"}));
}

#[test]
fn gw_p03_modes_decide_about_reserved_characters() {
    for (mode, expected) in
        [(PathMode::Spec, "a:b/c%2fd"), (PathMode::Reserved, "a%3Ab/c%2fd"), (PathMode::All, "a:b/c/d")]
    {
        let options = Options {
            path_mode: mode,
            rules: vec![http_rule("One", "GET", "/v1/{name=**}", "")],
            ..Options::default()
        };
        let contract = compile(&PROBE, &options).unwrap();
        let route = routed(&contract, "GET", "/v1/a%3Ab/c%2fd");
        assert_eq!(route.variables().next(), Some(("name", expected)), "{mode:?}");
    }
}

#[test]
fn gw_p04_an_encoded_slash_is_still_one_segment() {
    let value = get("/x/{name}/bar", "/x/success%2fwith%2Fspace/bar").unwrap();
    assert_eq!(value, json!({"name": "success/with/space"}));
}

#[test]
fn gw_p05_malformed_escapes_and_bad_utf8_are_refused() {
    for path in ["/v1/%", "/v1/%4", "/v1/%zz", "/v1/%ff"] {
        assert_eq!(blame(&get("/v1/{name}", path).unwrap_err()), (400, "MALFORMED_PATH", "name"), "{path}");
    }
}

#[test]
fn gw_p06_numbers_are_checked_even_without_a_body() {
    for path in ["/v1/abc", "/v1/1.5", "/v1/2147483648", "/v1/-2147483649", "/v1/+1", "/v1/01"] {
        assert_eq!(blame(&get("/v1/{i}", path).unwrap_err()), (400, "INVALID_PATH_VALUE", "i"), "{path}");
    }
    assert_eq!(get("/v1/{i}", "/v1/-2147483648").unwrap(), json!({"i": i32::MIN}));
    assert!(get("/v1/{u}", "/v1/-1").is_err());
    assert_eq!(get("/v1/{ul}", "/v1/18446744073709551615").unwrap(), json!({"ul": "18446744073709551615"}));
}

#[test]
fn gw_p07_enums_by_name_or_number() {
    assert_eq!(get("/v1/{e}", "/v1/RED").unwrap(), json!({"e": "RED"}));
    assert_eq!(get("/v1/{e}", "/v1/-2").unwrap(), json!({"e": "BLUE"}));
    assert!(get("/v1/{e}", "/v1/red").unwrap_err().message.contains("did you mean `RED`"));
}

#[test]
fn gw_p08_booleans_are_two_words() {
    assert_eq!(get("/v1/{flag}", "/v1/true").unwrap(), json!({"flag": true}));
    for path in ["/v1/1", "/v1/True", "/v1/yes"] {
        assert!(get("/v1/{flag}", path).is_err(), "{path}");
    }
}

#[test]
fn gw_p09_bytes_in_either_alphabet() {
    for path in ["/v1/-_8=", "/v1/-_8", "/v1/+%2F8="] {
        assert_eq!(get("/v1/{b}", path).unwrap(), json!({"b": "+/8="}), "{path}");
    }
    assert!(get("/v1/{b}", "/v1/!!").is_err());
}

#[test]
fn gw_p10_messages_with_a_text_form() {
    assert_eq!(get("/v1/{w}", "/v1/42").unwrap(), json!({"w": "42"}));
    assert_eq!(get("/v1/{ts}", "/v1/2026-01-31T09:30:00Z").unwrap(), json!({"ts": "2026-01-31T09:30:00Z"}));
    assert_eq!(get("/v1/{dur}", "/v1/1.5s").unwrap(), json!({"dur": "1.500s"}));
    assert_eq!(get("/v1/{mask}", "/v1/a,subField.b").unwrap(), json!({"mask": "a,subField.b"}));
    assert_eq!(get("/v1/{sub.sub.a}", "/v1/x").unwrap(), json!({"sub": {"sub": {"a": "x"}}}));
}

#[test]
fn gw_p11_a_plus_is_a_plus() {
    assert_eq!(get("/v1/{name}", "/v1/a+b").unwrap(), json!({"name": "a+b"}));
}

#[test]
fn a_deep_variable_without_segments_is_empty_text() {
    assert_eq!(get("/v1/{os=**}", "/v1").unwrap(), json!({"os": ""}));
}

#[test]
fn later_messages_of_a_client_stream_carry_no_path_values() {
    let contract = crate::fixture::contract(&[("Collect", "POST", "/v1/{name}", "*")]);
    let route = routed(&contract, "POST", "/v1/x");
    let wire = route.next_request(br#"{"i":1}"#, &RequestOptions::default()).unwrap();
    assert_eq!(crate::fixture::seen(&route, &wire), json!({"i": 1}));
}
