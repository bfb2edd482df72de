//! JSON text: the strict scanner for what comes in, the writer's small pieces for what goes out.

mod fault;
mod find;
mod scan;
mod trail;
mod write;

pub(crate) use fault::Fault;
pub(crate) use scan::{Kind, MAX_DEPTH, Scanner};
pub(crate) use trail::path;
pub(crate) use write::{base64, float32, float64, plain_near, string, text};
