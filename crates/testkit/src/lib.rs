//! A whole system in a test: the real host with all its layers over pipes, on real engines, isolated by name.
//!
//! What must hold: a test gets its own database (from a migrated template), NATS account, cache prefix and folders, and
//! connects with the services' own roles, so that row-level security is in force. Nothing is mocked; only the keys that verify
//! tokens are injected, so that a service can be tested without `auth`. Nothing here sleeps: [`eventually`] polls with a
//! deadline. Beside it stand the two tests of the whole: [`conformance`] of the contract, [`tree`] of the workspace.

mod collector;
pub mod conformance;
mod eventually;
mod port;
mod proxy;
mod system;
pub mod tree;

pub use collector::Collector;
pub use eventually::{Look, eventually, eventually_within, holding_until};
pub use port::free_address;
pub use proxy::Proxy;
pub use system::{Builder, Engine, Organization, Person, Published, System, Workload, temporary_folder};

/// A text with another last character. One that is always the same would now and then be the text itself.
#[must_use]
pub fn spoiled(text: &str) -> String {
    let mut text = text.to_owned();
    let last = text.pop();
    text.push(if last == Some('x') { 'y' } else { 'x' });
    text
}
