//! Inboxes and their items.
use api::Id;
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use crate::model::{InboxItem, InboxName, ItemName, Notice, Window};

/// Takes the lock of the inbox until the end of the transaction, also of one that was just made.
const NEXT: &str = "insert into inboxes (organization_id, user_id, last_sequence) values ($1, $2, 1)
     on conflict (organization_id, user_id) do update set last_sequence = inboxes.last_sequence + 1
     returning last_sequence";
const INSERT: &str = "insert into inbox_items
       (organization_id, user_id, sequence, id, event_id, category, title, subject, create_time)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const LAST: &str = "select last_sequence from inboxes where organization_id = $1 and user_id = $2";
const LIST: &str = "select id, sequence, category, title, subject, read, create_time from inbox_items
     where organization_id = $1 and user_id = $2 and sequence < $3 order by sequence desc limit $4";
const LIST_UNREAD: &str = "select id, sequence, category, title, subject, read, create_time from inbox_items
     where organization_id = $1 and user_id = $2 and sequence < $3 and not read order by sequence desc limit $4";
const UNREAD: &str = "select count(*) from inbox_items where organization_id = $1 and user_id = $2 and not read";
const AFTER: &str = "select id, sequence, category, title, subject, read, create_time from inbox_items
     where organization_id = $1 and user_id = $2 and sequence > $3 order by sequence limit $4";
const MISSING: &str = "select wanted.id from unnest($3::uuid[]) as wanted (id) where not exists (
       select from inbox_items i where i.organization_id = $1 and i.user_id = $2 and i.id = wanted.id
     ) limit 1";
const MARK: &str = "update inbox_items set read = $4
     where organization_id = $1 and user_id = $2 and id = any($3) and read <> $4";
const MARK_ALL: &str = "update inbox_items set read = $3 where organization_id = $1 and user_id = $2 and read <> $3";

/// Takes the next place in an inbox, which stays locked until the end of the transaction.
pub(crate) async fn next_sequence(tx: &Tx, inbox: InboxName) -> Result<i64, Error> {
    tx.query_one(NEXT, &[&inbox.organization.uuid(), &inbox.user.uuid()]).await?.try_get(0).map_err(Error::from)
}

/// Puts a notice in its place.
pub(crate) async fn insert(
    tx: &Tx,
    (name, sequence): (ItemName, i64),
    event: Id,
    notice: &Notice,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (organization, user, item) = (name.organization.uuid(), name.user.uuid(), name.item.uuid());
    let category = notice.category.as_str();
    let params: [&(dyn db::ToSql + Sync); 9] =
        [&organization, &user, &sequence, &item, &event.uuid(), &category, &notice.title, &notice.subject, &now];
    tx.execute(INSERT, &params).await.map(drop)
}

/// Sequence of the newest item; 0 of an inbox that never had one.
pub(crate) async fn last_sequence(tx: &Tx, inbox: InboxName) -> Result<i64, Error> {
    let row = tx.query_opt(LAST, &[&inbox.organization.uuid(), &inbox.user.uuid()]).await?;
    row.map_or(Ok(0), |row| row.try_get(0).map_err(Error::from))
}

/// Lists items, newest first.
pub(crate) async fn list(
    tx: &Tx,
    inbox: InboxName,
    unread_only: bool,
    window: &Window<i64>,
) -> Result<Vec<InboxItem>, Error> {
    let sql = if unread_only { LIST_UNREAD } else { LIST };
    let (before, rows) = (window.after.unwrap_or(i64::MAX), window.rows());
    let rows = tx.query(sql, &[&inbox.organization.uuid(), &inbox.user.uuid(), &before, &rows]).await?;
    rows.iter().map(|row| item(inbox, row)).collect()
}

/// How many items are unread.
pub(crate) async fn unread(tx: &Tx, inbox: InboxName) -> Result<i64, Error> {
    tx.query_one(UNREAD, &[&inbox.organization.uuid(), &inbox.user.uuid()]).await?.try_get(0).map_err(Error::from)
}

/// Items after a place, oldest first.
pub(crate) async fn after(tx: &Tx, inbox: InboxName, after: i64, most: i64) -> Result<Vec<InboxItem>, Error> {
    let rows = tx.query(AFTER, &[&inbox.organization.uuid(), &inbox.user.uuid(), &after, &most]).await?;
    rows.iter().map(|row| item(inbox, row)).collect()
}

/// One of these items that does not exist.
pub(crate) async fn missing(tx: &Tx, inbox: InboxName, items: &[Id]) -> Result<Option<Id>, Error> {
    let items: Vec<_> = items.iter().map(|item| item.uuid()).collect();
    let row = tx.query_opt(MISSING, &[&inbox.organization.uuid(), &inbox.user.uuid(), &items]).await?;
    row.map(|row| Ok(Id::from_uuid(row.try_get(0)?))).transpose()
}

/// Marks items, or all of them; says how many changed.
pub(crate) async fn mark(tx: &Tx, inbox: InboxName, items: Option<&[Id]>, read: bool) -> Result<u64, Error> {
    let (organization, user) = (inbox.organization.uuid(), inbox.user.uuid());
    match items {
        None => tx.execute(MARK_ALL, &[&organization, &user, &read]).await,
        Some(items) => {
            let items: Vec<_> = items.iter().map(|item| item.uuid()).collect();
            tx.execute(MARK, &[&organization, &user, &items, &read]).await
        }
    }
}

fn item(inbox: InboxName, row: &Row) -> Result<InboxItem, Error> {
    Ok(InboxItem {
        name: ItemName { organization: inbox.organization, user: inbox.user, item: Id::from_uuid(row.try_get("id")?) },
        sequence: row.try_get("sequence")?,
        category: row.try_get("category")?,
        title: row.try_get("title")?,
        subject: row.try_get("subject")?,
        read: row.try_get("read")?,
        create_time: row.try_get("create_time")?,
    })
}
