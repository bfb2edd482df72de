//! `multipart/form-data` (RFC 7578) for methods that take a stream of bytes: the part with a file name is the stream, the
//! parts before it bind like query parameters.
//!
//! What must hold: what the parser has to keep (a preamble, the heads of parts) is bounded; only the file may be long, and it
//! is read piece by piece.
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use multer::{Constraints, Field, Multipart, SizeLimit};
use transcode::frame::Framed;

use super::{CHUNK, Form};
use crate::{
    call::{body::Source, inlet::Fault},
    refusal::Refusal,
};

/// Fields before the file, and the bytes of all of them.
const FIELDS: usize = 100;
const FIELD_BYTES: usize = 64 * 1024;
/// Bytes outside the file: the fields, and as much again for their heads and for what nobody reads.
const OUTSIDE_BYTES: usize = FIELD_BYTES + 64 * 1024;

/// Bytes read outside the file.
#[derive(Clone, Default)]
struct Outside(Arc<AtomicUsize>);

impl Outside {
    /// Stands for the file itself, whose bytes are not counted.
    const FILE: usize = usize::MAX;

    /// Takes a piece; false when there was too much before it.
    fn takes(&self, piece: usize) -> bool {
        let before = self.0.load(Ordering::Relaxed);
        if before != Self::FILE {
            self.0.store(before.saturating_add(piece).min(Self::FILE - 1), Ordering::Relaxed);
        }
        before == Self::FILE || before <= OUTSIDE_BYTES
    }

    fn in_file(&self) {
        self.0.store(Self::FILE, Ordering::Relaxed);
    }

    fn after_file(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

enum State {
    /// Before the file.
    Fields(Form, Parts),
    /// In it.
    File(Box<File>),
    Over,
}

/// The parts as they come.
struct Parts {
    inner: Multipart<'static>,
    outside: Outside,
    /// Why the pieces ended.
    fault: Fault,
}

struct File {
    form: Form,
    parts: Parts,
    field: Option<Field<'static>>,
    rest: Bytes,
    first: bool,
}

/// The messages.
pub(super) fn messages(
    form: Form,
    source: Source,
) -> Result<impl Stream<Item = Result<Framed, Refusal>> + Send + 'static, Refusal> {
    let boundary = form.content_type.as_deref().and_then(|kind| multer::parse_boundary(kind).ok());
    let boundary = boundary.ok_or_else(|| malformed("its Content-Type names no boundary"))?;
    let parts = Parts::of(source, boundary);
    Ok(stream::unfold(State::Fields(form, parts), |state| async move {
        let file = match state {
            State::Over => return None,
            State::File(file) => Ok(file),
            State::Fields(form, parts) => fields(form, parts).await.map(Box::new),
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

impl Parts {
    fn of(source: Source, boundary: String) -> Self {
        let (outside, fault) = (Outside::default(), Fault::default());
        let (counted, told) = (outside.clone(), fault.clone());
        let mut pieces = Box::pin(source.pieces());
        let mut given = false;
        let pieces = stream::poll_fn(move |context| {
            // The parser takes all that is there before it looks at it: it gets one piece at a time.
            if std::mem::take(&mut given) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let piece = std::task::ready!(pieces.poll_next_unpin(context));
            given = true;
            let piece = piece.map(|piece| match piece {
                Ok(piece) if !counted.takes(piece.len()) => Err(too_much()),
                piece => piece,
            });
            Poll::Ready(piece.map(|piece| {
                piece.map_err(|refusal| {
                    told.tell(refusal);
                    std::io::Error::from(std::io::ErrorKind::Other)
                })
            }))
        });
        let limits = Constraints::new().size_limit(SizeLimit::new().per_field(u64::MAX));
        Self { inner: Multipart::with_constraints(pieces, boundary, limits), outside, fault }
    }

    async fn next(&mut self) -> Result<Option<Field<'static>>, Refusal> {
        self.inner.next_field().await.map_err(|error| self.told(&error))
    }

    /// What went wrong: the body itself, or its form.
    fn told(&self, error: &multer::Error) -> Refusal {
        self.fault.take().unwrap_or_else(|| broken(error))
    }
}

/// Reads up to the file.
async fn fields(mut form: Form, mut parts: Parts) -> Result<File, Refusal> {
    let mut query = form.query.take().unwrap_or_default();
    let mut left = FIELD_BYTES;
    for _ in 0..=FIELDS {
        let Some(mut field) = parts.next().await? else {
            return Err(malformed("it has no part with a file name; put the file last, after the fields"));
        };
        if field.file_name().is_some() {
            form.content_type = field.content_type().map(ToString::to_string);
            form.query = Some(query).filter(|query| !query.is_empty());
            parts.outside.in_file();
            return Ok(File { form, parts, field: Some(field), rest: Bytes::new(), first: true });
        }
        let name = field.name().ok_or_else(|| malformed("a part has no name"))?.to_owned();
        let mut value = Vec::new();
        while let Some(piece) = field.chunk().await.map_err(|error| parts.told(&error))? {
            left = left.checked_sub(piece.len()).ok_or_else(too_many)?;
            value.extend_from_slice(&piece);
        }
        if !query.is_empty() {
            query.push('&');
        }
        crate::form::encode(name.as_bytes(), &mut query);
        query.push('=');
        crate::form::encode(&value, &mut query);
    }
    Err(too_large(&format!("the form has more than {FIELDS} fields")))
}

impl File {
    async fn next(&mut self) -> Result<Option<Framed>, Refusal> {
        while self.rest.is_empty() {
            let Some(field) = &mut self.field else { return Ok(None) };
            match field.chunk().await.map_err(|error| self.parts.told(&error))? {
                Some(piece) => self.rest = piece,
                None => {
                    self.field = None;
                    self.parts.outside.after_file();
                    if self.parts.next().await?.is_some() {
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

fn broken(_: &multer::Error) -> Refusal {
    malformed("it is cut, or no form at all")
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(400, tonic::Code::InvalidArgument, "MALFORMED_FORM", format!("the multipart form is refused: {what}"))
}

fn too_many() -> Refusal {
    too_large(&format!("the fields of the form are longer than {FIELD_BYTES} bytes"))
}

fn too_much() -> Refusal {
    too_large(&format!("beside its file the form has more than {OUTSIDE_BYTES} bytes"))
}

fn too_large(what: &str) -> Refusal {
    let message = format!("{what}; send less beside the file");
    Refusal::new(413, tonic::Code::InvalidArgument, "FORM_TOO_LARGE", message)
}
