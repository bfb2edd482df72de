//! The request id: the caller's if it has the right form, else a new one. It is the same in every service the request
//! touches, in their logs and in the events it causes.
use api::Ids;
use http::HeaderMap;

/// The request's id.
pub(crate) fn take(headers: &HeaderMap, ids: &Ids) -> String {
    let sent = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    sent.filter(|id| is_request_id(id)).map_or_else(|| ids.next().to_string(), str::to_owned)
}

fn is_request_id(text: &str) -> bool {
    (8..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_of_another_form_is_replaced() {
        let ids = Ids::default();
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "good-id_1".parse().expect("a header"));
        assert_eq!(take(&headers, &ids), "good-id_1");
        for bad in ["short", "has space", "semi;colon", &"x".repeat(65)] {
            headers.insert("x-request-id", bad.parse().expect("a header"));
            assert_ne!(take(&headers, &ids), *bad);
        }
    }
}
