//! What happens to one tenant's rows: every one of them that is made, changed or deleted, in every table of every service, whoever
//! does it. Triggers write it down where it happens, so that a look costs next to nothing and tells which row it was.
use std::time::Duration;

use testkit::eventually_within;

use super::stock::{Tenant, uuid};
use crate::platform::Site;

/// Tables whose rows come and go by themselves: what was heard, what counts.
const BY_ITSELF: &str = "(processed_event|epoch)$";
/// Looks without anything new after which nothing moves any more.
const STILL: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);

/// Eyes on a tenant.
pub(super) struct Watch<'a> {
    site: &'a Site,
}

/// A row that is not what it was.
#[derive(Debug)]
pub(super) struct Change {
    /// `auth.users`.
    pub(super) table: String,
    /// The row as it was and as it is, as far as there is one.
    pub(super) row: String,
}

impl<'a> Watch<'a> {
    /// Sets the triggers, and waits until nothing moves.
    pub(super) async fn over(site: &'a Site, tenant: &Tenant) -> Watch<'a> {
        site.sql(&written_down(tenant)).await;
        // A transaction for each: all tables held at once could meet what the services hold.
        site.sql(&format!(
            "do $$ declare t record; begin
               for t in select c.oid::regclass as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where c.relkind in ('r', 'p') and not c.relispartition and c.relname !~ '{BY_ITSELF}'
                   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'trial')
               loop
                 execute format('create trigger trial after insert or update or delete on %s for each row execute function trial.note()', t.name);
                 commit;
               end loop;
             end $$"
        ))
        .await;
        let tables = site.count("select count(*) from pg_trigger where tgname = 'trial' and tgparentid = 0").await;
        assert!(tables > 50, "only {tables} tables are watched");
        let watch = Watch { site };
        watch.until_still().await;
        watch
    }

    /// What has changed since the last look.
    pub(super) async fn changes(&self) -> Vec<Change> {
        let taken = "with taken as (delete from trial.changes returning *)
            select relation, coalesce(before, 'nothing') || ' -> ' || coalesce(after, 'nothing') from taken order by number";
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let rows = self.site.sql(taken).await;
        rows.iter().map(|row| Change { table: text(&row[0]), row: text(&row[1]) }).collect()
    }

    /// The same, once nothing is on its way any more.
    pub(super) async fn until_still(&self) -> Vec<Change> {
        let seen = std::sync::Mutex::new((Vec::new(), 0));
        let look = || async {
            let waits = self.site.count(WAITS).await;
            let new = self.changes().await;
            let mut seen = seen.lock().expect("no panic");
            seen.1 = if new.is_empty() && waits == 0 { seen.1 + 1 } else { 0 };
            seen.0.extend(new);
            if seen.1 < STILL { Err(format!("{waits} events and mails wait")) } else { Ok(()) }
        };
        eventually_within(PATIENCE, "the tenant is still", look).await;
        seen.into_inner().expect("no panic").0
    }
}

/// Events that no consumer has, mails that nobody has made, audit rows that are not chained.
const WAITS: &str = "select (select count(*) from auth.outbox_event where sent_at is null)
    + (select count(*) from document.outbox_event where sent_at is null)
    + (select count(*) from workflow.outbox_event where sent_at is null)
    + (select count(*) from auth.audit_pending) + (select count(*) from auth.mail_requests)";

/// Where the triggers write, and what they do. A row is the tenant's when its organization is; one without an organization when its
/// user is, or when anything else in it names the tenant or its people.
fn written_down(tenant: &Tenant) -> String {
    let organization = uuid(&tenant.organization);
    let users: Vec<_> = tenant.names["users/*"].iter().map(|name| uuid(name).to_string()).collect();
    let (listed, either) = (users.join("', '"), users.join("|"));
    format!(
        "create schema trial;
         create table trial.changes (number bigint generated always as identity, relation text not null, before text, after text);
         create function trial.is_theirs(r jsonb) returns boolean language sql immutable as $$
           select case when r ->> 'organization_id' is not null then r ->> 'organization_id' = '{organization}'
             else r ->> 'user_id' in ('{listed}') or (r - 'user_id')::text ~ '{organization}|{either}' end $$;
         create function trial.note() returns trigger language plpgsql security definer as $$
         declare before jsonb := to_jsonb(old); after jsonb := to_jsonb(new);
         begin
           if before is distinct from after and (trial.is_theirs(before) or trial.is_theirs(after)) then
             insert into trial.changes (relation, before, after)
               values (tg_table_schema || '.' || tg_table_name, before::text, after::text);
           end if;
           return null;
         end $$"
    )
}
