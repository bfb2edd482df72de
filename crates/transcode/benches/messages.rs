//! The JSON of what is measured, here and in `workos bench gateway`.
use std::fmt::Write as _;

/// One short record, 64 bytes.
pub(crate) fn small() -> String {
    r#"{"records":[{"name":"a/1","title":"T","size":"12"}],"nextPageToken":"x"}"#.to_owned()
}

/// Records with fields of every usual kind.
pub(crate) fn page(count: usize) -> String {
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

/// Texts of a thousand bytes.
pub(crate) fn texts(count: usize, line: &str) -> String {
    let text = line.repeat(1_000 / line.len());
    format!("{{\"texts\":[{}]}}", vec![format!("\"{text}\""); count].join(","))
}

/// Integers and floating-point numbers of all sizes.
pub(crate) fn numbers() -> String {
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

/// Free-form JSON.
pub(crate) fn free() -> String {
    let entry = |number: usize| {
        format!(
            r#""key{number}":{{"active":true,"count":{number},"list":[1,"two",null,{{"deep":"value"}}],"title":"Some text"}}"#
        )
    };
    format!("{{{}}}", (0..1_500).map(entry).collect::<Vec<_>>().join(","))
}
