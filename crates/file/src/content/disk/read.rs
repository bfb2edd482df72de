//! Reading: files one after the other, a piece at a time. What is missing is damage, never filled up.
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{ContentError, Reader, blocking, bytes};

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

/// A span of a file.
#[derive(Debug)]
pub(super) struct Part {
    /// The file.
    pub(super) path: PathBuf,
    /// First byte.
    pub(super) start: i64,
    /// Number of bytes.
    pub(super) length: i64,
}

/// Reads files one after the other.
pub(super) struct Parts {
    /// The next one stands last.
    rest: Vec<Part>,
    open: Option<Open>,
}

struct Open {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Parts {
    /// Reads these in order.
    pub(super) fn new(mut parts: Vec<Part>) -> Self {
        parts.reverse();
        Self { rest: parts, open: None }
    }
}

impl Reader for Parts {
    fn next(&mut self) -> BoxFuture<'_, Result<Bytes, ContentError>> {
        Box::pin(async move {
            loop {
                let Some(open) = self.open.as_mut().filter(|open| open.left > 0) else {
                    let Some(part) = self.rest.pop() else {
                        self.open = None;
                        return Ok(Bytes::new());
                    };
                    let file = blocking(move || open_file(&part.path)).await?;
                    self.open = Some(Open { file, at: bytes(part.start), left: bytes(part.length) });
                    continue;
                };
                let wanted = usize::try_from(open.left).unwrap_or(PIECE).min(PIECE);
                let (file, at) = (open.file.clone(), open.at);
                let piece = blocking(move || read_piece(&file, at, wanted)).await?;
                open.at += piece.len() as u64;
                open.left -= piece.len() as u64;
                return Ok(piece);
            }
        })
    }
}

fn open_file(path: &Path) -> Result<Arc<File>, ContentError> {
    match File::open(path) {
        Ok(file) => Ok(Arc::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ContentError::Damaged),
        Err(error) => Err(error.into()),
    }
}

fn read_piece(file: &File, at: u64, wanted: usize) -> Result<Bytes, ContentError> {
    let mut piece = vec![0; wanted];
    match file.read_exact_at(&mut piece, at) {
        Ok(()) => Ok(piece.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ContentError::Damaged),
        Err(error) => Err(error.into()),
    }
}
