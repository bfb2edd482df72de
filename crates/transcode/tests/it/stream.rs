//! Streams (cases S, as far as they need no transport).

use transcode::Alt;
use transcode::stream::{Form, Splitter, Unit, Writer, negotiate};

use crate::fixture::{contract, routed};

fn written(form: Form, messages: &[&str], error: Option<&str>) -> String {
    let mut writer = Writer::new(form);
    let mut out = Vec::new();
    for message in messages {
        out.extend_from_slice(&writer.message(message.as_bytes(), Some("7")));
    }
    match error {
        Some(error) => out.extend_from_slice(&writer.error(error.as_bytes())),
        None => out.extend_from_slice(&writer.end()),
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn gw_s01_an_array_begins_with_its_first_message_or_at_the_end() {
    assert_eq!(written(Form::JsonArray, &["{}", "1"], None), "[{},1]");
    assert_eq!(written(Form::JsonArray, &[], None), "[]");
    let mut writer = Writer::new(Form::JsonArray);
    assert!(!writer.has_started());
    assert_eq!(writer.message(b"{}", None), "[{}");
    assert!(writer.has_started() && writer.heartbeat().is_none());
}

#[test]
fn gw_s02_ndjson_is_one_line_a_message_even_when_printed_pretty() {
    assert_eq!(written(Form::NdJson, &["{}", "{\n  \"a\": \"\\n\"\n}"], None), "{}\n{   \"a\": \"\\n\" }\n");
}

#[test]
fn gw_s03_server_sent_events() {
    assert_eq!(written(Form::Sse, &["{\n}"], None), "id: 7\ndata: {\ndata: }\n\nevent: end\ndata:\n\n");
    let mut writer = Writer::new(Form::Sse);
    assert_eq!(writer.heartbeat().unwrap(), ":\n\n");
    assert_eq!(writer.message(b"1", Some("a\nevent: forged")), "data: 1\n\n");
    let contract = contract(&[("Watch", "GET", "/v1/x", ""), ("One", "GET", "/v1/y", "")]);
    let route = routed(&contract, "GET", "/v1/x");
    assert_eq!(route.event_id(&[0x10, 42]).unwrap().as_deref(), Some("42"));
    assert_eq!(route.event_id(&[]).unwrap(), None);
    assert_eq!(routed(&contract, "GET", "/v1/y").event_id(&[0x10, 42]).unwrap(), None);
}

#[test]
fn gw_s04_accept_chooses_by_weight() {
    for (accept, form) in [
        (None, Form::JsonArray),
        (Some(""), Form::JsonArray),
        (Some("*/*"), Form::JsonArray),
        (Some("application/json"), Form::JsonArray),
        (Some("application/x-ndjson"), Form::NdJson),
        (Some("text/event-stream"), Form::Sse),
        (Some("text/*"), Form::Sse),
        (Some("application/json;q=0.5, application/x-ndjson"), Form::NdJson),
        (Some("application/*;q=0.2, text/event-stream;q=0.3, */*;q=0.1"), Form::Sse),
        (Some("application/json;q=0, */*"), Form::NdJson),
        (Some("text/html, */*;q=0.1"), Form::JsonArray),
    ] {
        assert_eq!(negotiate(accept, None).unwrap(), form, "{accept:?}");
    }
    for accept in ["text/html", "application/json;q=0", "application/xml, image/*"] {
        let problem = negotiate(Some(accept), None).unwrap_err();
        assert_eq!((problem.http, problem.code, problem.reason), (406, 3, "NOT_ACCEPTABLE"), "{accept}");
    }
    assert_eq!(negotiate(Some("application/json"), Some(Alt::Sse)).unwrap(), Form::Sse);
}

#[test]
fn gw_s06_an_error_is_visible_in_every_form() {
    let error = r#"{"error":{"code":503}}"#;
    assert_eq!(written(Form::JsonArray, &["{}"], Some(error)), r#"[{},{"error":{"code":503}}"#);
    assert_eq!(written(Form::NdJson, &["{}"], Some(error)), "{}\n{\"error\":{\"code\":503}}\n");
    assert_eq!(written(Form::Sse, &[], Some(error)), "event: error\ndata: {\"error\":{\"code\":503}}\n\n");
    assert_eq!(written(Form::WebSocket, &[], Some(error)), error);
    assert!(Form::JsonArray.breaks_after_error());
    assert!(![Form::NdJson, Form::Sse].iter().any(|form| form.breaks_after_error()));
}

#[test]
fn gw_s09_events_are_neither_stored_nor_buffered() {
    assert!(Form::Sse.headers().contains(&("cache-control", "no-store")));
    assert!(Form::Sse.headers().contains(&("x-accel-buffering", "no")));
    assert_eq!((Form::Sse.content_type(), Form::NdJson.content_type()), ("text/event-stream", "application/x-ndjson"));
}

fn split(unit: Unit, text: &str, size: usize) -> Result<Vec<String>, transcode::Problem> {
    let mut splitter = Splitter::new(unit, 64);
    let mut messages = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        splitter.push(chunk);
        while let Some(message) = splitter.next_message()? {
            messages.push(String::from_utf8(message.to_vec()).unwrap().trim().to_owned());
        }
    }
    messages.extend(splitter.finish()?.map(|rest| String::from_utf8(rest.to_vec()).unwrap().trim().to_owned()));
    Ok(messages)
}

#[test]
fn client_streams_are_cut_wherever_the_chunks_are() {
    for size in 1..20 {
        let array = " [ {\"a\":\"],}\\\"\"} , [1,[2]] ,3, \"x,y\" ] \n";
        assert_eq!(
            split(Unit::Array, array, size).unwrap(),
            ["{\"a\":\"],}\\\"\"}", "[1,[2]]", "3", "\"x,y\""],
            "{size}"
        );
        assert_eq!(split(Unit::Lines, "{\"a\":1}\r\n\n {} \n[1]", size).unwrap(), ["{\"a\":1}", "{}", "[1]"], "{size}");
        assert!(split(Unit::Array, "[]", size).unwrap().is_empty());
        assert!(split(Unit::Array, "", size).unwrap().is_empty());
    }
}

#[test]
fn broken_client_streams_are_refused() {
    for text in ["{}", "[1", "[1,]", "[,1]", "[1]x", "[1,,2]", "["] {
        assert_eq!(split(Unit::Array, text, 3).unwrap_err().http, 400, "{text}");
    }
    let long = format!("[\"{}\"]", "x".repeat(100));
    assert_eq!(split(Unit::Array, &long, 7).unwrap_err().http, 413);
    assert_eq!(split(Unit::Lines, &long, 7).unwrap_err().http, 413);
}
