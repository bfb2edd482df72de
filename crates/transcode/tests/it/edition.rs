//! Editions: each feature, at the element itself and for a whole file; expected are the bytes and texts that protobuf's
//! language guide for editions and its ProtoJSON give.

use std::sync::LazyLock;

use bytes::Bytes;
use prost_reflect::prost::Message as _;
use prost_reflect::prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use transcode::{Contract, HttpRule, LoadError, Options, Pattern, Problem, RequestOptions, ResponseOptions};

use crate::fixture::{blame, routed, set};

const EDITION_2023: u64 = 1000;
const EDITION_2024: u64 = 1001;

/// A descriptor set whose files of this test are of an edition.
fn of_edition(edition: u64) -> Vec<u8> {
    let whole = set("edition.proto");
    let (mut rest, mut out) = (whole.as_slice(), Vec::new());
    while !rest.is_empty() {
        decode_key(&mut rest).unwrap();
        let length = decode_varint(&mut rest).unwrap() as usize;
        let (file, behind) = rest.split_at(length);
        rest = behind;
        let mut file = file.to_vec();
        if file.windows(10).any(|window| window == b"edition.v1") {
            // `syntax` and `edition`: of a scalar the last value counts.
            file.extend(b"\x62\x08editions");
            encode_key(14, WireType::Varint, &mut file);
            encode_varint(edition, &mut file);
        }
        encode_key(1, WireType::LengthDelimited, &mut out);
        encode_varint(file.len() as u64, &mut out);
        out.extend(file);
    }
    out
}

fn rule(rpc: &str, pattern: Pattern, body: &str) -> HttpRule {
    let selector = format!("edition.v1.Echo.{rpc}");
    HttpRule { selector, pattern: Some(pattern), body: body.to_owned(), ..HttpRule::default() }
}

fn compiled(set: &[u8]) -> Result<Contract, Vec<LoadError>> {
    let upload = Pattern::Post("/v1/uploads/{part.a}".to_owned());
    let rules = vec![
        rule("All", Pattern::Post("/v1/all".to_owned()), "*"),
        rule("Wide", Pattern::Post("/v1/wide".to_owned()), "*"),
        rule("Update", Pattern::Patch("/v1/all/{named.name}".to_owned()), "all"),
        HttpRule { response_body: "file".to_owned(), ..rule("Upload", upload, "file") },
    ];
    transcode::compile(set, &Options { rules, ..Options::default() })
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| compiled(&of_edition(EDITION_2023)).unwrap());

fn read(path: &str, json: &str) -> Result<Vec<u8>, Problem> {
    let route = routed(&CONTRACT, "POST", path);
    route.request(None, None, json.as_bytes(), &RequestOptions::default()).map(|wire| wire.to_vec())
}

/// As printed in the order of the wire and gathered by number, which must say the same.
fn print(path: &str, wire: &[u8]) -> Result<String, Problem> {
    let route = routed(&CONTRACT, "POST", path);
    let bytes = |by_number| route.response(wire, &ResponseOptions { by_number, ..ResponseOptions::default() });
    let (plain, gathered) = (bytes(false), bytes(true));
    assert_eq!(plain.is_ok(), gathered.is_ok(), "{wire:?}");
    plain.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// The JSON becomes these bytes, and they it.
fn both(path: &str, json: &str, wire: &[u8]) {
    assert_eq!(read(path, json).unwrap(), wire, "{json}");
    assert_eq!(print(path, wire).unwrap(), json, "{wire:?}");
}

#[test]
fn presence_is_explicit_unless_a_field_says_otherwise() {
    both("/v1/all", r#"{"set":0}"#, &[0x18, 0]);
    assert_eq!(read("/v1/all", r#"{"bare":0,"text":"","lone":"ZERO"}"#).unwrap(), b"");
    both("/v1/all", r#"{"bare":1,"text":"a","lone":"ONE"}"#, b"\x08\x01\x12\x01a\x98\x01\x01");
    // A member of a oneof and an extension have presence whatever the file says.
    both("/v1/wide", r#"{"set":0,"member":0,"[edition.v1.width]":0}"#, &[0x10, 0, 0x48, 0, 0xa0, 6, 0]);
    assert_eq!(read("/v1/wide", r#"{"bare":0}"#).unwrap(), b"");
    let route = routed(&CONTRACT, "POST", "/v1/wide");
    let defaults = ResponseOptions { defaults: true, ..ResponseOptions::default() };
    assert_eq!(
        route.response(&[], &defaults).unwrap(),
        r#"{"bare":0,"wider":"LESS","inners":{},"loose":[],"tight":[],"list":[]}"#
    );
}

#[test]
fn required_fields_have_presence_and_may_be_absent_in_json() {
    both("/v1/all", r#"{"must":0}"#, &[0x50, 0]);
    both("/v1/all", "{}", &[]);
    let descriptor = CONTRACT.pool().get_message_by_name("edition.v1.All").unwrap().get_field(10).unwrap();
    assert_eq!(descriptor.cardinality(), prost_reflect::Cardinality::Required);
}

#[test]
fn enums_are_open_unless_they_or_their_file_say_otherwise() {
    both("/v1/all", r#"{"open":9}"#, &[0x20, 9]);
    both("/v1/wide", r#"{"wider":9}"#, &[0x20, 9]);
    for (path, json) in [("/v1/all", r#"{"closed":9}"#), ("/v1/all", r#"{"many":[9]}"#), ("/v1/wide", r#"{"shut":9}"#)]
    {
        assert_eq!(read(path, json).unwrap_err().http, 400, "{json}");
    }
    // To a closed enum an unknown number is an unknown field: alone, in a list of both forms, in a map, in a oneof.
    assert_eq!(print("/v1/all", &[0x28, 9]).unwrap(), "{}");
    assert_eq!(print("/v1/all", &[0x28, 2, 0x28, 9]).unwrap(), r#"{"closed":"KNOWN"}"#);
    assert_eq!(print("/v1/all", &[0x32, 3, 2, 9, 1, 0x30, 9]).unwrap(), r#"{"many":["KNOWN","UNKNOWN"]}"#);
    let entry = |name: u8, value: u8| vec![0x3a, 5, 0x0a, 1, name, 0x10, value];
    let entries = [entry(b'x', 9), entry(b'y', 2)].concat();
    assert_eq!(print("/v1/all", &entries).unwrap(), r#"{"byName":{"y":"KNOWN"}}"#);
    assert_eq!(print("/v1/all", &[0x73, 0x74, 0x78, 9]).unwrap(), r#"{"first":{}}"#);
    assert_eq!(print("/v1/wide", &[0x18, 9]).unwrap(), "{}");
}

#[test]
fn lists_are_packed_unless_a_field_or_its_file_says_otherwise_and_read_in_both_forms() {
    both("/v1/all", r#"{"tight":[1,2]}"#, &[0x42, 2, 1, 2]);
    both("/v1/all", r#"{"loose":[1,2]}"#, &[0x48, 1, 0x48, 2]);
    both("/v1/all", r#"{"many":["KNOWN"]}"#, &[0x32, 1, 2]);
    both("/v1/all", r#"{"words":["a"]}"#, b"\x92\x01\x01a");
    both("/v1/all", r#"{"[edition.v1.notes]":[5]}"#, &[0xaa, 6, 1, 5]);
    both("/v1/wide", r#"{"loose":[1]}"#, &[0x38, 1]);
    both("/v1/wide", r#"{"tight":[1]}"#, &[0x42, 1, 1]);
    assert_eq!(print("/v1/all", &[0x40, 1, 0x40, 2]).unwrap(), r#"{"tight":[1,2]}"#);
    assert_eq!(print("/v1/all", &[0x4a, 2, 1, 2]).unwrap(), r#"{"loose":[1,2]}"#);
}

#[test]
fn delimited_messages_stand_between_tags_whatever_their_names() {
    both("/v1/all", r#"{"partOfIt":{"a":"x"}}"#, b"\x5b\x0a\x01x\x5c");
    both("/v1/all", r#"{"pieces":[{"a":"x"},{}]}"#, b"\x63\x0a\x01x\x64\x63\x64");
    both("/v1/all", r#"{"first":{"all":{"set":1}}}"#, b"\x73\x12\x02\x18\x01\x74");
    both("/v1/all", r#"{"behindLength":{"a":"x"}}"#, b"\x8a\x01\x03\x0a\x01x");
    both("/v1/all", r#"{"[edition.v1.extra]":{"a":"x"}}"#, b"\xa3\x06\x0a\x01x\xa4\x06");
    // A message with a JSON form of its own.
    both("/v1/all", r#"{"at":"1970-01-01T00:00:01Z"}"#, b"\x6b\x08\x01\x6c");
    // Parts merge.
    let split = b"\x5b\x0a\x01x\x5c\x18\x00\x5b\x12\x02\x18\x01\x5c";
    assert_eq!(print("/v1/all", split).unwrap(), r#"{"set":0,"partOfIt":{"a":"x","all":{"set":1}}}"#);
    // The other form is an unknown field.
    assert_eq!(print("/v1/all", b"\x5a\x03\x0a\x01x").unwrap(), "{}");
    assert_eq!(print("/v1/all", b"\x8b\x01\x0a\x01x\x8c\x01").unwrap(), "{}");
}

#[test]
fn a_files_encoding_of_messages_leaves_maps_as_they_are() {
    both("/v1/wide", r#"{"inner":{"flag":true}}"#, &[0x2b, 8, 1, 0x2c]);
    both("/v1/wide", r#"{"inners":{"k":{"flag":true}}}"#, b"\x32\x07\x0a\x01k\x12\x02\x08\x01");
    both("/v1/wide", r#"{"inner":{"deeper":{"1":{"flag":true}}}}"#, b"\x2b\x12\x06\x08\x01\x12\x02\x08\x01\x2c");
    both("/v1/wide", r#"{"list":[{"flag":true}]}"#, &[0x52, 2, 8, 1]);
}

#[test]
fn what_is_not_utf8_has_no_json_whoever_verifies_it() {
    // `raw`, which is not verified, and `text`, which is.
    assert_eq!(print("/v1/all", b"\x82\x01\x01\xff").unwrap_err().http, 500);
    assert_eq!(print("/v1/all", b"\x12\x01\xff").unwrap_err().http, 500);
    both("/v1/all", r#"{"raw":"é"}"#, b"\x82\x01\x02\xc3\xa9");
}

#[test]
fn path_query_mask_and_raw_bodies_go_into_delimited_messages() {
    let route = routed(&CONTRACT, "PATCH", "/v1/all/n");
    let send =
        |query: Option<&str>, body: &str| route.request(query, None, body.as_bytes(), &RequestOptions::default());
    // all {set: 1}, mask {"set"}, named {name: "n"}
    let wire = send(None, r#"{"set":1}"#).unwrap();
    assert_eq!(*wire, *b"\x1b\x0a\x01n\x1c\x0b\x18\x01\x0c\x13\x0a\x03set\x14");
    let wire = send(Some("mask=partOfIt.a"), r#"{"partOfIt":{"a":"x"}}"#).unwrap();
    assert_eq!(*wire, *b"\x13\x0a\x0cpart_of_it.a\x14\x1b\x0a\x01n\x1c\x0b\x5b\x0a\x01x\x5c\x0c");
    let route = routed(&CONTRACT, "POST", "/v1/uploads/x");
    let options = RequestOptions::default();
    let wire = route.http_body_request(None, Some("t"), b"d", &options, true).unwrap();
    assert_eq!(*wire, *b"\x0b\x0a\x01x\x0c\x13\x0a\x01t\x12\x01d\x14");
    let body = route.http_body(Bytes::from_static(b"\x13\x0a\x01t\x14\x13\x12\x01d\x14\x12\x02\x12\x00")).unwrap();
    assert_eq!((body.media_type(), &body.data[..]), ("t", &b"d"[..]));
}

#[test]
fn a_required_field_in_a_delimited_message_is_asked_for() {
    let rules = vec![rule("Update", Pattern::Post("/v1/x".to_owned()), "*")];
    let contract = transcode::compile(&of_edition(EDITION_2023), &Options { rules, ..Options::default() }).unwrap();
    let route = routed(&contract, "POST", "/v1/x");
    let send = |body: &str| route.request(None, None, body.as_bytes(), &RequestOptions::default());
    let refused = send(r#"{"named":{}}"#).unwrap_err();
    assert_eq!(blame(&refused), (400, "FIELD_INVALID", "named.name"));
    assert!(send(r#"{"named":{"name":"n"}}"#).is_ok());
}

#[test]
fn what_the_path_binds_in_a_group_and_what_the_body_says_of_it_are_one_group() {
    let rules = vec![rule("Update", Pattern::Post("/v1/x/{all.set}".to_owned()), "*")];
    let contract = transcode::compile(&of_edition(EDITION_2023), &Options { rules, ..Options::default() }).unwrap();
    let route = routed(&contract, "POST", "/v1/x/7");
    let send = |body: &str| route.request(None, None, body.as_bytes(), &RequestOptions::default());
    let wire = send(r#"{"named":{"name":"n"},"all":{"set":7,"must":1}}"#).unwrap();
    assert_eq!(*wire, *b"\x0b\x18\x07\x50\x01\x0c\x1b\x0a\x01n\x1c");
    let differs = send(r#"{"named":{"name":"n"},"all":{"set":8}}"#).unwrap_err();
    assert_eq!(blame(&differs), (400, "CONFLICTING_VALUE", "all.set"));
}

#[test]
fn edition_2024_has_the_same_defaults_and_another_edition_is_refused() {
    assert!(compiled(&of_edition(EDITION_2024)).is_ok());
    for edition in [0, 998, 999, 1002, 9999] {
        let errors = compiled(&of_edition(edition)).unwrap_err();
        let files: Vec<_> = errors.iter().map(|error| error.file.as_str()).collect();
        assert_eq!(files, ["edition_wide.proto", "edition.proto"]);
        assert!(errors[0].remedy.contains("2023 or 2024"), "{}", errors[0]);
    }
}

#[test]
fn a_lowered_set_says_the_same_and_other_sets_stay() {
    let whole = of_edition(EDITION_2023);
    let lowered = transcode::lowered(&whole).unwrap();
    assert!(!lowered.windows(8).any(|window| window == b"editions"));
    assert_eq!(transcode::lowered(&lowered).unwrap(), lowered);
    let (first, second) = (compiled(&whole).unwrap(), compiled(&lowered).unwrap());
    for contract in [first, second] {
        let route = routed(&contract, "POST", "/v1/wide");
        assert_eq!(
            *route.request(None, None, br#"{"bare":0,"wider":9}"#, &RequestOptions::default()).unwrap(),
            [0x20, 9]
        );
    }
    for other in [&crate::fixture::PROBE[..], b"", b"\x0a", b"\xff", b"\x0a\x02\x62\x08"] {
        assert!(matches!(transcode::lowered(other), Ok(std::borrow::Cow::Borrowed(same)) if same == other));
    }
}

#[test]
fn broken_sets_are_left_to_whoever_decodes_them() {
    let whole = of_edition(EDITION_2023);
    for place in (0..whole.len()).step_by(211) {
        let mut flipped = whole.clone();
        flipped[place] ^= 0xff;
        for broken in [&whole[..place], &flipped] {
            // Whatever comes of it reads as well as what went in, or an edition is refused that nobody knows.
            let Ok(lowered) = transcode::lowered(broken) else { continue };
            let reads = |set: &[u8]| prost_reflect::prost_types::FileDescriptorSet::decode(set).is_ok();
            assert_eq!(reads(&lowered), reads(broken), "{place}");
        }
    }
}
