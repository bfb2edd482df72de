//! gRPC's message frames: one byte of flags, four of length, then the message (grpc `PROTOCOL-HTTP2.md`).

use std::ops::Deref;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::problem::{Problem, code};

/// Bytes of the head before each message.
pub const HEAD: usize = 5;

/// Most bytes that are made room for before they come.
const RESERVED: usize = 256 * 1024;

/// One message of a gRPC stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The data is compressed as the header `grpc-encoding` says.
    pub compressed: bool,
    /// The message.
    pub data: Bytes,
}

/// The head of a message of `length` bytes; `None` beyond four gigabytes.
#[must_use]
pub fn head(length: usize, compressed: bool) -> Option<[u8; HEAD]> {
    let length = u32::try_from(length).ok()?.to_be_bytes();
    Some([u8::from(compressed), length[0], length[1], length[2], length[3]])
}

/// A message with its head, uncompressed.
///
/// # Errors
/// RESOURCE_EXHAUSTED beyond four gigabytes.
pub fn encode(message: &[u8]) -> Result<Bytes, Problem> {
    encode_as(message, false)
}

/// A message with its head, which says whether it is compressed.
///
/// # Errors
/// RESOURCE_EXHAUSTED beyond four gigabytes.
pub fn encode_as(message: &[u8], compressed: bool) -> Result<Bytes, Problem> {
    let head = head(message.len(), compressed).ok_or_else(|| too_large(u32::MAX as usize))?;
    let mut frame = BytesMut::with_capacity(HEAD + message.len());
    frame.put_slice(&head);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// A message behind its head: whoever sends it needs no copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed(Bytes);

impl Framed {
    /// Copies a message.
    ///
    /// # Errors
    /// As [`encode`].
    pub fn new(message: &[u8]) -> Result<Self, Problem> {
        encode(message).map(Self)
    }

    /// A message that was written behind [`HEAD`] bytes of room.
    pub(crate) fn in_place(mut bytes: Vec<u8>) -> Result<Self, Problem> {
        let length = bytes.len().saturating_sub(HEAD);
        let head = head(length, false).ok_or_else(|| too_large(u32::MAX as usize))?;
        match bytes.first_chunk_mut() {
            Some(room) => *room = head,
            None => bytes = head.to_vec(),
        }
        Ok(Self(bytes.into()))
    }

    /// Head and message.
    #[must_use]
    pub fn into_frame(self) -> Bytes {
        self.0
    }
}

impl Deref for Framed {
    type Target = [u8];

    /// The message alone.
    fn deref(&self) -> &[u8] {
        &self.0[HEAD..]
    }
}

impl From<Framed> for Bytes {
    /// The message alone.
    fn from(framed: Framed) -> Self {
        framed.0.slice(HEAD..)
    }
}

/// Reads frames out of chunks that are cut anywhere. What lies whole in one chunk is given as a part of it; what is cut is copied
/// once.
#[derive(Debug)]
pub struct Reader {
    limit: usize,
    /// The beginning of a message whose rest has not come.
    begun: BytesMut,
    /// What has come behind it and was not given yet.
    chunk: Bytes,
}

impl Reader {
    /// A reader that refuses messages of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, begun: BytesMut::new(), chunk: Bytes::new() }
    }

    /// Takes the next chunk.
    pub fn push(&mut self, chunk: Bytes) {
        if !self.chunk.is_empty() {
            let rest = std::mem::take(&mut self.chunk);
            self.begun.extend_from_slice(&rest);
        }
        self.chunk = chunk;
    }

    /// The next complete message; `None` until more chunks have come.
    ///
    /// # Errors
    /// INTERNAL for a broken head, RESOURCE_EXHAUSTED for a message beyond the limit.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Problem> {
        if self.begun.is_empty() {
            let Some((compressed, length)) = self.head(&self.chunk)? else {
                return Ok(None);
            };
            if self.chunk.len() < HEAD + length {
                // What is only announced takes no more room than this before it comes.
                self.begun.reserve((HEAD + length).min(RESERVED).max(self.chunk.len()));
                return Ok(None);
            }
            self.chunk.advance(HEAD);
            return Ok(Some(Frame { compressed, data: self.chunk.split_to(length) }));
        }
        self.fill(HEAD);
        let Some((compressed, length)) = self.head(&self.begun)? else {
            return Ok(None);
        };
        self.fill(HEAD + length);
        if self.begun.len() < HEAD + length {
            return Ok(None);
        }
        let mut message = self.begun.split_to(HEAD + length);
        message.advance(HEAD);
        Ok(Some(Frame { compressed, data: message.freeze() }))
    }

    /// Whether a message has begun and not ended: at the end of a stream it was cut off.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.begun.is_empty() || !self.chunk.is_empty()
    }

    /// Flag and length at the beginning of these bytes, once they are there.
    fn head(&self, bytes: &[u8]) -> Result<Option<(bool, usize)>, Problem> {
        let Some([flags, length @ ..]) = bytes.first_chunk::<HEAD>().copied() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(length) as usize;
        if flags > 1 {
            return Err(Problem::internal(
                "MALFORMED_FRAME",
                "The service answered with a frame whose flags are unknown.",
            ));
        }
        if length > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(Some((flags == 1, length)))
    }

    /// Takes of the chunk what `begun` lacks of so many bytes.
    fn fill(&mut self, bytes: usize) {
        let missing = bytes.saturating_sub(self.begun.len()).min(self.chunk.len());
        self.begun.extend_from_slice(&self.chunk.split_to(missing));
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::with(
        500,
        code::RESOURCE_EXHAUSTED,
        "MESSAGE_TOO_LARGE",
        format!("A message of the service is larger than {limit} bytes; ask for less at a time."),
    )
    .about("limit", limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_however_the_chunks_are_cut() {
        let wire = [encode(b"first").unwrap(), encode(b"").unwrap(), encode(b"third").unwrap()].concat();
        for size in 1..wire.len() {
            let mut reader = Reader::new(16);
            let mut frames = Vec::new();
            for chunk in wire.chunks(size) {
                reader.push(Bytes::copy_from_slice(chunk));
                while let Some(frame) = reader.next_frame().unwrap() {
                    frames.push(frame.data);
                }
            }
            assert_eq!(frames, [&b"first"[..], b"", b"third"], "cut at {size}");
            assert!(!reader.is_partial());
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_head_alone() {
        let mut reader = Reader::new(4);
        reader.push(Bytes::from_static(&[0, 0, 0, 0, 5]));
        let problem = reader.next_frame().unwrap_err();
        assert_eq!((problem.code, problem.reason), (8, "MESSAGE_TOO_LARGE"));
    }

    #[test]
    fn unknown_flags_and_cut_frames_are_seen() {
        let mut reader = Reader::new(4);
        reader.push(Bytes::from_static(&[0, 0, 0, 0, 2, b'x']));
        assert_eq!(reader.next_frame().unwrap(), None);
        assert!(reader.is_partial());
        let mut reader = Reader::new(4);
        reader.push(Bytes::from_static(&[2, 0, 0, 0, 0]));
        assert_eq!(reader.next_frame().unwrap_err().reason, "MALFORMED_FRAME");
    }
}
