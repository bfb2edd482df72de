//! Pages.

/// A page that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<P> {
    /// Items wanted.
    pub(crate) size: usize,
    /// The last item of the page before.
    pub(crate) after: Option<P>,
}

impl<P> Window<P> {
    /// Rows to read: one more than wanted tells whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// Makes a page of the rows read.
    pub(crate) fn page<T>(&self, mut rows: Vec<T>, position: impl FnOnce(&T) -> P) -> Listed<T, P> {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let next = rows.last().filter(|_| more).map(position);
        Listed { items: rows, next }
    }
}

/// One page, and where the next begins.
#[derive(Debug)]
pub(crate) struct Listed<T, P> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// `None` on the last page.
    pub(crate) next: Option<P>,
}
