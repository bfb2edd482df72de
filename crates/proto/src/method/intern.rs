//! Methods and names that are kept until the process ends, each once.
//!
//! What must hold: equal values are the same value, and all of them together have a bound, so that a source that keeps
//! changing cannot fill the memory.
use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{Method, MethodsError};

/// Bytes that are kept in all: the contract needs less than a hundredth of it.
const BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Default)]
struct Kept {
    texts: HashSet<&'static str>,
    methods: HashSet<&'static Method>,
    bytes: usize,
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

/// The one copy of a text.
pub(super) fn text(text: &str) -> Result<&'static str, MethodsError> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.texts.get(text) {
        return Ok(known);
    }
    kept.grow(text.len() + size_of::<&str>())?;
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    kept.texts.insert(text);
    Ok(text)
}

/// The one copy of a method.
pub(super) fn method(method: Method) -> Result<&'static Method, MethodsError> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.methods.get(&method) {
        return Ok(known);
    }
    let closure = method.access.as_ref().map_or(0, |access| access.closure.len() + access.calls.len());
    kept.grow(size_of::<Method>() + closure * 64)?;
    let method: &'static Method = Box::leak(Box::new(method));
    kept.methods.insert(method);
    Ok(method)
}

impl Kept {
    fn grow(&mut self, by: usize) -> Result<(), MethodsError> {
        if self.bytes + by > BYTES_MAX {
            return Err(MethodsError(format!(
                "this process has read {BYTES_MAX} bytes of different methods; restart it to read more"
            )));
        }
        self.bytes += by;
        Ok(())
    }
}
