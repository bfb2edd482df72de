//! Deadlines: read from and written to `grpc-timeout`, capped, and kept.
//!
//! Each hop passes on what is left, so that nobody works for a caller who has gone. A call without a deadline gets the
//! default; no call gets more than the cap. Streams have caps of their own: they are the reason why a deadline is also their
//! longest age.
use std::{future::Future, time::Duration};

use api::Error;
use http::{HeaderMap, HeaderValue, Response};
use proto::Method;
use tokio::time::Instant;
use tonic::body::Body;

use crate::settings::Deadlines;

const KEY: &str = "grpc-timeout";

/// Reads `grpc-timeout`: at most eight digits and a unit. Anything else counts as absent, and then the default holds.
pub(crate) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(KEY)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Writes what is left as `grpc-timeout`.
pub(crate) fn write(headers: &mut HeaderMap, left: Duration) {
    let text = match left.as_micros() {
        micros @ 0..=99_999_999 => format!("{micros}u"),
        micros => format!("{}m", (micros / 1000).min(99_999_999)),
    };
    let mut value = HeaderValue::from_str(&text).expect("digits and a letter are a header value");
    // It never comes again: HTTP/2 shall not keep it in its table.
    value.set_sensitive(true);
    headers.insert(KEY, value);
}

/// How long a call of this method may take, given what its caller asked for.
pub(crate) fn allowed(deadlines: &Deadlines, method: Option<&Method>, asked: Option<Duration>) -> Duration {
    let streams = method.is_some_and(|method| !method.is_unary());
    let (default, cap) =
        if streams { (deadlines.stream, deadlines.stream_max) } else { (deadlines.call, deadlines.call_max) };
    let own = method
        .filter(|_| !deadlines.methods.is_empty())
        .and_then(|method| deadlines.methods.get(method.rpc).or_else(|| deadlines.methods.get(method.full_service)));
    let allowed = asked.unwrap_or(default.get()).min(cap.get());
    own.map_or(allowed, |own| allowed.min(own.get()))
}

/// Ends the call when its time is over: DEADLINE_EXCEEDED, and the handler's future is dropped.
pub(crate) async fn kept(deadline: Instant, next: impl Future<Output = Response<Body>>) -> Response<Body> {
    if deadline <= Instant::now() {
        return tonic::Status::from(Error::deadline()).into_http();
    }
    match tokio::time::timeout_at(deadline, next).await {
        Ok(response) => response,
        Err(_) => tonic::Status::from(Error::deadline()).into_http(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(KEY, HeaderValue::from_str(text).expect("a header value"));
        read(&headers)
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        assert_eq!(timeout("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(timeout("3H"), Some(Duration::from_secs(10_800)));
        for bad in ["", "5", "m", "123456789m", "-1S", "1x", "+1S"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for left in [Duration::ZERO, Duration::from_micros(17), Duration::from_secs(99), Duration::from_secs(3600)] {
            let mut headers = HeaderMap::new();
            write(&mut headers, left);
            assert_eq!(read(&headers), Some(left));
        }
    }

    #[test]
    fn a_missing_deadline_gets_the_default_and_a_long_one_the_cap() {
        let deadlines = Deadlines::default();
        assert_eq!(allowed(&deadlines, None, None), deadlines.call.get());
        assert_eq!(allowed(&deadlines, None, Some(Duration::from_secs(86_400))), deadlines.call_max.get());
        assert_eq!(allowed(&deadlines, None, Some(Duration::from_millis(3))), Duration::from_millis(3));
    }

    #[test]
    fn a_method_has_a_limit_of_its_own_before_that_of_its_service() {
        let method = proto::methods().get("/workos.file.v1.FileService/GetFile");
        let limits = [("workos.file.v1.FileService", 7), ("workos.file.v1.FileService/GetFile", 3)];
        let of = |count| {
            let methods = limits[..count].iter().map(|(name, secs)| ((*name).to_owned(), crate::Period::secs(*secs)));
            allowed(&Deadlines { methods: methods.collect(), ..Deadlines::default() }, method, None).as_secs()
        };
        assert_eq!((of(0), of(1), of(2)), (15, 7, 3));
    }
}
