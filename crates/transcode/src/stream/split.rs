//! Client streams: a JSON array or lines of JSON, cut into their messages as the bytes arrive.
//!
//! Only the frame is read here: brackets, commas, line ends. Each message is checked strictly when it is
//! transcoded. Memory is bounded by one message.

use bytes::{Bytes, BytesMut};

use crate::problem::{Problem, code};

/// How the messages of a client stream are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Elements of one JSON array.
    Array,
    /// Lines; empty ones are skipped.
    Lines,
}

/// Where in an array the splitter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the `[`.
    Start,
    /// Before the first element, or the end.
    First,
    /// In or before an element.
    Element,
    /// Behind the `]`.
    Done,
}

/// Cuts a stream of chunks into messages.
#[derive(Debug)]
pub struct Splitter {
    unit: Unit,
    limit: usize,
    buffer: BytesMut,
    /// How far the buffer has been looked at.
    looked: usize,
    place: Place,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Splitter {
    /// A splitter for messages of at most `limit` bytes.
    #[must_use]
    pub fn new(unit: Unit, limit: usize) -> Self {
        Self {
            unit,
            limit,
            buffer: BytesMut::new(),
            looked: 0,
            place: Place::Start,
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// Takes the next chunk of the body.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Bytes that it holds with this chunk, as far as a message may be long.
    #[must_use]
    pub fn with(&self, chunk: &[u8]) -> usize {
        (self.buffer.len() + chunk.len()).min(self.limit)
    }

    /// The next complete message; `None` until more chunks have come.
    ///
    /// # Errors
    /// 400 for a broken frame, 413 for a message beyond the limit.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, Problem> {
        let message = match self.unit {
            Unit::Lines => self.line(),
            Unit::Array => self.element()?,
        };
        let waiting = message.as_ref().map_or(self.buffer.len(), Bytes::len);
        if waiting > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(message)
    }

    /// What is left when the body has ended: a last line without a line break, or nothing.
    ///
    /// # Errors
    /// 400 for an array that is not closed.
    pub fn finish(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.unit == Unit::Lines {
            let rest = self.buffer.split().freeze();
            self.looked = 0;
            return Ok((!is_blank(&rest)).then_some(rest));
        }
        // An empty body is a stream without messages.
        let empty = self.place == Place::Start && is_blank(&self.buffer);
        if empty || self.place == Place::Done {
            return Ok(None);
        }
        Err(broken("the array is not closed"))
    }

    fn line(&mut self) -> Option<Bytes> {
        loop {
            let end = memchr::memchr(b'\n', &self.buffer[self.looked..]);
            let Some(end) = end else {
                self.looked = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.looked + end + 1).freeze();
            self.looked = 0;
            if !is_blank(&line) {
                return Some(line.slice(..line.len() - 1));
            }
        }
    }

    fn element(&mut self) -> Result<Option<Bytes>, Problem> {
        while let Some(byte) = self.buffer.get(self.looked).copied() {
            if self.place == Place::Element && (self.depth > 0 || self.in_string) {
                self.inside(byte);
                self.looked += 1;
                continue;
            }
            match (self.place, byte) {
                (_, b' ' | b'\t' | b'\n' | b'\r') => self.looked += 1,
                (Place::Start, b'[') => self.enter(Place::First),
                (Place::Start, _) => return Err(broken("a stream of messages is a JSON array; begin it with `[`")),
                (Place::Done, _) => return Err(broken("something follows the array")),
                (Place::First, b']') => self.enter(Place::Done),
                (Place::First, _) => self.enter_element(),
                (Place::Element, b',' | b']') => return self.cut(byte).map(Some),
                (Place::Element, _) => {
                    self.inside(byte);
                    self.looked += 1;
                }
            }
        }
        Ok(None)
    }

    /// Keeps track of strings and brackets.
    fn inside(&mut self, byte: u8) {
        if self.in_string {
            let quote = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.in_string = !quote;
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Drops what has been read of the frame and goes on in `place`.
    fn enter(&mut self, place: Place) {
        drop(self.buffer.split_to(self.looked + 1));
        self.looked = 0;
        self.place = place;
    }

    fn enter_element(&mut self) {
        drop(self.buffer.split_to(self.looked));
        self.looked = 0;
        self.place = Place::Element;
    }

    fn cut(&mut self, end: u8) -> Result<Bytes, Problem> {
        let element = self.buffer.split_to(self.looked).freeze();
        self.looked = 0;
        self.enter(if end == b']' { Place::Done } else { Place::Element });
        if is_blank(&element) {
            return Err(broken("an element is missing between two commas or before the `]`"));
        }
        Ok(element)
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

fn broken(text: &str) -> Problem {
    Problem::invalid("MALFORMED_JSON", format!("The stream is refused: {text}."))
}

fn too_large(limit: usize) -> Problem {
    Problem::with(
        413,
        code::RESOURCE_EXHAUSTED,
        "MESSAGE_TOO_LARGE",
        format!("One message of the stream is larger than {limit} bytes; send smaller ones."),
    )
    .about("limit", limit.to_string())
}
