//! Downloads on the wire: headers as metadata, content as a stream of `HttpBody`.
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::stream;
use proto::google::api::HttpBody;
use tonic::{Response, metadata::MetadataMap};

use super::FileRpc;
use crate::{
    content::Reader,
    model::{Asked, File, Wanted},
    service::Download,
};

/// Types that are safe to be shown by a browser; everything else is an attachment.
const INLINE: [&str; 5] = ["text/plain", "image/png", "image/jpeg", "image/gif", "application/pdf"];

/// Reads conditions and range.
pub(super) fn asked(metadata: &MetadataMap) -> Asked {
    let text = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Asked { range: text("range"), if_range: text("if-range"), if_none_match: text("if-none-match") }
}

/// Writes a download.
pub(super) fn render(
    download: Download,
) -> Response<<FileRpc as proto::file::v1::file_service_server::FileService>::ReadFileStream> {
    let Download { file, wanted, reader } = download;
    let media_type = file.media_type.clone();
    let pieces = stream::unfold((reader, Some(media_type)), |(mut reader, media_type)| async move {
        let piece = match reader.as_mut() {
            Some(open) => next(open.as_mut()).await,
            None => Ok(HttpBody::default()),
        };
        let piece = match piece {
            // An empty file still says its type.
            Ok(piece) if piece.data.is_empty() && media_type.is_none() => return None,
            Ok(piece) => Ok(HttpBody { content_type: media_type.unwrap_or_default(), ..piece }),
            Err(error) => {
                reader = None;
                Err(error)
            }
        };
        Some((piece, (reader, None)))
    });
    let mut response: Response<_> = Response::new(Box::pin(pieces) as _);
    describe(&file, wanted, response.metadata_mut());
    response
}

async fn next(reader: &mut dyn Reader) -> Result<HttpBody, tonic::Status> {
    let data = reader.next().await.map_err(|error| api::Error::from(crate::error::Error::from(error)))?;
    Ok(HttpBody { data, ..HttpBody::default() })
}

fn describe(file: &File, wanted: Wanted, metadata: &mut MetadataMap) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = value.parse() {
            metadata.insert(name, value);
        }
    };
    put("etag", file.content_tag());
    put("repr-digest", format!("sha-256=:{}:", STANDARD.encode(file.sha256)));
    put("accept-ranges", "bytes".to_owned());
    put("cache-control", "private, no-cache".to_owned());
    put("content-security-policy", "sandbox; default-src 'none'".to_owned());
    put("content-disposition", disposition(file));
    match wanted {
        Wanted::Nothing => put("workos-not-modified", "1".to_owned()),
        Wanted::Whole => put("workos-content-length", file.size.to_string()),
        Wanted::Part(span) => {
            put("workos-content-length", span.length.to_string());
            put("content-range", format!("bytes {}-{}/{}", span.start, span.start + span.length - 1, file.size));
        }
    }
}

/// RFC 6266 with an ASCII fallback; the real name in RFC 8187 form.
fn disposition(file: &File) -> String {
    let essence = file.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = if INLINE.contains(&essence.as_str()) { "inline" } else { "attachment" };
    let base = file.display_name.rsplit(['/', '\\']).next().unwrap_or("file");
    let ascii: String = base
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || " .-_".contains(letter) { letter } else { '_' })
        .collect();
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    let encoded: String = base
        .bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}
