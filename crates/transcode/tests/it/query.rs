//! Query parameters (cases Q).

use serde_json::{Value, json};
use transcode::{Alt, RequestOptions};

use crate::fixture::{blame, contract, get, query, routed, seen};

fn refused(text: &str) -> (u16, &'static str, String) {
    let problem = query(text).expect_err(text);
    let (http, reason, field) = blame(&problem);
    (http, reason, field.to_owned())
}

fn equal(cases: &[(&str, Value)]) {
    for (text, expected) in cases {
        assert_eq!(query(text).unwrap_or_else(|problem| panic!("{text}: {problem}")), *expected, "{text}");
    }
}

#[test]
fn gw_q01_lists_come_by_repetition_and_not_by_comma() {
    equal(&[("ri=1&ri=2", json!({"ri": [1, 2]})), ("rs=a,b", json!({"rs": ["a,b"]}))]);
    assert_eq!(refused("ri=1,2"), (400, "INVALID_PARAMETER", "ri".to_owned()));
}

#[test]
fn gw_q02_a_singular_field_twice_is_refused_in_any_spelling() {
    assert_eq!(refused("i=1&i=1").1, "DUPLICATE_PARAMETER");
    assert_eq!(refused("sub.sub_field=x&sub.subField=x").1, "DUPLICATE_PARAMETER");
}

#[test]
fn gw_q03_both_spellings_mean_the_same() {
    let expected = json!({"sub": {"subField": "x"}});
    equal(&[
        ("sub.sub_field=x", expected.clone()),
        ("sub.subField=x", expected),
        ("odd_name=a", json!({"renamed": "a"})),
        ("renamed=a", json!({"renamed": "a"})),
    ]);
}

#[test]
fn gw_q04_unknown_names_are_refused_and_system_parameters_known() {
    let problem = query("nam=x").unwrap_err();
    assert_eq!(blame(&problem), (400, "UNKNOWN_PARAMETER", "nam"));
    assert!(problem.message.contains("did you mean `name`"), "{problem}");
    assert_eq!(refused("sub.nope=1").1, "UNKNOWN_PARAMETER");
    equal(&[("$alt=json%3Benum-encoding=int&$prettyPrint=0&$.xgafv=1&key=abc&$fields=s", json!({}))]);
    let contract = contract(&[("One", "GET", "/v1/x", "")]);
    let route = routed(&contract, "GET", "/v1/x");
    let options = route.response_options(Some("$alt=json%3Benum-encoding=int&$prettyPrint=true")).unwrap();
    assert!(options.enum_numbers && options.pretty);
    assert_eq!(route.response_options(Some("alt=sse")).unwrap().alt, Some(Alt::Sse));
    for text in ["$alt=xml", "$alt=json;x=y", "$prettyPrint=maybe", "$fields=nope"] {
        assert_eq!(route.response_options(Some(text)).unwrap_err().reason, "INVALID_PARAMETER", "{text}");
    }
    assert_eq!(refused("$callback=f").1, "CALLBACK_NOT_SUPPORTED");
}

#[test]
fn an_api_key_in_the_query_is_401_and_unknown_names_can_be_ignored() {
    let problem = query("key=wos_sk_secret").unwrap_err();
    assert_eq!((problem.http, problem.code, problem.reason), (401, 16, "CREDENTIAL_IN_QUERY"));
    assert!(!problem.message.contains("secret"));
    let contract = contract(&[("One", "GET", "/v1/x", "")]);
    let route = routed(&contract, "GET", "/v1/x");
    let options = RequestOptions { ignore_unknown: true, ..RequestOptions::default() };
    let wire = route.request(Some("utm_source=x&sub.nope=1&i=1"), None, b"", &options).unwrap();
    assert_eq!(seen(&route, &wire), json!({"i": 1}));
}

#[test]
fn gw_q05_a_name_bound_by_the_path_must_be_equal() {
    assert_eq!(get("/v1/{name}", "/v1/a?name=a").unwrap(), json!({"name": "a"}));
    let problem = get("/v1/{name}", "/v1/a?name=b").unwrap_err();
    assert_eq!(blame(&problem), (400, "CONFLICTING_VALUE", "name"));
    assert_eq!(get("/v1/{i}", "/v1/100?i=1e2").unwrap(), json!({"i": 100}));
    assert_eq!(get("/v1/{sub.a}", "/v1/a?sub.n=1").unwrap(), json!({"sub": {"a": "a", "n": 1}}));
    assert_eq!(get("/v1/{w}", "/v1/5?w.value=5").unwrap(), json!({"w": "5"}));
    assert!(get("/v1/{w}", "/v1/5?w.value=6").is_err());
}

#[test]
fn gw_q06_a_whole_body_leaves_no_parameters() {
    let contract = contract(&[("One", "POST", "/v1/x", "*")]);
    let route = routed(&contract, "POST", "/v1/x");
    for text in ["s=1", "sub.a=x", "ri=1"] {
        let problem = route.request(Some(text), None, b"", &RequestOptions::default()).unwrap_err();
        assert_eq!(problem.reason, "UNKNOWN_PARAMETER", "{text}");
    }
}

#[test]
fn gw_q07_what_a_body_field_carries_is_no_parameter() {
    let contract = contract(&[("Two", "POST", "/v1/y", "sub")]);
    let route = routed(&contract, "POST", "/v1/y");
    let problem = route.request(Some("sub.a=x"), None, b"", &RequestOptions::default()).unwrap_err();
    assert_eq!(problem.reason, "UNKNOWN_PARAMETER");
    let wire = route.request(Some("s=1"), None, br#"{"a":"x"}"#, &RequestOptions::default()).unwrap();
    assert_eq!(seen(&route, &wire), json!({"s": "1", "sub": {"a": "x"}}));
}

#[test]
fn gw_q08_lists_and_maps_of_messages_are_refused() {
    for text in ["subs=x", "subs.a=x", "ms[1]=x", "ms[1].a=x", "rt=2026-01-31T09:30:00Z", "any=x"] {
        assert_eq!(refused(text).1, "INVALID_PARAMETER", "{text}");
    }
}

#[test]
fn gw_q09_enums() {
    equal(&[
        ("e=RED", json!({"e": "RED"})),
        ("e=1", json!({"e": "RED"})),
        ("e=99", json!({"e": 99})),
        ("re=RED&re=-2", json!({"re": ["RED", "BLUE"]})),
    ]);
    assert_eq!(refused("e=red").1, "INVALID_PARAMETER");
}

#[test]
fn gw_q10_integers_have_their_json_spelling() {
    equal(&[("i=1e2", json!({"i": 100})), ("i=1.0", json!({"i": 1}))]);
    for text in ["i=1.5", "i=", "i=0x1", "i=1e99999999999999999999", "u=-1"] {
        assert_eq!(refused(text).1, "INVALID_PARAMETER", "{text}");
    }
}

#[test]
fn gw_q11_doubles_have_their_json_spelling() {
    equal(&[
        ("d=NaN", json!({"d": "NaN"})),
        ("d=-Infinity", json!({"d": "-Infinity"})),
        ("d=Infinity", json!({"d": "Infinity"})),
    ]);
    for text in ["d=inf", "d=", "d=1e400", "f=1e39"] {
        assert_eq!(refused(text).1, "INVALID_PARAMETER", "{text}");
    }
}

#[test]
fn gw_q12_times() {
    let time = json!({"ts": "2026-01-31T09:30:00Z"});
    equal(&[
        ("ts=2026-01-31T09:30:00Z", time.clone()),
        ("ts=2026-01-31T09%3A30%3A00Z", time.clone()),
        ("ts=2026-01-31T10%3A30%3A00%2B01%3A00", time),
        ("ts.seconds=1", json!({"ts": "1970-01-01T00:00:01Z"})),
    ]);
    for text in ["ts=2026-01-31t09:30:00Z", "ts=2026-01-31T09:30:00z", "ts=2026-01-31T09:30:00Z&ts.seconds=1"] {
        refused(text);
    }
}

#[test]
fn gw_q13_durations() {
    equal(&[("dur=1.5s", json!({"dur": "1.500s"}))]);
    for text in ["dur=1h", "dur=1500ms", "dur=1.5"] {
        assert_eq!(refused(text).1, "INVALID_PARAMETER", "{text}");
    }
}

#[test]
fn gw_q14_masks_are_camel_case() {
    equal(&[("mask=a,subField.b", json!({"mask": "a,subField.b"})), ("mask=", json!({"mask": ""}))]);
    assert!(query("mask=sub_field").unwrap_err().message.contains("lowerCamelCase"));
}

#[test]
fn gw_q15_map_entries() {
    let expected = json!({"m": {"k": "v"}});
    equal(&[
        ("m[k]=v", expected.clone()),
        ("m%5Bk%5D=v", expected.clone()),
        ("m.k=v", expected),
        ("m.a.b=v", json!({"m": {"a.b": "v"}})),
        ("mb[true]=1", json!({"mb": {"true": "1"}})),
        ("me.x=RED", json!({"me": {"x": "RED"}})),
        ("m[a]=1&m[b]=2", json!({"m": {"a": "1", "b": "2"}})),
    ]);
    for text in ["m=v", "m[k=v", "mb[maybe]=1", "m[a]=1&m.a=2", "i[0]=1"] {
        refused(text);
    }
}

#[test]
fn gw_q16_free_form_json_is_parsed() {
    equal(&[
        ("st=%7B%22a%22:[1,null]%7D", json!({"st": {"a": [1.0, null]}})),
        ("v=true", json!({"v": true})),
        ("lv=[1]", json!({"lv": [1.0]})),
    ]);
    for text in ["st=[1]", "st={", "v=", "v=9007199254740993"] {
        assert_eq!(refused(text).1, "INVALID_PARAMETER", "{text}");
    }
}

#[test]
fn gw_q17_a_name_without_value_is_empty_text() {
    equal(&[("os", json!({"os": ""})), ("os=", json!({"os": ""})), ("&&i=1&", json!({"i": 1}))]);
    refused("flag");
    refused("i=");
}

#[test]
fn gw_q18_plus_is_a_space_unless_switched() {
    equal(&[("s=Hello+world&os=%2B+%20", json!({"s": "Hello world", "os": "+  "}))]);
    let contract = contract(&[("One", "GET", "/v1/x", "")]);
    let route = routed(&contract, "GET", "/v1/x");
    let options = RequestOptions { plus_is_space: false, ..RequestOptions::default() };
    let wire = route.request(Some("s=Hello+world&os=%2B+%20"), None, b"", &options).unwrap();
    assert_eq!(seen(&route, &wire), json!({"s": "Hello+world", "os": "++ "}));
}

#[test]
fn gw_q19_malformed_text_is_refused() {
    for text in ["s=%ff", "s=%", "s=%zz", "%ff=1"] {
        assert_eq!(refused(text).1, "MALFORMED_QUERY", "{text}");
    }
}

#[test]
fn gw_q20_messages_have_no_value() {
    for text in ["sub=x", "child="] {
        assert_eq!(refused(text).1, "INVALID_PARAMETER", "{text}");
    }
}

#[test]
fn gw_q21_null_is_no_time() {
    assert_eq!(refused("ts=null").1, "INVALID_PARAMETER");
}

#[test]
fn gw_q22_parameters_and_depth_are_bounded() {
    assert_eq!(query(&"ri=1&".repeat(1000)).unwrap()["ri"].as_array().unwrap().len(), 1000);
    assert_eq!(refused(&"ri=1&".repeat(1001)).1, "TOO_MANY_PARAMETERS");
    let deep = |levels: usize| format!("{}i=1", "child.".repeat(levels - 1));
    assert!(query(&deep(64)).is_ok());
    refused(&deep(65));
}

#[test]
fn of_a_oneof_one_member_may_be_bound() {
    assert_eq!(refused("left=a&right=1").1, "CONFLICTING_VALUE");
    assert_eq!(get("/v1/{left}", "/v1/a?right=1").unwrap_err().reason, "CONFLICTING_VALUE");
    equal(&[("middle.a=x&middle.n=1", json!({"middle": {"a": "x", "n": 1}}))]);
}
