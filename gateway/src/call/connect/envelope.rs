//! Connect's envelopes from a caller: one byte of flags, four of length, then the message, which flag 1 says is coded.
use bytes::{Buf, Bytes, BytesMut};

use super::coded::plain;
use crate::{coding::Coding, refusal::Refusal};

/// Bytes before each message.
const HEAD: usize = 5;
/// The message is coded.
const CODED: u8 = 1;

/// Reads envelopes out of pieces that are cut anywhere.
pub(crate) struct Reader {
    buffer: BytesMut,
    limit: usize,
    coding: Option<Coding>,
}

impl Reader {
    /// A reader of messages of at most `limit` bytes, coded so where their flag says it.
    pub(crate) fn new(limit: usize, coding: Option<Coding>) -> Self {
        Self { buffer: BytesMut::new(), limit, coding }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.buffer.extend_from_slice(&piece);
    }

    /// Bytes that it holds with this piece, as far as a message may be long.
    pub(crate) fn with(&self, piece: &[u8]) -> usize {
        (self.buffer.len() + piece.len()).min(self.limit)
    }

    /// The next complete message.
    pub(crate) fn next_message(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some([flags, length @ ..]) = self.buffer.first_chunk::<HEAD>().copied() else { return Ok(None) };
        let length = u32::from_be_bytes(length) as usize;
        if flags > CODED {
            return Err(malformed("an envelope has flags that only a server sets"));
        }
        if length > self.limit {
            let message =
                format!("a message is larger than {} bytes (setting gateway.body_max); send smaller ones", self.limit);
            return Err(Refusal::new(413, tonic::Code::ResourceExhausted, "MESSAGE_TOO_LARGE", message));
        }
        if self.buffer.len() < HEAD + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let message = self.buffer.split_to(length).freeze();
        if flags != CODED {
            return Ok(Some(message));
        }
        let coding =
            self.coding.ok_or_else(|| malformed("a message is coded, but Connect-Content-Encoding is missing"))?;
        plain(Some(coding), message, self.limit).map(Some)
    }

    /// The end: nothing may be left.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        if self.buffer.is_empty() { Ok(()) } else { Err(malformed("the last envelope is cut")) }
    }
}

fn malformed(what: &str) -> Refusal {
    let message = format!("the stream is refused: {what}");
    Refusal::new(400, tonic::Code::InvalidArgument, "MALFORMED_FRAME", message)
}
