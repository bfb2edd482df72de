//! How fast JSON becomes wire and wire becomes JSON, beside prost-reflect with serde_json:
//! `cargo bench -p workos-transcode [-- NAME [in|out|oracle]]`. Prints megabytes of JSON per second on one core; asserts only that both
//! agree about the message.

#![expect(clippy::print_stdout, reason = "a program for one developer's terminal")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use transcode::{Contract, HttpRule, Match, Options, Pattern, RequestOptions, ResponseOptions};

/// How long each number is measured, after a warm-up of a tenth of it.
const TIME: Duration = Duration::from_millis(600);

fn main() {
    let contract = contract();
    let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    println!(
        "{:<22} {:>8} {:>9} {:>9} {:>11} {:>11}",
        "message", "JSON", "in MB/s", "out MB/s", "oracle in", "oracle out"
    );
    for (name, method, json) in [
        ("64 B", "Mixed", small()),
        ("1 KB", "Mixed", page(2)),
        ("180 KB mixed", "Mixed", page(375)),
        ("long texts", "Text", texts(180, "a line of text that goes on. ")),
        ("long texts, escaped", "Text", texts(180, "a line of \\\"text\\\"\\nthat goes on. ")),
        ("long texts, not ASCII", "Text", texts(180, "eine Zeile, die nicht aufhört. ")),
        ("numbers", "Number", numbers()),
        ("Struct", "Free", free()),
    ] {
        if only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            measure(&contract, name, method, &json);
        }
    }
}

fn measure(contract: &Contract, name: &str, method: &str, json: &str) {
    let route =
        contract.route(&http::Method::POST, &format!("/{method}")).expect("the contract has a route of this name");
    let message = route.method().input.clone();
    let wire = read(&route, json);
    let printed = print(&route, &wire);
    assert!(oracle_read(&message, &printed) == oracle_read(&message, json.as_bytes()), "{name}: another message");
    let size = printed.len();
    // A profiler wants one direction alone.
    let side = std::env::args().nth(2).filter(|side| !side.starts_with('-'));
    let speed = |column: &str, work: &mut dyn FnMut()| match &side {
        Some(side) if side != column => 0.0,
        _ => size as f64 / seconds(work) / 1e6,
    };
    let inward = speed("in", &mut || drop(black_box(read(&route, json))));
    let outward = speed("out", &mut || drop(black_box(print(&route, &wire))));
    let oracle_in = speed("oracle", &mut || drop(black_box(oracle_read(&message, json.as_bytes()).encode_to_vec())));
    let oracle_out = speed("oracle", &mut || {
        let message = DynamicMessage::decode(message.clone(), wire.as_slice()).expect("the oracle reads what it wrote");
        drop(black_box(serde_json::to_vec(&message).expect("the oracle prints what it read")));
    });
    println!("{name:<22} {size:>8} {inward:>9.0} {outward:>9.0} {oracle_in:>11.0} {oracle_out:>11.0}");
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

fn read(route: &Match, json: &str) -> Vec<u8> {
    route.request(None, None, json.as_bytes(), &RequestOptions::default()).expect("JSON of this file").into()
}

fn print(route: &Match, wire: &[u8]) -> Vec<u8> {
    route.response(wire, &ResponseOptions::default()).expect("wire made from it").into()
}

fn oracle_read(message: &MessageDescriptor, json: &[u8]) -> DynamicMessage {
    DynamicMessage::deserialize(message.clone(), &mut serde_json::Deserializer::from_slice(json))
        .expect("JSON of this file")
}

fn contract() -> Contract {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");
    let mut compiler = protox::Compiler::new([here]).expect("the folder of this file");
    compiler.include_imports(true).open_file("bench.proto").expect("it compiles");
    let rules = ["Mixed", "Text", "Number", "Free"].map(|method| HttpRule {
        selector: format!("bench.Bench.{method}"),
        pattern: Some(Pattern::Post(format!("/{method}"))),
        body: "*".to_owned(),
        ..HttpRule::default()
    });
    let options = Options { rules: rules.to_vec(), ..Options::default() };
    transcode::compile(&compiler.encode_file_descriptor_set(), &options).expect("it can be served")
}

fn small() -> String {
    r#"{"records":[{"name":"a/1","title":"T","size":"12"}],"nextPageToken":"x"}"#.to_owned()
}

fn page(count: usize) -> String {
    let mut json = "{\"records\":[".to_owned();
    for number in 1..=count {
        let comma = if number == 1 { "" } else { "," };
        write!(
            json,
            r#"{comma}{{"name":"organizations/acme/documents/{number}","title":"Report number {number}","state":"ACTIVE","size":"{}","version":{number},"score":{}.25,"shared":true,"createTime":"2026-01-31T09:30:00.{:03}Z","updateTime":"2026-02-01T10:00:00Z","owner":{{"name":"users/{number}","email":"user{number}@example.com"}},"tags":["alpha","beta","gamma"],"labels":{{"color":"blue","team":"search"}},"checksum":"q83vEjRWeJA=","description":"A few words about what stands in this document."}}"#,
            number * 1_000_003,
            number % 90,
            number % 999 + 1,
        )
        .expect("a text takes everything");
    }
    json + "],\"nextPageToken\":\"token\"}"
}

fn texts(count: usize, line: &str) -> String {
    let text = line.repeat(1_000 / line.len());
    format!("{{\"texts\":[{}]}}", vec![format!("\"{text}\""); count].join(","))
}

fn numbers() -> String {
    let list = |print: &dyn Fn(u64) -> String| (1..=3_000).map(print).collect::<Vec<_>>().join(",");
    // A multiplicative sequence: digits without a pattern, the same on every run.
    let noise = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        r#"{{"counts":[{}],"sizes":[{}],"scores":[{}],"points":[{}]}}"#,
        list(&|number| (noise(number) as i32).to_string()),
        list(&|number| format!("\"{}\"", noise(number) as i64)),
        list(&|number| (noise(number) as f64 / 1e19).to_string()),
        list(&|number| format!(
            r#"{{"x":{}.5,"y":{},"z":{number}}}"#,
            noise(number) % 1000,
            noise(number) as f64 / 1e17
        )),
    )
}

fn free() -> String {
    let entry = |number: usize| {
        format!(
            r#""key{number}":{{"active":true,"count":{number},"list":[1,"two",null,{{"deep":"value"}}],"title":"Some text"}}"#
        )
    };
    format!("{{{}}}", (0..1_500).map(entry).collect::<Vec<_>>().join(","))
}
