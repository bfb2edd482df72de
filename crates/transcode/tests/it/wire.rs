//! What the wire may do to a reader (cases W); every message is printed in one pass and gathered, and both
//! must agree with prost-reflect.

use std::sync::LazyLock;

use prost_reflect::DynamicMessage;
use prost_reflect::prost::encoding::encode_varint;
use transcode::{Contract, Problem, RequestOptions, ResponseOptions};

use crate::fixture::{contract, oracle, pool, routed};

pub(crate) fn print(wire: &[u8]) -> Result<String, Problem> {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| contract(&[("One", "POST", "/v1/x", "*")]));
    let route = routed(&CONTRACT, "POST", "/v1/x");
    let printed = |by_number| route.response(wire, &ResponseOptions { by_number, ..ResponseOptions::default() });
    let (plain, gathered) = (printed(false), printed(true));
    match (&plain, &gathered) {
        (Ok(plain), Ok(gathered)) => {
            let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
            assert_eq!(value(plain), value(gathered));
        }
        _ => assert_eq!(plain.is_ok(), gathered.is_ok(), "{wire:?}"),
    }
    if let Ok(plain) = &plain {
        // With all fields asked for by name nothing takes a faster way, and with others behind them short texts do.
        let masked = route.response(wire, &route.response_options(Some("$fields=*")).unwrap()).unwrap();
        let followed = [wire, &field(900, &[0; 40])].concat();
        assert_eq!([&masked, &route.response(&followed, &ResponseOptions::default()).unwrap()], [plain, plain]);
    }
    plain.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// Prints, and compares with what the oracle makes of the same bytes.
pub(crate) fn same(wire: &[u8], expected: &str) {
    let printed = print(wire).unwrap_or_else(|problem| panic!("{expected}: {problem}"));
    assert_eq!(printed, expected);
    let descriptor = pool().get_message_by_name("probe.v1.Everything").unwrap();
    let known = oracle(&DynamicMessage::decode(descriptor, wire).unwrap());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), known, "the oracle differs");
}

/// A length-delimited field.
pub(crate) fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    encode_varint(u64::from(number << 3 | 2), &mut wire);
    encode_varint(content.len() as u64, &mut wire);
    [wire, content.to_vec()].concat()
}

pub(crate) fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut wire = Vec::new();
    encode_varint(u64::from(number << 3), &mut wire);
    encode_varint(value, &mut wire);
    wire
}

#[test]
fn gw_w01_elements_apart_are_one_array() {
    let wire =
        [field(19, b"a"), varint(3, 5), field(19, b"b"), field(22, b""), field(19, b"c"), field(22, b"\x0a\x01x")];
    same(&wire.concat(), r#"{"i":5,"rs":["a","b","c"],"subs":[{},{"a":"x"}]}"#);
    let entries = [field(23, b"\x0a\x01b\x12\x012"), varint(3, 5), field(23, b"\x0a\x01a\x12\x011")];
    same(&entries.concat(), r#"{"i":5,"m":{"a":"1","b":"2"}}"#);
}

/// Were a level printed twice because its own keys are out of order, this would take years.
#[test]
fn keys_out_of_order_at_every_level_cost_each_level_once() {
    let entry = |key: &str, value: &[u8]| field(1, &[field(1, key.as_bytes()), field(2, value)].concat());
    let (mut fields, mut json) = (Vec::new(), "{}".to_owned());
    for _ in 0..30 {
        fields = [entry("b", &field(5, &fields)), entry("a", &varint(4, 1))].concat();
        json = format!(r#"{{"a":true,"b":{json}}}"#);
    }
    same(&field(37, &fields), &format!(r#"{{"st":{json}}}"#));
}

#[test]
fn gw_w02_packed_and_unpacked_mix() {
    same(&[varint(18, 1), field(18, &[2, 3]), varint(18, 4)].concat(), r#"{"ri":[1,2,3,4]}"#);
    same(&[field(18, &[2]), field(18, &[3])].concat(), r#"{"ri":[2,3]}"#);
    same(&field(18, &[]), "{}");
    same(&[varint(20, 1), field(20, &[0])].concat(), r#"{"re":["RED","NONE"]}"#);
    let doubles = [&[0xd9, 0x02][..], &1.5_f64.to_le_bytes(), &field(43, &2.5_f64.to_le_bytes())].concat();
    same(&doubles, r#"{"rd":[1.5,2.5]}"#);
}

#[test]
fn gw_w03_messages_merge_and_scalars_are_the_last() {
    same(&[varint(3, 1), varint(3, 2)].concat(), r#"{"i":2}"#);
    let subs = [field(21, b"\x0a\x01a\x20\x01"), field(21, b"\x20\x02"), field(21, &field(3, b"\x0a\x01z"))];
    same(&subs.concat(), r#"{"sub":{"a":"a","sub":{"a":"z"},"n":2}}"#);
    let nested = |content: &[u8]| field(42, &field(42, content));
    same(&[nested(&varint(3, 1)), nested(&varint(5, 2))].concat(), r#"{"child":{"child":{"i":1,"u":2}}}"#);
    // Special types are messages too.
    same(
        &[field(34, &varint(1, 1)), field(34, &varint(2, 500_000_000))].concat(),
        r#"{"ts":"1970-01-01T00:00:01.500Z"}"#,
    );
    same(&[field(32, &varint(1, 1)), field(32, &varint(1, 2))].concat(), r#"{"w":"2"}"#);
    let entry = |key: &[u8], text: &[u8]| field(1, &[field(1, key), field(2, &field(3, text))].concat());
    same(&[field(37, &entry(b"b", b"x")), field(37, &entry(b"a", b"y"))].concat(), r#"{"st":{"a":"y","b":"x"}}"#);
    // Of equal keys the last entry wins; a message in two parts inside one entry merges.
    let twice = [field(23, b"\x0a\x01a\x12\x011"), field(23, b"\x0a\x01a\x12\x012")];
    same(&twice.concat(), r#"{"m":{"a":"2"}}"#);
    let split = [varint(1, 1), field(2, b"\x0a\x01x"), field(2, b"\x20\x05")].concat();
    same(&field(24, &split), r#"{"ms":{"1":{"a":"x","n":5}}}"#);
    same(&[field(24, b""), field(23, b"")].concat(), r#"{"ms":{"0":{}},"m":{"":""}}"#);
    // The value before the key.
    same(&field(23, b"\x12\x01v\x0a\x01k"), r#"{"m":{"k":"v"}}"#);
}

#[test]
fn gw_w04_of_a_oneof_the_last_member_stays() {
    same(&[field(28, b"a"), varint(29, 1)].concat(), r#"{"right":1}"#);
    same(&[varint(29, 1), field(28, b"a")].concat(), r#"{"left":"a"}"#);
    same(&[field(30, b"\x0a\x01a"), field(30, b"\x20\x01")].concat(), r#"{"middle":{"a":"a","n":1}}"#);
    // Another member between the parts: what was before it is gone.
    same(&[field(30, b"\x0a\x01a"), varint(29, 1), field(30, b"\x20\x01")].concat(), r#"{"middle":{"n":1}}"#);
    same(&field(38, &[varint(1, 0), varint(4, 1)].concat()), r#"{"v":true}"#);
}

#[test]
fn gw_w05_varints_are_wider_than_their_types() {
    same(&varint(3, -5_i64 as u64), r#"{"i":-5}"#);
    same(&varint(3, 0x1_0000_0001), r#"{"i":1}"#);
    same(&varint(5, 0xffff_ffff_0000_0002), r#"{"u":2}"#);
    same(&varint(15, 2), r#"{"flag":true}"#);
    same(&varint(15, 1 << 40), r#"{"flag":true}"#);
    same(&varint(17, -2_i64 as u64), r#"{"e":"BLUE"}"#);
    same(&varint(7, 0x1_0000_0001), r#"{"si":-1}"#);
    // Two bytes for a five.
    same(&[0x18, 0x85, 0x00], r#"{"i":5}"#);
}

#[test]
fn gw_w06_malformed_bytes_are_internal_and_never_read_beyond() {
    let tag = |bytes: &[u8]| [bytes, &[0xd2, 0x09]].concat();
    let cases: &[(&str, Vec<u8>)] = &[
        ("tag 0", vec![0x00, 0x01]),
        ("field number 0", vec![0x02, 0x01, 0x01]),
        ("field number 2^29", tag(&[0x88, 0x80, 0x80, 0x80, 0x10])),
        ("slightly too high", tag(&[0x88, 0x80, 0x80, 0x80, 0x40])),
        ("overlong tag", tag(&[0x88, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])),
        ("tag of more than ten bytes", tag(&[[0x88].as_slice(), &[0x80; 11], &[0x00]].concat())),
        ("wire type 6", vec![0x0e]),
        ("wire type 7", vec![0x0f]),
        ("no varint", vec![0x18]),
        ("half a varint", vec![0x18, 0x80]),
        ("eleven bytes of varint", [[0x18].as_slice(), &[0xff; 10], &[0x01]].concat()),
        ("half a fixed32", vec![0x6d, 1, 2, 3]),
        ("half a fixed64", vec![0x71, 1, 2, 3, 4, 5, 6, 7]),
        ("text beyond the end", vec![0x0a, 2, b'a']),
        ("message beyond the end", vec![0xaa, 0x01, 2, 0x0a]),
        ("field beyond its message", vec![0xaa, 0x01, 2, 0x0a, 5, b'a']),
        ("half a packed element", vec![0x92, 0x01, 2, 1, 0x80]),
        ("end of a group", vec![0x0c]),
        ("end of an unknown group", vec![0xd4, 0x4c]),
        ("end of a group in a message", vec![0xaa, 0x01, 2, 0xd4, 0x4c]),
        ("another end", vec![0xd3, 0x4c, 0x0c]),
        ("a group without end", vec![0xd3, 0x4c, 0x08, 1]),
        ("text that is not UTF-8", field(1, b"\xa0\xb0")),
        ("element that is not UTF-8", field(19, b"\xa0\xb0")),
        ("member that is not UTF-8", field(28, b"\xa0\xb0")),
        ("key that is not UTF-8", field(23, b"\x0a\x02\xa0\xb0\x12\x01v")),
        ("value that is not UTF-8", field(23, b"\x0a\x01k\x12\x02\xa0\xb0")),
        ("long text that is not UTF-8", field(1, &[[b'a'; 100].as_slice(), b"\"\xff"].concat())),
    ];
    for (name, wire) in cases {
        let problem = match print(wire) {
            Err(problem) => problem,
            Ok(text) => panic!("{name} became {text}"),
        };
        assert_eq!((problem.http, problem.code), (500, 13), "{name}");
    }
    same(&field(16, b"\xa0\xb0"), r#"{"b":"oLA="}"#);
    // Fields nobody knows are passed over, and so is another wire type than the field's, which the oracle refuses.
    let unknown = [field(3, b"x"), varint(1, 5), varint(900, 5), field(901, b"x"), varint(3, 1)].concat();
    assert_eq!(print(&unknown).unwrap(), r#"{"i":1}"#);
    same(&[[0xe3, 0x38, 0x08, 1, 0xe4, 0x38].as_slice(), &varint(3, 1)].concat(), r#"{"i":1}"#);
}

#[test]
fn what_is_overwritten_needs_no_json_form() {
    let overwritten = [field(1, b"\xff"), field(1, b"n")].concat();
    assert_eq!(print(&overwritten).unwrap(), r#"{"name":"n"}"#);
    for last in [field(1, b"\xff"), [field(1, b"n"), field(1, b"\xff")].concat()] {
        assert_eq!(print(&last).unwrap_err().reason, "UNRENDERABLE_RESPONSE");
    }
}

#[test]
fn gw_j19_a_mask_that_would_not_come_back_is_not_printed() {
    let mask = |paths: &[&str]| {
        let paths: Vec<u8> = paths.iter().flat_map(|path| field(1, path.as_bytes())).collect();
        field(36, &paths)
    };
    assert_eq!(print(&mask(&["foo", "bar_baz.qux2", "*", "a.*"])).unwrap(), r#"{"mask":"foo,barBaz.qux2,*,a.*"}"#);
    for bad in [
        &["", ""][..],
        &[""],
        &["a,b"],
        &["a..b"],
        &["a."],
        &["foo_"],
        &["a__b"],
        &["fooBar"],
        &["a_3"],
        &["é"],
        &["a*"],
        &["a b"],
    ] {
        assert_eq!(print(&mask(bad)).unwrap_err().reason, "UNRENDERABLE_RESPONSE", "{bad:?}");
    }
}

#[test]
fn gw_w08_fields_come_in_wire_order_or_by_number() {
    let wire = [field(19, b"a"), varint(3, 5), field(1, b"n")].concat();
    assert_eq!(print(&wire).unwrap(), r#"{"rs":["a"],"i":5,"name":"n"}"#);
    let route = routed(&contract(&[("One", "POST", "/v1/x", "*")]), "POST", "/v1/x");
    let options = ResponseOptions { by_number: true, ..ResponseOptions::default() };
    assert_eq!(route.response(&wire, &options).unwrap(), r#"{"name":"n","i":5,"rs":["a"]}"#);
}

#[test]
fn gw_w09_depth_times_size_stays_linear() {
    let route = routed(&contract(&[("One", "POST", "/v1/x", "*")]), "POST", "/v1/x");
    let nested = |levels: usize| {
        let filler = format!(r#"{{"s":"{}"}}"#, "x".repeat(1 << 20));
        r#"{"child":"#.repeat(levels) + &filler + &"}".repeat(levels)
    };
    // Closing a level moves nothing, so nothing is timed here; what shows is that every length was settled.
    let wire = route.request(None, None, nested(98).as_bytes(), &RequestOptions::default()).unwrap();
    assert_eq!(print(&wire).unwrap().len(), nested(98).len());
    // Lengths are in their shortest form: 98 of three bytes, and the text's own.
    assert_eq!(wire.len(), (1 << 20) + 98 * 5 + 1 + 3);
}

#[test]
fn messages_that_return_at_every_level_are_printed_in_linear_time() {
    // Every level holds a deep child and then an empty one: were each level printed again for itself, the
    // time would double with every level and this test would never end.
    let wire = (0..98).fold(Vec::new(), |inner: Vec<u8>, _| [field(42, &inner), field(42, b"")].concat());
    print(&wire).unwrap();
}

#[test]
fn gw_w10_impossible_lengths_are_refused() {
    for length in [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX, i64::MAX as u64] {
        let mut wire = vec![0x0a];
        encode_varint(length, &mut wire);
        wire.extend_from_slice(b"abc");
        assert_eq!(print(&wire).unwrap_err().http, 500, "{length}");
        assert_eq!(print(&field(21, &wire)).unwrap_err().http, 500, "{length} inside");
    }
}
