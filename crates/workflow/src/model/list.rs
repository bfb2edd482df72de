//! Lists, newest first: from where, how many. A position is the key of the last item seen, so that pages stay stable while
//! others write.
use api::Id;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A part of a list.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Items wanted, at least 1.
    pub(crate) size: usize,
    /// The last item of the page before.
    pub(crate) after: Option<Position>,
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Creation time in microseconds since 1970, as PostgreSQL keeps time.
    micros: i64,
    /// The item.
    pub(crate) id: Id,
}

impl Position {
    /// The position of an item.
    pub(crate) fn of(time: OffsetDateTime, id: Id) -> Self {
        Self { micros: i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX), id }
    }

    /// Creation time of the item; `None` for a time that nothing can have.
    pub(crate) fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.micros) * 1000).ok()
    }
}

impl Window {
    /// Rows to read: one more than wanted tells whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// Makes a page of the rows read.
    pub(crate) fn page<T>(&self, mut rows: Vec<T>, position: impl FnOnce(&T) -> Position) -> Listed<T> {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let next = rows.last().filter(|_| more).map(position);
        Listed { items: rows, next }
    }
}

/// One page, and where the next begins.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// `None` on the last page.
    pub(crate) next: Option<Position>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_another_follows() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).expect("valid");
        let window = Window { size: 2, after: None };
        let position = |_: &i32| Position::of(time, Id::ZERO);
        let next = window.page(vec![1, 2, 3], position).next.expect("a third one follows");
        assert_eq!(next.time(), Some(time));
        assert_eq!(window.page(vec![1, 2], position).next, None);
    }
}
