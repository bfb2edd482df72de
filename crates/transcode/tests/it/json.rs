//! JSON to wire (cases J); the oracle prints what was understood.

use serde_json::{Value, json};
use transcode::RequestOptions;

use crate::fixture::{blame, body, body_bytes};

fn ok(cases: &[(&str, Value)]) {
    for (text, expected) in cases {
        assert_eq!(body(text).unwrap_or_else(|problem| panic!("{text}: {problem}")), *expected, "{text}");
    }
}

fn bad(cases: &[&str]) {
    for text in cases {
        let problem = match body(text) {
            Err(problem) => problem,
            Ok(value) => panic!("{text} became {value}"),
        };
        assert_eq!((problem.http, problem.code), (400, 3), "{text}");
    }
}

#[test]
fn gw_j01_integers_in_any_spelling() {
    for text in ["1", "\"1\"", "1.0", "1e0", "\"10e-1\"", "\"0.1e1\""] {
        ok(&[(&format!("{{\"i\":{text}}}"), json!({"i": 1}))]);
    }
    ok(&[
        (r#"{"i":1e5}"#, json!({"i": 100_000})),
        (r#"{"i":-0}"#, json!({})),
        (r#"{"i":0e999999999999999999999}"#, json!({})),
    ]);
    bad(&[
        r#"{"i":0.5}"#,
        r#"{"i":"0.5"}"#,
        r#"{"i":" 1"}"#,
        r#"{"i":"1 "}"#,
        r#"{"i":+1}"#,
        r#"{"i":01}"#,
        r#"{"i":-01}"#,
        r#"{"i":true}"#,
        r#"{"i":""}"#,
        r#"{"i":2147483648}"#,
        r#"{"i":{}}"#,
        r#"{"u":-1}"#,
        r#"{"i":1e10}"#,
    ]);
}

#[test]
fn gw_j02_64_bits_are_exact() {
    ok(&[
        (r#"{"l":9007199254740993}"#, json!({"l": "9007199254740993"})),
        (r#"{"l":"-9223372036854775808"}"#, json!({"l": "-9223372036854775808"})),
        (r#"{"ul":18446744073709551615}"#, json!({"ul": "18446744073709551615"})),
        (
            r#"{"sl":-5,"si":-5,"fi":7,"fl":7,"sfi":-7,"sfl":-7}"#,
            json!({"si": -5, "sl": "-5", "fi": 7, "fl": "7", "sfi": -7, "sfl": "-7"}),
        ),
    ]);
    bad(&[r#"{"l":9223372036854775808}"#, r#"{"ul":18446744073709551616}"#, r#"{"fi":4294967296}"#, r#"{"sfl":"x"}"#]);
}

#[test]
fn gw_j03_text_that_begins_as_a_number_is_none() {
    for field in ["i", "u", "l", "ul", "f", "d"] {
        for text in ["12,34", "12 34", "12谷歌34"] {
            bad(&[&format!(r#"{{"{field}":"{text}"}}"#)]);
        }
    }
}

#[test]
fn gw_j04_doubles() {
    ok(&[
        (r#"{"d":"NaN"}"#, json!({"d": "NaN"})),
        (r#"{"d":"-Infinity","f":"Infinity"}"#, json!({"d": "-Infinity", "f": "Infinity"})),
        (r#"{"d":"1.5"}"#, json!({"d": 1.5})),
    ]);
    bad(&[
        r#"{"d":NaN}"#,
        r#"{"d":-Infinity}"#,
        r#"{"d":1.89769e+308}"#,
        r#"{"d":""}"#,
        r#"{"d":true}"#,
        r#"{"d":"inf"}"#,
        r#"{"d":.5}"#,
        r#"{"d":1.}"#,
    ]);
}

#[test]
fn gw_j05_limits_of_floats() {
    ok(&[
        (r#"{"d":5e-324}"#, json!({"d": 5e-324})),
        (r#"{"f":1e-45}"#, json!({"f": 1e-45_f32})),
        (r#"{"f":3.4028235e38}"#, json!({"f": f32::MAX})),
        (r#"{"d":1.7976931348623157e308}"#, json!({"d": f64::MAX})),
        (r#"{"f":16777217}"#, json!({"f": 16_777_216.0})),
        (r#"{"wd":-0.0,"rd":[-0]}"#, json!({"wd": -0.0, "rd": [-0.0]})),
    ]);
    bad(&[r#"{"f":3.5e38}"#, r#"{"f":-3.5e38}"#, r#"{"d":1e309}"#]);
}

#[test]
fn gw_j06_booleans_are_two_words() {
    ok(&[(r#"{"flag":true}"#, json!({"flag": true})), (r#"{"flag":false}"#, json!({}))]);
    bad(&[
        r#"{"flag":"true"}"#,
        r#"{"flag":1}"#,
        r#"{"flag":True}"#,
        r#"{"flag":FALSE}"#,
        r#"{"flag":trueX}"#,
        r#"{"flag":0}"#,
    ]);
}

#[test]
fn gw_j07_enums_by_name_number_or_alias() {
    ok(&[
        (r#"{"e":"RED"}"#, json!({"e": "RED"})),
        (r#"{"e":"CRIMSON"}"#, json!({"e": "RED"})),
        (r#"{"e":-2}"#, json!({"e": "BLUE"})),
        (r#"{"e":77}"#, json!({"e": 77})),
        (r#"{"re":["RED",-2,5]}"#, json!({"re": ["RED", "BLUE", 5]})),
    ]);
    bad(&[r#"{"e":["RED"]}"#, r#"{"e":true}"#, r#"{"e":"red"}"#, r#"{"e":1.5}"#]);
    let ignoring = RequestOptions { ignore_unknown: true, ..RequestOptions::default() };
    let skipped = body_bytes(br#"{"e":"X","re":["RED","X"],"me":{"a":"X","b":"RED"},"rs":["a"]}"#, &ignoring).unwrap();
    assert_eq!(skipped, json!({"re": ["RED"], "rs": ["a"], "me": {"b": "RED"}}));
}

#[test]
fn gw_j08_bytes_in_both_alphabets() {
    ok(&[
        (r#"{"b":"-_"}"#, json!({"b": "+w=="})),
        (r#"{"b":"+/8="}"#, json!({"b": "+/8="})),
        (r#"{"b":"-_8"}"#, json!({"b": "+/8="})),
        (r#"{"b":"\/\u002b8="}"#, json!({"b": "/+8="})),
        (r#"{"b":""}"#, json!({})),
    ]);
    bad(&[r#"{"b":"*"}"#, r#"{"b":1}"#, r#"{"b":"a"}"#]);
}

#[test]
fn gw_j09_escapes_of_strings() {
    ok(&[(r#"{"s":"a\u0000b"}"#, json!({"s": "a\u{0}b"})), (r#"{"s":"\ud83d\ude00\/\n"}"#, json!({"s": "😀/\n"}))]);
    bad(&[
        r#"{"s":"\U8C37"}"#,
        r#"{"s":"\uXXXX"}"#,
        r#"{"s":"\u8C3"}"#,
        r#"{"s":"\ud83d"}"#,
        r#"{"s":"\ude00\ud83d"}"#,
        r#"{"s":"\ud83dx"}"#,
        r#"{"s":1}"#,
        r#"{"s":"\x"}"#,
    ]);
}

#[test]
fn gw_j10_only_rfc_8259_is_json() {
    bad(&[
        "{\"s\":\"a\nb\"}",
        "{'s':1}",
        "{s:1}",
        "{/*c*/}",
        "{\"i\":1,}",
        "{\"i\":1 \"u\":1}",
        "{,}",
        "{\"ri\":[1,]}",
        "{\"ri\":[,1]}",
        "{\"i\":1",
        "{\"s\":\"a",
        "\u{feff}{}",
        "{\"i\":1}}",
        "{\"i\"}",
        "{\"i\":}",
    ]);
    let problem = body_bytes(b"{\"s\":\"\xff\"}", &RequestOptions::default()).unwrap_err();
    assert_eq!(problem.reason, "MALFORMED_JSON");
    ok(&[(" \t\r\n{ \"i\" : 1 } \n", json!({"i": 1}))]);
}

#[test]
fn gw_j11_a_field_twice_is_refused_in_any_spelling() {
    for text in [
        r#"{"i":1,"i":1}"#,
        r#"{"sub":{"subField":"a","sub_field":"a"}}"#,
        r#"{"m":{"a":"1","a":"2"}}"#,
        r#"{"st":{"a":1,"a":1}}"#,
        r#"{"i":null,"i":1}"#,
    ] {
        assert_eq!(body(text).unwrap_err().reason, "DUPLICATE_FIELD", "{text}");
    }
}

#[test]
fn gw_j12_unknown_fields_are_refused_with_place_and_advice() {
    let problem = body("{\n  \"child\": {\"subs\": [{}, {\"sub_feild\": 1}]}}").unwrap_err();
    assert_eq!(blame(&problem), (400, "UNKNOWN_FIELD", "child.subs[1].sub_feild"));
    assert!(problem.message.contains("line 2") && problem.message.contains("did you mean `subField`"), "{problem}");
    let ignoring = RequestOptions { ignore_unknown: true, ..RequestOptions::default() };
    let text = br#"{"x":{"y":[1,{"z":null}]},"i":1,"sub":{"q":"r"}}"#;
    assert_eq!(body_bytes(text, &ignoring).unwrap(), json!({"i": 1, "sub": {}}));
    assert!(body_bytes(br#"{"x":{,}}"#, &ignoring).is_err());
}

#[test]
fn gw_j13_null_is_absence_but_no_element() {
    ok(&[
        (r#"{"i":null,"ri":null,"m":null,"sub":null,"ts":null,"left":null}"#, json!({})),
        (r#"{"v":null,"nv":null,"rv":[null]}"#, json!({"v": null, "rv": [null]})),
    ]);
    bad(&[r#"{"ri":[null]}"#, r#"{"m":{"a":null}}"#, r#"{"m":{null:"a"}}"#, r#"{"subs":[null]}"#]);
}

#[test]
fn gw_j14_of_a_oneof_one_member() {
    for text in [r#"{"left":"a","right":1}"#, r#"{"right":1,"left":"a"}"#] {
        assert_eq!(body(text).unwrap_err().reason, "CONFLICTING_VALUE", "{text}");
    }
    ok(&[
        (r#"{"left":null,"right":1}"#, json!({"right": 1})),
        (r#"{"right":1,"left":null}"#, json!({"right": 1})),
        (r#"{"right":0}"#, json!({"right": 0})),
    ]);
    bad(&[r#"{"nothing":null,"right":1}"#]);
}

#[test]
fn gw_j15_lists_and_maps_of_the_right_things() {
    bad(&[
        r#"{"ri":1}"#,
        r#"{"ri":[1,"x"]}"#,
        r#"{"subs":{}}"#,
        r#"{"m":[]}"#,
        r#"{"ri":[[1]]}"#,
        r#"{"sub":[]}"#,
        r#"{"sub":"x"}"#,
    ]);
    ok(&[
        (r#"{"ri":[],"rs":[],"m":{}}"#, json!({})),
        (r#"{"ms":{"1":{"a":"x"}},"mb":{"true":"1"}}"#, json!({"ms": {"1": {"a": "x"}}, "mb": {"true": "1"}})),
    ]);
    bad(&[r#"{"mb":{"yes":1}}"#, r#"{"ms":{"x":{}}}"#, r#"{"mb":{"true":1,"true":2}}"#]);
}

#[test]
fn gw_j16_wrappers_tell_null_from_default() {
    ok(&[
        (r#"{"w":null}"#, json!({})),
        (r#"{"w":0,"ws":"","wd":"NaN"}"#, json!({"w": "0", "ws": "", "wd": null})),
        (r#"{"wb":""}"#, json!({"wb": ""})),
    ]);
    bad(&[r#"{"w":{}}"#, r#"{"ws":1}"#]);
}

#[test]
fn gw_j17_timestamps() {
    let time = |text: &str| format!("{{\"ts\":\"{text}\"}}");
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("1970-01-01T08:00:00+08:00", "1970-01-01T00:00:00Z"),
        ("1969-12-31T12:30:00-11:30", "1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("2000-02-29T00:00:00.1Z", "2000-02-29T00:00:00.100Z"),
    ] {
        ok(&[(&time(text), json!({"ts": expected}))]);
    }
    for text in [
        "1970-01-01T00:00:00.0123456789Z",
        "1970-01-01T00:00:00+0800",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "2001-02-29T00:00:00Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "0000-01-01T00:00:00Z",
        "999-01-01T00:00:00Z",
        "00001-01-01T00:00:00Z",
        "1970-01-01t00:00:00Z",
        "1970-01-01T00:00:00z",
        "1970-01-01 00:00:00Z",
        "1970-01-01T00:00:00",
        "0001-01-01T00:00:00+01:00",
        "1970-01-01T00:00:00.Z",
        "١٩٧٠-01-01T00:00:00Z",
    ] {
        bad(&[&time(text)]);
    }
}

#[test]
fn gw_j18_durations() {
    ok(&[
        (r#"{"dur":"1s"}"#, json!({"dur": "1s"})),
        (r#"{"dur":"-0.5s"}"#, json!({"dur": "-0.500s"})),
        (r#"{"dur":"0.000000001s"}"#, json!({"dur": "0.000000001s"})),
        (r#"{"dur":"315576000000s"}"#, json!({"dur": "315576000000s"})),
    ]);
    bad(&[
        r#"{"dur":"1"}"#,
        r#"{"dur":"315576000001s"}"#,
        r#"{"dur":"-315576000001s"}"#,
        r#"{"dur":"1.0000000001s"}"#,
        r#"{"dur":"--1s"}"#,
        r#"{"dur":1}"#,
    ]);
}

#[test]
fn gw_j19_field_masks() {
    ok(&[(r#"{"mask":"foo,barBaz"}"#, json!({"mask": "foo,barBaz"})), (r#"{"mask":""}"#, json!({"mask": ""}))]);
    bad(&[r#"{"mask":"foo,bar_bar"}"#, r#"{"mask":["a"]}"#, r#"{"mask":"a,"}"#, r#"{"mask":"a..b"}"#]);
}

#[test]
fn gw_j20_any() {
    let sub = "type.googleapis.com/probe.v1.Sub";
    ok(&[
        (&format!(r#"{{"any":{{"@type":"{sub}","a":"x"}}}}"#), json!({"any": {"@type": sub, "a": "x"}})),
        (&format!(r#"{{"any":{{"a":"x","@type":"{sub}"}}}}"#), json!({"any": {"@type": sub, "a": "x"}})),
        (
            r#"{"any":{"value":"1.5s","@type":"type.googleapis.com/google.protobuf.Duration"}}"#,
            json!({"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"}}),
        ),
    ]);
    let nested = format!(
        r#"{{"any":{{"value":{{"value":{{"a":"x","@type":"{sub}"}},"@type":"type.googleapis.com/google.protobuf.Any"}},"@type":"type.googleapis.com/google.protobuf.Any"}},"i":1}}"#
    );
    assert_eq!(body(&nested).unwrap()["any"]["value"]["value"]["a"], json!("x"));
    assert!(body(r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Empty"}}"#).is_ok());
    bad(&[
        r#"{"any":{"@type":"type.googleapis.com/nope.Nope"}}"#,
        r#"{"any":{"@type":"","value":""}}"#,
        r#"{"any":{"a":"x"}}"#,
        r#"{"any":{"@type":1}}"#,
        r#"{"any":{"@type":"type.googleapis.com/probe.v1.Sub","a":"x","@type":"type.googleapis.com/probe.v1.Sub"}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s","@type":"type.googleapis.com/google.protobuf.Duration"}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration"}}"#,
        r#"{"any":{"@type":"type.googleapis.com/probe.v1.Sub","nope":1}}"#,
        r#"{"any":{"@type":"Sub"}}"#,
    ]);
}

#[test]
fn gw_j21_free_form_json() {
    ok(&[
        (
            r#"{"st":{"a":{"b":[1,"x",null,true]},"n":-1.5}}"#,
            json!({"st": {"a": {"b": [1.0, "x", null, true]}, "n": -1.5}}),
        ),
        (r#"{"v":[[]],"lv":[{}]}"#, json!({"v": [[]], "lv": [{}]})),
        (r#"{"v":9007199254740992}"#, json!({"v": 9_007_199_254_740_992.0_f64})),
        (r#"{"v":1152921504606846976}"#, json!({"v": 1_152_921_504_606_846_976.0_f64})),
    ]);
    bad(&[
        r#"{"v":9007199254740993}"#,
        r#"{"st":{"id":-9007199254740993}}"#,
        r#"{"v":1e400}"#,
        r#"{"st":[]}"#,
        r#"{"lv":{}}"#,
        r#"{"st":"x"}"#,
    ]);
    let nested =
        |levels: usize| format!(r#"{{"st":{}{}}}"#, r#"{"a":"#.repeat(levels - 1) + "{}", "}".repeat(levels - 1));
    assert!(body(&nested(25)).is_ok());
    assert_eq!(body(&nested(200)).unwrap_err().reason, "TOO_DEEP");
    assert_eq!(body(&nested(60)).unwrap_err().reason, "TOO_DEEP", "a decoder with a limit of 100 would fail");
}

#[test]
fn gw_j22_null_values() {
    ok(&[
        (r#"{"nothing":null}"#, json!({"nothing": null})),
        (r#"{"nothing":"NULL_VALUE"}"#, json!({"nothing": null})),
        (r#"{"nothing":0}"#, json!({"nothing": null})),
    ]);
}

#[test]
fn gw_j23_depth_is_bounded_and_nested_messages_stay_linear() {
    let nested = |levels: usize| r#"{"child":"#.repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
    assert!(body(&nested(100)).is_ok());
    assert_eq!(body(&nested(101)).unwrap_err().reason, "TOO_DEEP");
    let filler = format!(r#"{{"s":"{}"}}"#, "x".repeat(1 << 20));
    let deep = r#"{"child":"#.repeat(98) + &filler + &"}".repeat(98);
    assert!(body(&deep).is_ok());
}
