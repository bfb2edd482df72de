//! Where bytes lie. One trait with one contract suite (`tests`); local disk now, object stores later.
//!
//! What must hold: what `sync` returned for is durable; a segment is written by one writer only; an object never changes; a
//! content id is never used twice, so what is stored under it can only be what belongs to it.
mod disk;
#[cfg(test)]
mod tests;

use std::io;

use api::Id;
use bytes::Bytes;
use futures::future::BoxFuture;
use time::OffsetDateTime;

pub(crate) use disk::LocalDisk;

/// What can go wrong with bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// No space is left.
    #[error("the storage is full")]
    Full,
    /// Bytes are missing or differ.
    #[error("the stored bytes are damaged")]
    Damaged,
    /// Anything else; its text is for the log.
    #[error("the storage failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ContentError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

/// A piece of an upload: written by one fence, from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The fence that writes it.
    pub(crate) fence: i64,
    /// Its first byte within the upload.
    pub(crate) start: i64,
}

/// Something that is stored, as the search for what nobody knows finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Whose bytes these are.
    pub(crate) content: Id,
    /// An object, not a piece of an upload in progress.
    pub(crate) complete: bool,
    /// Where it lies; for [`Content::discard`] only.
    pub(crate) key: String,
    /// When it was last written, by the clock of the storage.
    pub(crate) modified: OffsetDateTime,
}

/// Writes one segment.
pub(crate) trait SegmentWriter: Send {
    /// Appends bytes; they count only after `sync`. After an error the segment stands where it stood before.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), ContentError>>;
    /// Makes everything written so far durable.
    fn sync(&mut self) -> BoxFuture<'_, Result<(), ContentError>>;
    /// Cuts off what lies beyond the first `length` bytes.
    fn cut(&mut self, length: i64) -> BoxFuture<'_, Result<(), ContentError>>;
}

/// Reads a span of an object or upload, piece by piece.
pub(crate) trait Reader: Send {
    /// The next piece; empty at the end.
    fn next(&mut self) -> BoxFuture<'_, Result<Bytes, ContentError>>;
}

/// A reader once it is open.
pub(crate) type Opened<'a> = BoxFuture<'a, Result<Box<dyn Reader>, ContentError>>;

/// The place of the bytes.
pub(crate) trait Content: Send + Sync + 'static {
    /// Opens a segment that holds `length` bytes; what lies beyond was never acknowledged and is cut off.
    fn segment(
        &self,
        content: Id,
        segment: Segment,
        length: i64,
    ) -> BoxFuture<'_, Result<Box<dyn SegmentWriter>, ContentError>>;
    /// Reads the first `length` bytes of an upload in progress.
    fn read_segments<'a>(&'a self, content: Id, segments: &'a [Segment], length: i64) -> Opened<'a>;
    /// Makes the upload an object of `length` bytes, durable. Doing it again changes nothing. `fence` is the caller's: another
    /// one who is still at it does not get in the way.
    fn finish<'a>(
        &'a self,
        content: Id,
        segments: &'a [Segment],
        length: i64,
        fence: i64,
    ) -> BoxFuture<'a, Result<(), ContentError>>;
    /// Reads `length` bytes of an object from `start`.
    fn read(&self, content: Id, start: i64, length: i64) -> Opened<'_>;
    /// Deletes the segments of an upload; what is not there is no error.
    fn drop_segments<'a>(&'a self, content: Id, segments: &'a [Segment]) -> BoxFuture<'a, Result<(), ContentError>>;
    /// Deletes an object; what is not there is no error.
    fn drop_object(&self, content: Id) -> BoxFuture<'_, Result<(), ContentError>>;
    /// Number of shelves that everything stored is spread over: the first one holds uploads in progress, the others objects.
    fn shelves(&self) -> usize;
    /// What lies on a shelf.
    fn shelf(&self, number: usize) -> BoxFuture<'_, Result<Vec<Stored>, ContentError>>;
    /// Deletes what a shelf held; what is not there is no error.
    fn discard<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), ContentError>>;
}
