//! JSON text: the strict scanner for what comes in, the writer's small pieces for what goes out.

mod scan;
mod write;

pub(crate) use scan::{Fault, Kind, Scanner};
pub(crate) use write::{float32, float64, string};
