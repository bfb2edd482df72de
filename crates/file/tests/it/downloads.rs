//! Content is read: whole, by ranges, on conditions.
use api::Code;
use proto::file::v1::{File, Upload};

use crate::fixture::{Fixture, download, refusal, sample, sized};

#[tokio::test(flavor = "multi_thread")]
async fn a_download_says_what_it_is_and_cannot_run() {
    let fixture = Fixture::new().await;
    let html = Upload { media_type: "text/html".to_owned(), display_name: "übel \"x\".html".to_owned(), ..sized(5) };
    let upload = fixture.create(html, "").await.expect("valid");
    let done = fixture.put(&upload.name, 0, b"<b>x<").await.expect("valid");
    let shown = download(&fixture.files(), &done.file, &[]).await.expect("readable");
    assert_eq!((shown.bytes.as_slice(), shown.content_type.as_str()), (b"<b>x<".as_slice(), "text/html"));
    let disposition = "attachment; filename=\"_bel _x_.html\"; filename*=UTF-8''%C3%BCbel%20%22x%22.html";
    assert_eq!(shown.header("content-disposition"), disposition);
    assert_eq!(shown.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!((shown.header("accept-ranges"), shown.header("workos-content-length")), ("bytes", "5"));
    assert_eq!(shown.header("cache-control"), "private, no-cache");
    assert!(shown.header("repr-digest").starts_with("sha-256=:") && shown.header("repr-digest").ends_with("=:"));
    assert_eq!(shown.header("content-range"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_range_is_a_part_and_everything_else_the_whole() {
    let fixture = Fixture::new().await;
    let bytes = sample(700_000);
    let file = fixture.file(&bytes).await;
    let tag = format!("\"{}\"", file.sha256);
    let ranges: [(&str, std::ops::Range<usize>); 5] = [
        ("bytes=0-0", 0..1),
        ("bytes=262143-262145", 262_143..262_146),
        ("bytes=600000-", 600_000..700_000),
        ("bytes=-10", 699_990..700_000),
        ("bytes=5-9999999", 5..700_000),
    ];
    for (range, expected) in ranges {
        let part = download(&fixture.files(), &file.name, &[("range", range)]).await.expect("satisfiable");
        assert_eq!(part.bytes, bytes[expected.clone()], "{range}");
        let shown = format!("bytes {}-{}/700000", expected.start, expected.end - 1);
        assert_eq!(part.header("content-range"), shown);
        assert_eq!(part.header("workos-content-length"), expected.len().to_string());
        assert_eq!(part.header("etag"), tag);
    }
    for whole in ["bytes=0-1,5-6", "lines=1-2", "bytes=9-1"] {
        let all = download(&fixture.files(), &file.name, &[("range", whole)]).await.expect("ignored");
        assert_eq!((all.bytes.len(), all.header("content-range")), (700_000, ""), "{whole}");
    }
    for outside in ["bytes=700000-", "bytes=-0"] {
        let error = download(&fixture.files(), &file.name, &[("range", outside)]).await.expect_err("outside");
        assert_eq!((error.code(), error.reason()), (Code::OutOfRange, "RANGE_UNSATISFIABLE"));
        assert_eq!(error.metadata().get("size").map(String::as_str), Some("700000"));
    }
}

async fn length_of(fixture: &Fixture, file: &File, headers: &[(&'static str, &str)]) -> (usize, String) {
    let shown = download(&fixture.files(), &file.name, headers).await.expect("readable");
    (shown.bytes.len(), shown.header("workos-not-modified").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_decide_before_ranges() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello, world").await;
    let (tag, old) = (format!("\"{}\"", file.sha256), "\"old\"".to_owned());
    let weak = format!("{old}, W/{tag}");
    for known in [tag.as_str(), weak.as_str(), "*"] {
        let answer = length_of(&fixture, &file, &[("if-none-match", known), ("range", "bytes=0-3")]).await;
        assert_eq!(answer, (0, "1".to_owned()), "{known}");
    }
    assert_eq!(length_of(&fixture, &file, &[("if-none-match", &old)]).await, (12, String::new()));
    let ranged = |known| [("if-range", known), ("range", "bytes=0-3")];
    assert_eq!(length_of(&fixture, &file, &ranged(tag.as_str())).await.0, 4);
    assert_eq!(length_of(&fixture, &file, &ranged(old.as_str())).await.0, 12);
    assert_eq!(length_of(&fixture, &file, &ranged(weak.as_str())).await.0, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_has_no_range() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"").await;
    let refused = download(&fixture.files(), &file.name, &[("range", "bytes=0-")]).await;
    assert_eq!(refusal(refused), (Code::OutOfRange, "RANGE_UNSATISFIABLE".to_owned()));
}
