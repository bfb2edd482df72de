//! Media types: whether a request body is JSON.

use crate::problem::{Problem, code};

/// Type without parameters, and the value of `charset`.
fn parse(content_type: &str) -> (String, Option<String>) {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    (essence, charset)
}

/// JSON in UTF-8, or no statement at all; everything else is 415.
pub(crate) fn require_json(content_type: Option<&str>) -> Result<(), Problem> {
    let Some(content_type) = content_type else {
        return Ok(());
    };
    let (essence, charset) = parse(content_type);
    let json = essence == "application/json"
        || essence == "application/x-ndjson"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if !json {
        return Err(unsupported(&essence));
    }
    match charset.as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(()),
        Some(other) => Err(unsupported(&format!("{essence} in the character set {other}"))),
    }
}

fn unsupported(found: &str) -> Problem {
    let shown = crate::name::shown(found);
    Problem::with(
        415,
        code::INVALID_ARGUMENT,
        "UNSUPPORTED_MEDIA_TYPE",
        format!("This method reads JSON in UTF-8, not {shown}; send `Content-Type: application/json`."),
    )
    .about("content_type", shown)
}
