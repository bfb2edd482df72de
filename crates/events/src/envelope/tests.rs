//! The envelope on the wire: what version 1 wrote must stay readable, and what is written reads back.
use std::collections::BTreeMap;

use proto::document::v1::{DocumentCreated, DocumentUpdated};

use super::*;

const FIXTURE: &str = include_str!("../../tests/fixtures/v1/document_updated.json");

fn fixture() -> HeaderMap {
    let written: BTreeMap<String, String> = serde_json::from_str(FIXTURE).expect("the fixture is JSON");
    let mut headers = HeaderMap::new();
    written.iter().for_each(|(name, value)| put(&mut headers, name, value));
    headers
}

fn row() -> OutboxRow {
    let envelope = Envelope::read(&fixture()).expect("readable");
    OutboxRow {
        event_id: envelope.event_id,
        lane: 3,
        organization_id: envelope.organization.uuid(),
        aggregate_type: envelope.aggregate_type,
        aggregate_id: envelope.aggregate_id.uuid(),
        epoch: envelope.epoch,
        aggregate_version: envelope.version,
        kind: envelope.kind,
        payload: Bytes::new(),
        headers: BTreeMap::from([
            (SUBJECT.to_owned(), envelope.subject),
            (SCHEMA.to_owned(), envelope.schema),
            (ACTOR.to_owned(), envelope.actor),
            (REQUEST_ID.to_owned(), envelope.request_id),
            (TRACEPARENT.to_owned(), envelope.traceparent),
        ]),
        created_at: envelope.time,
        attempts: 0,
    }
}

fn delivery(kind: &str, schema: &str, payload: &'static [u8]) -> Delivery {
    let mut envelope = Envelope::read(&fixture()).expect("readable");
    (envelope.kind, envelope.schema) = (kind.to_owned(), schema.to_owned());
    Delivery { envelope, payload: Bytes::from_static(payload), attempt: 1 }
}

#[test]
fn an_envelope_of_version_1_is_still_read() {
    let envelope = Envelope::read(&fixture()).expect("readable");
    assert_eq!((envelope.kind.as_str(), envelope.version, envelope.epoch), ("document.updated", 7, 1));
    assert_eq!(envelope.organization.to_string(), "01j5rvjscs92r9zgtxg54be3te");
    assert_eq!(envelope.render().aggregate_version, 7);
}

#[test]
fn a_row_is_written_as_version_1_wrote_it() {
    let headers = headers("document", &row());
    let written: BTreeMap<String, String> = serde_json::from_str(FIXTURE).expect("the fixture is JSON");
    for (name, value) in written {
        assert_eq!(text(&headers, &name), value, "header {name}");
    }
    assert_eq!(Envelope::read(&headers), Envelope::read(&fixture()));
}

#[test]
fn a_header_never_breaks_the_protocol() {
    let mut headers = HeaderMap::new();
    put(&mut headers, ACTOR, "users/x\r\nNats-Msg-Id: forged");
    assert_eq!(text(&headers, ACTOR), "users/x  Nats-Msg-Id: forged");
    put(&mut headers, ACTOR, &"é".repeat(5000));
    assert_eq!(text(&headers, ACTOR).chars().count(), VALUE_MAX);
    put(&mut headers, "bad name:", "x");
    assert_eq!(headers.len(), 1);
}

#[test]
fn a_missing_header_is_named() {
    for name in [ID, KIND, ORGANIZATION, AGGREGATE_ID, VERSION, EPOCH, TIME] {
        let written: BTreeMap<String, String> = serde_json::from_str(FIXTURE).expect("the fixture is JSON");
        let mut headers = HeaderMap::new();
        written.iter().filter(|(written, _)| *written != name).for_each(|(name, value)| put(&mut headers, name, value));
        assert_eq!(Envelope::read(&headers), Err(name));
    }
}

#[test]
fn evt_14_another_schema_is_held_and_broken_bytes_are_rejected() {
    let known = delivery("document.updated", "workos.document.v1.DocumentUpdated", b"\x0a\x03abc");
    assert_eq!(known.decode::<DocumentUpdated>().expect("readable").name, "abc");
    assert!(matches!(known.decode::<DocumentCreated>(), Err(Outcome::Hold(_))));
    let newer = delivery("document.updated", "workos.document.v2.DocumentUpdated", b"");
    assert!(matches!(newer.decode::<DocumentUpdated>(), Err(Outcome::Hold(_))));
    let broken = delivery("document.updated", "workos.document.v1.DocumentUpdated", b"\x0a\xff");
    assert!(matches!(broken.decode::<DocumentUpdated>(), Err(Outcome::Reject(_))));
}
