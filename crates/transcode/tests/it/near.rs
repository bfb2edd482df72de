//! What is short, plain and usual takes faster ways. Each is held against the way of what is not: `fixture::body` reads every body twice,
//! `wire::same` prints every message four times.

use serde_json::{Value, json};

use crate::fixture::{blame, body};
use crate::wire::{field, print, same, varint};

fn ok(text: &str, expected: Value) {
    assert_eq!(body(text).unwrap_or_else(|problem| panic!("{text}: {problem}")), expected, "{text}");
}

/// Refused, with the column in the message.
fn bad(text: &str, reason: &str, column: usize) {
    let problem = match body(text) {
        Err(problem) => problem,
        Ok(value) => panic!("{text} became {value}"),
    };
    assert_eq!(blame(&problem).1, reason, "{text}");
    assert!(problem.message.contains(&format!("column {column}")), "{text}: {}", problem.message);
}

#[test]
fn texts_of_every_length_and_kind() {
    for length in (0..=34).chain([63, 64, 65, 127, 128, 300]) {
        let text = "x".repeat(length);
        let set = |name: &str, kept: bool| if kept || length > 0 { json!({name: text}) } else { json!({}) };
        ok(&format!(r#"{{"s":"{text}"}}"#), set("s", false));
        ok(&format!(r#"{{"renamed":"{text}"}}"#), set("renamed", false));
        ok(&format!(r#"{{"os":"{text}"}}"#), set("os", true));
        ok(&format!(r#"{{"left":"{text}"}}"#), set("left", true));
        ok(&format!(r#"{{"rs":["{text}","{text}","a"]}}"#), json!({"rs": [text, text, "a"]}));
        ok(&format!(r#"{{"m":{{"{text}":"{text}","y":"1"}}}}"#), json!({"m": {text.clone(): text, "y": "1"}}));
        ok(&format!(r#"{{"s":"{text}é","name":"n"}}"#), json!({"s": format!("{text}é"), "name": "n"}));
        ok(&format!(r#"{{"s":"{text}\n","name":"n"}}"#), json!({"s": format!("{text}\n"), "name": "n"}));
        ok(
            &format!(r#"{{"m":{{"{text}\u0061":"{text}\n"}}}}"#),
            json!({"m": {format!("{text}a"): format!("{text}\n")}}),
        );
        bad(&format!("{{\"s\":\"{text}\u{1}\"}}"), "MALFORMED_JSON", 7 + length);
    }
}

#[test]
fn numbers_with_and_without_quotes() {
    ok(
        r#"{"i":"5","u":"4294967295","d":"1.5","l":"-9223372036854775808","ul":"18446744073709551615"}"#,
        json!({"i": 5, "u": 4_294_967_295_u32, "d": 1.5, "l": "-9223372036854775808", "ul": "18446744073709551615"}),
    );
    ok(r#"{"i":"-0","u":"-0","f":"5","sfi":"-2147483648"}"#, json!({"f": 5.0, "sfi": -2_147_483_648_i64}));
    ok(r#"{"rd":["-0",-0]}"#, json!({"rd": [-0.0, -0.0]}));
    ok(r#"{"st":{"a":"5","b":5}}"#, json!({"st": {"a": "5", "b": 5.0}}));
    ok(r#"{"v":"5"}"#, json!({"v": "5"}));
    for text in [r#""01""#, r#""1.""#, r#"".5""#, r#""5x""#, r#""""#, r#""+5""#, r#""5 ""#, "5x", "5\""] {
        for name in ["i", "u", "l", "d", "f"] {
            assert!(body(&format!(r#"{{"{name}":{text}}}"#)).is_err(), "{name} {text}");
        }
    }
    for (name, text) in [("u", "4294967296"), ("l", "9223372036854775808"), ("u", "-1"), ("i", "2147483648")] {
        bad(&format!(r#"{{"{name}":"{text}"}}"#), "INVALID_VALUE", 6);
    }
    bad(r#"{"i":"5,"}"#, "INVALID_VALUE", 6);
    assert!(body(r#"{"i":"5"#).is_err() && body(r#"{"i":5"#).is_err());
}

#[test]
fn words_and_names_of_enums() {
    ok(r#"{"flag":true,"e":"CRIMSON"}"#, json!({"flag": true, "e": "RED"}));
    ok(r#"{"flag":false,"e":"NONE"}"#, json!({}));
    ok(r#"{"e":"\u0052ED"}"#, json!({"e": "RED"}));
    ok(r#"{"nv":"NULL_VALUE","nothing":"NULL_VALUE"}"#, json!({"nothing": null}));
    for text in [r#"{"flag":trueX}"#, r#"{"flag":true"}"#, r#"{"flag":"true"}"#, r#"{"flag":true1}"#, r#"{"flag":t}"#] {
        assert!(body(text).is_err(), "{text}");
    }
    bad(r#"{"e":"1"}"#, "INVALID_VALUE", 6);
    bad(r#"{"e":"GREEN"}"#, "INVALID_VALUE", 6);
    assert!(body(r#"{"flag":true"#).is_err());
}

#[test]
fn keys_of_maps_are_each_given_once_whichever_way_they_take() {
    bad(r#"{"m":{"a":"1","\u0061":"2"}}"#, "DUPLICATE_FIELD", 24);
    bad(r#"{"m":{"a":"1", "a" : "2"}}"#, "DUPLICATE_FIELD", 21);
    bad(r#"{"m":{"b":"1","a":"2","b":"3"}}"#, "DUPLICATE_FIELD", 27);
    bad(r#"{"m":{"a":"1","b":5}}"#, "INVALID_VALUE", 19);
    bad(r#"{"m":{"a":null}}"#, "INVALID_VALUE", 11);
    bad(r#"{"m":{"a":"1",}}"#, "MALFORMED_JSON", 15);
    let long = "v".repeat(200);
    ok(
        &format!(r#"{{"m":{{"a":"1","b":"{long}","c":"3","":""}}}}"#),
        json!({"m": {"": "", "a": "1", "b": long, "c": "3"}}),
    );
}

#[test]
fn times_and_masks_in_quotes_and_what_looks_like_them() {
    ok(
        r#"{"ts":"1970-01-01T00:00:00\u005a","dur":"1.5s","mask":"a,bC"}"#,
        json!({"ts": "1970-01-01T00:00:00Z", "dur": "1.500s", "mask": "a,bC"}),
    );
    for (name, text) in [("ts", "x"), ("dur", "1"), ("mask", "a,b_c"), ("ts", "1970-01-01T00:00:00+01:0é")] {
        bad(&format!(r#"{{"{name}":"{text}"}}"#), "INVALID_VALUE", name.len() + 5);
        bad(&format!(r#"{{"{name}": "{text}"}}"#), "INVALID_VALUE", name.len() + 6);
    }
    for (seconds, text) in [
        (-62_135_596_800_i64, "0001-01-01T00:00:00Z"),
        (-2_203_977_600, "1900-02-28T00:00:00Z"),
        (-2_203_891_200, "1900-03-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] {
        same(&field(34, &varint(1, seconds as u64)), &format!(r#"{{"ts":"{text}"}}"#));
        ok(&format!(r#"{{"ts":"{text}"}}"#), json!({"ts": text}));
    }
    // Many days of all years; the step meets every day of the month.
    for day in (-719_162_i64..2_932_896).step_by(997) {
        let printed = print(&field(34, &varint(1, (day * 86_400) as u64))).unwrap();
        assert_eq!(body(&printed).unwrap()["ts"], serde_json::from_str::<Value>(&printed).unwrap()["ts"]);
    }
}

#[test]
fn commas_stand_between_members_and_nowhere_else() {
    for (text, column) in [
        ("{\"i\":1,}", 8),
        ("{\"i\":1,\u{1}}", 8),
        ("{\"ri\":[1,}", 10),
        ("{\"ri\":[1,]}", 10),
        ("{\"ri\":[1,,2]}", 10),
        ("{\"rs\":[,\"a\"]}", 8),
        ("{\"i\":1,é}", 8),
        ("{\"i\":1 \"u\":2}", 8),
    ] {
        bad(text, "MALFORMED_JSON", column);
    }
    ok("{\"i\":1 ,\"u\":2}", json!({"i": 1, "u": 2}));
    ok(
        "{ \"i\" : 1 , \"rs\" : [ \"a\" , \"b\" ] , \"m\" : { \"a\" : \"1\" , \"b\" : \"2\" } }",
        json!({"i": 1, "rs": ["a", "b"], "m": {"a": "1", "b": "2"}}),
    );
}

#[test]
fn texts_on_the_wire_of_every_length_before_every_end() {
    for length in (0..=34).chain([127, 128]) {
        let text = "x".repeat(length);
        same(&field(19, text.as_bytes()), &format!(r#"{{"rs":["{text}"]}}"#));
        for special in ["\"", "\u{1}", "é", "\\"] {
            for text in [format!("{special}{text}"), format!("{text}{special}")] {
                let known = serde_json::to_string(&text).unwrap();
                same(&[field(2, text.as_bytes()), field(1, b"n")].concat(), &format!(r#"{{"s":{known},"name":"n"}}"#));
                let entry = [field(1, text.as_bytes()), field(2, text.as_bytes())].concat();
                same(&field(23, &entry), &format!(r#"{{"m":{{{known}:{known}}}}}"#));
            }
        }
        let broken = [text.as_bytes(), b"\xff"].concat();
        for tail in [&b""[..], &[b'y'; 40]] {
            for broken in [[&broken, tail].concat(), [&b"\xff"[..], text.as_bytes(), tail].concat()] {
                assert!(print(&[field(19, b"good"), field(19, &broken), field(2, &[b'z'; 40])].concat()).is_err());
                assert!(
                    print(&[field(23, &[field(1, b"k"), field(2, &broken)].concat()), field(2, &[b'z'; 40])].concat())
                        .is_err()
                );
            }
        }
    }
    // A length of two bytes that could be of one.
    same(&[0x12, 0x81, 0x00, b'a'], r#"{"s":"a"}"#);
}

#[test]
fn lists_go_on_whatever_way_their_tags_are_written() {
    let padded = |text: &[u8]| [&[0x9a, 0x81, 0x00], &[text.len() as u8][..], text].concat();
    let list = [field(19, b"a"), padded(b"b"), field(19, b"c"), field(1, b"n")].concat();
    same(&list, r#"{"rs":["a","b","c"],"name":"n"}"#);
}

#[test]
fn entries_that_are_not_as_most_writers_have_them() {
    let texts = |name: &[u8], value: &[u8]| field(23, &[field(1, name), field(2, value)].concat());
    // A length that ends before the value does, and one beyond it.
    let rest = field(2, &[b'z'; 40]);
    assert!(print(&[&[0xba, 0x01, 0x05, 0x0a, 0x01, b'a', 0x12, 0x03, b'x', b'y', b'z'][..], &rest].concat()).is_err());
    same(&[field(23, &[&field(1, b"a")[..], &field(2, b"x"), &varint(3, 1)].concat())].concat(), r#"{"m":{"a":"x"}}"#);
    same(&[0xba, 0x01, 0x07, 0x0a, 0x81, 0x00, b'a', 0x12, 0x01, b'x'], r#"{"m":{"a":"x"}}"#);
    same(&[texts(b"b", b"1"), texts(b"c", b"2"), texts(b"a", b"3")].concat(), r#"{"m":{"a":"3","b":"1","c":"2"}}"#);
    same(&[texts(b"a", b"1"), texts(b"a", "é".as_bytes())].concat(), r#"{"m":{"a":"é"}}"#);
    same(&[texts(b"a", b"1"), texts(b"b", b"\""), texts(b"c", b"2")].concat(), r#"{"m":{"a":"1","b":"\"","c":"2"}}"#);
    same(
        &[texts(b"a", b"1"), field(23, b"\x0a\x01b"), texts(b"c", b"2")].concat(),
        r#"{"m":{"a":"1","b":"","c":"2"}}"#,
    );
}

#[test]
fn an_entry_is_a_message_that_may_be_the_one_too_many() {
    let deep = |levels: usize| {
        let entry = field(23, &[field(1, b"k"), field(2, b"v")].concat());
        let inner = [entry, field(2, &[b'z'; 40])].concat();
        (0..levels).fold(inner, |inner, _| field(42, &inner))
    };
    assert!(print(&deep(98)).is_ok());
    assert!(print(&deep(99)).is_err());
}
