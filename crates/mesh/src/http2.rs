//! Sizes of HTTP/2 connections, the same at both ends.
//!
//! What must hold: the window of a connection is as large as those of all calls together that may be on it by default. A message that
//! nobody takes then holds back its own call alone; with less, a few of them would stop every call on the connection. Streams, of
//! which there may be more, have a connection of their own: there the window bounds what is kept for those who take nothing.

/// Calls whose windows a connection has room for: `mesh.concurrency`, by default.
const CALLS: u32 = 1024;
/// Bytes of one stream that may be on their way, in either direction.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of all streams of a connection that may be on their way.
pub(crate) const CONNECTION_WINDOW: u32 = STREAM_WINDOW * CALLS;
/// Largest frame that is taken: as large as a stream's window, so that a message of that size comes in one piece and nobody joins it.
pub(crate) const FRAME: u32 = STREAM_WINDOW;
