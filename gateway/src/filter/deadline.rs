//! How long a call may take: the least of what the caller asks for and what the edge allows.
use std::time::Duration;

use http::HeaderMap;
use proto::Method;
use tokio::time::Instant;

use crate::{config::Config, refusal::Refusal};

/// The end of the call. A stream has none of ours, only the caller's: idle limits end it.
pub(crate) fn of(config: &Config, headers: &HeaderMap, method: Option<&Method>) -> Result<Option<Instant>, Refusal> {
    let mut asked = Vec::new();
    if let Some(value) = text(headers, "grpc-timeout")? {
        asked.push(
            grpc_timeout(value)
                .ok_or_else(|| malformed("grpc-timeout", "digits and one of H M S m u n, such as 5S"))?,
        );
    }
    if let Some(value) = text(headers, "x-server-timeout")? {
        let seconds = value.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        asked.push(seconds.ok_or_else(|| malformed("x-server-timeout", "seconds, such as 2.5"))?);
    }
    if let Some(value) = text(headers, "connect-timeout-ms")? {
        let digits = (1..=10).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
        let millis = digits.then(|| value.parse().ok()).flatten().map(Duration::from_millis);
        asked.push(millis.ok_or_else(|| malformed("connect-timeout-ms", "at most ten digits"))?);
    }
    let streams = method.is_some_and(|method| !method.is_unary());
    let least = asked.into_iter().min();
    let limit = if streams { least } else { Some(least.unwrap_or(config.deadline).min(config.deadline_max)) };
    Ok(limit.and_then(|limit| Instant::now().checked_add(limit)))
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    headers.get(name).map(|value| value.to_str().map_err(|_| malformed(name, "ASCII"))).transpose()
}

/// At most eight digits and a unit (gRPC over HTTP/2).
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

fn malformed(name: &'static str, form: &str) -> Refusal {
    Refusal::new(
        400,
        tonic::Code::InvalidArgument,
        "HEADER_INVALID",
        format!("the header {name} is malformed; send {form}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_the_form_of_the_specification() {
        assert_eq!(grpc_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        for bad in ["", "S", "123456789S", "5", "-5S", "5é", "5s"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
    }
}
