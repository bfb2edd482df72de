//! Proto2: groups, extensions, closed enums, required fields, fields with presence and defaults of their own.

use std::sync::LazyLock;

use transcode::{Contract, HttpRule, Options, Pattern, Problem, RequestOptions, ResponseOptions};

use crate::fixture::{routed, set};

static LEGACY: LazyLock<Contract> = LazyLock::new(|| {
    let rule = HttpRule {
        selector: "legacy.v1.Legacy.Echo".to_owned(),
        pattern: Some(Pattern::Post("/v1/x".to_owned())),
        body: "*".to_owned(),
        ..HttpRule::default()
    };
    transcode::compile(&set("legacy.proto"), &Options { rules: vec![rule], ..Options::default() }).unwrap()
});

fn read(json: &str) -> Result<Vec<u8>, Problem> {
    let route = routed(&LEGACY, "POST", "/v1/x");
    route.request(None, None, json.as_bytes(), &RequestOptions::default()).map(|wire| wire.to_vec())
}

pub(crate) fn print(wire: &[u8]) -> Result<String, Problem> {
    let route = routed(&LEGACY, "POST", "/v1/x");
    let bytes = |by_number| route.response(wire, &ResponseOptions { by_number, ..ResponseOptions::default() });
    let (plain, gathered) = (bytes(false), bytes(true));
    assert_eq!(plain.is_ok(), gathered.is_ok(), "both ways of printing agree about {wire:?}");
    plain.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn all_of_proto2_comes_back_as_it_went() {
    for json in [
        r#"{"id":"a","count":0,"closed":"KNOWN","many":["KNOWN","UNKNOWN"],"byName":{"x":"KNOWN"}}"#,
        r#"{"id":"","count":7}"#,
        r#"{"part":{"a":"x","old":{"id":"y","part":{}}},"piece":[{"n":1},{}]}"#,
        r#"{"first":"KNOWN","loose":[1,2],"tight":[3,4]}"#,
        r#"{"id":"a","[legacy.v1.extra]":5,"[legacy.v1.notes]":["x","y"],"[legacy.v1.twin]":{"id":"b"}}"#,
    ] {
        assert_eq!(print(&read(json).unwrap()).unwrap(), json);
    }
    assert_eq!(read(r#"{"tight":[3,4]}"#).unwrap(), [0x5a, 2, 3, 4]);
    assert_eq!(read(r#"{"loose":[3,4]}"#).unwrap(), [0x50, 3, 0x50, 4]);
    assert_eq!(read(r#"{"part":{"a":"x"}}"#).unwrap(), [0x33, 0x0a, 1, b'x', 0x34]);
}

#[test]
fn closed_enums_keep_only_what_they_know() {
    assert_eq!(read(r#"{"closed":9}"#).unwrap_err().http, 400);
    // closed 9; many 2, 9, 1 one by one and packed; entries x: 9, y: 2
    assert_eq!(print(&[0x18, 9]).unwrap(), "{}");
    assert_eq!(print(&[0x20, 2, 0x20, 9, 0x22, 2, 9, 1]).unwrap(), r#"{"many":["KNOWN","UNKNOWN"]}"#);
    assert_eq!(print(&[0x20, 9]).unwrap(), "{}");
    let entry = |name: u8, value: u8| vec![0x2a, 5, 0x0a, 1, name, 0x10, value];
    assert_eq!(print(&[entry(b'x', 9), entry(b'y', 2)].concat()).unwrap(), r#"{"byName":{"y":"KNOWN"}}"#);
    // An unknown number does not take the place of another member.
    assert_eq!(print(&[0x4a, 1, b'a', 0x40, 9]).unwrap(), r#"{"second":"a"}"#);
    // Nor does it hide the known one before it.
    assert_eq!(print(&[0x18, 2, 0x18, 9]).unwrap(), r#"{"closed":"KNOWN"}"#);
}

#[test]
fn groups_merge_and_close_where_they_opened() {
    // part {a: "x"}, count, part {old {}}
    let split = [0x33, 0x0a, 1, b'x', 0x34, 0x10, 1, 0x33, 0x12, 0, 0x34];
    assert_eq!(print(&split).unwrap(), r#"{"count":1,"part":{"a":"x","old":{}}}"#);
    for bytes in [&[0x33][..], &[0x34], &[0x33, 0x3c], &[0x33, 0x0a, 1, b'x'], &[0xf3, 0x01, 0x34]] {
        assert_eq!(print(bytes).unwrap_err().http, 500, "{bytes:?}");
    }
}

#[test]
fn gw_w07_groups_nest_up_to_the_limit() {
    // Unknown groups in each other, known ones with messages between, and starts without an end.
    let unknown = |levels: usize| [vec![0x63; levels], vec![0x64; levels]].concat();
    assert_eq!(print(&unknown(100)).unwrap(), "{}");
    assert_eq!(print(&unknown(101)).unwrap_err().http, 500);
    assert_eq!(print(&vec![0x63; 100_000]).unwrap_err().http, 500);
    let known =
        |levels: usize| (0..levels).fold(Vec::new(), |inner: Vec<u8>, _| [&[0x33][..], &old(&inner), &[0x34]].concat());
    assert!(print(&known(49)).is_ok());
    assert_eq!(print(&known(60)).unwrap_err().http, 500);
}

/// Field `old` of a part.
fn old(content: &[u8]) -> Vec<u8> {
    let mut wire = vec![0x12];
    prost_reflect::prost::encoding::encode_varint(content.len() as u64, &mut wire);
    [wire, content.to_vec()].concat()
}
