//! Content codings of request bodies (RFC 9110 section 8.4): gzip, brotli, zstd, each bounded in size and in ratio.
use std::io::Read;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::refusal::Refusal;

/// What is understood, as `Accept-Encoding` says it.
const UNDERSTOOD: &str = "gzip, br, zstd";
/// A body may grow by this factor; what grows more is a bomb. Below [`SMALL`] the ratio does not count: text of one letter
/// grows far.
const RATIO: usize = 100;
const SMALL: usize = 64 * 1024;
/// Window of a zstd frame, as a power of two: what RFC 9659 has decoders of the web support.
const ZSTD_WINDOW: u32 = 23;

/// The body without its coding. `limit` holds for what comes out.
pub(crate) fn decoded(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => return Ok(body),
        (Some(coding), None) => coding.to_str().unwrap_or("?").trim().to_ascii_lowercase(),
        (Some(_), Some(_)) => return Err(unsupported("several codings")),
    };
    if coding.is_empty() || coding == "identity" || body.is_empty() {
        return Ok(body);
    }
    let most = limit.min(body.len().saturating_mul(RATIO).max(SMALL));
    let read = match coding.as_str() {
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(&body[..]), most),
        "br" => read(brotli_decompressor::Decompressor::new(&body[..], 4096), most),
        "zstd" => zstd(&body, most),
        other => return Err(unsupported(&other.chars().take(40).collect::<String>())),
    };
    match read {
        Ok(Some(plain)) => Ok(plain.into()),
        Ok(None) => Err(too_large(most)),
        Err(_) => Err(Refusal::new(
            400,
            tonic::Code::InvalidArgument,
            "BODY_UNDECODABLE",
            format!("the body is not {coding}; correct Content-Encoding, or send the body again"),
        )),
    }
}

/// Everything, or `None` when it is more than `most`.
fn read(decoder: impl Read, most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut plain)?;
    Ok((plain.len() <= most).then_some(plain))
}

fn zstd(body: &[u8], most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut decoder = zstd::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW)?;
    read(decoder, most)
}

fn unsupported(coding: &str) -> Refusal {
    let message = format!("the content coding {coding} is not understood; send {UNDERSTOOD}, or no coding");
    Refusal::new(415, tonic::Code::InvalidArgument, "CONTENT_ENCODING_UNSUPPORTED", message)
        .header(header::ACCEPT_ENCODING, UNDERSTOOD)
}

fn too_large(most: usize) -> Refusal {
    let message = format!(
        "the body is larger than {most} bytes when decoded (setting gateway.body_max, and {RATIO} times its coded size); send it in parts"
    );
    Refusal::new(413, tonic::Code::InvalidArgument, "BODY_TOO_LARGE", message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(body: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body).expect("memory");
        encoder.finish().expect("memory").into()
    }

    fn with(coding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, http::HeaderValue::from_static(coding))])
    }

    #[test]
    fn every_coding_is_read_and_its_end_must_be_there() {
        let text = b"text ".repeat(100);
        let zstd = Bytes::from(zstd::encode_all(&text[..], 3).expect("memory"));
        for (coding, body) in [("gzip", gzip(&text)), ("zstd", zstd)] {
            assert_eq!(decoded(&with(coding), body.clone(), 1000).expect(coding), text);
            let torn = body.slice(..body.len() - 3);
            assert_eq!(decoded(&with(coding), torn, 1000).expect_err(coding).parts.http, None);
        }
        assert_eq!(decoded(&with("br"), Bytes::from_static(b"\x0b\x02\x80text\n\x03"), 1000).expect("br"), "text\n");
        assert_eq!(decoded(&with("zip"), gzip(&text), 1000).expect_err("zip").parts.http, Some(415));
    }

    #[test]
    fn a_bomb_is_stopped_at_the_ratio() {
        let bomb = gzip(&vec![0; 8 * 1024 * 1024]);
        assert_eq!(decoded(&with("gzip"), bomb, usize::MAX).expect_err("bomb").parts.http, Some(413));
    }
}
