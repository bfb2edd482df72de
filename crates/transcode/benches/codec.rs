//! How fast JSON becomes wire and wire becomes JSON, beside prost-reflect with serde_json: measured here, printed by
//! `cargo bench -p workos-transcode` and `workos bench gateway`. Asserts only that both agree about the message.
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use transcode::{Contract, Match, RequestOptions, ResponseOptions, frame::Framed};

#[path = "messages.rs"]
pub(crate) mod messages;
use messages::{free, numbers, page, small, texts};

/// How long each number is measured, after a warm-up of a tenth of it.
const TIME: Duration = Duration::from_millis(600);

/// What is measured: name, method, JSON.
pub(crate) fn cases() -> [(&'static str, &'static str, String); 8] {
    [
        ("64 B", "Mixed", small()),
        ("1 KB", "Mixed", page(2)),
        ("180 KB mixed", "Mixed", page(375)),
        ("long texts", "Text", texts(180, "a line of text that goes on. ")),
        ("long texts, escaped", "Text", texts(180, "a line of \\\"text\\\"\\nthat goes on. ")),
        ("long texts, not ASCII", "Text", texts(180, "eine Zeile, die nicht aufhört. ")),
        ("numbers", "Number", numbers()),
        ("Struct", "Free", free()),
    ]
}

/// Megabytes of JSON per second on one core.
#[derive(Clone, Copy, Default)]
pub(crate) struct Speed {
    /// Bytes of the JSON.
    pub(crate) size: usize,
    /// JSON to wire.
    pub(crate) inward: f64,
    /// Wire to JSON.
    pub(crate) outward: f64,
    /// JSON to wire by the other side.
    pub(crate) oracle_in: f64,
    /// Wire to JSON by the other side.
    pub(crate) oracle_out: f64,
}

/// Measures one case; `side` is `in`, `out` or `oracle` for a profiler that wants one direction alone.
pub(crate) fn measure(contract: &Contract, method: &str, json: &str, side: Option<&str>) -> Speed {
    let route =
        contract.route(&http::Method::POST, &format!("/{method}")).expect("the contract has a route of this name");
    let message = route.method().input.clone();
    let wire = read(&route, json);
    let printed = print(&route, &wire);
    assert!(oracle_read(&message, &printed) == oracle_read(&message, json.as_bytes()), "{method}: another message");
    let size = printed.len();
    let speed = |column: &str, work: &mut dyn FnMut()| match side {
        Some(side) if side != column => 0.0,
        _ => size as f64 / seconds(work) / 1e6,
    };
    Speed {
        size,
        inward: speed("in", &mut || drop(black_box(read(&route, json)))),
        outward: speed("out", &mut || drop(black_box(print(&route, &wire)))),
        oracle_in: speed("oracle", &mut || {
            drop(black_box(oracle_read(&message, json.as_bytes()).encode_to_vec()));
        }),
        oracle_out: speed("oracle", &mut || {
            let message = DynamicMessage::decode(message.clone(), &*wire).expect("the oracle reads what it wrote");
            drop(black_box(serde_json::to_vec(&message).expect("the oracle prints what it read")));
        }),
    }
}

/// The least time of one call, over batches: noise only ever adds.
fn seconds(work: &mut dyn FnMut()) -> f64 {
    let warm = Instant::now();
    let mut calls = 0_u32;
    while warm.elapsed() < TIME / 10 {
        work();
        calls += 1;
    }
    // Batches of a millisecond fit between what else the machine does.
    let batch = calls.div_ceil(60);
    let (begin, mut best) = (Instant::now(), f64::MAX);
    while begin.elapsed() < TIME {
        let start = Instant::now();
        (0..batch).for_each(|_| work());
        best = best.min(start.elapsed().as_secs_f64() / f64::from(batch));
    }
    best
}

fn read(route: &Match, json: &str) -> Framed {
    route.request(None, None, json.as_bytes(), &RequestOptions::default()).expect("JSON of the messages")
}

fn print(route: &Match, wire: &[u8]) -> Vec<u8> {
    route.response(wire, &ResponseOptions::default()).expect("wire made from it").into()
}

fn oracle_read(message: &MessageDescriptor, json: &[u8]) -> DynamicMessage {
    DynamicMessage::deserialize(message.clone(), &mut serde_json::Deserializer::from_slice(json))
        .expect("JSON of the messages")
}
