//! Bodies that are streams of bytes, raw and in forms (gateway.md 4.13).
use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;

use crate::{
    client::{self, Reply, Talk},
    upstream::Answer,
    world::World,
};

async fn post(world: &World, target: &str, kind: &str, body: impl Into<Bytes>) -> Reply {
    let request = client::request(world.address, 1, "POST", target).header("content-type", kind);
    client::send(world.address, 1, request.body(Full::new(body.into())).expect("a request")).await
}

const FORM: &str = "multipart/form-data; boundary=XX";

fn part(head: &str, body: &str) -> String {
    format!("--XX\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
}

#[tokio::test]
async fn gw_4_13_raw_bodies_go_up_piece_by_piece() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 1, "POST", "/v1/send/n?note=hi").header("content-type", "image/png");
    let mut talk = Talk::begin(world.address, 1, request).await;
    talk.say("abc").await;
    let mut call = world.upstream.next_live().await;
    let first = json!({"name": "n", "note": "hi", "file": {"contentType": "image/png", "data": "YWJj"}});
    assert_eq!(call.next().await, Some(first));
    talk.say(vec![b'x'; 200_000]).await;
    talk.finish();
    let mut length = 0;
    while let Some(message) = call.next().await {
        let data = message["file"]["data"].as_str().expect("data").len() * 3 / 4;
        assert!(data <= 64 * 1024 + 2 && message.get("name").is_none());
        length += data;
    }
    assert!((200_000..200_020).contains(&length), "{length}");
    call.send(&json!({"name": "done"}));
    call.end(0);
    assert_eq!(talk.heard().await.status, 200);
}

#[tokio::test]
async fn gw_4_13_the_file_of_a_form_is_the_stream_and_its_fields_bind() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let file = "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n";
    let body = format!("{}{file}--XX--\r\n", part("name=\"note\"", "a & b=c"));
    let reply = post(&world, "/v1/send/n", FORM, body).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    let seen = world.upstream.seen().pop().expect("a call").messages;
    assert_eq!(
        seen,
        [json!({"name": "n", "note": "a & b=c", "file": {"contentType": "text/plain", "data": "aGVsbG8="}})]
    );

    world.upstream.answers(Answer::default());
    let empty = "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n\r\n--XX--\r\n";
    assert_eq!(post(&world, "/v1/send/n", FORM, empty).await.status, 200);
    assert_eq!(world.upstream.seen().pop().expect("a call").messages.len(), 1);
}

#[tokio::test]
async fn gw_4_13_forms_that_are_wrong_are_refused() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let big = part("name=\"note\"", &"x".repeat(70_000));
    let twice = part("name=\"name\"", "other");
    let cases = [
        (FORM, format!("{}--XX--\r\n", part("name=\"note\"", "no file")), 400, "MALFORMED_FORM"),
        (FORM, "no form".to_owned(), 400, "MALFORMED_FORM"),
        ("multipart/form-data", part("name=\"f\"; filename=\"a\"", "x"), 400, "MALFORMED_FORM"),
        (FORM, format!("{big}{}--XX--\r\n", part("name=\"f\"; filename=\"a\"", "x")), 413, "FORM_TOO_LARGE"),
        (FORM, format!("{twice}{}--XX--\r\n", part("name=\"f\"; filename=\"a\"", "x")), 400, "CONFLICTING_VALUE"),
        (
            FORM,
            format!("{}{}--XX--\r\n", part("name=\"wrong\"", "1"), part("name=\"f\"; filename=\"a\"", "x")),
            400,
            "wrong",
        ),
    ];
    for (kind, body, status, text) in cases {
        let reply = post(&world, "/v1/send/n", kind, body).await;
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, status, "{said}");
        assert!(said.contains(text), "{text} is not in {said}");
        assert!(world.upstream.seen().is_empty(), "{said}");
    }
}

/// Sends a form over HTTP/2, where the answer is heard however much is still to be sent.
async fn sent(world: &World, body: Vec<u8>) -> Reply {
    let request = client::request(world.address, 2, "POST", "/v1/send/n").header("content-type", FORM);
    client::send(world.address, 2, request.body(Full::new(body.into())).expect("a request")).await
}

#[tokio::test]
async fn gw_4_13_what_a_form_has_beside_its_file_is_bounded() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let filler = "x".repeat(2 << 20);
    let file = "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nhello\r\n";
    let many = part("name=\"rs\"", "x").repeat(101);
    for (what, body, said) in [
        ("a preamble", format!("{filler}\r\n{file}--XX--\r\n"), "beside its file"),
        ("an endless head", format!("--XX\r\nContent-Disposition: form-data; name=\"{filler}"), "beside its file"),
        ("a head after the file", format!("{file}--XX\r\nx-a: {filler}"), "beside its file"),
        ("fields without end", format!("{many}{file}--XX--\r\n"), "100 fields"),
    ] {
        let reply = sent(&world, body.into_bytes()).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, 413, "{what}: {text}");
        assert!(text.contains("FORM_TOO_LARGE") && text.contains(said), "{what}: {text}");
    }
    // The file itself may be as long as it is.
    world.upstream.answers(Answer::default());
    let long = file.replace("hello", &filler);
    let reply = sent(&world, format!("{long}--XX--\r\n").into_bytes()).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    let messages = world.upstream.seen().pop().expect("a call").messages;
    let length: usize = messages.iter().map(|message| message["file"]["data"].as_str().map_or(0, str::len)).sum();
    assert!(length >= (2 << 20) / 3 * 4, "{length}");
}
