//! Keys: a kind, its parts, and the type of the value behind it.
use std::{fmt::Display, marker::PhantomData};

/// The key of a value of type `T`. Two keys are equal only if kind and all parts are: separators inside a part are escaped.
pub struct Key<T> {
    text: String,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key. `kind` names what is cached and should carry a number that changes with the shape of `T`, for example
    /// `directory1`; then an old value is never read as a new one.
    #[must_use]
    pub fn new(kind: &'static str, parts: &[&dyn Display]) -> Self {
        let mut text = kind.to_owned();
        for part in parts {
            text.push(':');
            escape(&mut text, &part.to_string());
        }
        Self { text, value: PhantomData }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), value: PhantomData }
    }
}

impl<T> std::fmt::Debug for Key<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Key").field(&self.text).finish()
    }
}

/// Writes a part so that it holds no separator.
pub(crate) fn escape(text: &mut String, part: &str) {
    let mut rest = part;
    while let Some(at) = rest.find([':', '%']) {
        let (plain, marked) = rest.split_at(at);
        let letter = if marked.starts_with(':') { "%3a" } else { "%25" };
        text.extend([plain, letter]);
        rest = &marked[1..];
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_run_into_each_other() {
        let one = Key::<u8>::new("k", &[&"a:b", &"c"]);
        let two = Key::<u8>::new("k", &[&"a", &"b:c"]);
        assert_ne!(one.text(), two.text());
        assert_eq!(one.text(), "k:a%3ab:c");
        assert_ne!(Key::<u8>::new("k", &[&"%3a"]).text(), Key::<u8>::new("k", &[&":"]).text());
    }
}
