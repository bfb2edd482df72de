//! Tenants and row-level security, with queries that filter nothing: the wall is all there is.
use api::{OrganizationId, UserId};
use db::{Db, Kind};

use crate::support::{INSERT_NOTE, admin, caller, context, database, database_with, id, organization, write_note};

async fn titles(db: &Db, organization: OrganizationId) -> Vec<String> {
    let tx = db.tenant_as(organization, &context()).await.expect("PostgreSQL runs");
    let rows = tx.query("select title from titles order by title", &[]).await.expect("the tenant may read");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn doc_35_a_tenant_sees_and_changes_only_its_own_rows() {
    let database = database().await;
    let (ours, theirs) = (organization(), organization());
    write_note(&database.db, ours, "ours").await;
    let foreign = write_note(&database.db, theirs, "theirs").await;
    assert_eq!(titles(&database.db, ours).await, ["ours"]);
    assert_eq!(titles(&database.db, theirs).await, ["theirs"]);

    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let changed =
        tx.execute("update notes set title = 'taken' where id = $1", &[&foreign.uuid()]).await.expect("no row matches");
    let removed =
        tx.execute("delete from notes where organization_id <> $1", &[&ours.uuid()]).await.expect("no row matches");
    assert_eq!((changed, removed), (0, 0));
    tx.commit().await.expect("nothing failed");
    assert_eq!(titles(&database.db, theirs).await, ["theirs"]);
}

#[tokio::test]
async fn a_row_for_another_tenant_is_refused() {
    let database = database().await;
    let tx = database.db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
    let error = tx
        .execute(INSERT_NOTE, &[&organization().uuid(), &id().uuid(), &"smuggled"])
        .await
        .expect_err("the wall stands");
    assert!(matches!(error.kind(), Kind::Internal), "{error:?}");
    let error = tx.commit().await.expect_err("its statement failed");
    assert!(matches!(error.kind(), Kind::Internal), "{error:?}");
    assert_eq!(database.admin().await.count("select count(*) from shelf.notes").await, 0);
}

#[tokio::test]
async fn settings_end_with_their_transaction() {
    let database = database_with(|settings| settings.pool_size = 1).await;
    let ours = organization();
    write_note(&database.db, ours, "ours").await;
    assert_eq!(titles(&database.db, ours).await, ["ours"]);
    let tx = database.db.subject(UserId(id()), &context()).await.expect("PostgreSQL runs");
    let seen = tx.query("select title from notes", &[]).await.expect("it may ask");
    assert_eq!(seen.len(), 0, "the organization of the transaction before is still set");
    let who = tx.query_one("select current_user::text, workos.organization()", &[]).await.expect("it may ask");
    assert_eq!((who.get::<_, String>(0), who.get::<_, Option<uuid::Uuid>>(1)), ("workos_shelf".to_owned(), None));
}

#[tokio::test]
async fn a_caller_sees_his_own_rows_beside_those_of_the_organization() {
    let database = database().await;
    let (organization, me, other) = (organization(), UserId(id()), UserId(id()));
    for user in [me, other] {
        let tx = database.db.subject(user, &context()).await.expect("PostgreSQL runs");
        tx.execute("insert into preferences values ($1, 'dark')", &[&user.uuid()]).await.expect("it is his own row");
        tx.commit().await.expect("nothing failed");
    }
    write_note(&database.db, organization, "shared").await;
    let tx = database.db.tenant(&caller(organization, me)).await.expect("PostgreSQL runs");
    let (mine, notes) =
        tokio::join!(tx.query("select user_id from preferences", &[]), tx.query("select title from notes", &[]));
    let mine = mine.expect("it may ask");
    assert_eq!((mine.len(), mine[0].get::<_, uuid::Uuid>(0)), (1, me.uuid()));
    assert_eq!(notes.expect("it may ask").len(), 1);
    let foreign =
        tx.execute("insert into preferences values ($1, 'light')", &[&id().uuid()]).await.expect_err("the wall stands");
    assert!(matches!(foreign.kind(), Kind::Internal));
}

#[tokio::test]
async fn only_a_system_transaction_crosses_tenants() {
    let database = database().await;
    for title in ["a", "b", "c"] {
        write_note(&database.db, organization(), title).await;
    }
    let tx = database.db.system("count all notes", &context()).await.expect("PostgreSQL runs");
    tx.execute("insert into secrets values ('key')", &[]).await.expect("the system may");
    assert_eq!(tx.query("select title from notes", &[]).await.expect("the system may").len(), 3);
    tx.commit().await.expect("nothing failed");
    let tx = database.db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
    assert_eq!(tx.query("select value from secrets", &[]).await.expect("it may ask").len(), 0);
}

#[tokio::test]
async fn the_services_role_owns_nothing_and_cannot_become_the_owner() {
    let database = database().await;
    let admin = database.admin().await;
    let owned =
        "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname like 'workos_shelf%'";
    assert_eq!(admin.count(owned).await, 0);
    let strong = "select count(*) from pg_roles where rolname like 'workos_shelf%' and (rolbypassrls or rolsuper or rolcreaterole or rolinherit)";
    assert_eq!(admin.count(strong).await, 0);
    let tx = database.db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
    assert!(tx.execute("set local role workos_owner", &[]).await.is_err());
    let tx = database.db.tenant_as(organization(), &context()).await.expect("PostgreSQL runs");
    assert!(tx.execute("alter table notes disable row level security", &[]).await.is_err());
}

#[tokio::test]
async fn every_table_has_forced_walls() {
    let database = database().await;
    let admin = database.admin().await;
    let open = "select count(*) from pg_class where relnamespace = 'shelf'::regnamespace and relkind in ('r', 'p') \
                and relname not like '%\\_history' and not (relrowsecurity and relforcerowsecurity)";
    assert_eq!(admin.count(open).await, 0);
    let all = "select count(*) from pg_class where relnamespace = 'shelf'::regnamespace and relkind = 'r'";
    assert_eq!(
        admin.count(all).await,
        4 + 5 + 2,
        "notes, remarks, preferences, secrets; five of the platform; two histories"
    );
}

#[tokio::test]
async fn foreign_keys_work_behind_the_walls() {
    let database = database().await;
    let ours = organization();
    let note = write_note(&database.db, ours, "with remarks").await;
    let remark = "insert into remarks values ($1, $2, 'x')";
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    tx.execute(remark, &[&ours.uuid(), &note.uuid()]).await.expect("the note is there");
    tx.execute("delete from notes where id = $1", &[&note.uuid()]).await.expect("the remark goes with it");
    tx.commit().await.expect("nothing failed");
    assert_eq!(admin(&database.admin_url).await.count("select count(*) from shelf.remarks").await, 0);
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let error = tx.execute(remark, &[&ours.uuid(), &note.uuid()]).await.expect_err("the note is gone");
    assert!(error.is_foreign_key("remarks_note"), "{error:?}");
}

#[tokio::test]
async fn queries_together_run_in_their_order_behind_the_walls() {
    let database = database().await;
    let (ours, first, second) = (organization(), id().uuid(), id().uuid());
    write_note(&database.db, organization(), "of others").await;
    let (insert, read) = ("insert into notes values ($1, $2, $3)", "select title from notes order by title");
    let organization = ours.uuid();
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let rows = tx
        .together(&[
            (read, &[]),
            (insert, &[&organization, &first, &"a"]),
            (read, &[]),
            (insert, &[&organization, &second, &"b"]),
            (read, &[]),
        ])
        .await
        .expect("nothing fails");
    assert_eq!(
        rows.iter().map(Vec::len).collect::<Vec<_>>(),
        [0, 0, 1, 0, 2],
        "each sees those before it, and nothing of others"
    );
    tx.commit().await.expect("nothing failed");

    // The first that fails is the result, and nothing stays; the connection is good for the next.
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    let third = id().uuid();
    let failed = tx
        .together(&[(insert, &[&organization, &third, &"c"]), (insert, &[&organization, &third, &"d"]), (read, &[])])
        .await;
    assert!(matches!(failed.expect_err("the key is taken").kind(), Kind::Unique { .. }));
    assert!(tx.commit().await.is_err());
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    assert_eq!(tx.query(read, &[]).await.expect("it may ask").len(), 2);
    let unfit = tx.together(&[(read, &[]), (insert, &[&organization, &"no uuid", &"e"]), (read, &[])]).await;
    assert!(unfit.is_err(), "what cannot be written for PostgreSQL is not sent");
    drop(tx);
    let tx = database.db.tenant_as(ours, &context()).await.expect("PostgreSQL runs");
    assert_eq!(tx.together(&[(read, &[])]).await.expect("it may ask")[0].len(), 2);
    assert!(tx.together(&[]).await.expect("nothing is asked").is_empty());
}
