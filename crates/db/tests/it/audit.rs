//! Audit rows: in the change's own commit, and only for changes.
use api::CallContext;

use crate::support::{INSERT_NOTE, context, database, id, organization};

fn audited() -> CallContext {
    CallContext { audit: true, resource: "organizations/o/notes/n".to_owned(), ..context() }
}

#[tokio::test]
async fn an_audited_change_leaves_a_row_with_who_and_what() {
    let database = database().await;
    let (ours, context) = (organization(), audited());
    let tx = database.db.tenant_as(ours, &context).await.expect("PostgreSQL runs");
    tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &"audited"]).await.expect("it is ours");
    tx.commit().await.expect("nothing failed");
    let admin = database.admin().await;
    let row = admin
        .client
        .query_one("select organization_id, method, resource, actor, request_id from shelf.audit_event", &[])
        .await;
    let row = row.expect("there is exactly one");
    assert_eq!(row.get::<_, uuid::Uuid>(0), ours.uuid());
    assert_eq!(row.get::<_, &str>(1), "shelf.Test/Call");
    assert_eq!(row.get::<_, &str>(2), "organizations/o/notes/n");
    assert_eq!(row.get::<_, &str>(3), "users/u");
    assert_eq!(row.get::<_, &str>(4), context.request_id);
}

#[tokio::test]
async fn what_changed_nothing_or_was_not_committed_leaves_no_row() {
    let database = database().await;
    let ours = organization();
    let tx = database.db.tenant_as(ours, &audited()).await.expect("PostgreSQL runs");
    tx.query("select title from notes", &[]).await.expect("it may ask");
    tx.commit().await.expect("nothing failed");
    let tx = database.db.tenant_as(ours, &audited()).await.expect("PostgreSQL runs");
    tx.execute(INSERT_NOTE, &[&ours.uuid(), &id().uuid(), &"lost"]).await.expect("it is ours");
    drop(tx);
    database
        .db
        .tenant_as(ours, &audited())
        .await
        .expect("PostgreSQL runs")
        .commit()
        .await
        .expect("there is nothing to do");
    assert_eq!(database.admin().await.count("select count(*) from shelf.audit_event").await, 0);
}

#[tokio::test]
async fn audit_rows_cannot_be_changed_by_the_service() {
    let database = database().await;
    for sql in ["update audit_event set actor = 'nobody'", "delete from audit_event"] {
        let tx = database.db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
        assert!(tx.execute(sql, &[]).await.is_err(), "{sql}");
        let tx = database.db.system("try to hide", &context()).await.expect("PostgreSQL runs");
        assert!(tx.execute(sql, &[]).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn queries_that_go_with_the_commit_are_written_with_the_audit_row_or_not_at_all() {
    let database = database().await;
    let (ours, first) = (organization(), id().uuid());
    let (organization, read) = (ours.uuid(), "select title from notes order by title");
    let rows_of_audit = async || {
        let sql = "select count(*) from shelf.audit_event where organization_id = $1";
        database
            .admin()
            .await
            .client
            .query_one(sql, &[&organization])
            .await
            .expect("an operator may ask")
            .get::<_, i64>(0)
    };
    let tx = database.db.tenant_as(ours, &audited()).await.expect("PostgreSQL runs");
    let rows = tx.commit_with(&[(INSERT_NOTE, &[&organization, &first, &"a"]), (read, &[])]).await.expect("it is ours");
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1], "rows of the queries, in their order");
    assert_eq!(rows_of_audit().await, 1);

    // What fails on the server takes all along, what came before it and the audit row; what is not even sent too.
    for unfit in [&first as &(dyn db::ToSql + Sync), &"no uuid"] {
        let tx = database.db.tenant_as(ours, &audited()).await.expect("PostgreSQL runs");
        tx.execute(INSERT_NOTE, &[&organization, &id().uuid(), &"b"]).await.expect("it is ours");
        let failed = tx.commit_with(&[(INSERT_NOTE, &[&organization, unfit, &"c"]), (read, &[])]).await;
        assert!(failed.is_err());
        let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
        assert_eq!(tx.query(read, &[]).await.expect("it may ask").len(), 1);
        assert_eq!(rows_of_audit().await, 1);
    }
}
