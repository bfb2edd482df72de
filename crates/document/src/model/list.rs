//! Lists: in which order, from where, how many. A position is the key of the last item seen, so that pages stay stable while
//! others write.
use api::{Error, Id, OrganizationId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A part of a list.
#[derive(Clone, Debug)]
pub(crate) struct Window<P> {
    /// Items wanted, at least 1.
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

/// Which documents, in which order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentQuery {
    /// The organization.
    pub(crate) organization: OrganizationId,
    /// Only those directly in this folder; `Some(None)` is the root folder.
    pub(crate) folder: Option<Option<Id>>,
    /// The order.
    pub(crate) order: Order,
    /// Also those in the trash.
    pub(crate) show_deleted: bool,
}

/// Order of a list of documents; equal keys are ordered by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// By what.
    pub(crate) field: OrderField,
    /// The largest first.
    pub(crate) descending: bool,
}

/// What documents can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderField {
    /// When it was created.
    CreateTime,
    /// When it was last changed.
    UpdateTime,
    /// The title without regard to case.
    Title,
}

impl Order {
    /// Reads `order_by` (AIP-132): a field, perhaps followed by ` desc`. Spaces do not count.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut words = text.split_whitespace();
        let field = match words.next() {
            None | Some("create_time") => OrderField::CreateTime,
            Some("update_time") => OrderField::UpdateTime,
            Some("title") => OrderField::Title,
            Some(_) => return Err(Self::unknown()),
        };
        let descending = match words.next() {
            None => false,
            Some("desc") => true,
            Some(_) => return Err(Self::unknown()),
        };
        if words.next().is_some() { Err(Self::unknown()) } else { Ok(Self { field, descending }) }
    }

    fn unknown() -> Error {
        Error::invalid_field("order_by", "must be create_time, update_time or title, perhaps followed by \" desc\"")
    }
}

/// Where a page of documents ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocumentPosition {
    /// What the list is ordered by.
    pub(crate) key: Key,
    /// The document.
    pub(crate) id: Id,
}

/// A value that documents are ordered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Key {
    /// Microseconds since 1970, as PostgreSQL keeps time.
    Time(i64),
    /// A key of a title.
    Title(String),
}

impl Key {
    /// The key of a time.
    pub(crate) fn of_time(time: OffsetDateTime) -> Self {
        Self::Time(i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
    }

    /// The time of a key; `None` for a title, or a time that no document can have.
    pub(crate) fn time(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Time(micros) => OffsetDateTime::from_unix_timestamp_nanos(i128::from(*micros) * 1000).ok(),
            Self::Title(_) => None,
        }
    }

    /// The title of a key; `None` for a time.
    pub(crate) fn title(&self) -> Option<&str> {
        match self {
            Self::Time(_) => None,
            Self::Title(title) => Some(title),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_field_and_a_direction() {
        let order = |field, descending| Order { field, descending };
        assert_eq!(Order::parse("").expect("default"), order(OrderField::CreateTime, false));
        assert_eq!(Order::parse(" update_time  desc ").expect("valid"), order(OrderField::UpdateTime, true));
        for text in ["id", "title asc desc", "title, create_time", "Title", "desc"] {
            assert_eq!(Order::parse(text).expect_err("unknown").reason(), "FIELD_INVALID", "{text}");
        }
    }

    #[test]
    fn a_page_knows_whether_another_follows() {
        let window = Window { size: 2, after: None };
        assert_eq!(window.page(vec![1, 2, 3], |last| *last).next, Some(2));
        assert_eq!(window.page(vec![1, 2], |last| *last).next, None);
        assert_eq!(window.page(Vec::<i32>::new(), |last| *last).next, None);
    }

    #[test]
    fn the_key_of_a_time_is_exact() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).expect("valid");
        assert_eq!(Key::of_time(time).time(), Some(time));
    }
}
