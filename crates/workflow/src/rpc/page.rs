//! Page tokens: where a list goes on, sealed, for this list alone and for a while (AIP-158).
use std::time::Duration;

use api::{Clock, CommonReason, Error, Page, Sealer};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    model::{Position, Window},
};

const PAGE_SIZE: usize = 50;

/// Opens and seals page tokens.
pub(crate) struct Pages {
    sealer: Sealer,
    clock: Clock,
    age: Duration,
    max: usize,
}

/// A list with the parameters that must stay the same from page to page.
pub(super) struct List {
    method: &'static str,
    binding: Vec<u8>,
}

impl List {
    /// The list of a method with these parameters.
    pub(super) fn new(method: &'static str, parameters: &impl Serialize) -> Self {
        let binding = serde_json::to_vec(parameters).expect("parameters are texts and booleans, which JSON has");
        Self { method, binding }
    }
}

/// What a token holds.
#[derive(Serialize, Deserialize)]
struct Ticket {
    position: Position,
    /// Seconds since 1970.
    valid_until: i64,
}

impl Pages {
    /// Seals with this service's key, for as long as the settings say.
    pub(crate) fn new(sealer: Sealer, clock: Clock, config: &Config) -> Self {
        Self { sealer, clock, age: config.page_token_age, max: config.page_size_max }
    }

    /// Reads `page_size` and `page_token` of a request.
    pub(super) fn open(&self, list: &List, size: i32, token: &str) -> Result<Window, Error> {
        let Page { size } = Page::parse(size, PAGE_SIZE.min(self.max), self.max)?;
        let Some(opened) = self.sealer.open(list.method, &list.binding, token)? else {
            return Ok(Window { size, after: None });
        };
        let ticket: Ticket = serde_json::from_slice(&opened).map_err(|_| expired())?;
        if ticket.valid_until < self.clock.now().unix_timestamp() {
            return Err(expired());
        }
        Ok(Window { size, after: Some(ticket.position) })
    }

    /// Makes the token of the next page; empty when there is none.
    pub(super) fn seal(&self, list: &List, next: Option<&Position>) -> String {
        let Some(position) = next else { return String::new() };
        let ticket = Ticket { position: position.clone(), valid_until: (self.clock.now() + self.age).unix_timestamp() };
        let text = serde_json::to_vec(&ticket).expect("a position is numbers and texts, which JSON has");
        self.sealer.seal(list.method, &list.binding, &text)
    }
}

fn expired() -> Error {
    Error::invalid(CommonReason::PageTokenInvalid, "page_token is no longer valid; start at the first page")
        .violation("page_token", "has expired")
}
