//! Page tokens of ListFiles.
use api::{Error, Page, Sealer};

use crate::model::Position;

const LIST: &str = "ListFiles";
const SIZE: usize = 50;
const SIZE_MAX: usize = 1000;

/// Opens and seals page tokens.
pub(crate) struct Pages {
    sealer: Sealer,
}

impl Pages {
    /// Seals with this service's key.
    pub(crate) fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }

    /// Reads size and token.
    pub(super) fn open(&self, parent: &str, size: i32, token: &str) -> Result<(Option<Position>, usize), Error> {
        let Page { size } = Page::parse(size, SIZE, SIZE_MAX)?;
        let opened = self.sealer.open(LIST, parent.as_bytes(), token)?;
        let position = opened.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        Ok((
            position
                .map_err(|error| Error::invalid_field("page_token", "is not a token of this list").caused_by(error))?,
            size,
        ))
    }

    /// Makes the token of the next page; empty when there is none.
    pub(super) fn seal(&self, parent: &str, next: Option<Position>) -> String {
        let Some(position) = next else { return String::new() };
        let text = serde_json::to_vec(&position).expect("a position is two numbers, which JSON has");
        self.sealer.seal(LIST, parent.as_bytes(), &text)
    }
}
