//! Tests of protobuf's conformance suite that are younger than the packaged runner (33.2.0), by their names
//! there; re-expressed for this crate's own messages. Those of the wire stand in `wire.rs`.

use serde_json::{Value, json};

use crate::fixture::body;

fn refused(cases: &[(&str, &str)]) {
    for (name, text) in cases {
        match body(text) {
            Err(problem) => assert_eq!((problem.http, problem.code), (400, 3), "{name}"),
            Ok(value) => panic!("{name}: {text} became {value}"),
        }
    }
}

fn read(cases: &[(&str, &str, Value)]) {
    for (name, text, expected) in cases {
        let value = body(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!(value, *expected, "{name}");
    }
}

#[test]
fn numbers_are_nothing_else() {
    refused(&[
        ("Int32FieldTrueValue", r#"{"i":true}"#),
        ("Int32FieldFalseValue", r#"{"i":false}"#),
        ("Int32FieldStringValuePartiallyNumericComma", r#"{"i":"12,34"}"#),
        ("Int32FieldStringValuePartiallyNumericSpace", r#"{"i":"12 34"}"#),
        ("Int32FieldStringValuePartiallyNumericUnicode", r#"{"i":"12谷歌34"}"#),
        ("FloatFieldTrueValue", r#"{"f":true}"#),
        ("FloatFieldFalseValue", r#"{"f":false}"#),
        ("FloatFieldStringValuePartiallyNumericComma", r#"{"f":"12,34"}"#),
        ("FloatFieldStringValuePartiallyNumericSpace", r#"{"f":"12 34"}"#),
        ("FloatFieldStringValuePartiallyNumericUnicode", r#"{"f":"12谷歌34"}"#),
        ("DoubleFieldTrueValue", r#"{"d":true}"#),
        ("DoubleFieldFalseValue", r#"{"d":false}"#),
        ("Uint64QuotedExponentFieldTooLarge", r#"{"ul":"1e536870000"}"#),
    ]);
}

#[test]
fn enums_are_names_or_numbers() {
    refused(&[
        ("EnumFieldTrueValue", r#"{"e":true}"#),
        ("EnumFieldFalseValue", r#"{"e":false}"#),
        ("EnumFieldSingleElementArrayEnumName", r#"{"e":["RED"]}"#),
        ("EnumFieldSingleElementArrayNumericValue", r#"{"e":[1]}"#),
    ]);
}

#[test]
fn structure() {
    refused(&[
        ("OneofFieldDuplicate", r#"{"right":1,"left":"test"}"#),
        ("OneofFieldDuplicate2", r#"{"left":"test","right":1}"#),
        ("RejectReservedFieldName.Boolean", r#"{"reserved_field":true}"#),
        ("RejectReservedFieldName.Number", r#"{"reserved_field":1}"#),
        ("RejectReservedFieldName.String", r#"{"reserved_field":"hello"}"#),
        ("RejectReservedFieldName.Message", r#"{"reserved_field":{"a":1}}"#),
    ]);
    let url = "type.googleapis.com/google.protobuf.Empty";
    read(&[("AnyEmpty", &format!(r#"{{"any":{{"@type":"{url}"}}}}"#), json!({"any": {"@type": url, "value": {}}}))]);
}

#[test]
fn free_form_json_nests_25_levels_and_not_200() {
    let objects = |levels: usize| format!("{}\"value\":1{}", "\"n\":{".repeat(levels), "}".repeat(levels));
    let arrays = |levels: usize| "[".repeat(levels) + "1" + &"]".repeat(levels);
    for (name, text) in [
        ("StructDeepNesting25", format!(r#"{{"st":{{{}}}}}"#, objects(25))),
        ("ListValueDeepNesting25", format!(r#"{{"v":{}}}"#, arrays(25))),
        ("ValueDeepNesting25", format!(r#"{{"v":{{{}}}}}"#, objects(25))),
    ] {
        let expected: Value = serde_json::from_str(&text.replace(":1", ":1.0").replace("[1]", "[1.0]")).unwrap();
        read(&[(name, &text, expected)]);
    }
    refused(&[
        ("StructDeepNesting200", &format!(r#"{{"st":{{{}}}}}"#, objects(200))),
        ("ListValueDeepNesting200", &format!(r#"{{"v":{}}}"#, arrays(200))),
        ("ValueDeepNesting200", &format!(r#"{{"v":{{{}}}}}"#, objects(200))),
    ]);
}

#[test]
fn timestamps() {
    for (name, text) in [
        ("TimestampJsonInputMonthZero", "1970-00-01T00:00:00Z"),
        ("TimestampJsonInputMonthTooLarge", "1970-13-01T00:00:00Z"),
        ("TimestampJsonInputMonthTooShort", "1970-1-01T00:00:00Z"),
        ("TimestampJsonInputDayZero", "1970-01-00T00:00:00Z"),
        ("TimestampJsonInputDayTooLarge", "1970-01-32T00:00:00Z"),
        ("TimestampJsonInputDayTooShort", "1970-01-1T00:00:00Z"),
        ("TimestampJsonInputHourTooLarge", "1970-01-01T24:00:00Z"),
        ("TimestampJsonInputHourTooLarge25", "1970-01-01T25:00:00Z"),
        ("TimestampJsonInputMinuteTooLarge", "1970-01-01T00:60:00Z"),
        ("TimestampJsonInputSecondTooLarge", "1970-01-01T00:00:60Z"),
        ("TimestampJsonInputInvalidOffsetHour", "1970-01-01T00:00:00+24:00"),
        ("TimestampJsonInputInvalidOffsetMinute", "1970-01-01T00:00:00+00:60"),
        ("TimestampJsonInputOffsetBoundaryUnderflow", "0001-01-01T00:00:00+00:01"),
        ("TimestampJsonInputOffsetBoundaryOverflow", "9999-12-31T23:59:59-00:01"),
        ("TimestampJsonInputInvalidNanos", "1970-01-01T00:00:00.1234567890Z"),
        ("TimestampJsonInputInvalidCharsInNanos", "1970-01-01T00:00:00.123aZ"),
        ("TimestampJsonInputYearTooShort", "999-01-01T00:00:00Z"),
        ("TimestampJsonInputYearTooLong", "00001-01-01T00:00:00Z"),
        ("TimestampJsonInputNonLeapFeb29", "2001-02-29T00:00:00Z"),
    ] {
        refused(&[(name, &format!(r#"{{"ts":"{text}"}}"#))]);
    }
    for (name, text, expected) in [
        ("TimestampJsonInputLeapFeb29", "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
        ("TimestampWithOffsetShiftsDay", "1970-01-02T01:00:00+02:00", "1970-01-01T23:00:00Z"),
        ("TimestampWithOffsetBoundaryInBoundsMin", "0001-01-01T00:00:00-00:01", "0001-01-01T00:01:00Z"),
        ("TimestampWithOffsetBoundaryInBoundsMax", "9999-12-31T23:59:59+00:01", "9999-12-31T23:58:59Z"),
        ("TimestampWithComplexOffset", "1970-01-01T00:00:00-11:30", "1970-01-01T11:30:00Z"),
    ] {
        read(&[(name, &format!(r#"{{"ts":"{text}"}}"#), json!({"ts": expected}))]);
    }
}
