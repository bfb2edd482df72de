//! Reserved headers are taken off before anything looks at them, in every spelling.
use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Request, Version, header};

use crate::{config::Config, refusal::Refusal};

/// Removes the platform's own headers, those that name a proxy's facts, and those of the connection. `x-forwarded-for` was read before.
pub(crate) fn clean(headers: &mut HeaderMap) {
    let reserved: Vec<HeaderName> =
        headers.keys().filter(|name| is_reserved(&folded(name.as_str()))).cloned().collect();
    for name in reserved.into_iter().chain(of_connection(headers)) {
        headers.remove(name);
    }
}

/// What the caller says belongs to this connection alone (RFC 9110 section 7.6.1). `te` stays for whoever writes trailers.
fn of_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    names.filter(|name| ![header::TE, header::CONNECTION, header::UPGRADE].contains(name)).collect()
}

/// Target and headers must be short enough to be kept, matched and logged. A body must end where every reader on the way sees its end (RFC 9112 section 6.3): one length, or chunks and no other
/// coding. The connection is closed, because what follows on it may have been meant as a part of this request. Of a length
/// beside chunks nothing is seen here: hyper reads the chunks, drops the length and closes the connection after the answer.
pub(crate) fn framing<B>(request: &Request<B>, config: &Config) -> Result<(), Refusal> {
    let longest = config.target_max.bytes();
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() as u64 > longest) {
        let message = format!(
            "path and query are longer than {longest} bytes (setting gateway.target_max); send less, or in a body"
        );
        return Err(Refusal::new(414, tonic::Code::InvalidArgument, "TARGET_TOO_LONG", message));
    }
    // The readers of HTTP/1 and HTTP/2 take more, so that the answer is in our own words.
    let most = config.headers_max;
    if request.headers().len() > most {
        let message = format!("the request has more than {most} headers (setting gateway.headers_max); send fewer");
        return Err(Refusal::new(431, tonic::Code::ResourceExhausted, "HEADERS_TOO_MANY", message));
    }
    // The reader's buffer is larger than a head may be.
    let head: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let longest = config.head_max.bytes();
    if head as u64 > longest {
        let message = format!(
            "the headers are longer than {longest} bytes (setting gateway.head_max); send fewer or shorter ones"
        );
        return Err(Refusal::new(431, tonic::Code::ResourceExhausted, "HEADERS_TOO_LONG", message));
    }
    if request.version() > Version::HTTP_11 {
        return Ok(());
    }
    let headers = request.headers();
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let clear = match (codings.next(), codings.next()) {
        (None, _) => lengths <= 1,
        (Some(coding), None) => lengths == 0 && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if clear {
        return Ok(());
    }
    let message = "it is unclear where the body ends; send one Content-Length, or Transfer-Encoding: chunked alone";
    let refusal = Refusal::new(400, tonic::Code::InvalidArgument, "FRAMING_AMBIGUOUS", message);
    Err(refusal.header(header::CONNECTION, "close"))
}

/// The name as frameworks read it that fold underscores: `grpc_timeout` must not arrive as what it looks like.
fn folded(name: &str) -> Cow<'_, str> {
    if name.contains('_') { name.replace('_', "-").into() } else { name.into() }
}

/// The platform's names, also behind grpc-gateway's prefix; the name is folded.
fn is_reserved(name: &str) -> bool {
    let name = name.strip_prefix("grpc-metadata-").unwrap_or(name);
    name.starts_with("x-workos-") || name.starts_with("x-forwarded-") || name == "forwarded"
}

/// Headers of the caller that become metadata of the call: everything but what belongs to this connection, to credentials,
/// to gRPC itself and to the browser.
pub(crate) fn is_passed_on(name: &str) -> bool {
    const KEPT_BACK: [&str; 23] = [
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "content-length",
        "content-type",
        "content-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "cookie",
        "authorization",
        "accept",
        "accept-encoding",
        "accept-language",
        "user-agent",
        "traceparent",
        "tracestate",
        "x-request-id",
        "origin",
        // It has become the request's request_id.
        "idempotency-key",
    ];
    let name = folded(name);
    !KEPT_BACK.contains(&name.as_ref())
        && !name.starts_with("grpc-")
        && !name.starts_with("proxy-")
        && !name.starts_with("sec-")
        && !name.starts_with("connect-")
        && !is_reserved(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_headers_are_removed_in_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-workos-biscuit-bin",
            "x_workos_peer",
            "grpc-metadata-x-workos-biscuit-bin",
            "x-forwarded-client-cert",
            "forwarded",
            "range",
        ] {
            headers.insert(HeaderName::from_static(name), "x".parse().expect("a header"));
        }
        clean(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["range"]);
    }

    #[test]
    fn credentials_and_connection_headers_are_not_passed_on() {
        assert!(is_passed_on("range") && is_passed_on("if-none-match") && is_passed_on("last-event-id"));
        for name in
            ["authorization", "cookie", "te", "grpc_timeout", "connection", "x-workos-peer", "proxy_authorization"]
        {
            assert!(!is_passed_on(name), "{name}");
        }
    }
}
