//! Sizes of HTTP/2 connections, the same at both ends.
//!
//! What must hold: a connection's window is as large as those of all its streams together. A message that nobody takes then
//! holds back its own stream alone; with less, a few such streams would stop every call on the connection.

/// Streams of one connection.
pub(crate) const STREAMS: u32 = 1024;
/// Bytes of one stream that may be on their way, in either direction.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of all streams of a connection that may be on their way.
pub(crate) const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;
/// Largest frame that is taken: as large as a stream's window, so that a message of that size comes in one piece and nobody joins it.
pub(crate) const FRAME: u32 = STREAM_WINDOW;
