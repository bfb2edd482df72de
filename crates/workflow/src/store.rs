//! SQL and rows. Every statement names the organization although row-level security already keeps to it: the indexes begin
//! with it, and one wall is not enough. Only the relay's claim crosses organizations.
use db::Error;

pub(crate) mod erase;
pub(crate) mod run;
pub(crate) mod task;

/// Numbers as they are stored, for enums that check constraints keep within bounds.
fn numbered<T: Copy>(value: i16, all: &[T], number: impl Fn(T) -> i16) -> Result<T, Error> {
    let found = all.iter().copied().find(|candidate| number(*candidate) == value);
    found.ok_or_else(|| api::Error::fault("a stored number stands for nothing that this program knows").into())
}
