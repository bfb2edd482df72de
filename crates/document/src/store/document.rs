//! Documents with the text of their newest revision.
use api::{Id, OrganizationId, UserId};
use db::{Error, Json, Row, Tx};

use super::Viewer;
use crate::model::{
    Body, Content, Document, DocumentName, DocumentPosition, DocumentQuery, Edition, Key, Metadata, Order, OrderField,
    Share, Shared, Trash, Window, key,
};

/// Columns of [`document`].
macro_rules! columns {
    () => {
        "d.organization_id, d.id, d.folder_id, d.title, d.files, d.head, d.version, d.creator_id, \
         d.create_time, d.update_time, d.delete_time, d.purge_time"
    };
}

/// The strongest grant of a document `d` among those of the principals $3 that hold at $4.
macro_rules! strongest_grant {
    () => {
        " left join lateral (
            select role, expire_time from grants
            where organization_id = d.organization_id and document_id = d.id and principal = any($3)
              and (expire_time is null or expire_time > $4)
            order by role desc, expire_time desc nulls first limit 1
          ) g on true "
    };
}

/// The newest revision of a document `d`. `limit 1` keeps the planner from reading all revisions to filter them by number.
macro_rules! head_revision {
    () => {
        " join lateral (
            select media_type, content, metadata from revisions
            where organization_id = d.organization_id and document_id = d.id and number = d.head limit 1
          ) r on true "
    };
}
pub(super) use head_revision;

const COLUMNS: &str = columns!();

const FIND: &str = concat!(
    "select ",
    columns!(),
    ", r.media_type, r.content, r.metadata, g.role, g.expire_time from documents d",
    head_revision!(),
    strongest_grant!(),
    "where d.organization_id = $1 and d.id = $2"
);
const ACCESS: &str = concat!(
    "select d.head, g.role, g.expire_time from documents d",
    strongest_grant!(),
    "where d.organization_id = $1 and d.id = $2"
);
const LOCK: &str = "select from documents where organization_id = $1 and id = $2 for update";
/// Zero rows when the folder is absent, or the id was purged at this version or a later one. The key share lock keeps the
/// folder until the commit.
const INSERT: &str = "with place as (
       select from folders where organization_id = $1 and id = $3 for key share
     ), document as (
       insert into documents (organization_id, id, folder_id, title, title_key, head, version, creator_id, create_time, update_time)
       select $1::uuid, $2::uuid, $3::uuid, $4::text, $5::text, 1, $6::bigint, $7::uuid, $8::timestamptz, $8::timestamptz
       where ($3::uuid is null or exists (select from place)) and not exists (
         select from purged_documents where organization_id = $1 and id = $2 and version >= $6
       )
       returning id
     )
     insert into revisions (organization_id, document_id, number, title, media_type, content, metadata, author_id, create_time)
     select $1::uuid, id, 1, $4::text, $9::text, $10::text, $11::json, $7::uuid, $8::timestamptz from document";
const PURGED_VERSION: &str = "select version from purged_documents where organization_id = $1 and id = $2";
const REVISE: &str = "with revision as (
       insert into revisions (organization_id, document_id, number, title, media_type, content, metadata, author_id, create_time)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     )
     update documents set folder_id = $10, title = $4, title_key = $11, head = $3, version = $12, update_time = $9
     where organization_id = $1 and id = $2";
const SAVE: &str =
    "update documents set folder_id = $3, files = $4, version = $5, update_time = $6, delete_time = $7, purge_time = $8
     where organization_id = $1 and id = $2";

/// A document that was found, and the strongest share that the viewer has on it.
pub(crate) struct Found {
    /// The document.
    pub(crate) edition: Edition,
    /// `None` without a share; also for who reads everything by role.
    pub(crate) shared: Option<Shared>,
}

impl Found {
    /// What the share allows.
    pub(crate) fn share(&self) -> Option<Share> {
        self.shared.map(|shared| shared.role)
    }
}

/// What is needed of a document to decide about something that belongs to it.
pub(crate) struct Access {
    /// Number of the newest revision.
    pub(crate) head: i64,
    /// The strongest share that the viewer has.
    pub(crate) share: Option<Share>,
}

/// Looks what the viewer may do with a document, without reading its text.
pub(crate) async fn access(tx: &Tx, name: DocumentName, viewer: &Viewer) -> Result<Option<Access>, Error> {
    let (organization, id) = (name.organization.uuid(), name.document.uuid());
    let row = tx.query_opt(ACCESS, &[&organization, &id, &viewer.principals.names(), &viewer.now]).await?;
    let read = |row: Row| Ok(Access { head: row.try_get("head")?, share: shared(&row)?.map(|shared| shared.role) });
    row.map(read).transpose()
}

/// Finds a document, whether the viewer may see it or not.
pub(crate) async fn find(tx: &Tx, name: DocumentName, viewer: &Viewer) -> Result<Option<Found>, Error> {
    let (organization, id) = (name.organization.uuid(), name.document.uuid());
    let row = tx.query_opt(FIND, &[&organization, &id, &viewer.principals.names(), &viewer.now]).await?;
    row.map(|row| found(&row)).transpose()
}

/// Locks a document until the end of the transaction; false when it is not there. What is to be known of it is read afterwards: a statement
/// that waits for the lock would go on to read revisions and grants as they were before.
pub(crate) async fn lock(tx: &Tx, name: DocumentName) -> Result<bool, Error> {
    Ok(tx.execute(LOCK, &[&name.organization.uuid(), &name.document.uuid()]).await? > 0)
}

/// Inserts a document with its first revision; says whether it could. Fails on `documents_pkey` when the id is taken.
pub(crate) async fn insert(tx: &Tx, edition: &Edition) -> Result<bool, Error> {
    let Edition { document, body } = edition;
    let inserted = tx
        .execute(
            INSERT,
            &[
                &document.name.organization.uuid(),
                &document.name.document.uuid(),
                &document.folder.map(Id::uuid),
                &document.title,
                &key(&document.title),
                &document.version,
                &document.creator.uuid(),
                &document.create_time,
                &body.content.media_type,
                &body.content.text,
                &Json(body.metadata.object()),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// The last version of a document that was purged.
pub(crate) async fn purged_version(tx: &Tx, name: DocumentName) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(PURGED_VERSION, &[&name.organization.uuid(), &name.document.uuid()]).await?;
    row.map(|row| row.try_get(0).map_err(Error::from)).transpose()
}

/// Saves an edition of a locked document with its new revision.
pub(crate) async fn revise(tx: &Tx, edition: &Edition, author: UserId) -> Result<(), Error> {
    let Edition { document, body } = edition;
    tx.execute(
        REVISE,
        &[
            &document.name.organization.uuid(),
            &document.name.document.uuid(),
            &document.head,
            &document.title,
            &body.content.media_type,
            &body.content.text,
            &Json(body.metadata.object()),
            &author.uuid(),
            &document.update_time,
            &document.folder.map(Id::uuid),
            &key(&document.title),
            &document.version,
        ],
    )
    .await
    .map(drop)
}

/// Saves folder, files and state of a locked document.
pub(crate) async fn save(tx: &Tx, document: &Document) -> Result<(), Error> {
    let files: Vec<_> = document.files.iter().map(|file| file.uuid()).collect();
    tx.execute(
        SAVE,
        &[
            &document.name.organization.uuid(),
            &document.name.document.uuid(),
            &document.folder.map(Id::uuid),
            &files,
            &document.version,
            &document.update_time,
            &document.trash.map(|trash| trash.delete_time),
            &document.trash.map(|trash| trash.purge_time),
        ],
    )
    .await
    .map(drop)
}

/// How much a viewer may see, which says where a list begins: whatever he goes by, a page must not read the whole organization to find
/// that little or nothing is shared with him, nor all that is shared with him where that is much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// Everything: in the order of the list.
    All,
    /// No more than [`FEW`] grants: with these.
    Few,
    /// In the order of the list, looking at each of the first [`LOOKED_AT`] whether he may see it: mostly he may. Where they do not fill a
    /// page, his are elsewhere, and the list begins with the grants after all.
    Many,
}

/// Grants up to which a list begins with them.
const FEW: i64 = 1_000;
/// Documents that a page looks at in the order of the list.
const LOOKED_AT: i64 = 500;
/// Grants of the principals $2 that hold at $3, as far as $4.
const GRANTS: &str = "select count(*) from (
       select from grants where organization_id = $1 and principal = any($2) and (expire_time is null or expire_time > $3) limit $4
     ) as held";

async fn sight(tx: &Tx, organization: OrganizationId, viewer: &Viewer) -> Result<Sight, Error> {
    if viewer.by_role {
        return Ok(Sight::All);
    }
    let (organization, most) = (organization.uuid(), FEW + 1);
    let row = tx.query_one(GRANTS, &[&organization, &viewer.principals.names(), &viewer.now, &most]).await?;
    Ok(if row.try_get::<_, i64>(0)? > FEW { Sight::Many } else { Sight::Few })
}

/// Lists documents that the viewer may see.
pub(crate) async fn list(
    tx: &Tx,
    query: &DocumentQuery,
    viewer: &Viewer,
    window: &Window<DocumentPosition>,
) -> Result<Vec<Document>, Error> {
    let organization = query.organization.uuid();
    let folder = query.folder.flatten().map(Id::uuid);
    let after = window.after.as_ref();
    let (time, title) = (after.and_then(|after| after.key.time()), after.and_then(|after| after.key.title()));
    let id = after.map(|after| after.id.uuid());
    let rows = window.rows();
    let params: [&(dyn db::ToSql + Sync); 8] =
        [&organization, &rows, &viewer.principals.names(), &viewer.now, &folder, &id, &time, &title];
    let sight = sight(tx, query.organization, viewer).await?;
    let mut listed = tx.query(&list_sql(query, sight, after.is_some()), &params).await?;
    // A row of nothing at the end: the page is not full, and there are documents that were not looked at.
    let last = listed.last().map(|row| row.try_get::<_, Option<_>>("id")).transpose()?;
    if last.is_some_and(|id| id.map(Id::from_uuid).is_none()) {
        listed = tx.query(&list_sql(query, Sight::Few, after.is_some()), &params).await?;
    }
    listed.iter().map(document).collect()
}

/// Only the conditions that are needed are in the text, so that each variant has its own plan: what `offset 0` fences off, the planner does
/// not turn into another way by guessing how much is shared. All variants take the same parameters; the first line names them with their
/// types, because PostgreSQL wants to see each one.
fn list_sql(query: &DocumentQuery, sight: Sight, later_page: bool) -> String {
    let Order { field, descending } = query.order;
    let (column, key) = match field {
        OrderField::CreateTime => ("d.create_time", "$7"),
        OrderField::UpdateTime => ("d.update_time", "$7"),
        OrderField::Title => ("d.title_key", "$8"),
    };
    let (direction, beyond) = if descending { ("desc", "<") } else { ("asc", ">") };
    let mut which = String::new();
    match query.folder {
        None => {}
        Some(None) => which += " and d.folder_id is null",
        Some(Some(_)) => which += " and d.folder_id = $5",
    }
    if !query.show_deleted {
        which += " and d.delete_time is null";
    }
    if later_page {
        which += &format!(" and ({column}, d.id) {beyond} ({key}, $6)");
    }
    let order = format!(" order by {column} {direction}, d.id {direction}");
    let documents = format!("documents d where d.organization_id = $1{which}");
    let page = match sight {
        Sight::All => format!("select {COLUMNS} from {documents}{order}"),
        Sight::Few => format!(
            "select {COLUMNS} from \
               (select distinct document_id from grants where organization_id = $1 and principal = any($3) \
                and (expire_time is null or expire_time > $4) offset 0) g \
             cross join lateral (select * from documents where organization_id = $1 and id = g.document_id offset 0) d \
             where true{which}{order}"
        ),
        // The second part is asked for only when the first has not filled the page.
        Sight::Many => format!(
            "(select {COLUMNS} from (select * from {documents}{order} limit {LOOKED_AT}) d \
              where exists (select from grants g where g.organization_id = d.organization_id and g.document_id = d.id \
                and g.principal = any($3) and (g.expire_time is null or g.expire_time > $4) offset 0){order} limit $2) \
             union all \
             (select {COLUMNS} from (select (null::documents).*) d \
              where exists (select from {documents}{order} offset {LOOKED_AT} limit 1))"
        ),
    };
    format!(
        "with parameter as (select $3::text[], $4::timestamptz, $5::uuid, $6::uuid, $7::timestamptz, $8::text) {page} limit $2"
    )
}

/// Where a list in this order goes on after this document.
pub(crate) fn position(document: &Document, order: Order) -> DocumentPosition {
    let key = match order.field {
        OrderField::CreateTime => Key::of_time(document.create_time),
        OrderField::UpdateTime => Key::of_time(document.update_time),
        OrderField::Title => Key::Title(key(&document.title)),
    };
    DocumentPosition { key, id: document.name.document }
}

fn found(row: &Row) -> Result<Found, Error> {
    Ok(Found { edition: Edition { document: document(row)?, body: body(row)? }, shared: shared(row)? })
}

fn shared(row: &Row) -> Result<Option<Shared>, Error> {
    let role: Option<i16> = row.try_get("role")?;
    let expire_time = row.try_get("expire_time")?;
    let role = role.and_then(|role| Share::try_from(i32::from(role)).ok());
    Ok(role.map(|role| Shared { role, expire_time }))
}

fn document(row: &Row) -> Result<Document, Error> {
    let organization = OrganizationId(Id::from_uuid(row.try_get("organization_id")?));
    let files: Vec<_> = row.try_get("files")?;
    let trash = match (row.try_get("delete_time")?, row.try_get("purge_time")?) {
        (Some(delete_time), Some(purge_time)) => Some(Trash { delete_time, purge_time }),
        _ => None,
    };
    Ok(Document {
        name: DocumentName { organization, document: Id::from_uuid(row.try_get("id")?) },
        folder: row.try_get::<_, Option<_>>("folder_id")?.map(Id::from_uuid),
        title: row.try_get("title")?,
        files: files.into_iter().map(Id::from_uuid).collect(),
        head: row.try_get("head")?,
        version: row.try_get("version")?,
        creator: UserId(Id::from_uuid(row.try_get("creator_id")?)),
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
        trash,
    })
}

pub(super) fn body(row: &Row) -> Result<Body, Error> {
    let Json(metadata) = row.try_get("metadata")?;
    Ok(Body {
        content: Content { media_type: row.try_get("media_type")?, text: row.try_get("content")? },
        metadata: Metadata::restore(metadata),
    })
}

#[cfg(test)]
mod tests;
