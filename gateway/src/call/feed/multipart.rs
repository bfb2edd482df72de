//! `multipart/form-data` (RFC 7578) for methods that take a stream of bytes: the part with a file name is the stream, the
//! parts before it bind like query parameters.
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{CHUNK, Form};
use crate::{
    call::{body::Source, inlet::Fault},
    refusal::Refusal,
};

/// Fields before the file, and the bytes of all of them.
const FIELDS: usize = 100;
const FIELD_BYTES: usize = 64 * 1024;

enum State {
    /// Before the file.
    Fields(Form, Multipart<'static>, Fault),
    /// In it.
    File(Box<File>),
    Over,
}

struct File {
    form: Form,
    parts: Multipart<'static>,
    field: Option<Field<'static>>,
    rest: Bytes,
    first: bool,
    fault: Fault,
}

/// The messages.
pub(super) fn messages(
    form: Form,
    source: Source,
) -> Result<impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static, Refusal> {
    let boundary = form.content_type.as_deref().and_then(|kind| multer::parse_boundary(kind).ok());
    let boundary = boundary.ok_or_else(|| malformed("its Content-Type names no boundary"))?;
    let fault = Fault::default();
    let told = fault.clone();
    let pieces = source.pieces().map(move |piece| {
        piece.map_err(|refusal| {
            told.tell(refusal);
            std::io::Error::from(std::io::ErrorKind::Other)
        })
    });
    let limits = Constraints::new().size_limit(SizeLimit::new().per_field(u64::MAX));
    let parts = Multipart::with_constraints(pieces, boundary, limits);
    Ok(stream::unfold(State::Fields(form, parts, fault), |state| async move {
        let file = match state {
            State::Over => return None,
            State::File(file) => Ok(file),
            State::Fields(form, parts, fault) => fields(form, parts, fault).await.map(Box::new),
        };
        let read = match file {
            Ok(mut file) => file.next().await.map(|message| message.map(|message| (message, file))),
            Err(refusal) => Err(refusal),
        };
        match read {
            Ok(Some((message, file))) => Some((Ok(message), State::File(file))),
            Ok(None) => None,
            Err(refusal) => Some((Err(refusal), State::Over)),
        }
    }))
}

/// Reads up to the file.
async fn fields(mut form: Form, mut parts: Multipart<'static>, fault: Fault) -> Result<File, Refusal> {
    let mut query = form.query.take().unwrap_or_default();
    let mut left = FIELD_BYTES;
    for _ in 0..=FIELDS {
        let field = parts.next_field().await.map_err(|error| fault.take().unwrap_or_else(|| broken(&error)))?;
        let Some(mut field) = field else { break };
        if field.file_name().is_some() {
            form.content_type = field.content_type().map(ToString::to_string);
            form.query = Some(query).filter(|query| !query.is_empty());
            return Ok(File { form, parts, field: Some(field), rest: Bytes::new(), first: true, fault });
        }
        let name = field.name().ok_or_else(|| malformed("a part has no name"))?.to_owned();
        let mut value = Vec::new();
        while let Some(piece) = field.chunk().await.map_err(|error| fault.take().unwrap_or_else(|| broken(&error)))? {
            left = left.checked_sub(piece.len()).ok_or_else(too_many)?;
            value.extend_from_slice(&piece);
        }
        if !query.is_empty() {
            query.push('&');
        }
        encode(name.as_bytes(), &mut query);
        query.push('=');
        encode(&value, &mut query);
    }
    Err(malformed("it has no part with a file name; put the file last, after the fields"))
}

impl File {
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        while self.rest.is_empty() {
            let Some(field) = &mut self.field else { return Ok(None) };
            match field.chunk().await.map_err(|error| self.fault.take().unwrap_or_else(|| broken(&error)))? {
                Some(piece) => self.rest = piece,
                None => {
                    self.field = None;
                    let after = self.parts.next_field().await;
                    if after.map_err(|error| self.fault.take().unwrap_or_else(|| broken(&error)))?.is_some() {
                        return Err(malformed("a part follows the file; put the file last"));
                    }
                    if !self.first {
                        return Ok(None);
                    }
                    break;
                }
            }
        }
        let chunk = self.rest.split_to(self.rest.len().min(CHUNK));
        let first = std::mem::replace(&mut self.first, false);
        self.form.bytes(&chunk, first).map(Some)
    }
}

/// As the URL standard encodes forms: the query is read by the same rules as any other.
fn encode(text: &[u8], out: &mut String) {
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(*byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
}

fn broken(_: &multer::Error) -> Refusal {
    malformed("it is cut, or no form at all")
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(400, tonic::Code::InvalidArgument, "MALFORMED_FORM", format!("the multipart form is refused: {what}"))
}

fn too_many() -> Refusal {
    let message = format!("the fields of the form are longer than {FIELD_BYTES} bytes; send less beside the file");
    Refusal::new(413, tonic::Code::InvalidArgument, "FORM_TOO_LARGE", message)
}
